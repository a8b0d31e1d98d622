// SPDX-License-Identifier: GPL-2.0

//! Waiting for no longer than [`DEADLINE`], so that a test fails where it would hang.

use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::process::Child as Program;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Output;
use std::process::Stdio;
use std::sync::mpsc::Receiver;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use rustix::event::poll;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::process::waitpid;
use rustix::process::Pid;
use rustix::process::WaitOptions;
use rustix::process::WaitStatus;
use rustix::time::Timespec;

use crate::child::pidfd;

/// How long anything may take before the test fails: far above what a debug
/// kernel needs under emulation.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// How long a thread may take that runs a whole test, many waits included: half of what a
/// guest with the debug kernel has.
pub const TEST_DEADLINE: Duration = Duration::from_secs(1800);

/// Waits until `condition` holds, for what the kernel announces in no way.
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(comes_true(condition), "{what}: not so after {DEADLINE:?}");
}

/// Waits until `condition` holds. Returns whether that was in time.
fn comes_true(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() >= DEADLINE {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Waits until a descriptor can be read, or is at its end. Returns whether that was
/// before `deadline`.
pub(crate) fn is_readable_by(deadline: Instant, fd: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    let left = deadline.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).expect("a deadline fits");
    poll(&mut fds, Some(&left)).expect("nobody signals") > 0
}

/// Waits until a descriptor can be read, or is at its end.
#[track_caller]
pub(crate) fn await_readable(fd: &impl AsFd, what: &str) {
    let in_time = is_readable_by(Instant::now() + DEADLINE, fd);
    assert!(in_time, "waited {DEADLINE:?} for {what}");
}

/// A pipe, socket or terminal of which all is to be read within [`DEADLINE`]; later, a
/// read is [`ErrorKind::TimedOut`].
#[derive(Debug)]
pub struct TimedReader<R> {
    source: R,
    deadline: Instant,
}

impl<R: Read + AsFd> TimedReader<R> {
    /// Lets the time begin.
    pub fn new(source: R) -> Self {
        Self {
            source,
            deadline: Instant::now() + DEADLINE,
        }
    }
}

impl<R: Read + AsFd> Read for TimedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !is_readable_by(self.deadline, &self.source) {
            return Err(ErrorKind::TimedOut.into());
        }
        self.source.read(buffer)
    }
}

/// Returns the next message of a channel.
#[track_caller]
pub fn receive<T>(channel: &Receiver<T>) -> T {
    channel
        .recv_timeout(DEADLINE)
        .unwrap_or_else(|error| panic!("waiting for a message: {error}"))
}

/// Waits for a thread to end. Returns its result, or panics as it did.
#[track_caller]
pub fn join<T>(thread: JoinHandle<T>) -> T {
    eventually("the thread ends", || thread.is_finished());
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Waits for a thread to end. Leaves one that does not to itself where the caller
/// panics already: the first failure is the one to report.
pub(crate) fn join_on_drop(thread: JoinHandle<()>) {
    if comes_true(|| thread.is_finished()) || !thread::panicking() {
        join(thread);
    }
}

/// Waits for a child process to end. Returns how it did.
#[track_caller]
pub fn await_child(pid: i32) -> WaitStatus {
    await_readable(&pidfd(pid, 0), "the child to end");
    let ended = waitpid(Pid::from_raw(pid), WaitOptions::empty());
    let (_, status) = ended
        .ok()
        .flatten()
        .expect("the child has not been waited for");
    status
}

/// Waits for a program to end. Returns its status.
#[track_caller]
pub fn await_program(program: &mut Program) -> ExitStatus {
    let mut status = None;
    eventually("the program ends", || {
        status = program.try_wait().expect("the program is a child");
        status.is_some()
    });
    status.expect("it has ended")
}

/// Reads what a program writes to its pipes until it ends. Returns that and its status.
#[track_caller]
pub fn await_output(program: Program) -> Output {
    join(thread::spawn(|| program.wait_with_output())).expect("the program is a child")
}

/// Runs a program. Returns what it writes, and its status.
#[track_caller]
pub fn output_of(command: &mut Command) -> Output {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    await_output(command.spawn().expect("the guest has the program"))
}
