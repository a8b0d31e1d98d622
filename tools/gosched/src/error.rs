// SPDX-License-Identifier: GPL-2.0

//! What can go wrong, by meaning; the only place that knows errno values.

use std::error::Error;
use std::io;

use go_sched_policy::level;
use go_sched_policy::GoPrio;
use go_sched_policy::Policy;
use procfs::ProcError;
use rustix::io::Errno;

use crate::uapi::GO_SCHED_ABI_VERSION;
use crate::Device;
use crate::Status;

/// Why [`Device::open`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no device.
    #[error(
        "there is no {path}: the module is not loaded; \
         run \"modprobe go_sched_class\" as root, or \"insmod go_sched_class.ko\" where it was built; \
         \"gosched check\" shows what is missing",
        path = Device::PATH
    )]
    NotLoaded,
    /// The caller may not open the device.
    #[error(
        "no permission to open {path}: run as root, or have root grant access to it with chmod(1)",
        path = Device::PATH
    )]
    NotPermitted,
    /// Something else has the name of the device.
    #[error("{path} is not the device of the module go_sched_class: remove it, and load the module", path = Device::PATH)]
    NotTheDevice,
    /// The module was built for another version of the ABI.
    #[error(
        "the loaded module has ABI version {module}, this program {GO_SCHED_ABI_VERSION}: {older} is \
         older, install both from the same release",
        older = if *module < GO_SCHED_ABI_VERSION { "the module" } else { "this program" }
    )]
    VersionMismatch {
        /// The version that the module reports.
        module: u32,
    },
    /// Anything else, as the kernel reports it.
    #[error("cannot open {path}: {0}", path = Device::PATH)]
    Os(io::Error),
}

impl OpenError {
    pub(crate) fn from_open(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NODEV | Errno::NXIO => Self::NotLoaded,
            Errno::ACCESS | Errno::PERM => Self::NotPermitted,
            other => Self::Os(other.into()),
        }
    }

    pub(crate) fn from_version(errno: Errno) -> Self {
        match errno {
            Errno::NOTTY => Self::NotTheDevice,
            other => Self::Os(other.into()),
        }
    }
}

/// Why a request for a thread failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The target does not exist, or is exiting.
    #[error("no such thread, or it is exiting")]
    NoSuchThread,
    /// The priority is above the thread's ceiling, and `sched_setattr(2)` would
    /// refuse the caller the same parameters.
    #[error(
        "not permitted: {prio} is above the thread's ceiling, {ceiling}; unless it is a kernel thread, \
         root raises that with \"gosched ceiling {prio} PID\", and CAP_SYS_NICE, RLIMIT_NICE or \
         RLIMIT_RTPRIO lift it",
        prio = prio.get(),
        ceiling = ceiling.get()
    )]
    AboveCeiling {
        /// The priority asked for.
        prio: GoPrio,
        /// The ceiling of the thread.
        ceiling: GoPrio,
    },
    /// The priority is not above the thread's ceiling, but `sched_setattr(2)` would
    /// refuse its nice value, and no ceiling is granted; or the thread is not the
    /// caller's to change.
    #[error(
        "not permitted: {prio} is below the thread's ceiling, {ceiling}, but its nice value is not one \
         that the thread owns: CAP_SYS_NICE or RLIMIT_NICE lift that, and root does with \
         \"gosched ceiling {ceiling} PID\", unless the thread is another user's",
        prio = prio.get(),
        ceiling = ceiling.get()
    )]
    NotOwned {
        /// The priority asked for.
        prio: GoPrio,
        /// The ceiling of the thread.
        ceiling: GoPrio,
    },
    /// The thread is not the caller's to change.
    #[error(
        "not permitted: the thread is another user's, which takes CAP_SYS_NICE, \
         or the kernel's own, which has no Go priority"
    )]
    NotPermitted,
    /// The ceiling is not the caller's to change.
    #[error(
        "not permitted: to raise a ceiling be root or have CAP_SYS_NICE; \
         without it, only that of one's own threads may be lowered, and that of kernel threads never"
    )]
    CeilingNotPermitted,
    /// The thread is `SCHED_DEADLINE`.
    #[error("the thread is SCHED_DEADLINE, which has no Go priority: change its policy first, see chrt(1)")]
    Deadline,
    /// A `sched_ext` scheduler has taken over.
    #[error("a sched_ext scheduler runs all threads, and knows no Go priorities: end it first")]
    SchedExt,
    /// No mapping is registered with the scheduler.
    #[error("the scheduler has no mapping of Go priorities: load the module go_sched_class again")]
    NoMapping,
    /// The descriptor of [`Target::Pidfd`](crate::Target::Pidfd) is not a pidfd.
    #[error("the descriptor is not a pidfd")]
    NotAPidfd,
    /// The module does not know the request, so that it is older than this library.
    #[error(
        "the loaded module does not know this request: it is older than this program, \
         install both from the same release"
    )]
    UnknownRequest,
    /// The module knows the request, but not all of what it was asked for.
    #[error(
        "the loaded module knows only a part of this request: it is older than this program, \
         install both from the same release"
    )]
    UnknownPart,
    /// Anything else, as the kernel reports it.
    #[error("the kernel refused the request: {0}")]
    Os(io::Error),
}

impl RequestError {
    /// Tells apart, by what is known of the thread now, why it could not get
    /// `prio`. It may have changed since, which makes no more than the words wrong.
    pub(crate) fn of_set(errno: Errno, prio: GoPrio, status: &Status) -> Self {
        let ceiling = status.ceiling.prio;
        match errno {
            Errno::PERM if prio > ceiling => Self::AboveCeiling { prio, ceiling },
            Errno::PERM if lies_between(prio, status) => Self::NotOwned { prio, ceiling },
            Errno::BUSY if status.base.policy.is_deadline() => Self::Deadline,
            other => other.into(),
        }
    }

    pub(crate) fn of_ceiling(errno: Errno) -> Self {
        match errno {
            Errno::PERM => Self::CeilingNotPermitted,
            other => other.into(),
        }
    }
}

/// Whether a priority below the ceiling may be one that the thread does not own: the
/// ceiling is then in the rt band, and the nice value below that of the base.
fn lies_between(prio: GoPrio, status: &Status) -> bool {
    let [wanted, highest] = [prio, status.ceiling.prio].map(level);
    wanted.policy == Policy::Normal
        && highest.policy == Policy::RoundRobin
        && wanted.nice < status.base.nice
}

impl From<Errno> for RequestError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::SRCH => Self::NoSuchThread,
            Errno::PERM | Errno::ACCESS => Self::NotPermitted,
            Errno::BUSY => Self::SchedExt,
            Errno::OPNOTSUPP => Self::NoMapping,
            Errno::BADF => Self::NotAPidfd,
            Errno::NOTTY => Self::UnknownRequest,
            Errno::TOOBIG => Self::UnknownPart,
            other => Self::Os(other.into()),
        }
    }
}

/// Why a thread could not be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// Nothing has that id.
    #[error("no such process or thread")]
    NotFound,
    /// The id is in use, but not by the process or thread the inode names.
    #[error("the process or thread meant has exited, and its id is in use again")]
    Recycled,
    /// The kernel gives processes no inodes of their own.
    #[error(
        "this kernel has no pidfs to compare the inode with (since Linux 6.9): give the id alone"
    )]
    NoPidfs,
    /// New threads kept appearing while they were listed.
    #[error(
        "the process starts threads faster than they can be listed: run again for those missed"
    )]
    NeverComplete,
    /// The caller has as many open files as it may have.
    #[error("no descriptor is left to hold the thread by: raise their number, see \"ulimit -n\"")]
    NoDescriptors,
    /// `/proc` cannot be read.
    #[error("cannot list the threads: {0}")]
    Proc(Box<dyn Error + Send + Sync>),
    /// Anything else, as the kernel reports it.
    #[error("cannot open a pidfd: {0}")]
    Os(io::Error),
}

impl From<Errno> for FindError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::SRCH => Self::NotFound,
            Errno::MFILE => Self::NoDescriptors,
            other => Self::Os(other.into()),
        }
    }
}

impl FindError {
    /// Of a crate that is no part of this one's interface.
    pub(crate) fn from_proc(error: ProcError) -> Self {
        match error {
            ProcError::NotFound(_) => Self::NotFound,
            ProcError::Io(error, path) => match Errno::from_io_error(&error) {
                // A read from the directory of a thread that has been reaped.
                Some(Errno::SRCH) => Self::NotFound,
                Some(Errno::MFILE) => Self::NoDescriptors,
                _ => Self::Proc(ProcError::Io(error, path).into()),
            },
            other => Self::Proc(other.into()),
        }
    }
}

/// Why a text is not a [`ThreadId`](crate::thread::ThreadId).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdError {
    /// Not a positive number.
    #[error("'{0}' is not a process or thread id (PID or PID:INODE)")]
    NotAnId(String),
    /// What follows the colon is not a number.
    #[error("'{0}' is not a pidfs inode number (PID:INODE)")]
    NotAnInode(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uapi;

    #[test]
    fn a_missing_device_says_how_to_load_the_module() {
        let words = OpenError::from_open(Errno::NOENT).to_string();
        assert!(words.contains("\"modprobe go_sched_class\""), "{words}");
        assert!(words.contains("\"insmod go_sched_class.ko\""), "{words}");
        assert!(words.contains("gosched check"), "{words}");
    }

    #[test]
    fn another_abi_names_both_versions() {
        let words = |module| OpenError::VersionMismatch { module }.to_string();
        for (module, older) in [(0, "the module is older"), (7, "this program is older")] {
            let words = words(module);
            let versions = format!("ABI version {module}, this program 1");
            assert!(words.contains(&versions), "{words}");
            assert!(words.contains(older), "{words}");
        }
    }

    #[test]
    fn a_refusal_is_told_by_its_meaning() {
        assert!(matches!(Errno::PERM.into(), RequestError::NotPermitted));
        assert!(matches!(Errno::BUSY.into(), RequestError::SchedExt));
        assert!(matches!(Errno::OPNOTSUPP.into(), RequestError::NoMapping));
        assert!(matches!(Errno::SRCH.into(), RequestError::NoSuchThread));
        assert!(matches!(Errno::BADF.into(), RequestError::NotAPidfd));
        assert!(matches!(Errno::NOTTY.into(), RequestError::UnknownRequest));
        assert!(matches!(Errno::TOOBIG.into(), RequestError::UnknownPart));
        assert!(matches!(Errno::INVAL.into(), RequestError::Os(_)));
    }

    #[test]
    fn a_thread_that_cannot_be_held_is_not_one_that_has_ended() {
        let errno = Errno::MFILE;
        let from_proc = |errno: Errno| FindError::from_proc(ProcError::Io(errno.into(), None));
        for error in [FindError::from(errno), from_proc(errno)] {
            assert!(matches!(error, FindError::NoDescriptors), "{error}");
        }
        assert!(matches!(from_proc(Errno::SRCH), FindError::NotFound));
    }

    /// A thread at nice 0 whose ceiling is 32, but for its policy.
    fn status(policy: i32) -> Status {
        Status::from(uapi::go_sched_get {
            base_policy: policy as u32,
            ceiling: 32,
            ..Default::default()
        })
    }

    #[test]
    fn a_priority_above_the_ceiling_is_refused_with_how_to_raise_it() {
        let refused = |prio| {
            let prio = GoPrio::new(prio).expect("a priority");
            RequestError::of_set(Errno::PERM, prio, &status(libc::SCHED_OTHER))
        };
        assert!(matches!(refused(32), RequestError::NotPermitted));
        let words = refused(33).to_string();
        assert!(
            words.contains("33 is above the thread's ceiling, 32"),
            "{words}"
        );
        assert!(words.contains("\"gosched ceiling 33 PID\""), "{words}");
    }

    #[test]
    fn a_priority_between_owned_ones_is_refused_with_what_allows_it() {
        // As with RLIMIT_RTPRIO.
        let status = Status::from(uapi::go_sched_get {
            ceiling: 50,
            ..Default::default()
        });
        let refused = |prio| {
            let prio = GoPrio::new(prio).expect("a priority");
            RequestError::of_set(Errno::PERM, prio, &status)
        };
        for own in [0, 32, 48, 50] {
            assert!(matches!(refused(own), RequestError::NotPermitted), "{own}");
        }
        for between in [33, 47] {
            let words = refused(between).to_string();
            let part = format!("{between} is below the thread's ceiling, 50");
            assert!(words.contains(&part), "{words}");
            assert!(words.contains("\"gosched ceiling 50 PID\""), "{words}");
        }
    }

    #[test]
    fn a_busy_thread_is_a_deadline_thread_or_another_scheduler_s() {
        let busy = |policy| RequestError::of_set(Errno::BUSY, GoPrio::MIN, &status(policy));
        assert!(matches!(busy(libc::SCHED_DEADLINE), RequestError::Deadline));
        assert!(matches!(busy(libc::SCHED_OTHER), RequestError::SchedExt));
    }
}
