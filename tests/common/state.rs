// SPDX-License-Identifier: GPL-2.0

//! The scheduling of a thread at one moment.

use std::fmt::Debug;

use rustix::io::Errno;

use crate::attr::getpriority;
use crate::attr::Attr;
use crate::device::Device;
use crate::device::Record;

/// The scheduling of a thread in user mode, as far as it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The attributes in force.
    pub attr: Attr,
    /// The nice value of the base, as `getpriority(2)` returns it.
    pub nice: i32,
    /// The answer of `GO_SCHED_GET`.
    pub record: Record,
}

impl State {
    /// Reads the state of a thread; 0 is the calling thread.
    #[track_caller]
    pub fn of(device: &Device, tid: i32) -> Self {
        let (attr, record) = Attr::in_user_mode(device, tid);
        Self {
            attr,
            nice: getpriority(tid),
            record,
        }
    }
}

/// Runs `action`, which must leave the thread's scheduling as it was.
#[track_caller]
pub fn assert_unchanged<R>(device: &Device, tid: i32, action: impl FnOnce() -> R) -> R {
    let before = State::of(device, tid);
    let result = action();
    assert_eq!(State::of(device, tid), before, "thread {tid} was changed");
    result
}

/// Runs `action`, which must fail with `error` and change nothing.
#[track_caller]
pub fn assert_refused<R: Debug>(
    device: &Device,
    tid: i32,
    error: Errno,
    action: impl FnOnce() -> Result<R, Errno>,
) {
    let result = assert_unchanged(device, tid, action);
    assert_eq!(result.err(), Some(error));
}
