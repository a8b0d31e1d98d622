// SPDX-License-Identifier: GPL-2.0

//! The shared part of the guest tests: the device, the scheduling attributes, and threads
//! and processes for both.
//!
//! The tests of one program run one after the other, which `.cargo/config.toml`
//! sees to. After the last, the harness searches the kernel's log.

pub mod attr;
pub mod budget;
pub mod cgroup;
pub mod child;
pub mod command;
pub mod deadline;
pub mod device;
pub mod fair;
pub mod fair_server;
pub mod hint;
pub mod module;
pub mod pi_mutex;
pub mod proc_sched;
pub mod spinner;
pub mod state;
pub mod syscall;
pub mod trace;
pub mod worker;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use rustix::thread::sched_setaffinity;
use rustix::thread::CpuSet;

pub use crate::deadline::eventually;
pub use crate::deadline::DEADLINE;

/// The CPU of the thread that watches the others.
pub const WATCHER_CPU: usize = 0;

/// The CPU that threads under test compete for.
pub const CONTESTED_CPU: usize = 1;

/// The thread that starts all kernel threads.
pub const KTHREADD: i32 = 2;

/// A number above the largest thread id that the kernel gives out.
pub const NO_TID: i32 = 1 << 22;

/// An unprivileged user.
pub const USER: u32 = 1000;

/// Another unprivileged user.
pub const OTHER_USER: u32 = 1001;

/// Priorities of each band: its ends, and one between them in the two lower bands.
pub const SAMPLE: [u32; 8] = [0, 7, 15, 16, 32, 47, 48, 63];

/// Numbers that are no priority. The last is what a caller that took -1 for "none" would
/// pass.
pub const NO_PRIO: [u32; 8] = [
    64,
    65,
    255,
    256,
    1 << 16,
    i32::MAX as u32,
    1 << 31,
    u32::MAX,
];

/// A flag that tells helper threads to stop, set on drop. So the flag is set after a
/// failure too, where a scope would wait for the helpers.
#[derive(Debug)]
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ties the calling thread to one CPU.
pub fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set)
        .unwrap_or_else(|error| panic!("cannot run on CPU {cpu}, the tests need two: {error}"));
}
