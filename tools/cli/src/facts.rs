// SPDX-License-Identifier: GPL-2.0

//! The state of a thread, and its JSON.

use gosched::error::RequestError;
use gosched::policy::GoPrio;
use gosched::sched::Params;
use gosched::thread::Thread;
use gosched::Cause;
use gosched::Children;
use gosched::Device;
use gosched::Stats;
use gosched::Status;
use gosched::Target;
use schemars::JsonSchema;
use serde::Serialize;

/// The answers of the kernel about a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) status: Status,
    pub(crate) stats: Stats,
}

impl Facts {
    /// Asks the kernel about `thread`.
    pub(crate) fn of(device: &Device, thread: &Thread) -> Result<Self, RequestError> {
        Self::read(device, thread.target())
    }

    /// Asks the kernel about the thread that `target` names.
    pub(crate) fn read(device: &Device, target: Target<'_>) -> Result<Self, RequestError> {
        Ok(Self {
            status: device.get(target)?,
            stats: device.stats(target)?,
        })
    }
}

/// A thread's priority, ceiling and scheduling.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ThreadJson {
    /// Thread id in the pid namespace of gosched.
    tid: i32,
    /// The priority asked for, 0 to 63, higher = more urgent; null without one.
    priority: Option<u32>,
    /// The band of that priority: idle, fair or rt.
    band: Option<&'static str>,
    /// The priority in force, null without one.
    applied: Option<u32>,
    /// True if the base is in force in place of the priority, for work inside the kernel.
    kernel_work: bool,
    /// True if threads and processes that the thread starts inherit the thread's priority.
    inherit: bool,
    /// The highest priority that a hint can get the thread, and that a request without
    /// privilege can, beyond the priorities that the thread owns.
    ceiling: u32,
    /// True if the ceiling was set, also by a caller who could lend nothing; otherwise it
    /// follows the base.
    ceiling_granted: bool,
    /// The slot of the hint page that the thread is bound to, null without one.
    slot: Option<u32>,
    /// The reason of the last change of the thread's scheduling: ioctl, syscall, hint,
    /// fork, external, register, unregister or runaway; null if there was no change.
    #[schemars(with = "Option<String>")]
    last_change: Option<Cause>,
    /// The scheduling parameters in force.
    current: Params,
    /// The scheduling parameters that the thread has without its priority.
    base: Params,
}

impl ThreadJson {
    pub(crate) fn new(tid: i32, facts: &Facts) -> Self {
        let status = &facts.status;
        Self {
            tid,
            priority: status.prio.map(GoPrio::get),
            band: status.prio.map(|prio| prio.band().name()),
            applied: status.applied.map(GoPrio::get),
            kernel_work: status.kernel_work,
            inherit: status.children == Children::Inherit,
            ceiling: status.ceiling.prio.get(),
            ceiling_granted: status.ceiling.granted,
            slot: status.slot,
            last_change: facts.stats.last_cause,
            current: status.current,
            base: status.base,
        }
    }
}

/// Returns a priority with its band, or "none".
pub(crate) fn words(prio: Option<GoPrio>) -> String {
    match prio {
        Some(prio) => format!("{} ({})", prio.get(), prio.band().name()),
        None => "none".to_owned(),
    }
}
