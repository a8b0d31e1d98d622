// SPDX-License-Identifier: MIT OR GPL-2.0

//! Answers of the requests.

use std::fmt;

use go_sched_policy::GoPrio;
use serde::Serialize;
use serde::Serializer;

use crate::sched::Params;
use crate::sched::SchedPolicy;
use crate::uapi;

/// Start of threads and processes that the target creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// Start without a priority, at the target's base policy.
    StartAtBase,
    /// Start at the target's priority, through `execve(2)` as well.
    Inherit,
}

impl Children {
    pub(crate) fn flags(self) -> u32 {
        match self {
            Self::StartAtBase => 0,
            Self::Inherit => uapi::GO_SCHED_INHERIT,
        }
    }
}

/// The kernel's record of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The priority asked for, if any.
    pub prio: Option<GoPrio>,
    /// The priority in force, if any. This priority differs from `prio` while the scheduler has not
    /// yet seen a hint, and while a thread that ran away is lowered to the highest
    /// priority that it owns.
    pub applied: Option<GoPrio>,
    /// True while the base is in force in place of `applied`: the thread is below its base,
    /// was switched out inside the kernel, and has not returned to user mode since.
    pub kernel_work: bool,
    /// The ceiling of the thread.
    pub ceiling: Ceiling,
    /// The slot of the hint page that the thread is bound to, if any.
    pub slot: Option<u32>,
    /// The start of the thread's children.
    pub children: Children,
    /// The scheduling parameters in force. `sched_getattr(2)` returns those of `base`
    /// while the thread has a priority.
    pub current: Params,
    /// The scheduling parameters of the thread without its priority. The slice is 0 when
    /// the thread has asked for none.
    pub base: Params,
}

/// The highest priority that a hint can get a thread, and that a request without privilege
/// can, beyond the priorities that the thread owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// The ceiling itself.
    pub prio: GoPrio,
    /// True if the ceiling was set, also by a caller who could lend nothing; otherwise the
    /// ceiling follows the base.
    pub granted: bool,
}

/// Counters of a thread, which begin with its first priority, binding or ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The reason of the last change, if there was one.
    pub last_cause: Option<Cause>,
    /// The number of changes of the thread's scheduling.
    pub applies: u64,
    /// The number of hints for a priority that the thread must not have.
    pub clamps: u64,
    /// The number of times that a hint did not take effect at once.
    pub skips: u64,
    /// The number of times that the thread ran away: it used up the CPU time that its
    /// granted ceiling allows, and was lowered to the highest priority that it owns.
    pub runaways: u64,
}

/// The mapping in force, and the limits of granted ceilings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassInfo {
    /// [`VERSION`](crate::policy::VERSION) of that mapping.
    pub version: u32,
    /// [`HASH`](crate::policy::HASH) of that mapping.
    pub hash: u64,
    /// The CPU time that a granted ceiling allows at once at priorities that the thread
    /// does not own, in milliseconds; 0 is no limit.
    pub budget_ms: u32,
    /// The CPU time that a granted ceiling allows in the long run, in percent of one CPU.
    pub share_percent: u32,
}

/// The reason of a change of a thread's scheduling: a `GO_SCHED_CAUSE_*` number other
/// than `GO_SCHED_CAUSE_NONE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause(u32);

impl Cause {
    /// Returns the cause of a number of uapi/go_sched.h, or `None` for
    /// `GO_SCHED_CAUSE_NONE`.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            uapi::GO_SCHED_CAUSE_NONE => None,
            number => Some(Self(number)),
        }
    }
}

/// Writes the name that the kernel's tracepoints use.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self.0 {
            uapi::GO_SCHED_CAUSE_IOCTL => "ioctl",
            uapi::GO_SCHED_CAUSE_SYSCALL => "syscall",
            uapi::GO_SCHED_CAUSE_HINT => "hint",
            uapi::GO_SCHED_CAUSE_FORK => "fork",
            uapi::GO_SCHED_CAUSE_EXTERNAL => "external",
            uapi::GO_SCHED_CAUSE_UNREGISTER => "unregister",
            uapi::GO_SCHED_CAUSE_REGISTER => "register",
            uapi::GO_SCHED_CAUSE_RUNAWAY => "runaway",
            uapi::GO_SCHED_CAUSE_KERNEL_WORK => "kernel-work",
            other => return write!(f, "cause {other}"),
        })
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a priority; `GO_SCHED_PRIO_NONE` is negative.
fn prio(number: i32) -> Option<GoPrio> {
    u32::try_from(number).ok().and_then(GoPrio::new)
}

impl From<uapi::go_sched_get> for Status {
    fn from(get: uapi::go_sched_get) -> Self {
        Self {
            prio: prio(get.prio),
            applied: prio(get.applied),
            kernel_work: get.flags & uapi::GO_SCHED_KERNEL_WORK != 0,
            ceiling: Ceiling {
                // Always in range; and if not, nothing is promised.
                prio: prio(get.ceiling).unwrap_or(GoPrio::MIN),
                granted: get.ceiling_granted != 0,
            },
            // -1 is none.
            slot: u32::try_from(get.slot).ok(),
            children: if get.flags & uapi::GO_SCHED_INHERIT == 0 {
                Children::StartAtBase
            } else {
                Children::Inherit
            },
            current: Params {
                policy: SchedPolicy::from_number(get.policy),
                nice: get.nice,
                rt_priority: get.rt_priority,
                slice_ns: get.slice_ns,
            },
            base: Params {
                policy: SchedPolicy::from_number(get.base_policy),
                nice: get.base_nice,
                rt_priority: get.base_rt_priority,
                slice_ns: get.base_slice_ns,
            },
        }
    }
}

impl From<uapi::go_sched_stats> for Stats {
    fn from(stats: uapi::go_sched_stats) -> Self {
        Self {
            last_cause: Cause::from_number(stats.last_cause),
            applies: stats.applies,
            clamps: stats.clamps,
            skips: stats.skips,
            runaways: stats.runaways,
        }
    }
}

impl From<uapi::go_sched_class_info> for ClassInfo {
    fn from(info: uapi::go_sched_class_info) -> Self {
        Self {
            version: info.version,
            hash: info.hash,
            budget_ms: info.budget_ms,
            share_percent: info.share_percent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_priority_or_slot_is_none() {
        let status = Status::from(uapi::go_sched_get {
            prio: uapi::GO_SCHED_PRIO_NONE,
            applied: uapi::GO_SCHED_PRIO_NONE,
            slot: -1,
            ..Default::default()
        });
        assert_eq!(status.prio, None);
        assert_eq!(status.applied, None);
        assert!(!status.kernel_work);
        assert_eq!(status.slot, None);
    }

    #[test]
    fn an_answer_keeps_all_that_it_says() {
        let status = Status::from(uapi::go_sched_get {
            flags: uapi::GO_SCHED_INHERIT | uapi::GO_SCHED_KERNEL_WORK,
            prio: 63,
            applied: 0,
            ceiling: 32,
            ceiling_granted: 1,
            base_policy: 3,
            base_nice: -5,
            base_slice_ns: 1_000_000,
            policy: 5,
            nice: 19,
            slice_ns: 2_800_000,
            ..Default::default()
        });
        assert_eq!(status.prio, Some(GoPrio::MAX));
        assert_eq!(status.applied, Some(GoPrio::MIN));
        assert!(status.kernel_work);
        assert_eq!(status.ceiling.prio.get(), 32);
        assert!(status.ceiling.granted);
        assert_eq!(status.slot, Some(0));
        assert_eq!(status.children, Children::Inherit);
        assert_eq!(status.base.policy.to_string(), "SCHED_BATCH");
        assert_eq!(status.base.nice, -5);
        assert_eq!(status.base.slice_ns, 1_000_000);
        assert_eq!(status.current.policy.to_string(), "SCHED_IDLE");
        assert_eq!(status.current.nice, 19);
        assert_eq!(status.current.slice_ns, 2_800_000);
    }

    #[test]
    fn a_cause_is_shown_by_its_name_or_else_its_number() {
        assert_eq!(Cause::from_number(uapi::GO_SCHED_CAUSE_NONE), None);
        let name = |number| Cause::from_number(number).expect("a cause").to_string();
        assert_eq!(name(uapi::GO_SCHED_CAUSE_HINT), "hint");
        assert_eq!(name(uapi::GO_SCHED_CAUSE_RUNAWAY), "runaway");
        assert_eq!(name(uapi::GO_SCHED_CAUSE_KERNEL_WORK), "kernel-work");
        assert_eq!(name(99), "cause 99");
    }
}
