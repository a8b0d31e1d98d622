// SPDX-License-Identifier: GPL-2.0

//! The scheduling parameters that the kernel has in force for a thread, and those
//! it should have.

use common::attr::default_slice_ns;
use common::attr::Attr;
use common::device::Base;
use common::device::Record;
use go_sched_policy::Level;
use go_sched_policy::Policy;
use go_sched_policy::TABLE;

/// What `sched_getattr(2)` tells; what a policy does not use is 0 there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InForce {
    policy: i32,
    nice: i32,
    pub(crate) rt_priority: u32,
    slice_ns: u64,
}

impl InForce {
    /// Asks the kernel.
    #[track_caller]
    pub(crate) fn of(tid: i32) -> Self {
        Self::from_attr(&Attr::of(tid))
    }

    /// What must be in force according to what the device says of a thread.
    pub(crate) fn expected(record: &Record) -> Self {
        match record.applied {
            Some(prio) => Self::level(&TABLE[prio as usize]),
            None => Self::base(&record.base),
        }
    }

    /// What is in force for a thread at its base.
    pub(crate) fn base(base: &Base) -> Self {
        let rt = is_rt(base.policy);
        Self {
            policy: base.policy,
            nice: if rt { 0 } else { base.nice },
            rt_priority: base.rt_priority,
            slice_ns: match (rt, base.slice_ns) {
                (true, _) => 0,
                (false, 0) => default_slice_ns(),
                (false, slice_ns) => slice_ns,
            },
        }
    }

    pub(crate) fn level(level: &Level) -> Self {
        Self {
            policy: level.policy.number() as i32,
            nice: level.nice,
            rt_priority: level.rt_priority,
            slice_ns: match level.policy {
                Policy::Idle => default_slice_ns(),
                Policy::Normal => level.slice_ns,
                Policy::RoundRobin => 0,
            },
        }
    }

    fn from_attr(attr: &Attr) -> Self {
        Self {
            policy: attr.policy(),
            nice: attr.v0.sched_nice,
            rt_priority: attr.v0.sched_priority,
            slice_ns: attr.v0.sched_runtime,
        }
    }
}

/// Whether a policy is a real-time one.
pub(crate) fn is_rt(policy: i32) -> bool {
    matches!(policy, libc::SCHED_FIFO | libc::SCHED_RR)
}
