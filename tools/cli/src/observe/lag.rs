// SPDX-License-Identifier: GPL-2.0

//! `gosched lag`: what the scheduler owes the threads of a program.

mod ledger;
mod text;

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::process::ExitStatus;
use std::time::Duration;
use std::time::Instant;

use gosched_observe::lag::ExtThreads;
use gosched_observe::lag::Sampler;
use gosched_observe::lag::Storage;
use rustix::time::ClockId;
use schemars::JsonSchema;
use serde::Serialize;

use self::ledger::line;
use self::ledger::Ledger;
use self::ledger::Row;
use self::ledger::Summary;
use self::ledger::COLUMNS;
use self::text::text;
use super::drawing::Drawing;
use super::record::has_ended;
use super::record::now;
use super::record::open;
use crate::args::Lag;
use crate::check::limits::SchedExt;
use crate::error::Error;
use crate::error::ObserveError;
use crate::handed::Child;
use crate::interrupt::Interrupt;
use crate::output::complain;
use crate::output::print;
use crate::output::print_json_line;
use crate::run;
use crate::terminal::is_dumb;
use crate::trace::await_end;
use crate::trace::exit_code;
use crate::trace::is_first_pid_namespace;
use crate::trace::pass_on;

/// The longest time until the end of the process is seen.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One line of `gosched lag --json`.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum LagJson<'a> {
    /// A thread at one moment.
    Sample {
        /// The time, in seconds of `CLOCK_MONOTONIC`.
        seconds: f64,
        #[serde(flatten)]
        row: &'a Row,
    },
    /// A thread in all the time that it was looked at.
    Summary(&'a Summary),
}

/// The process whose threads are looked at.
enum Target {
    Process {
        pid: i32,
        process: OwnedFd,
    },
    Command {
        child: Child,
        status: Option<ExitStatus>,
    },
}

impl Target {
    fn pid(&self) -> i32 {
        match self {
            Self::Process { pid, .. } => *pid,
            Self::Command { child, .. } => child.pid().as_raw_pid(),
        }
    }

    fn has_ended(&mut self) -> io::Result<bool> {
        match self {
            Self::Process { process, .. } => Ok(has_ended(process)),
            Self::Command { child, status } => {
                *status = child.try_wait()?;
                Ok(status.is_some())
            }
        }
    }
}

/// Where samples go.
enum Output {
    Json,
    /// Lines, below a heading that may still be due.
    Lines {
        headed: bool,
    },
    Drawing(Drawing),
    /// Nowhere: there is a summary only.
    Summary,
}

impl Output {
    fn new(args: &Lag, json: bool) -> Self {
        if json {
            Self::Json
        } else if !io::stdout().is_terminal() {
            Self::Lines { headed: false }
        } else if args.pid.is_none() {
            Self::Summary
        } else if is_dumb() {
            Self::Lines { headed: false }
        } else {
            Self::Drawing(Drawing::default())
        }
    }

    fn show(&mut self, rows: &[Row]) -> Result<(), Error> {
        let seconds = now(ClockId::Monotonic) as f64 / 1e9;
        match self {
            Self::Json => {
                for row in rows {
                    print_json_line(&LagJson::Sample { seconds, row })?;
                }
            }
            Self::Lines { headed } => {
                let is_headed = std::mem::replace(headed, true);
                print(|out| {
                    if !is_headed {
                        let headings = COLUMNS.iter().map(|(heading, ..)| *heading);
                        writeln!(out, "{:>13} {}", "TIME", line(headings))?;
                    }
                    rows.iter().try_for_each(|row| {
                        let cells = row.cells();
                        let line = line(cells.iter().map(String::as_str));
                        writeln!(out, "{seconds:13.3} {line}")
                    })
                })?;
            }
            Self::Drawing(drawing) => drawing.show(|width, height| text(rows, width, height))?,
            Self::Summary => (),
        }
        Ok(())
    }

    /// Prints the summary, in place of a drawing.
    fn end(self, ledger: &Ledger) -> Result<(), Error> {
        let summaries = ledger.summaries();
        match self {
            Self::Json => {
                for summary in &summaries {
                    print_json_line(&LagJson::Summary(summary))?;
                }
                return Ok(());
            }
            Self::Lines { headed: true } => print(|out| writeln!(out))?,
            Self::Lines { headed: false } | Self::Summary => (),
            Self::Drawing(mut drawing) => drawing.clear()?,
        }
        if summaries.is_empty() {
            complain(&"no thread was looked at twice: the program or the time had ended before");
            return Ok(());
        }
        Ok(print(|out| {
            writeln!(out, "{}", Summary::table(&summaries))
        })?)
    }
}

/// Shows what threads are owed until the process ends, the time is over, or a signal comes.
pub(crate) fn lag(args: &Lag, json: bool) -> Result<ExitCode, Error> {
    if !is_first_pid_namespace()? {
        return Err(ObserveError::PidNamespace.into());
    }
    let process = args.pid.map(open).transpose()?;
    let mut interrupt = Interrupt::catch()?;
    let mut storage = Storage::uninit();
    let mut sampler = Sampler::load(&mut storage).map_err(ObserveError::from)?;
    let mut target = match process {
        Some((pid, process)) => Target::Process { pid, process },
        None => match Child::spawn(&args.command) {
            Ok(child) => Target::Command {
                child,
                status: None,
            },
            Err(error) => return Ok(run::cannot_run(&args.command[0], &error)),
        },
    };
    let looked = look(args, json, &mut sampler, &mut target, &mut interrupt);
    let Target::Command { mut child, status } = target else {
        return looked.map(|()| ExitCode::SUCCESS);
    };
    // The command goes on, whatever has become of the rest.
    let failed = match looked {
        Ok(()) => false,
        Err(error) if error.is_broken_pipe() => false,
        Err(error) => {
            complain(&error);
            true
        }
    };
    let status = match status {
        Some(status) => status,
        None => await_end(&mut child, &mut interrupt)?,
    };
    Ok(exit_code(status, failed))
}

fn look(
    args: &Lag,
    json: bool,
    sampler: &mut Sampler<'_>,
    target: &mut Target,
    interrupt: &mut Interrupt,
) -> Result<(), Error> {
    let mut ledger = Ledger::new(target.pid())?;
    let mut output = Output::new(args, json);
    let mut due = Instant::now();
    let end = args.seconds.map(|seconds| due + seconds.0);
    loop {
        let samples = sampler.sample(target.pid()).map_err(ObserveError::from)?;
        let rows = ledger.enter(&samples, ext_threads()?);
        if !rows.is_empty() {
            output.show(&rows)?;
        }
        due = (due + args.interval.0).max(Instant::now());
        if !wait(target, interrupt, due, end)? {
            break;
        }
    }
    output.end(&ledger)?;
    for sentence in ledger.missing() {
        complain(&sentence);
    }
    Ok(())
}

/// Waits until the next look is due; returns false if there is to be none.
fn wait(
    target: &mut Target,
    interrupt: &mut Interrupt,
    due: Instant,
    end: Option<Instant>,
) -> io::Result<bool> {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if let Some(signal) = interrupt.wait(left.min(LOOK_EVERY))? {
            match target {
                // The end of the command ends the looks.
                Target::Command { child, .. } => pass_on(signal, child),
                Target::Process { .. } => return Ok(false),
            }
        }
        let now = Instant::now();
        if target.has_ended()? || end.is_some_and(|end| end <= now) {
            return Ok(false);
        }
        if due <= now {
            return Ok(true);
        }
    }
}

/// Asks which threads a `sched_ext` scheduler picks.
fn ext_threads() -> io::Result<ExtThreads> {
    Ok(match SchedExt::read()? {
        None | Some(SchedExt::Off) => ExtThreads::None,
        Some(SchedExt::Partial) => ExtThreads::OfPolicy,
        Some(SchedExt::Full) => ExtThreads::All,
    })
}

#[cfg(test)]
mod tests {
    use boon::Compiler;
    use boon::Schemas;
    use schemars::generate::SchemaSettings;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_as_the_schema_says() {
        const NAME: &str = "file:///schema.json";
        let settings = SchemaSettings::default().for_serialize();
        let schema = settings.into_generator().into_root_schema_for::<LagJson>();
        let mut compiler = Compiler::new();
        compiler
            .add_resource(NAME, schema.to_value())
            .expect("a new name");
        let mut schemas = Schemas::new();
        let schema = compiler.compile(NAME, &mut schemas).expect("a schema");
        let (row, summary) = (Row::example(), Summary::example());
        for line in [
            LagJson::Sample {
                seconds: 0.5,
                row: &row,
            },
            LagJson::Summary(&summary),
        ] {
            let line = serde_json::to_value(&line).expect("JSON");
            if let Err(error) = schemas.validate(&line, schema) {
                panic!("{error}\n{line}");
            }
        }
        let wrong = json!({ "event": "sample" });
        assert!(schemas.validate(&wrong, schema).is_err());
    }
}
