// SPDX-License-Identifier: GPL-2.0

//! State that gosched was handed at its start, and hands on to the commands that it becomes
//! or starts: ignored signals, blocked ones, and streams that are closed.
//!
//! Before `main()`, the runtime of Rust ignores SIGPIPE, and opens /dev/null for each
//! standard stream that is closed. What was there before cannot be told later. So [`look`]
//! notes it, which the C library calls before that, as it calls constructors of C++.
//! [`std::process::Command`] does not hand it on: it gives SIGPIPE its default action, and
//! unblocks all signals.

use std::ffi::c_int;
use std::ffi::CString;
use std::ffi::OsString;
use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process;
use std::process::Command;
use std::process::ExitStatus;
use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use nix::sys::signal::SigSet;
use nix::unistd::execvp;
use rustix::io::fcntl_getfd;
use rustix::io::fcntl_setfd;
use rustix::io::FdFlags;
use rustix::process::Pid;
use signal_hook::consts::SIGCHLD;
use signal_hook::consts::SIGPIPE;
use signal_hook::consts::SIGXFSZ;

/// The signals that were ignored, as in `/proc/PID/status`: the lowest bit is signal 1.
static IGNORED: AtomicU64 = AtomicU64::new(0);
/// For each of standard input, output and error: true if it was closed.
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

/// Fails if standard output was closed: Rust has opened /dev/null in its place, where a write
/// does not fail.
pub(crate) fn check_stdout() -> io::Result<()> {
    match CLOSED[1].load(Ordering::Relaxed) {
        true => Err(io::Error::from_raw_os_error(libc::EBADF)),
        false => Ok(()),
    }
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

/// Makes the kernel keep the status that a child ends with, until gosched asks for the status.
/// While SIGCHLD is ignored, the kernel keeps none.
pub(crate) fn keep_ended_children() -> io::Result<()> {
    if is_ignored(SIGCHLD) {
        signal_hook::flag::register(SIGCHLD, Arc::default())?;
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
pub(crate) struct Child(process::Child);

impl Child {
    /// Starts a command.
    pub(crate) fn spawn(words: &[OsString]) -> io::Result<Self> {
        hand_on()?;
        keep_ended_children()?;
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let blocked = SigSet::thread_get_mask()?;
        let mut command = Command::new(program);
        command.args(arguments);
        // SAFETY: The closure only reads atomics and makes system calls, which signal-safety(7)
        // allows in the child of a process with several threads.
        unsafe {
            command.pre_exec(move || {
                for signal in [SIGCHLD, SIGPIPE] {
                    if is_ignored(signal) {
                        libc::signal(signal, libc::SIG_IGN);
                    }
                }
                Ok(blocked.thread_set_mask()?)
            });
        }
        Ok(Self(command.spawn()?))
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// Returns how the command has ended, or `None` while it runs.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }
}

fn c_strings(words: impl Iterator<Item = OsString>) -> io::Result<Vec<CString>> {
    words
        .map(|word| Ok(CString::new(word.into_vec())?))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::iter;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn how_a_child_ends_is_known_and_what_was_ignored_is_ignored_in_it() {
        const NAME: &str =
            "handed::tests::how_a_child_ends_is_known_and_what_was_ignored_is_ignored_in_it";
        const AGAIN: &str = "GOSCHED_TEST_AGAIN";
        if env::var_os(AGAIN).is_none() {
            // Shells do not ignore SIGCHLD.
            let done = Command::new("env")
                .arg("--ignore-signal=CHLD,PIPE,USR1")
                .arg(env::current_exe().expect("this test"))
                .args(["--exact", NAME])
                .env(AGAIN, "1")
                .output()
                .expect("env(1)");
            let said = String::from_utf8_lossy(&done.stdout);
            assert!(done.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        assert!([SIGCHLD, SIGPIPE].into_iter().all(is_ignored));
        let seen = tempfile::NamedTempFile::new().expect("a file");
        let command = ["cp", "/proc/self/status"].map(OsString::from);
        let command = [&command[..], &[seen.path().into()]].concat();
        let mut child = Child::spawn(&command).expect("cp(1)");
        let looks = iter::repeat_with(|| {
            thread::sleep(Duration::from_millis(10));
            child.try_wait().expect("it is waited for")
        });
        // Five minutes at most.
        let status = looks.take(30_000).flatten().next();
        assert!(status.expect("its end").success());
        let seen = fs::read_to_string(&seen).expect("what it saw");
        let bits = seen.lines().find_map(|line| line.strip_prefix("SigIgn:\t"));
        let bits = u64::from_str_radix(bits.expect("a line"), 16).expect("bits");
        // The C library keeps signals 32 and 33 to itself, and tells of neither.
        let of_the_c_library = 0b11 << 31;
        assert_eq!(
            bits & !of_the_c_library,
            IGNORED.load(Ordering::Relaxed),
            "{seen}"
        );
    }
}
