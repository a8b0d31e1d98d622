// SPDX-License-Identifier: GPL-2.0

//! What is known of a thread, and how it is told in JSON.

use gosched::error::FindError;
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

/// All that the kernel says of the scheduling of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) status: Status,
    pub(crate) stats: Stats,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ThreadError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl ThreadError {
    /// Whether the thread is no more.
    pub(crate) fn is_end(&self) -> bool {
        matches!(
            self,
            Self::Request(RequestError::NoSuchThread) | Self::Find(FindError::NotFound)
        )
    }
}

impl Facts {
    /// Asks the kernel.
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
    /// Its band: idle, fair or rt.
    band: Option<&'static str>,
    /// The priority in force.
    applied: Option<u32>,
    /// Whether what the thread starts begins at its priority.
    inherit: bool,
    /// Up to where the thread may be moved without privilege.
    ceiling: u32,
    /// Whether the ceiling was granted; it follows the base otherwise.
    ceiling_granted: bool,
    /// The slot of the hint page that the thread is bound to.
    slot: Option<u32>,
    /// What made the kernel reschedule the thread last: ioctl, syscall, hint, fork,
    /// external, register, unregister or runaway.
    #[schemars(with = "Option<String>")]
    last_change: Option<Cause>,
    /// The scheduling parameters in force.
    current: Params,
    /// Those that the thread has without its priority.
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

/// A priority in words.
pub(crate) fn words(prio: Option<GoPrio>) -> String {
    match prio {
        Some(prio) => format!("{} ({})", prio.get(), prio.band().name()),
        None => "none".to_owned(),
    }
}
