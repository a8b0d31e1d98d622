// SPDX-License-Identifier: GPL-2.0

//! What goes to standard output.

use std::io;
use std::io::Write;

use anyhow::Context;
use anyhow::Result;
use go_sched_bench_data::Chapter;
use go_sched_bench_data::Record;
use go_sched_bench_data::Unit;

/// Prints one line, at once, so that a run that fails later has shown it.
pub(crate) fn print(record: Record) -> Result<()> {
    let mut line = serde_json::to_vec(&record).context("a record becomes JSON")?;
    line.push(b'\n');
    let mut output = io::stdout().lock();
    output.write_all(&line).context("standard output")?;
    output.flush().context("standard output")
}

/// A figure to come.
#[derive(Clone, Debug)]
pub(crate) struct Figure(go_sched_bench_data::Figure);

impl Figure {
    /// One that is in nanoseconds.
    pub(crate) fn new(chapter: Chapter, operation: &str, subject: &str) -> Self {
        Self(go_sched_bench_data::Figure {
            chapter,
            operation: operation.to_owned(),
            subject: subject.to_owned(),
            threads: None,
            unit: Unit::Nanoseconds,
            repeats: Vec::new(),
        })
    }

    /// Says how many managed threads there are besides.
    pub(crate) fn beside(mut self, threads: u32) -> Self {
        self.0.threads = Some(threads);
        self
    }

    /// Says that it is in bytes.
    pub(crate) fn in_bytes(mut self) -> Self {
        self.0.unit = Unit::Bytes;
        self
    }

    /// Prints it, unless it was omitted.
    pub(crate) fn print(mut self, repeats: Vec<f64>) -> Result<()> {
        if repeats.is_empty() {
            return Ok(());
        }
        self.0.repeats = repeats;
        print(Record::Figure(self.0))
    }
}
