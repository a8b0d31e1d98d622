// SPDX-License-Identifier: GPL-2.0

//! `gosched trace`: each change of a priority as the kernel's tracepoints tell it.

mod instance;

use std::collections::HashSet;
use std::ffi::c_int;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::ExitStatus;
use std::time::Duration;

use gosched::error::FindError;
use gosched::thread::ThreadId;
use gosched::thread::Threads;
use gosched::trace::Entry;
use gosched::trace::Event;
use rustix::process::getpgrp;
use rustix::process::kill_process;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::termios::tcgetpgrp;
use schemars::JsonSchema;
use serde::Serialize;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGQUIT;

use self::instance::Instance;
use crate::args::Trace;
use crate::complain;
use crate::interrupt::Interrupt;
use crate::is_broken_pipe;
use crate::print_json_line;
use crate::run;
use crate::Failure;
use crate::EXIT_FAILURE;

/// How long events may lie in the buffer before they are printed.
const READ_EVERY: Duration = Duration::from_millis(50);

/// One line of `gosched trace --json`.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum TraceJson {
    /// One event.
    Event(Event),
    /// The buffer had no room for events.
    Lost {
        /// How many, null if the kernel does not know.
        lost: Option<u64>,
    },
}

pub(crate) fn trace(args: &Trace, json: bool) -> Result<ExitCode, Failure> {
    let mut interrupt = Interrupt::catch()?;
    let mut printer = Printer {
        instance: Instance::start(args.buffer_kb)?,
        followed: None,
        json,
        cut: None,
        lost: false,
    };
    // What starts from here on is in the buffer.
    for pid in &args.pids {
        printer.follow_process(*pid)?;
    }
    let mut child = match start(&args.command) {
        Ok(child) => child,
        Err(code) => return Ok(code),
    };
    if let Some(child) = &child {
        printer.follow(child.id() as i32);
    }

    let told = record(&mut printer, &mut interrupt, child.as_mut());
    let lost = printer.lost;
    // Ends the recording, which the command may outlive.
    drop(printer);
    let Some(mut child) = child else {
        told?;
        return Ok(exit_code(ExitStatus::default(), lost));
    };
    let failed = match told {
        Ok(()) => false,
        // The reader has what it wanted.
        Err(failure) if is_broken_pipe(&failure) => false,
        Err(failure) => {
            complain(&format_args!(
                "{failure}; COMMAND goes on, and is not traced"
            ));
            true
        }
    };
    let status = await_end(&mut child, &mut interrupt)?;
    Ok(exit_code(status, lost || failed))
}

/// Prints events until the command has ended or, without one, a signal has come.
fn record(
    printer: &mut Printer,
    interrupt: &mut Interrupt,
    mut child: Option<&mut Child>,
) -> Result<(), Failure> {
    let mut interrupted = false;
    loop {
        // Asked first, so that what the command did last is in the buffer.
        let done = match &mut child {
            Some(child) => child.try_wait()?.is_some(),
            None => interrupted,
        };
        if done {
            printer.instance.stop()?;
            while printer.print()? {}
            if printer.lost {
                complain(&"events were lost, see above: give them more room with --buffer-kb");
            }
            return Ok(());
        }
        // Events may come for ever, faster than they are printed.
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

/// Waits for the command to end, to which signals still go.
fn await_end(child: &mut Child, interrupt: &mut Interrupt) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if let Some(signal) = interrupt.wait(READ_EVERY)? {
            pass_on(signal, child);
        }
    }
}

/// Passes a signal on to the command, unless a key of the terminal has sent it to both.
fn pass_on(signal: c_int, child: &Child) {
    if matches!(signal, SIGINT | SIGQUIT) && is_in_foreground() {
        return;
    }
    let Some(signal) = Signal::from_named_raw(signal) else {
        return;
    };
    if let Err(error) = kill_process(Pid::from_child(child), signal) {
        complain(&format_args!("cannot pass a signal on to COMMAND: {error}"));
    }
}

/// Whether keys of the terminal send signals to this process group, which the command
/// is in too.
fn is_in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal) == Ok(getpgrp()))
}

/// Starts the command, if there is one.
fn start(command: &[OsString]) -> Result<Option<Child>, ExitCode> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(None);
    };
    match Command::new(program).args(arguments).spawn() {
        Ok(child) => Ok(Some(child)),
        Err(error) => Err(run::cannot_run(program, &error)),
    }
}

/// The status of the command as a shell has it, unless gosched has failed.
fn exit_code(status: ExitStatus, failed: bool) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.filter(|_| !failed)
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::from(EXIT_FAILURE), ExitCode::from)
}

struct Printer {
    instance: Instance,
    /// The threads that are of interest; all if nothing.
    followed: Option<HashSet<i32>>,
    json: bool,
    /// The start of a line that a name with a line feed has cut.
    cut: Option<String>,
    lost: bool,
}

impl Printer {
    fn follow(&mut self, tid: i32) {
        self.followed.get_or_insert_default().insert(tid);
    }

    fn follow_process(&mut self, pid: ThreadId) -> Result<(), Failure> {
        let said = |error: FindError| format!("pid {pid}: {error}");
        for thread in Threads::of(pid).map_err(said)? {
            self.follow(thread.map_err(said)?.tid());
        }
        Ok(())
    }

    /// Prints the events that wait in the buffer, or returns that there are none.
    fn print(&mut self) -> Result<bool, Failure> {
        let lines = self.instance.read()?;
        let some = !lines.is_empty();
        for line in lines {
            let line = match self.cut.take() {
                Some(start) => format!("{start}\n{line}"),
                None => line,
            };
            match Entry::parse(&line) {
                Some(Entry::Event(event)) => self.print_event(event)?,
                Some(Entry::Birth { parent, child }) => self.born(parent, child),
                Some(Entry::Lost(lost)) => self.tell_lost(lost)?,
                None if Entry::is_cut(&line) => self.cut = Some(line),
                // The rest of a birth, whose name was cut.
                Some(_) | None => (),
            }
        }
        Ok(some)
    }

    fn born(&mut self, parent: i32, child: i32) {
        if let Some(followed) = &mut self.followed {
            if followed.contains(&parent) {
                followed.insert(child);
            }
        }
    }

    fn print_event(&mut self, event: Event) -> Result<(), Failure> {
        // Told by its parent, just before its birth.
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
        if self.json {
            print_json_line(&TraceJson::Event(event))?;
        } else {
            writeln!(io::stdout(), "{event}")?;
        }
        Ok(())
    }

    fn tell_lost(&mut self, lost: Option<u64>) -> Result<(), Failure> {
        self.lost = true;
        match lost {
            Some(lost) => complain(&format_args!("LOST {lost} EVENTS here")),
            None => complain(&"LOST EVENTS here"),
        }
        if self.json {
            print_json_line(&TraceJson::Lost { lost })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::Stdio;

    use rustix::process::getpid;

    use super::*;

    #[test]
    fn the_command_gets_the_signal_and_is_waited_for() {
        let mut interrupt = Interrupt::catch().expect("signals can be caught");
        // SIGHUP is one for another test.
        let script = "trap '' HUP; trap 'exit 3' TERM; echo; while :; do sleep 0.1; done";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut stdout = child.stdout.take().expect("a pipe");
        stdout.read_exact(&mut [0]).expect("its traps are set");
        kill_process(getpid(), Signal::TERM).expect("own process");
        let status = await_end(&mut child, &mut interrupt).expect("it ends");
        assert_eq!(status.code(), Some(3));
    }
}
