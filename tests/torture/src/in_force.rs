// SPDX-License-Identifier: GPL-2.0

//! Scheduling parameters in force for a thread, expected and observed.

use common::attr::default_slice_ns;
use common::attr::Attr;
use common::device::Device;
use common::device::Record;
use common::eventually;
use common::proc_sched::ProcSched;
use go_sched_policy::Level;
use go_sched_policy::Policy;
use go_sched_policy::TABLE;
use gosched::sched::Params;
use gosched::sched::SchedPolicy;

/// Returns the parameters that must be in force according to the other fields of `record`.
pub(crate) fn expected(record: &Record) -> Params {
    match record.applied {
        Some(prio) => of_level(&TABLE[prio as usize]),
        None => of_base(&record.base),
    }
}

/// Returns the parameters in force for a thread at its base.
pub(crate) fn of_base(base: &Params) -> Params {
    let rt = base.policy.is_rt();
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

/// Returns the parameters in force for a thread at a level of the mapping.
pub(crate) fn of_level(level: &Level) -> Params {
    Params {
        policy: level.policy.into(),
        nice: level.nice,
        rt_priority: level.rt_priority,
        slice_ns: match level.policy {
            Policy::Idle => default_slice_ns(),
            Policy::Normal => level.slice_ns,
            Policy::RoundRobin => 0,
        },
    }
}

/// Returns a thread's base as `sched_getattr(2)` reports the base: in the form that would
/// be in force.
#[track_caller]
pub(crate) fn reported_base(tid: i32) -> Params {
    Attr::base_of(tid).params()
}

/// Returns whether the scheduler uses one of these parameters for a thread. A lock with
/// priority inheritance may raise the thread above the parameters.
#[track_caller]
pub(crate) fn scheduler_uses(tid: i32, params: &[Params]) -> bool {
    let found = ProcSched::of(tid);
    params.iter().any(|params| {
        let expected = ProcSched::new(params);
        // For SCHED_IDLE, the kernel's priority comes from the nice value of the last
        // sched_setattr(2) and has no effect.
        let is_idle = expected.policy == SchedPolicy::IDLE;
        found.policy == expected.policy && (is_idle || found.prio <= expected.prio)
    })
}

/// Returns the record of a thread that nobody changes, whose parameters the scheduler uses.
#[track_caller]
pub(crate) fn read_settled(device: &Device, tid: i32) -> Record {
    // The thread may still follow a hint, reach or leave the end of its budget, or be on
    // its way through the kernel.
    let mut settled = None;
    eventually("the scheduler uses what two equal records tell", || {
        let record = device.get(tid);
        settled = Some(record);
        let is_used = !record.kernel_work && scheduler_uses(tid, &[record.current]);
        is_used && device.get(tid) == record
    });
    settled.expect("the record was read")
}
