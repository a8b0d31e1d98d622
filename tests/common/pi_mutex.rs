// SPDX-License-Identifier: GPL-2.0

//! Locks with priority inheritance.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;

/// A mutex whose holder inherits the priority of who waits for it; std's does not.
#[derive(Debug)]
pub struct PiMutex(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: POSIX lets any thread call the functions below on one mutex.
unsafe impl Send for PiMutex {}
// SAFETY: As above.
unsafe impl Sync for PiMutex {}

impl PiMutex {
    /// Makes one that nobody holds.
    pub fn new() -> Arc<Self> {
        let mutex = Arc::new(Self(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER)));
        let mut attr = MaybeUninit::uninit();
        // SAFETY: The first call initializes `attr` for the others, and nobody
        // uses the mutex yet.
        unsafe {
            assert_eq!(libc::pthread_mutexattr_init(attr.as_mut_ptr()), 0);
            let inherit = libc::PTHREAD_PRIO_INHERIT;
            assert_eq!(
                libc::pthread_mutexattr_setprotocol(attr.as_mut_ptr(), inherit),
                0
            );
            assert_eq!(libc::pthread_mutex_init(mutex.0.get(), attr.as_ptr()), 0);
        }
        mutex
    }

    /// Waits until the calling thread holds it.
    pub fn lock(&self) {
        // SAFETY: `new` has initialized the mutex, which does not move.
        assert_eq!(unsafe { libc::pthread_mutex_lock(self.0.get()) }, 0);
    }

    /// Lets it go, as the thread that holds it.
    pub fn unlock(&self) {
        // SAFETY: `new` has initialized the mutex, which does not move.
        assert_eq!(unsafe { libc::pthread_mutex_unlock(self.0.get()) }, 0);
    }
}
