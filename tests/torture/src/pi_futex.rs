// SPDX-License-Identifier: GPL-2.0

//! A lock with priority inheritance.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use common::DEADLINE;
use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::clock_gettime;
use rustix::time::ClockId;
use rustix::time::Timespec;

const PRIVATE: futex::Flags = futex::Flags::PRIVATE;

/// A lock whose holder runs at the priority of its most urgent waiter. Each call enters the
/// kernel, as if another thread were waiting.
#[derive(Debug)]
pub(crate) struct PiFutex(AtomicU32);

impl PiFutex {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Takes the lock; panics after [`DEADLINE`].
    pub(crate) fn lock(&self) {
        let timeout = Timespec::try_from(DEADLINE).expect("the deadline fits");
        assert!(self.lock_within(timeout), "PI futex: waited {DEADLINE:?}");
    }

    /// Takes the lock, and returns whether that was possible before the timeout.
    pub(crate) fn lock_within(&self, timeout: Timespec) -> bool {
        let end = clock_gettime(ClockId::Realtime) + timeout;
        match futex::lock_pi(&self.0, PRIVATE, Some(&end)) {
            Ok(()) => true,
            Err(Errno::TIMEDOUT) => false,
            Err(error) => panic!("PI futex: {error}"),
        }
    }

    pub(crate) fn unlock(&self) {
        // The kernel returns EAGAIN when another thread begins to wait at this moment.
        while let Err(error) = futex::unlock_pi(&self.0, PRIVATE) {
            assert_eq!(error, Errno::AGAIN, "the lock is held");
        }
    }

    pub(crate) fn has_waiter(&self) -> bool {
        self.0.load(Ordering::Relaxed) & futex::WAITERS != 0
    }
}
