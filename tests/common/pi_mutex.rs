// SPDX-License-Identifier: GPL-2.0

//! Locks with priority inheritance.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::clock_gettime;
use rustix::time::ClockId;
use rustix::time::Timespec;

use crate::DEADLINE;

const PRIVATE: futex::Flags = futex::Flags::PRIVATE;

/// A mutex whose holder inherits the priority of its most urgent waiter; std's does not.
/// Each call enters the kernel, as if another thread were waiting.
#[derive(Debug)]
pub struct PiMutex(AtomicU32);

impl PiMutex {
    /// Makes a mutex that no thread holds.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(0)))
    }

    /// Waits until the calling thread holds the mutex; panics after [`DEADLINE`].
    #[track_caller]
    pub fn lock(&self) {
        assert!(self.lock_within(DEADLINE), "waited {DEADLINE:?} for a lock");
    }

    /// Waits for the mutex, and returns whether the calling thread got it before the timeout.
    pub fn lock_within(&self, timeout: Duration) -> bool {
        let timeout = Timespec::try_from(timeout).expect("the timeout fits");
        let end = clock_gettime(ClockId::Realtime) + timeout;
        match futex::lock_pi(&self.0, PRIVATE, Some(&end)) {
            Ok(()) => true,
            Err(Errno::TIMEDOUT) => false,
            Err(error) => panic!("PI futex: {error}"),
        }
    }

    /// Releases the mutex, which the calling thread holds.
    pub fn unlock(&self) {
        // The kernel returns EAGAIN when another thread begins to wait at this moment.
        while let Err(error) = futex::unlock_pi(&self.0, PRIVATE) {
            assert_eq!(error, Errno::AGAIN, "the lock is held");
        }
    }

    /// Returns whether a thread waits for the mutex.
    pub fn has_waiter(&self) -> bool {
        self.0.load(Ordering::Relaxed) & futex::WAITERS != 0
    }
}
