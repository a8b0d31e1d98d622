// SPDX-License-Identifier: GPL-2.0

//! Changes by system calls of Linux that know nothing of Go priorities.

use crate::operation::Operation;
use crate::ops::requests::with_modeled;
use crate::random;

pub(super) static OPERATIONS: [Operation; 3] = [
    Operation::new("setattr", 16, |context, rng| {
        with_modeled(context, rng, |thread, _, rng| {
            thread.set_attr(&random::attr(rng))
        });
    }),
    Operation::new("setscheduler", 8, |context, rng| {
        with_modeled(context, rng, |thread, _, rng| {
            thread.set_scheduler(&random::attr(rng))
        });
    }),
    Operation::new("uclamp", 3, |context, rng| {
        with_modeled(context, rng, |thread, _, rng| {
            thread.clamp_utilization(rng.u32(..512), rng.u32(512..=1024));
        });
    }),
];
