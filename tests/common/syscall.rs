// SPDX-License-Identifier: GPL-2.0

//! `go_set_schedprio(2)`.

use gosched::raw;
use nix::errno::Errno;

use crate::device::errno;

/// Gives a thread a priority by the system call.
pub fn set_schedprio(pid: i32, prio: u32, flags: u32) -> Result<(), Errno> {
    raw::set_schedprio(pid, prio, flags).map_err(errno)
}
