// SPDX-License-Identifier: MIT OR GPL-2.0

//! Finding threads so that a recycled id is never taken for the one meant: each
//! is held by a pidfd.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::fs::ReadDir;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::str::FromStr;

use procfs::process::Process;
use procfs::ProcError;
use rustix::fs::fstat;
use rustix::fs::fstatfs;
use rustix::fs::statfs;
use rustix::fs::PROC_SUPER_MAGIC;
use rustix::process::pidfd_open;
use rustix::process::Pid;
use rustix::process::PidfdFlags;

use crate::device::Target;
use crate::error::FindError;
use crate::error::ParseIdError;

/// `PID_FS_MAGIC` of include/uapi/linux/magic.h.
const PID_FS_MAGIC: u64 = 0x5049_4446;

/// Number of times that the threads of a process are listed until nothing new appears.
const PASSES: u32 = 64;

/// Name that a user gives a process or thread: `PID`, or `PID:INODE` where the inode
/// is that of its pidfd and unlike the id is never used again.
///
/// ```
/// use gosched::thread::ThreadId;
///
/// let id: ThreadId = "4711:1082".parse()?;
/// assert_eq!(id.to_string(), "4711:1082");
/// # Ok::<(), gosched::error::ParseIdError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadId {
    /// The id in the caller's pid namespace, a positive number.
    pub pid: i32,
    /// The inode of the pidfd, if given.
    pub inode: Option<u64>,
}

impl FromStr for ThreadId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (pid, inode) = match text.split_once(':') {
            Some((pid, inode)) => (pid, Some(inode)),
            None => (text, None),
        };
        let pid = pid
            .parse()
            .ok()
            .filter(|pid| *pid > 0)
            .ok_or_else(|| ParseIdError::NotAnId(pid.to_owned()))?;
        let inode = inode
            .map(|inode| {
                inode
                    .parse()
                    .map_err(|_| ParseIdError::NotAnInode(inode.to_owned()))
            })
            .transpose()?;
        Ok(Self { pid, inode })
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.pid)?;
        match self.inode {
            Some(inode) => write!(f, ":{inode}"),
            None => Ok(()),
        }
    }
}

/// A thread, held by a pidfd.
#[derive(Debug)]
pub struct Thread {
    tid: i32,
    pidfd: OwnedFd,
}

impl Thread {
    /// Finds a thread. The id of a process means its main thread.
    ///
    /// # Errors
    ///
    /// Fails when nothing has the id, or something else than the inode names.
    pub fn open(id: ThreadId) -> Result<Self, FindError> {
        // Nothing has an id of 0 or less.
        let positive = Some(id.pid).filter(|pid| *pid > 0);
        let pid = positive
            .and_then(Pid::from_raw)
            .ok_or(FindError::NotFound)?;
        let flags = PidfdFlags::from_bits_retain(libc::PIDFD_THREAD);
        let thread = Self {
            tid: id.pid,
            pidfd: pidfd_open(pid, flags).map_err(FindError::new)?,
        };
        match id.inode {
            Some(inode) if thread.inode()? != inode => Err(FindError::Recycled),
            _ => Ok(thread),
        }
    }

    /// Returns the id of the thread in the caller's pid namespace.
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Returns what to pass to a request of [`Device`](crate::Device).
    pub fn target(&self) -> Target<'_> {
        Target::Pidfd(self.pidfd.as_fd())
    }

    /// Returns the number to write after the colon of a [`ThreadId`].
    ///
    /// # Errors
    ///
    /// Fails on kernels without pidfs, older than 6.9.
    pub fn inode(&self) -> Result<u64, FindError> {
        // Without pidfs all pidfds share one inode.
        if fstatfs(&self.pidfd).map_err(FindError::new)?.f_type as u64 != PID_FS_MAGIC {
            return Err(FindError::NoPidfs);
        }
        Ok(fstat(&self.pidfd).map_err(FindError::new)?.st_ino)
    }
}

/// Checks that ids mean in `/proc` what they mean to the caller.
///
/// # Errors
///
/// Fails when `/proc` is not mounted, and when it is that of another pid namespace.
pub fn check_proc() -> Result<(), FindError> {
    match fs::read("/proc/self/status") {
        Ok(status) if is_of_own_namespace(&status) => Ok(()),
        Ok(_) => Err(FindError::ForeignProc),
        Err(error) => {
            let is_proc = statfs("/proc").is_ok_and(|at| at.f_type == PROC_SUPER_MAGIC);
            Err(FindError::of_own_status(error, is_proc))
        }
    }
}

/// Returns whether the file `status` of the caller is from a `/proc` of its own namespace:
/// "NSpid:" has an id for each namespace from that of `/proc` down to its own, so that two
/// equal ids deceive nobody.
fn is_of_own_namespace(status: &[u8]) -> bool {
    let ids = status
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"NSpid:"));
    // A kernel without namespaces has no such line.
    ids.is_none_or(|ids| String::from_utf8_lossy(ids).split_whitespace().count() == 1)
}

/// All threads of a process, those included that start while the iterator runs;
/// threads that end meanwhile are left out.
///
/// The caller works on each thread before it asks for the next, so that what a
/// thread not yet reached starts is still found.
#[derive(Debug)]
pub struct Threads {
    process: Process,
    tasks: ReadDir,
    seen: HashSet<i32>,
    passes_left: u32,
    pass_is_fresh: bool,
}

impl Threads {
    /// Finds the threads of a process, which may be named by any of them.
    ///
    /// # Errors
    ///
    /// As [`Thread::open`] and [`check_proc`], and when `/proc` hides the process.
    pub fn of(id: ThreadId) -> Result<Self, FindError> {
        check_proc()?;
        let found = Process::new(id.pid).and_then(|process| Ok((tasks(&process)?, process)));
        let (tasks, process) = match found {
            Err(ProcError::NotFound(_)) => Err(Thread::open(id).err().unwrap_or(FindError::Hidden)),
            found => found.map_err(FindError::from_proc),
        }?;
        if id.inode.is_some() {
            Thread::open(id)?;
            // The directory is older than the pidfd and still there: both are of
            // the same process.
            process.stat().map_err(FindError::from_proc)?;
        }
        Ok(Self {
            process,
            tasks,
            seen: HashSet::new(),
            passes_left: PASSES,
            pass_is_fresh: false,
        })
    }

    fn next_thread(&mut self) -> Result<Option<Thread>, FindError> {
        loop {
            let Some(entry) = self.tasks.next() else {
                if !self.pass_is_fresh {
                    return Ok(None);
                }
                self.pass_is_fresh = false;
                self.passes_left -= 1;
                if self.passes_left == 0 {
                    return Err(FindError::NeverComplete);
                }
                self.tasks = tasks(&self.process).map_err(FindError::from_proc)?;
                continue;
            };
            let name = entry
                .map_err(|error| FindError::from_proc(error.into()))?
                .file_name();
            let Some(tid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if !self.seen.insert(tid) {
                continue;
            }
            self.pass_is_fresh = true;

            let id = ThreadId {
                pid: tid,
                inode: None,
            };
            let task = self.process.task_from_tid(tid);
            let held = task.map_err(FindError::from_proc).and_then(|task| {
                let thread = Thread::open(id)?;
                // The directory is older than the pidfd: as long as it is there the two
                // are of the same thread.
                task.stat().map_err(FindError::from_proc)?;
                Ok(thread)
            });
            match held {
                Ok(thread) => return Ok(Some(thread)),
                Err(FindError::NotFound) => continue,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Lists the threads of a process. `Process::tasks()` leaves out those that it has no
/// descriptor for.
fn tasks(process: &Process) -> Result<ReadDir, ProcError> {
    Ok(fs::read_dir(format!("/proc/{}/task", process.pid))?)
}

impl Iterator for Threads {
    type Item = Result<Thread, FindError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_thread() {
            // The process has ended.
            Err(FindError::NotFound) => None,
            result => result.transpose(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use rustix::thread::gettid;

    use super::*;

    /// The time in which a thread is to answer another one.
    const LIMIT: Duration = Duration::from_secs(60);

    fn own_pid() -> ThreadId {
        ThreadId {
            pid: rustix::process::getpid().as_raw_pid(),
            inode: None,
        }
    }

    #[test]
    fn a_proc_of_another_namespace_is_told_by_a_second_id() {
        assert!(check_proc().is_ok());
        let status = |ids| format!("Name:\tNSpid:\\nNSpid:\t1\t2\nNStgid:\t7\n{ids}NSpgid:\t7\n");
        assert!(is_of_own_namespace(status("NSpid:\t7\n").as_bytes()));
        assert!(is_of_own_namespace(status("").as_bytes()));
        assert!(!is_of_own_namespace(status("NSpid:\t7\t7\n").as_bytes()));
        assert!(is_of_own_namespace(b"Name:\t\xe9\nNSpid:\t7\n"));
    }

    /// Returns the inode of this process. Pidfds tell it since Linux 6.9.
    fn own_inode() -> Option<u64> {
        let inode = Thread::open(own_pid()).and_then(|thread| thread.inode());
        if inode.is_err() {
            eprintln!("skipped: this kernel has no pidfs");
        }
        inode.ok()
    }

    #[test]
    fn an_id_is_a_positive_number() {
        for text in ["", "0", "-1", "abc", "1.5", "2147483648", ":1"] {
            let error = text.parse::<ThreadId>().expect_err(text);
            assert!(matches!(error, ParseIdError::NotAnId(_)), "{text}");
        }
    }

    #[test]
    fn an_inode_is_a_number() {
        let error = "1:x".parse::<ThreadId>().expect_err("no inode");
        assert_eq!(error, ParseIdError::NotAnInode("x".to_owned()));
    }

    #[test]
    fn the_right_inode_finds_the_thread() {
        let Some(inode) = own_inode() else { return };
        let id = ThreadId {
            inode: Some(inode),
            ..own_pid()
        };
        assert_eq!(Thread::open(id).expect("own thread").tid(), id.pid);
        assert!(Threads::of(id).expect("own threads").next().is_some());
    }

    #[test]
    fn another_inode_is_a_recycled_id() {
        let Some(inode) = own_inode() else { return };
        let id = ThreadId {
            inode: Some(inode + 1),
            ..own_pid()
        };
        assert!(matches!(Thread::open(id), Err(FindError::Recycled)));
        assert!(matches!(Threads::of(id), Err(FindError::Recycled)));
    }

    #[test]
    fn a_thread_started_while_listing_is_found() {
        if own_inode().is_none() {
            return;
        }
        let mut threads = Threads::of(own_pid()).expect("own threads");
        threads.next().expect("a first thread").expect("readable");

        std::thread::scope(|scope| {
            let (tid_out, tid_in) = mpsc::channel();
            let (end_out, end_in) = mpsc::channel::<()>();
            scope.spawn(move || {
                tid_out.send(gettid().as_raw_pid()).expect("receiver");
                end_in.recv_timeout(LIMIT).expect_err("the end");
            });
            let started = tid_in.recv_timeout(LIMIT).expect("sender");
            assert!(threads
                .filter_map(Result::ok)
                .any(|thread| thread.tid() == started));
            drop(end_out);
        });
    }

    #[test]
    fn an_id_in_no_use_is_not_found() {
        if own_inode().is_none() {
            return;
        }
        // One above the largest id the kernel gives out.
        let id = ThreadId {
            pid: 1 << 22,
            inode: None,
        };
        assert!(matches!(Thread::open(id), Err(FindError::NotFound)));
        assert!(matches!(Threads::of(id), Err(FindError::NotFound)));
    }
}
