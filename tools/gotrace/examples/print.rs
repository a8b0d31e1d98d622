// SPDX-License-Identifier: MIT OR GPL-2.0

//! Prints each change of a goroutine's or P's state in a trace, in the words of
//! `go tool trace -d=parsed`, with which a test compares it.
//!
//! Usage: print FILE

use std::env;
use std::error::Error;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::process::ExitCode;

use go_sched_gotrace::Event;
use go_sched_gotrace::EventKind;
use go_sched_gotrace::Reader;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(path), None) = (arguments.next(), arguments.next()) else {
        eprintln!("Usage: print FILE");
        return ExitCode::from(2);
    };
    let printed = File::open(&path)
        .map_err(Into::into)
        .and_then(|file| print(file, io::stdout().lock()));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("print: {}: {error}", path.to_string_lossy());
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn print(input: impl Read, output: impl Write) -> Result<(), Box<dyn Error>> {
    let mut output = BufWriter::new(output);
    let mut reader = Reader::new(input)?;
    for event in reader.by_ref() {
        // What was printed is right, whatever comes after it.
        match event {
            Ok(event) => print_event(&event, &mut output)?,
            Err(error) => {
                output.flush()?;
                return Err(error.into());
            }
        }
    }
    output.flush()?;
    match reader.truncated() {
        Some(bytes) => Err(format!("the last {bytes} bytes are not whole").into()),
        None => Ok(()),
    }
}

fn print_event(event: &Event, output: &mut impl Write) -> io::Result<()> {
    let (what, reason) = match &event.kind {
        EventKind::Goroutine(change) => (
            format!("GoID={} {}->{}", change.id, change.from, change.to),
            change.reason.as_deref().unwrap_or_default(),
        ),
        EventKind::Proc(change) => (
            format!("ProcID={} {}->{}", change.id, change.from, change.to),
            "",
        ),
        _ => return Ok(()),
    };
    writeln!(
        output,
        "M={} P={} G={} StateTransition Time={} {what} Reason={reason:?}",
        or_none(event.thread.map(|id| id.0)),
        or_none(event.proc.map(|id| id.0)),
        or_none(event.goroutine.map(|id| id.0)),
        event.time,
    )
}

/// Returns a number, or -1 for none.
fn or_none(number: Option<u64>) -> String {
    number.map_or("-1".to_owned(), |number| number.to_string())
}
