// SPDX-License-Identifier: GPL-2.0

//! Changes by the system calls that know nothing of Go priorities.

use crate::operation::Operation;
use crate::ops::wards::with_ward;
use crate::random;

pub(super) static OPERATIONS: [Operation; 3] = [
    Operation::new("setattr", 16, |world, rng| {
        with_ward(world, rng, |ward, _, rng| ward.set_attr(&random::attr(rng)));
    }),
    Operation::new("setscheduler", 8, |world, rng| {
        with_ward(world, rng, |ward, _, rng| {
            ward.set_scheduler(&random::attr(rng))
        });
    }),
    Operation::new("uclamp", 3, |world, rng| {
        with_ward(world, rng, |ward, _, rng| {
            ward.clamp_utilization(rng.u32(..512), rng.u32(512..=1024));
        });
    }),
];
