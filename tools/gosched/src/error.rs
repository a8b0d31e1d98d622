// SPDX-License-Identifier: MIT OR GPL-2.0

//! Errors by meaning. No other module knows errno values.

mod open;

use std::error::Error;
use std::io;

use go_sched_policy::level;
use go_sched_policy::GoPrio;
use go_sched_policy::Policy;
use procfs::ProcError;
use rustix::io::Errno;

pub use self::open::OpenError;
use crate::answer::Status;
use crate::slot::MAX_SLOTS;

/// The reason that a request for a thread failed. A request that fails changes nothing.
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
    /// The priority is not above the thread's ceiling, but the thread does not own it:
    /// `sched_setattr(2)` would refuse its nice value, and the ceiling is not granted. Or
    /// the caller may not change the thread.
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
    /// The caller may not change the thread.
    #[error(
        "not permitted: the thread is another user's, which takes CAP_SYS_NICE, \
         or the kernel's own, which has no Go priority"
    )]
    NotPermitted,
    /// The caller may not change the ceiling.
    #[error(
        "not permitted: to raise a ceiling be root or have CAP_SYS_NICE; \
         without it, only that of one's own threads may be lowered, and that of kernel threads never"
    )]
    CeilingNotPermitted,
    /// The policy of the thread is `SCHED_DEADLINE`.
    #[error("the thread is SCHED_DEADLINE, which has no Go priority: change its policy first, see chrt(1)")]
    Deadline,
    /// A `sched_ext` scheduler runs all threads.
    #[error("a sched_ext scheduler runs all threads, and knows no Go priorities: end it first")]
    SchedExt,
    /// No mapping is registered with the scheduler.
    #[error("the scheduler has no mapping of Go priorities: load the module go_sched_class again")]
    NoMapping,
    /// The descriptor of [`Target::Pidfd`](crate::Target::Pidfd) is not a pidfd.
    #[error("the descriptor is not a pidfd")]
    NotAPidfd,
    /// The module does not know the request, as it is older than this library.
    #[error(
        "the loaded module does not know this request: it is older than this program, \
         install both from the same release"
    )]
    UnknownRequest,
    /// The module knows the request, but not all of its fields or flags.
    #[error(
        "the loaded module knows only a part of this request: it is older than this program, \
         install both from the same release"
    )]
    UnknownPart,
    /// Another error, as the kernel reports it.
    #[error("the kernel refused the request: {0}")]
    Os(io::Error),
}

impl RequestError {
    pub(crate) fn new(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::SRCH) => Self::NoSuchThread,
            Some(Errno::PERM | Errno::ACCESS) => Self::NotPermitted,
            Some(Errno::BUSY) => Self::SchedExt,
            Some(Errno::OPNOTSUPP) => Self::NoMapping,
            Some(Errno::BADF) => Self::NotAPidfd,
            Some(Errno::NOTTY) => Self::UnknownRequest,
            Some(Errno::TOOBIG) => Self::UnknownPart,
            _ => Self::Os(error),
        }
    }

    /// Returns why a thread with this status could not get `prio`. If the thread has
    /// changed since it was refused, the reason may be wrong.
    pub(crate) fn of_set(error: io::Error, prio: GoPrio, status: &Status) -> Self {
        let ceiling = status.ceiling.prio;
        match Errno::from_io_error(&error) {
            Some(Errno::PERM) if prio > ceiling => Self::AboveCeiling { prio, ceiling },
            Some(Errno::PERM) if lies_between(prio, status) => Self::NotOwned { prio, ceiling },
            Some(Errno::BUSY) if status.base.policy.is_deadline() => Self::Deadline,
            _ => Self::new(error),
        }
    }

    pub(crate) fn of_ceiling(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::PERM) => Self::CeilingNotPermitted,
            _ => Self::new(error),
        }
    }
}

/// Returns whether a thread may lack a priority below its ceiling. That is so for a fair priority
/// whose nice value is lower than that of the base, if the ceiling is an rt priority.
fn lies_between(prio: GoPrio, status: &Status) -> bool {
    let [wanted, highest] = [prio, status.ceiling.prio].map(level);
    wanted.policy == Policy::Normal
        && highest.policy == Policy::RoundRobin
        && wanted.nice < status.base.nice
}

/// The reason that [`HintPage::map`](crate::HintPage::map) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// No device has that number of slots.
    #[error("a hint page has 1 to {MAX_SLOTS} slots, not {slots}")]
    SlotCount {
        /// The number asked for.
        slots: u32,
    },
    /// Another error, as the kernel reports it.
    #[error("cannot map the hint page: {0}")]
    Os(io::Error),
}

/// The reason that [`HintPage::bind`](crate::HintPage::bind) failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The page has no such slot.
    #[error("the hint page has no slot {slot}")]
    NoSuchSlot {
        /// The slot asked for.
        slot: u32,
    },
    /// The calling thread is bound already.
    #[error("the thread is bound to a slot already: unbind it first")]
    ThreadBound,
    /// The calling thread is `SCHED_DEADLINE`.
    #[error("the thread is SCHED_DEADLINE, which has no Go priority: change its policy first, see chrt(1)")]
    Deadline,
    /// The slot is another thread's, or a `sched_ext` scheduler has taken over.
    #[error("the slot is another thread's, or a sched_ext scheduler runs all threads")]
    Busy,
    /// Memory for the page is lacking, or memory that the user may lock.
    #[error("no memory for the hint page: raise RLIMIT_MEMLOCK, see \"ulimit -l\", unless all is in use")]
    NoMemory,
    /// No mapping is registered with the scheduler.
    #[error("the scheduler has no mapping of Go priorities: load the module go_sched_class again")]
    NoMapping,
    /// Another error, as the kernel reports it.
    #[error("cannot bind the thread: {0}")]
    Os(io::Error),
}

impl BindError {
    /// Tells apart, by what is known of the calling thread, why it could not be bound.
    pub(crate) fn new(error: io::Error, status: Option<Status>) -> Self {
        let is = |condition: fn(Status) -> bool| status.is_some_and(condition);
        match Errno::from_io_error(&error) {
            Some(Errno::BUSY) if is(|status| status.slot.is_some()) => Self::ThreadBound,
            Some(Errno::BUSY) if is(|status| status.base.policy.is_deadline()) => Self::Deadline,
            Some(Errno::BUSY) => Self::Busy,
            Some(Errno::NOMEM) => Self::NoMemory,
            Some(Errno::OPNOTSUPP) => Self::NoMapping,
            _ => Self::Os(error),
        }
    }
}

/// The reason that a thread could not be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// No process or thread has that id.
    #[error("no such process or thread")]
    NotFound,
    /// The id is in use by another process or thread than the one of the inode.
    #[error("the process or thread meant has exited, and its id is in use again")]
    Recycled,
    /// The kernel has no inode for each process.
    #[error(
        "this kernel has no pidfs to compare the inode with (since Linux 6.9): give the id alone"
    )]
    NoPidfs,
    /// New threads kept appearing while they were listed.
    #[error(
        "the process starts threads faster than they can be listed: run again for those missed"
    )]
    NeverComplete,
    /// No `/proc` is mounted.
    #[error("there is no /proc to find threads in: run \"mount -t proc proc /proc\" as root")]
    NoProc,
    /// `/proc` is that of another pid namespace than the caller's.
    #[error(
        "/proc is that of another pid namespace, whose ids are others: run \"mount -t proc proc /proc\" \
         as root in a mount namespace of this one, see unshare(1), or name single threads without -a"
    )]
    ForeignProc,
    /// The process lives, and `/proc` does not show its threads to the caller.
    #[error("/proc hides the processes of other users, see hidepid= in proc(5): run as root")]
    Hidden,
    /// The caller has as many open files as it may have.
    #[error("no descriptor is left to hold the thread by: raise their number, see \"ulimit -n\"")]
    NoDescriptors,
    /// The system has as many open files as it may have.
    #[error(
        "the whole system has no open file left to hold the thread by: raise fs.file-max as root, \
         see proc_sys_fs(5)"
    )]
    NoFiles,
    /// `/proc` cannot be read.
    #[error("cannot list the threads: {0}")]
    Proc(Box<dyn Error + Send + Sync>),
    /// Another error, as the kernel reports it.
    #[error("cannot open a pidfd: {0}")]
    Os(io::Error),
}

impl FindError {
    pub(crate) fn new(errno: Errno) -> Self {
        match errno {
            Errno::SRCH => Self::NotFound,
            Errno::MFILE => Self::NoDescriptors,
            Errno::NFILE => Self::NoFiles,
            other => Self::Os(other.into()),
        }
    }

    /// Tells why the caller's own file `status` cannot be read. `is_proc` is whether a `/proc`
    /// is mounted.
    pub(crate) fn of_own_status(error: io::Error, is_proc: bool) -> Self {
        match Errno::from_io_error(&error) {
            // A namespace below or beside the one of the caller does not show the caller.
            Some(Errno::NOENT) if is_proc => Self::ForeignProc,
            Some(Errno::NOENT | Errno::NOTDIR) => Self::NoProc,
            _ => Self::from_proc(ProcError::Io(error, Some("/proc/self/status".into()))),
        }
    }

    /// Converts an error of procfs, a crate that is not in the public interface.
    pub(crate) fn from_proc(error: ProcError) -> Self {
        match error {
            ProcError::NotFound(_) => Self::NotFound,
            ProcError::PermissionDenied(_) => Self::Hidden,
            ProcError::Io(error, path) => match Errno::from_io_error(&error) {
                // The directory read is that of a thread that has been reaped.
                Some(Errno::SRCH) => Self::NotFound,
                Some(errno @ (Errno::MFILE | Errno::NFILE)) => Self::new(errno),
                _ => Self::Proc(ProcError::Io(error, path).into()),
            },
            other => Self::Proc(other.into()),
        }
    }
}

/// The reason that a text is not a [`ThreadId`](crate::thread::ThreadId).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdError {
    /// The text is not a positive number.
    #[error("'{0}' is not a process or thread id (PID or PID:INODE)")]
    NotAnId(String),
    /// The text after the colon is not a number.
    #[error("'{0}' is not a pidfs inode number (PID:INODE)")]
    NotAnInode(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uapi;

    #[test]
    fn a_refusal_is_told_by_its_meaning() {
        let new = |errno: Errno| RequestError::new(errno.into());
        assert!(matches!(new(Errno::PERM), RequestError::NotPermitted));
        assert!(matches!(new(Errno::BUSY), RequestError::SchedExt));
        assert!(matches!(new(Errno::OPNOTSUPP), RequestError::NoMapping));
        assert!(matches!(new(Errno::SRCH), RequestError::NoSuchThread));
        assert!(matches!(new(Errno::BADF), RequestError::NotAPidfd));
        assert!(matches!(new(Errno::NOTTY), RequestError::UnknownRequest));
        assert!(matches!(new(Errno::TOOBIG), RequestError::UnknownPart));
        assert!(matches!(new(Errno::INVAL), RequestError::Os(_)));
    }

    #[test]
    fn a_thread_that_cannot_be_held_is_not_one_that_has_ended() {
        let from_proc = |errno: Errno| FindError::from_proc(ProcError::Io(errno.into(), None));
        let own = |errno: Errno| FindError::of_own_status(errno.into(), true);
        for tell in [FindError::new, from_proc, own] {
            assert!(matches!(tell(Errno::MFILE), FindError::NoDescriptors));
            assert!(matches!(tell(Errno::NFILE), FindError::NoFiles));
        }
        assert!(matches!(from_proc(Errno::SRCH), FindError::NotFound));
    }

    #[test]
    fn a_proc_that_does_not_show_the_caller_is_foreign_or_none_and_no_other_reason_is() {
        let own = |errno: Errno, is_proc| FindError::of_own_status(errno.into(), is_proc);
        assert!(matches!(own(Errno::NOENT, true), FindError::ForeignProc));
        assert!(matches!(own(Errno::NOENT, false), FindError::NoProc));
        let words = own(Errno::ACCESS, true).to_string();
        assert!(words.contains("Permission denied"), "{words}");
        assert!(words.contains("/proc/self/status"), "{words}");
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
            RequestError::of_set(Errno::PERM.into(), prio, &status(libc::SCHED_OTHER))
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
            RequestError::of_set(Errno::PERM.into(), prio, &status)
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
        let busy = |policy| RequestError::of_set(Errno::BUSY.into(), GoPrio::MIN, &status(policy));
        assert!(matches!(busy(libc::SCHED_DEADLINE), RequestError::Deadline));
        assert!(matches!(busy(libc::SCHED_OTHER), RequestError::SchedExt));
    }

    #[test]
    fn a_thread_that_cannot_be_bound_is_bound_deadline_or_kept_out_by_others() {
        let slot = |slot| {
            Status::from(uapi::go_sched_get {
                slot,
                ..Default::default()
            })
        };
        let deadline = status(libc::SCHED_DEADLINE);
        let error = |status| BindError::new(Errno::BUSY.into(), status);
        assert!(matches!(error(Some(slot(3))), BindError::ThreadBound));
        let unbound = Status {
            slot: None,
            ..deadline
        };
        assert!(matches!(error(Some(unbound)), BindError::Deadline));
        assert!(matches!(error(Some(slot(-1))), BindError::Busy));
        assert!(matches!(error(None), BindError::Busy));
    }
}
