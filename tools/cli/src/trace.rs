// SPDX-License-Identifier: GPL-2.0

//! `gosched trace`: prints the events of the kernel's tracepoints.

use std::collections::HashSet;
use std::ffi::c_int;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::num::NonZeroU32;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitCode;
use std::process::ExitStatus;
use std::time::Duration;

use go_sched_tracefs::Instance;
use go_sched_tracefs::TracefsError;
use gosched::thread::ThreadId;
use gosched::thread::Threads;
use gosched::trace::Entry;
use gosched::trace::Event;
use rustix::process::getpgrp;
use rustix::process::kill_process;
use rustix::process::Signal;
use rustix::termios::tcgetpgrp;
use schemars::JsonSchema;
use serde::Serialize;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGQUIT;

use crate::args::Trace;
use crate::error::Error;
use crate::error::TraceError;
use crate::error::TraceWarning;
use crate::exit;
use crate::handed::Child;
use crate::interrupt;
use crate::interrupt::Interrupt;
use crate::output::complain;
use crate::output::print;
use crate::output::write_json_line;
use crate::run;

/// The time between two reads of the buffer.
const READ_EVERY: Duration = Duration::from_millis(50);

/// One line of `gosched trace --json`.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum TraceJson {
    /// An event of a tracepoint.
    Event(Event),
    /// Events are missing here: the buffer was full.
    Lost {
        /// The number of missing events, null if the kernel does not know it.
        lost: Option<u64>,
    },
}

pub(crate) fn trace(args: &Trace, json: bool) -> Result<ExitCode, Error> {
    let follows = !args.pids.is_empty() || !args.command.is_empty();
    if follows && !is_first_pid_namespace()? {
        return Err(TraceError::PidNamespace.into());
    }
    let mut interrupt = Interrupt::catch()?;
    let mut printer = Printer {
        instance: instance(args.buffer_kb)?,
        followed: None,
        json,
        cut: None,
        lost: false,
    };
    // Threads that start from here on are in the buffer.
    for pid in &args.pids {
        printer.follow_process(*pid)?;
    }
    let mut child = match start(&args.command) {
        Ok(child) => child,
        Err(code) => return Ok(code),
    };
    if let Some(child) = &child {
        printer.follow(child.pid().as_raw_pid());
    }

    let recorded = record(&mut printer, &mut interrupt, child.as_mut());
    let lost = printer.lost;
    // The command may outlive the recording.
    if let Err(error) = printer.instance.remove() {
        complain(&TraceWarning::from(error));
    }
    let Some(mut child) = child else {
        recorded?;
        return Ok(exit_code(ExitStatus::default(), lost));
    };
    let failed = match recorded {
        Ok(()) => false,
        // Whoever read the output has seen enough.
        Err(error) if error.is_broken_pipe() => false,
        Err(error) => {
            complain(&TraceWarning::Untraced(error.into()));
            true
        }
    };
    let status = await_end(&mut child, &mut interrupt)?;
    Ok(exit_code(status, lost || failed))
}

/// Starts to record the events of go_sched, and the births of threads.
fn instance(buffer_kb: NonZeroU32) -> Result<Instance, TraceError> {
    let instance = Instance::new(buffer_kb)?;
    instance.enable("task/task_newtask")?;
    match instance.enable("go_sched") {
        Err(TracefsError::NoTracepoint(_)) => Err(TraceError::NoTracepoints),
        enabled => Ok(enabled.map(|()| instance)?),
    }
}

/// Returns whether this process has the ids that the kernel writes into its trace buffers.
pub(crate) fn is_first_pid_namespace() -> Result<bool, TraceError> {
    /// `PROC_PID_INIT_INO` of include/linux/proc_ns.h.
    const FIRST: u64 = 0xefff_fffc;
    const PATH: &str = "/proc/self/ns/pid";

    match fs::metadata(PATH) {
        Ok(namespace) => Ok(namespace.ino() == FIRST),
        // A kernel without pid namespaces.
        Err(_) if Path::new("/proc/self/ns").is_dir() => Ok(true),
        Err(error) => Err(TraceError::Os {
            path: PATH.into(),
            error,
        }),
    }
}

/// Prints events until the command has ended or, without one, a signal has come.
fn record(
    printer: &mut Printer,
    interrupt: &mut Interrupt,
    mut child: Option<&mut Child>,
) -> Result<(), Error> {
    let mut interrupted = false;
    loop {
        // The end is looked for first: then the last events of the command are in the
        // buffer.
        let done = match &mut child {
            Some(child) => child.try_wait()?.is_some(),
            None => interrupted,
        };
        if done {
            printer.instance.stop().map_err(TraceError::from)?;
            while printer.print()? {}
            if printer.lost {
                complain(&TraceError::Lost);
            }
            return Ok(());
        }
        // There may be no end of events that come faster than they are printed.
        let pause = if printer.print()? {
            Duration::ZERO
        } else {
            READ_EVERY
        };
        if let Some(signal) = interrupt.wait(pause)? {
            match &child {
                Some(child) => pass_on(signal, child),
                None => interrupted = true,
            }
        }
    }
}

/// Waits for the command to end, and still passes signals on to it.
pub(crate) fn await_end(child: &mut Child, interrupt: &mut Interrupt) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if let Some(signal) = interrupt.wait(READ_EVERY)? {
            pass_on(signal, child);
        }
    }
}

/// Passes a signal on to the command, unless a key of the terminal has sent the signal to
/// the command as well.
pub(crate) fn pass_on(signal: c_int, child: &Child) {
    interrupt::forget();
    if matches!(signal, SIGINT | SIGQUIT) && is_in_foreground() {
        return;
    }
    let Some(signal) = Signal::from_named_raw(signal) else {
        return;
    };
    if let Err(error) = kill_process(child.pid(), signal) {
        complain(&TraceWarning::Signal(error.into()));
    }
}

/// Returns whether keys of the terminal send signals to this process group, which is also the
/// command's.
fn is_in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal) == Ok(getpgrp()))
}

/// Starts the command, if there is one.
fn start(command: &[OsString]) -> Result<Option<Child>, ExitCode> {
    let Some(program) = command.first() else {
        return Ok(None);
    };
    match Child::spawn(command) {
        Ok(child) => Ok(Some(child)),
        Err(error) => Err(run::cannot_run(program, &error)),
    }
}

/// Returns the status of the command as a shell does, unless gosched has failed.
pub(crate) fn exit_code(status: ExitStatus, failed: bool) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.filter(|_| !failed)
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::from(exit::FAILURE), ExitCode::from)
}

/// Reads events from the buffer and prints them.
struct Printer {
    instance: Instance,
    /// The threads whose events are printed; all if `None`.
    followed: Option<HashSet<i32>>,
    json: bool,
    /// The first part of a line that a line feed in a task's name has split.
    cut: Option<String>,
    lost: bool,
}

impl Printer {
    fn follow(&mut self, tid: i32) {
        self.followed.get_or_insert_default().insert(tid);
    }

    fn follow_process(&mut self, pid: ThreadId) -> Result<(), Error> {
        let failed = |error| Error::of_thread(pid, error);
        for thread in Threads::of(pid).map_err(failed)? {
            self.follow(thread.map_err(failed)?.tid());
        }
        Ok(())
    }

    /// Prints the events in the buffer; returns whether there were any.
    fn print(&mut self) -> Result<bool, Error> {
        let lines = self.instance.read().map_err(TraceError::from)?;
        let some = !lines.is_empty();
        let mut text = Vec::new();
        for line in lines {
            let line = match self.cut.take() {
                Some(start) => format!("{start}\n{line}"),
                None => line,
            };
            match Entry::parse(&line) {
                Some(Entry::Event(event)) => self.write_event(&mut text, event)?,
                Some(Entry::Birth { parent, child }) => self.born(parent, child),
                Some(Entry::Lost(lost)) => self.write_lost(&mut text, lost)?,
                None if Entry::is_cut(&line) => self.cut = Some(line),
                // The rest of the line of a birth, or a kind of line of a newer library.
                Some(_) | None => (),
            }
        }
        print(|out| out.write_all(&text))?;
        Ok(some)
    }

    /// Follows a new thread if its parent is followed.
    fn born(&mut self, parent: i32, child: i32) {
        if let Some(followed) = &mut self.followed {
            if followed.contains(&parent) {
                followed.insert(child);
            }
        }
    }

    fn write_event(&mut self, text: &mut Vec<u8>, event: Event) -> io::Result<()> {
        // The parent writes this event just before that of the birth.
        if event.kind.is_inherited() {
            self.born(event.by, event.tid);
        }
        if self
            .followed
            .as_ref()
            .is_some_and(|followed| !followed.contains(&event.tid))
        {
            return Ok(());
        }
        match self.json {
            true => write_json_line(text, &TraceJson::Event(event)),
            false => writeln!(text, "{event}"),
        }
    }

    fn write_lost(&mut self, text: &mut Vec<u8>, lost: Option<u64>) -> io::Result<()> {
        self.lost = true;
        match lost {
            Some(lost) => complain(&TraceWarning::Lost(lost)),
            None => complain(&TraceWarning::LostSome),
        }
        match self.json {
            true => write_json_line(text, &TraceJson::Lost { lost }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::process::getpid;

    use super::*;

    #[test]
    fn the_command_gets_the_signal_and_is_waited_for() {
        let mut interrupt = Interrupt::catch().expect("signals can be caught");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let ready = directory.path().join("ready");
        // SIGHUP is one for another test.
        let script = "trap '' HUP; trap 'exit 3' TERM; : >$0; while :; do sleep 0.1; done";
        let command = ["sh", "-c", script].map(OsString::from);
        let command = [&command[..], &[ready.clone().into()]].concat();
        let mut child = Child::spawn(&command).expect("a shell");
        while !ready.exists() {
            thread::sleep(Duration::from_millis(10));
        }
        kill_process(getpid(), Signal::TERM).expect("own process");
        let status = await_end(&mut child, &mut interrupt).expect("it ends");
        assert_eq!(status.code(), Some(3));
    }
}
