// SPDX-License-Identifier: GPL-2.0

//! The table of the experiments.

mod drift;
mod locks;
mod overflow;
mod preemption;
mod quota;
mod slice;
mod smt;
mod spikes;

use self::drift::DRIFT;
use self::locks::LOCKS;
use self::overflow::OVERFLOW;
use self::preemption::PREEMPTION;
use self::quota::QUOTA;
use self::slice::SLICE;
use self::smt::SMT;
use self::spikes::SPIKES;
use super::Experiment;

/// The experiments, in the order of the chapters.
pub const EXPERIMENTS: &[Experiment] = &[
    LOCKS, OVERFLOW, QUOTA, SLICE, SPIKES, PREEMPTION, DRIFT, SMT,
];

const P1: &[(&str, &str)] = &[("GOMAXPROCS", "1")];
const P2: &[(&str, &str)] = &[("GOMAXPROCS", "2")];
const P4: &[(&str, &str)] = &[("GOMAXPROCS", "4")];
const P8: &[(&str, &str)] = &[("GOMAXPROCS", "8")];
const NO_AUTOGROUP: &[(&str, &str)] = &[("/proc/sys/kernel/sched_autogroup_enabled", "0")];

const WHOLE: &str = "100000 100000";

const COLLECTOR: &[&str] = &[
    "-goroutines=4",
    "-work=allocate",
    "-request=compute",
    "-every=10ms",
];
