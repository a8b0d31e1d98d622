// SPDX-License-Identifier: GPL-2.0

//! `/proc/PID/sched`, which shows the parameters in force whoever set them.

use std::fs;

use gosched::sched::Params;
use gosched::sched::SchedPolicy;

use crate::device::SELF;
use crate::eventually;

/// The parameters that the scheduler goes by, as `/proc/PID/sched` shows them, with a
/// device or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcSched {
    /// The scheduling policy.
    pub policy: SchedPolicy,
    /// The kernel's own priority, lower = more urgent: 0 to 98 for real-time policies,
    /// 100 to 139 for fair policies. A lock lends its holder the priority of a more
    /// urgent waiter.
    pub prio: i32,
}

impl ProcSched {
    /// Returns the values that `/proc` must show for a thread with these parameters and
    /// no boost.
    pub fn new(params: &Params) -> Self {
        let prio = if params.policy.is_rt() {
            99 - params.rt_priority as i32
        } else {
            120 + params.nice
        };
        Self {
            policy: params.policy,
            prio,
        }
    }

    /// Reads the values of a thread; 0 is the calling thread.
    #[track_caller]
    pub fn of(tid: i32) -> Self {
        let path = match tid {
            SELF => "/proc/thread-self/sched".to_owned(),
            tid => format!("/proc/{tid}/sched"),
        };
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let field = |name| {
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(found, _)| found.trim() == name)
                .and_then(|(_, value)| value.trim().parse().ok())
                .unwrap_or_else(|| panic!("{path} has no {name}:\n{text}"))
        };
        Self {
            policy: SchedPolicy::from_number(field("policy") as u32),
            prio: field("prio"),
        }
    }

    /// Checks that a thread comes to have these values. On its way through the kernel,
    /// the thread may be at its base.
    #[track_caller]
    pub fn assert_of(self, tid: i32) {
        eventually(&format!("{self:?} is in force of thread {tid}"), || {
            Self::of(tid) == self
        });
    }
}
