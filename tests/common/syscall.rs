// SPDX-License-Identifier: GPL-2.0

//! `go_set_schedprio(2)`.

use gosched::uapi::GO_SCHED_NR_SET_SCHEDPRIO;
use nix::errno::Errno;

/// Gives a thread a priority by the system call.
pub fn set_schedprio(pid: i32, prio: u32, flags: u32) -> Result<(), Errno> {
    let number = libc::c_long::from(GO_SCHED_NR_SET_SCHEDPRIO);
    // SAFETY: The call takes no pointer.
    Errno::result(unsafe { libc::syscall(number, pid, prio, flags) }).map(drop)
}
