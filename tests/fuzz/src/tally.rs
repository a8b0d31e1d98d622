// SPDX-License-Identifier: GPL-2.0

//! Kinds of calls, their documented errors, and the number of each result.

use std::fmt;
use std::io;
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use gosched::uapi;
use rustix::io::Errno;
use rustix::mm::mmap_anonymous;
use rustix::mm::MapFlags;
use rustix::mm::ProtFlags;

/// A number above the largest error number of Linux, `EHWPOISON`.
const ERRNOS: usize = 134;

/// Kind of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Version,
    Set,
    Get,
    Clear,
    Ceiling,
    Bind,
    Unbind,
    Stats,
    ClassInfo,
    Follow,
    /// A request with the device's type and a number that the device does not know.
    Unknown,
    /// A request with another type. The file system handles some of these requests.
    Foreign,
    Syscall,
    Mmap,
    Munmap,
    Mprotect,
    Madvise,
    Mremap,
    /// A store to a hint page or a load from a hint page, by a system call.
    Access,
    SetAttr,
}

use Kind::*;

const KINDS: [(Kind, &str); 20] = [
    (Version, "VERSION"),
    (Set, "SET"),
    (Get, "GET"),
    (Clear, "CLEAR"),
    (Ceiling, "CEILING"),
    (Bind, "BIND"),
    (Unbind, "UNBIND"),
    (Stats, "STATS"),
    (ClassInfo, "CLASS_INFO"),
    (Follow, "FOLLOW"),
    (Unknown, "unknown request"),
    (Foreign, "foreign request"),
    (Syscall, "go_set_schedprio"),
    (Mmap, "mmap"),
    (Munmap, "munmap"),
    (Mprotect, "mprotect"),
    (Madvise, "madvise"),
    (Mremap, "mremap"),
    (Access, "access"),
    (SetAttr, "sched_setattr"),
];

impl Kind {
    /// Returns the kind of an `ioctl(2)` request.
    pub(crate) fn of_request(request: u32) -> Self {
        match request {
            uapi::GO_SCHED_VERSION => Version,
            uapi::GO_SCHED_SET => Set,
            uapi::GO_SCHED_GET => Get,
            uapi::GO_SCHED_CLEAR => Clear,
            uapi::GO_SCHED_CEILING => Ceiling,
            uapi::GO_SCHED_BIND => Bind,
            uapi::GO_SCHED_UNBIND => Unbind,
            uapi::GO_SCHED_STATS => Stats,
            uapi::GO_SCHED_CLASS_INFO => ClassInfo,
            uapi::GO_SCHED_FOLLOW => Follow,
            _ if request >> 8 & 0xff == uapi::GO_SCHED_IOC_MAGIC => Unknown,
            _ => Foreign,
        }
    }

    /// Returns the errors that `uapi/go_sched.h` and the manual pages document; `None` allows
    /// every error.
    fn documented(self) -> Option<&'static [i32]> {
        use libc::*;
        Some(match self {
            Version | Unbind => &[],
            Set => &[
                E2BIG, EBADF, EBUSY, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP, EPERM, ESRCH,
            ],
            Syscall => &[EBADF, EBUSY, EINVAL, ENOMEM, EOPNOTSUPP, EPERM, ESRCH],
            Get | Stats => &[E2BIG, EBADF, EFAULT, EINVAL, ESRCH],
            Clear | Follow => &[E2BIG, EBADF, EFAULT, EINVAL, EPERM, ESRCH],
            Ceiling => &[
                E2BIG, EBADF, EBUSY, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP, EPERM, ESRCH,
            ],
            Bind => &[E2BIG, EBUSY, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP],
            ClassInfo => &[E2BIG, EFAULT, EINVAL],
            Unknown => &[ENOTTY],
            Foreign => return None,
            // EAGAIN means that more than RLIMIT_MEMLOCK would be locked.
            Mmap => &[EAGAIN, EINVAL, ENOMEM, EOPNOTSUPP, EOVERFLOW, EPERM],
            Munmap => &[EINVAL],
            Mprotect => &[EACCES, EINVAL, ENOMEM, EPERM],
            Madvise => return None,
            Mremap => &[EAGAIN, EFAULT, EINVAL, ENOMEM],
            Access => &[EFAULT],
            SetAttr => &[EBUSY, EINVAL, EPERM, ESRCH],
        })
    }
}

/// Number of calls by kind and result, shared by all processes.
pub(crate) struct Tally([[AtomicU64; ERRNOS]; KINDS.len()]);

impl Tally {
    pub(crate) fn new() -> &'static Self {
        let length = size_of::<Self>();
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: The kernel places a new mapping where no other is.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), length, access, MapFlags::SHARED) };
        // SAFETY: `mmap` has returned a zeroed mapping of this size, which is never unmapped.
        unsafe { &*start.expect("memory").cast() }
    }

    /// Counts a result. Panics if the error is not documented.
    pub(crate) fn count(&self, kind: Kind, result: Result<usize, Errno>) {
        let number = result
            .err()
            .map_or(0, |error| error.raw_os_error() as usize);
        let counts = &self.0[kind as usize];
        let count = counts
            .get(number)
            .unwrap_or_else(|| panic!("{kind:?}: error number {number}"));
        count.fetch_add(1, Ordering::Relaxed);
        if let (Err(error), Some(documented)) = (result, kind.documented()) {
            assert!(
                documented.contains(&error.raw_os_error()),
                "{kind:?}: undocumented {error}"
            );
        }
    }

    /// Returns the number of calls.
    pub(crate) fn calls(&self) -> u64 {
        let counts = self.0.iter().flatten();
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Returns the names of calls that should succeed sometimes and never did.
    pub(crate) fn never_succeeded(&self) -> Vec<&'static str> {
        let has_no_success = |kind: Kind| self.0[kind as usize][0].load(Ordering::Relaxed) == 0;
        KINDS
            .into_iter()
            .filter(|(kind, _)| !matches!(kind, Unknown | Foreign) && has_no_success(*kind))
            .map(|(_, name)| name)
            .collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, name) in KINDS {
            write!(f, "; {name}")?;
            for (number, count) in self.0[kind as usize].iter().enumerate() {
                match (number, count.load(Ordering::Relaxed)) {
                    (_, 0) => {}
                    (0, count) => write!(f, " ok {count}")?,
                    (_, count) => {
                        let error = io::Error::from_raw_os_error(number as i32);
                        write!(f, ", {error} {count}")?;
                    }
                }
            }
        }
        Ok(())
    }
}
