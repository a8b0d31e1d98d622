// SPDX-License-Identifier: GPL-2.0

//! The results of a verb for threads, and their output as text, a table or JSON.

use std::fmt::Display;
use std::fs;
use std::io;
use std::io::Write;
use std::process::ExitCode;

use gosched::thread::check_proc;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::Show;
use crate::error::Error;
use crate::exit;
use crate::output::complain;
use crate::output::print;
use crate::output::printable;
use crate::output::write_json;
use crate::output::OutputError;
use crate::table::table;

/// The result of a verb for one thread.
pub(crate) trait Answer {
    type Json: Serialize;

    /// The columns of the table that follow those of id and name, each with its heading and
    /// whether it is numbers.
    const COLUMNS: &'static [(&'static str, bool)];

    /// True if the last column is left out where it has only dashes.
    const LAST_IS_OPTIONAL: bool = false;

    fn tid(&self) -> i32;

    fn json(&self) -> Self::Json;

    /// Returns the row of the table.
    fn cells(&self) -> Vec<String>;

    /// Writes the result as lines of text.
    fn write(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// One thread: the result for it, or why there is none.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "{T}OrFailure")]
pub(crate) enum Outcome<T> {
    /// The verb has done its work on the thread.
    Thread {
        /// The name of the thread, null if it cannot be read.
        name: Option<String>,
        #[serde(flatten)]
        thread: T,
    },
    /// The verb could not find the thread, or not do its work.
    Failed {
        /// The id as the user wrote it, or that of the one thread of it that failed.
        id: String,
        /// The reason, for people.
        error: String,
    },
}

impl<A: Answer> Outcome<A> {
    fn into_json(self) -> Outcome<A::Json> {
        match self {
            Self::Thread { name, thread } => Outcome::Thread {
                name,
                thread: thread.json(),
            },
            Self::Failed { id, error } => Outcome::Failed { id, error },
        }
    }
}

/// The form of the output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Lines of text for each thread, at once.
    Lines,
    /// A row for each thread, at the end.
    Table,
    /// A list of all threads, at the end.
    Json,
}

impl Form {
    /// Returns the form of what a verb only shows.
    pub(crate) fn of(show: &Show, json: bool) -> Self {
        match (json, show.threads.all_tasks && !show.verbose) {
            (true, _) => Self::Json,
            (false, true) => Self::Table,
            (false, false) => Self::Lines,
        }
    }
}

/// The output. The work goes on when nothing can be written: a half of the threads changed
/// is what nobody has asked for.
pub(super) struct Sink<A: Answer> {
    form: Form,
    /// The answers that are printed at the end, with the names of the threads.
    answers: Vec<Outcome<A>>,
    /// True if `/proc` has the names of the threads, and not those of others with the same ids.
    has_names: bool,
    failed: bool,
    /// The number of lines that could not be written, and why.
    unwritten: Option<(usize, OutputError)>,
}

impl<A: Answer> Sink<A> {
    pub(super) fn new(form: Form) -> Self {
        Self {
            form,
            answers: Vec::new(),
            has_names: form != Form::Lines && check_proc().is_ok(),
            failed: false,
            unwritten: None,
        }
    }

    pub(super) fn show(&mut self, answer: A) {
        match self.form {
            Form::Lines => self.write(|out| answer.write(out)),
            Form::Table | Form::Json => self.answers.push(Outcome::Thread {
                name: name_of(answer.tid()).filter(|_| self.has_names),
                thread: answer,
            }),
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        let mut lines = 0;
        let printed = print(|out| {
            write(out)?;
            lines = out.iter().filter(|byte| **byte == b'\n').count();
            Ok(())
        });
        if let Err(error) = printed {
            let before = self.unwritten.take().map_or(0, |(lines, _)| lines);
            self.unwritten = Some((before + lines, error));
        }
    }

    pub(super) fn fail(&mut self, id: &dyn Display, error: &dyn Display) {
        self.failed = true;
        complain(&format_args!("pid {id}: {error}"));
        self.answers.push(Outcome::Failed {
            id: id.to_string(),
            error: error.to_string(),
        });
    }

    pub(super) fn finish(mut self) -> Result<ExitCode, Error> {
        let answers = std::mem::take(&mut self.answers);
        match self.form {
            Form::Lines => (),
            Form::Table => self.write(|out| write_table(out, &answers)),
            Form::Json => {
                let answers: Vec<_> = answers.into_iter().map(Outcome::into_json).collect();
                self.write(|out| write_json(out, &answers));
            }
        }
        match self.unwritten {
            // Whoever read the output has seen enough.
            Some((lines, error)) if !error.is_broken_pipe() => {
                Err(Error::Unwritten { lines, error })
            }
            _ if self.failed => Ok(ExitCode::from(exit::FAILURE)),
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}

/// Returns the name of a thread, if it can be read.
fn name_of(tid: i32) -> Option<String> {
    let name = fs::read(format!("/proc/{tid}/comm")).ok()?;
    Some(
        String::from_utf8_lossy(&name)
            .trim_end_matches('\n')
            .to_owned(),
    )
}

/// Writes the threads that did not fail as a table, unless there is none.
fn write_table<A: Answer>(out: &mut dyn Write, answers: &[Outcome<A>]) -> io::Result<()> {
    let mut rows: Vec<Vec<String>> = answers
        .iter()
        .filter_map(|answer| match answer {
            Outcome::Thread { name, thread } => {
                let name = name.as_deref().map_or("?".to_owned(), printable);
                Some([vec![thread.tid().to_string(), name], thread.cells()].concat())
            }
            Outcome::Failed { .. } => None,
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let columns = [("TID", true), ("COMMAND", false)];
    let mut columns: Vec<_> = columns.iter().chain(A::COLUMNS).copied().collect();
    let is_dash = |row: &Vec<String>| row.last().is_some_and(|cell| cell == "-");
    if A::LAST_IS_OPTIONAL && rows.iter().all(is_dash) {
        columns.pop();
        for row in &mut rows {
            row.pop();
        }
    }
    writeln!(out, "{}", table(columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tid(i32);

    impl Answer for Tid {
        type Json = i32;

        const COLUMNS: &'static [(&'static str, bool)] = &[];

        fn tid(&self) -> i32 {
            self.0
        }

        fn json(&self) -> i32 {
            self.0
        }

        fn cells(&self) -> Vec<String> {
            Vec::new()
        }

        fn write(&self, _out: &mut dyn Write) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_thread_has_a_name_where_proc_has_that_of_no_other() {
        for has_names in [true, false] {
            let mut sink = Sink {
                has_names,
                ..Sink::new(Form::Json)
            };
            sink.show(Tid(std::process::id() as i32));
            let named = matches!(&sink.answers[..], [Outcome::Thread { name: Some(_), .. }]);
            assert_eq!(named, has_names);
        }
    }
}
