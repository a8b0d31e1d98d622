// SPDX-License-Identifier: GPL-2.0

//! `go_set_schedprio(2)`, and results of system calls that no library has.

use std::io;

use gosched::raw;
use gosched::uapi::GO_SCHED_FOLLOW_HINT;
use rustix::io::Errno;

use crate::device::errno;

/// Gives a thread a priority by the system call.
pub fn set_schedprio(pid: i32, prio: u32, flags: u32) -> Result<(), Errno> {
    raw::set_schedprio(pid, prio, flags).map_err(errno)
}

/// Has a thread follow its hint by the system call.
pub fn follow_hint(pid: i32, flags: u32) -> Result<(), Errno> {
    set_schedprio(pid, 0, GO_SCHED_FOLLOW_HINT | flags)
}

/// Returns the result of a function of libc, which has just returned `value`.
pub fn result_of(value: libc::c_long) -> Result<libc::c_long, Errno> {
    match value {
        -1 => Err(errno(io::Error::last_os_error())),
        value => Ok(value),
    }
}
