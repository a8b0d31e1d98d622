// SPDX-License-Identifier: GPL-2.0

//! A lock whose holder inherits the priority of who waits for it.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::clock_gettime;
use rustix::time::ClockId;
use rustix::time::Timespec;

const PRIVATE: futex::Flags = futex::Flags::PRIVATE;

/// All of it is done in the kernel, as if there were always somebody waiting.
#[derive(Debug)]
pub(crate) struct PiFutex(AtomicU32);

impl PiFutex {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub(crate) fn lock(&self) {
        futex::lock_pi(&self.0, PRIVATE, None).expect("no deadlock");
    }

    /// Takes the lock, unless that takes too long; returns whether it did.
    pub(crate) fn lock_within(&self, patience: Timespec) -> bool {
        let end = clock_gettime(ClockId::Realtime) + patience;
        match futex::lock_pi(&self.0, PRIVATE, Some(&end)) {
            Ok(()) => true,
            Err(Errno::TIMEDOUT) => false,
            Err(error) => panic!("PI futex: {error}"),
        }
    }

    pub(crate) fn unlock(&self) {
        // The kernel says "again" when somebody starts to wait at this moment.
        while let Err(error) = futex::unlock_pi(&self.0, PRIVATE) {
            assert_eq!(error, Errno::AGAIN, "the lock is held");
        }
    }

    pub(crate) fn has_waiter(&self) -> bool {
        self.0.load(Ordering::Relaxed) & futex::WAITERS != 0
    }
}
