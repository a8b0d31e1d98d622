// SPDX-License-Identifier: GPL-2.0

//! `gosched trace`: each change of a priority as the kernel's tracepoints tell it.

mod event;
mod instance;

use std::collections::HashSet;
use std::ffi::OsString;
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
use schemars::JsonSchema;
use serde::Serialize;

use self::event::Event;
use self::event::Line;
use self::instance::Instance;
use crate::args::Trace;
use crate::complain;
use crate::interrupt::Interrupt;
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

    let mut interrupted = false;
    let ended = loop {
        // Asked first, so that what the command did last is in the buffer.
        let ended = child.as_mut().map(Child::try_wait).transpose()?.flatten();
        let done = ended.is_some() || interrupted;
        if done {
            printer.instance.stop()?;
        }
        while printer.print()? {}
        if done {
            break ended;
        }
        interrupted = interrupt.wait(READ_EVERY)?.is_some();
    };

    if printer.lost {
        complain(&"events were lost, see above: give them more room with --buffer-kb");
        return Ok(ExitCode::from(EXIT_FAILURE));
    }
    Ok(ended.map_or(ExitCode::SUCCESS, exit_code))
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

/// The status of the command, as a shell has it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
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
            self.follow(thread.map_err(said)?.tid().as_raw_nonzero().get());
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
            match Line::parse(&line) {
                Some(Line::Event(event)) => self.print_event(event)?,
                Some(Line::Birth { parent, child }) => self.born(parent, child),
                Some(Line::Lost(lost)) => self.tell_lost(lost)?,
                None if Line::is_cut(&line) => self.cut = Some(line),
                // The rest of a birth, whose name was cut.
                None => (),
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
        if event.what.is_inherited() {
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
