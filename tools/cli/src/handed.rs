// SPDX-License-Identifier: GPL-2.0

//! State that gosched was handed at its start, and hands on to the commands that it becomes
//! or starts: ignored signals, blocked ones, and streams that are closed.
//!
//! Before `main()`, the runtime of Rust ignores SIGPIPE, and opens /dev/null for each
//! standard stream that is closed. What was there before cannot be told later. So [`look`]
//! notes it, which the C library calls before that, as it calls constructors of C++.
//! [`std::process::Command`] cannot hand it on: it gives SIGPIPE its default action, and
//! unblocks all signals.

use std::env;
use std::ffi::c_int;
use std::ffi::CString;
use std::ffi::OsString;
use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use nix::spawn::posix_spawnp;
use nix::spawn::PosixSpawnAttr;
use nix::spawn::PosixSpawnFileActions;
use nix::unistd::execvp;
use rustix::io::fcntl_getfd;
use rustix::io::fcntl_setfd;
use rustix::io::FdFlags;
use rustix::process::waitpid;
use rustix::process::Pid;
use rustix::process::WaitOptions;
use signal_hook::consts::SIGPIPE;
use signal_hook::consts::SIGXFSZ;

/// The signals that were ignored, as in `/proc/PID/status`: the lowest bit is signal 1.
static IGNORED: AtomicU64 = AtomicU64::new(0);
/// True if standard input, output and error were closed.
static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

#[used]
#[link_section = ".init_array"]
static LOOK: extern "C" fn() = look;

/// Notes what this process was handed. The function runs before the runtime of Rust has started,
/// so it makes system calls and stores numbers, and starts no thread and cannot panic.
extern "C" fn look() {
    let [input, output, error] = &CLOSED;
    let is_closed = |stream: &dyn AsFd| fcntl_getfd(stream.as_fd()).is_err();
    input.store(is_closed(&io::stdin()), Ordering::Relaxed);
    output.store(is_closed(&io::stdout()), Ordering::Relaxed);
    error.store(is_closed(&io::stderr()), Ordering::Relaxed);
    let ignored = (1..=libc::SIGRTMAX()).filter(|signal| has_no_action(*signal));
    let bits = ignored.fold(0, |bits, signal| bits | 1 << (signal - 1));
    IGNORED.store(bits, Ordering::Relaxed);
}

/// Asks whether a signal is ignored now. /proc/self/status tells it too, where there is one.
fn has_no_action(signal: c_int) -> bool {
    // SAFETY: Zeros are an action. Given no new one, sigaction(2) does no more than write
    // the one in force to where it may.
    let (result, action) = unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        let result = libc::sigaction(signal, ptr::null(), &raw mut action);
        (result, action)
    };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Returns whether a signal was ignored.
pub(crate) fn is_ignored(signal: c_int) -> bool {
    IGNORED.load(Ordering::Relaxed) >> (signal - 1) & 1 != 0
}

/// Has a write beyond the limit of the size of files fail, as one to a full disk does. By
/// default such a write ends the process, in the middle of its work.
pub(crate) fn outlive_file_size_limit() -> io::Result<()> {
    if !is_ignored(SIGXFSZ) {
        // A signal that is handled has its default action in a command.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    }
    Ok(())
}

/// Undoes what the runtime of Rust has done, as far as `execve(2)` would keep it.
fn hand_on() -> io::Result<()> {
    let [input, output, error] = CLOSED.each_ref().map(|was| was.load(Ordering::Relaxed));
    let close = |stream: &dyn AsFd| fcntl_setfd(stream.as_fd(), FdFlags::CLOEXEC);
    if input {
        close(&io::stdin())?;
    }
    if output {
        close(&io::stdout())?;
    }
    if error {
        close(&io::stderr())?;
    }
    if !is_ignored(SIGPIPE) {
        // A signal that is handled has its default action in the command, and still does
        // not end gosched.
        signal_hook::flag::register(SIGPIPE, Arc::default())?;
    }
    Ok(())
}

/// Becomes a command; returns only when that fails.
pub(crate) fn exec(command: &[OsString]) -> io::Error {
    let failed = hand_on()
        .and_then(|()| c_strings(command.iter().cloned()))
        .and_then(|words| match words.first() {
            Some(program) => Ok(execvp(program, &words)?),
            None => Err(io::ErrorKind::InvalidInput.into()),
        });
    match failed {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// A command that was started.
pub(crate) struct Child {
    pid: Pid,
    /// The status that the command has ended with, once that is known.
    status: Option<ExitStatus>,
}

impl Child {
    /// Starts a command.
    pub(crate) fn spawn(command: &[OsString]) -> io::Result<Self> {
        hand_on()?;
        let words = c_strings(command.iter().cloned())?;
        let program = words.first().ok_or(io::ErrorKind::InvalidInput)?;
        let environment = c_strings(env::vars_os().map(|(mut variable, value)| {
            variable.push("=");
            variable.push(value);
            variable
        }))?;
        let (actions, attributes) = (PosixSpawnFileActions::init()?, PosixSpawnAttr::init()?);
        let pid = posix_spawnp(program, &actions, &attributes, &words, &environment)?;
        Ok(Self {
            pid: Pid::from_raw(pid.as_raw()).ok_or(io::ErrorKind::InvalidData)?,
            status: None,
        })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Returns how the command has ended, or `None` while it runs.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            let ended = waitpid(Some(self.pid), WaitOptions::NOHANG)?;
            self.status = ended.map(|(_, status)| ExitStatus::from_raw(status.as_raw()));
        }
        Ok(self.status)
    }
}

fn c_strings(words: impl Iterator<Item = OsString>) -> io::Result<Vec<CString>> {
    words
        .map(|word| Ok(CString::new(word.into_vec())?))
        .collect()
}
