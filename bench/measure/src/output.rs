// SPDX-License-Identifier: GPL-2.0

//! The writer of records to standard output.

use std::io;
use std::io::Write;

use anyhow::Context;
use anyhow::Result;
use go_sched_bench_data::Figure;
use go_sched_bench_data::Omitted;
use go_sched_bench_data::Record;
use go_sched_bench_data::Subject;

/// Prints one line, at once, so that a run that fails later has shown it.
pub(crate) fn print(record: Record) -> Result<()> {
    let mut line = serde_json::to_vec(&record).context("a record becomes JSON")?;
    line.push(b'\n');
    let mut output = io::stdout().lock();
    output.write_all(&line).context("standard output")?;
    output.flush().context("standard output")
}

/// Prints a figure.
pub(crate) fn figure(subject: Subject, repeats: Vec<f64>) -> Result<()> {
    print(Record::Figure(Figure { subject, repeats }))
}

/// Prints why there is no such figure.
pub(crate) fn omit(subject: Subject, why: impl Into<String>) -> Result<()> {
    let why = why.into();
    print(Record::Omitted(Omitted { subject, why }))
}

/// Prints a remark for the report.
pub(crate) fn note(text: String) -> Result<()> {
    print(Record::Note { text })
}
