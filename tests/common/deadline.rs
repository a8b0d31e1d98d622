// SPDX-License-Identifier: GPL-2.0

//! Limits of all waiting, so that a test fails where the test would hang.

use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::process;
use std::process::Child as Program;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Output;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::thread::JoinHandle;
use std::thread::Scope;
use std::time::Duration;
use std::time::Instant;

use rustix::event::poll;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::time::Timespec;

/// The time that anything may take before the test fails: far above what a debug
/// kernel needs under emulation.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// The time that a thread may take that runs a whole test, many waits included: half of
/// what a guest with the debug kernel has.
pub const TEST_DEADLINE: Duration = Duration::from_secs(1800);

/// Waits until `condition` holds, where nothing announces that.
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    eventually_within(DEADLINE, what, condition);
}

#[track_caller]
fn eventually_within(limit: Duration, what: &str, condition: impl FnMut() -> bool) {
    let in_time = comes_true_within(limit, condition);
    assert!(in_time, "{what}: not so after {limit:?}");
}

/// Waits until `condition` holds. Returns whether that was in time.
fn comes_true_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() >= limit {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Waits until a descriptor can be read, or is at its end. Returns `false` if neither is
/// so by `deadline`.
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

/// A pipe, socket or terminal that is to be read within [`DEADLINE`]. A later read is
/// [`ErrorKind::TimedOut`].
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

/// Waits for a thread to end. Returns its result, or panics as the thread did.
#[track_caller]
pub fn join<T>(thread: JoinHandle<T>) -> T {
    join_within(DEADLINE, thread)
}

#[track_caller]
fn join_within<T>(limit: Duration, thread: JoinHandle<T>) -> T {
    eventually_within(limit, "the thread ends", || thread.is_finished());
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs `job` as [`thread::scope`] does. Ends the process if the threads of the scope, and
/// the scopes in them, take more than [`TEST_DEADLINE`]: a panic would wait for them too.
pub fn scope<'env, R>(job: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R) -> R {
    let (over, is_over) = channel::<()>();
    let watchdog = thread::spawn(move || {
        if is_over.recv_timeout(TEST_DEADLINE) == Err(RecvTimeoutError::Timeout) {
            // The test harness would not show what a macro prints. Nothing is left to do
            // about an error.
            let _ = writeln!(io::stderr(), "threads do not end within {TEST_DEADLINE:?}");
            process::abort();
        }
    });
    let result = thread::scope(job);
    drop(over);
    join(watchdog);
    result
}

/// Waits for a thread to end. Leaves a thread that does not end to itself where the caller
/// panics already: the first failure is the one to report.
pub(crate) fn join_on_drop(thread: JoinHandle<()>) {
    if comes_true_within(DEADLINE, || thread.is_finished()) || !thread::panicking() {
        join(thread);
    }
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

/// Reads the pipes of a program until the program ends. Returns output, errors and
/// status.
#[track_caller]
pub fn await_output(program: Program) -> Output {
    await_output_within(DEADLINE, program)
}

/// Does the same as [`await_output`], within another time.
#[track_caller]
pub fn await_output_within(limit: Duration, program: Program) -> Output {
    let ended = thread::spawn(|| program.wait_with_output());
    join_within(limit, ended).expect("the program is a child")
}

/// Runs a program. Returns its output, errors and status.
#[track_caller]
pub fn output_of(command: &mut Command) -> Output {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    await_output(command.spawn().expect("the guest has the program"))
}
