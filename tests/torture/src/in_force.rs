// SPDX-License-Identifier: GPL-2.0

//! The scheduling parameters of a thread, as they should be and as the kernel has them.

use common::attr::default_slice_ns;
use common::attr::Attr;
use common::device::is_rt;
use common::device::Device;
use common::device::Params;
use common::device::Record;
use common::eventually;
use common::proc_sched::ProcSched;
use go_sched_policy::Level;
use go_sched_policy::Policy;
use go_sched_policy::TABLE;

/// What must be in force according to the rest of what the device says of a thread.
pub(crate) fn expected(record: &Record) -> Params {
    match record.applied {
        Some(prio) => of_level(&TABLE[prio as usize]),
        None => of_base(&record.base),
    }
}

/// What is in force for a thread at its base.
pub(crate) fn of_base(base: &Params) -> Params {
    let rt = is_rt(base.policy);
    Params {
        nice: if rt { 0 } else { base.nice },
        slice_ns: match (rt, base.slice_ns) {
            (true, _) => 0,
            (false, 0) => default_slice_ns(),
            (false, slice_ns) => slice_ns,
        },
        ..*base
    }
}

pub(crate) fn of_level(level: &Level) -> Params {
    Params {
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

/// What `sched_getattr(2)` tells of a thread: its base, as that would be in force.
#[track_caller]
pub(crate) fn told(tid: i32) -> Params {
    let attr = Attr::base_of(tid);
    Params {
        policy: attr.policy(),
        nice: attr.v0.sched_nice,
        rt_priority: attr.v0.sched_priority,
        slice_ns: attr.v0.sched_runtime,
    }
}

/// Whether the scheduler goes by one of these parameters for a thread, which may be lent
/// more by a lock.
#[track_caller]
pub(crate) fn goes_by(tid: i32, params: &[Params]) -> bool {
    let found = ProcSched::of(tid);
    params.iter().any(|params| {
        let expected = ProcSched::new(params.policy, params.nice, params.rt_priority);
        // Of SCHED_IDLE, it is that of the nice value in the last sched_setattr(2), which
        // counts for nothing.
        let is_idle = expected.policy == libc::SCHED_IDLE;
        found.policy == expected.policy && (is_idle || found.prio <= expected.prio)
    })
}

/// What the device says of a thread that nobody changes, and whether the scheduler goes by
/// that.
#[track_caller]
pub(crate) fn look(device: &Device, tid: i32) -> (Record, bool) {
    // It may still follow a hint, run away, or be done running away.
    let mut seen = None;
    eventually("two looks at a calm thread see the same", || {
        let record = device.get(tid);
        seen = Some((record, goes_by(tid, &[record.current])));
        device.get(tid) == record
    });
    seen.expect("it was looked at")
}
