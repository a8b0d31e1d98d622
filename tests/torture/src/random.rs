// SPDX-License-Identifier: GPL-2.0

//! Random arguments of operations.

use common::attr::Attr;
use common::hint;
use fastrand::Rng;
use go_sched_policy::LEVELS;
use gosched::uapi::GO_SCHED_INHERIT;

/// Limit of random real-time priorities, below those of the threads that run the test.
const RT_PRIORITY_MAX: u32 = 30;

/// Returns a priority.
pub(crate) fn prio(rng: &mut Rng) -> u32 {
    rng.u32(..LEVELS)
}

/// Returns a priority or, one time in four, none.
pub(crate) fn prio_or_none(rng: &mut Rng) -> Option<u32> {
    (rng.u32(..4) != 0).then(|| prio(rng))
}

/// Returns `GO_SCHED_INHERIT` or no flag.
pub(crate) fn inherit(rng: &mut Rng) -> u32 {
    if rng.bool() {
        GO_SCHED_INHERIT
    } else {
        0
    }
}

/// Returns a hint: usually a priority, sometimes none, and rarely a byte that may be
/// invalid.
pub(crate) fn hint(rng: &mut Rng) -> u8 {
    match rng.u32(..16) {
        0 => rng.u8(..),
        1 | 2 => hint::NONE,
        _ => rng.u8(..LEVELS as u8),
    }
}

/// Returns a nice value.
pub(crate) fn nice(rng: &mut Rng) -> i32 {
    rng.i32(-20..20)
}

/// Returns attributes of any policy except `SCHED_DEADLINE`, which makes Linux 6.12 crash
/// together with CPU hotplug.
pub(crate) fn attr(rng: &mut Rng) -> Attr {
    let slice_ns = if rng.bool() {
        rng.u64(100_000..100_000_000)
    } else {
        0
    };
    let nice = nice(rng);
    let priority = rng.u32(1..RT_PRIORITY_MAX);
    let attr = match rng.u32(..6) {
        0 | 1 => Attr::normal(nice).slice_ns(slice_ns),
        2 => Attr::batch(nice).slice_ns(slice_ns),
        3 => Attr::idle(),
        4 => Attr::fifo(priority),
        _ => Attr::rr(priority),
    };
    if rng.u32(..4) == 0 {
        attr.reset_on_fork()
    } else {
        attr
    }
}
