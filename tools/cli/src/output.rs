// SPDX-License-Identifier: GPL-2.0

//! Writing to standard output and standard error.

use std::fmt::Display;
use std::io;
use std::io::Write;

use serde::Serialize;

/// Writes one sentence to standard error.
pub(crate) fn complain(sentence: &dyn Display) {
    // Nobody is left to tell when this fails.
    let _ = writeln!(io::stderr(), "gosched: {sentence}");
}

/// Returns `name` with "?" in place of each control character, so that printing the
/// name does not move the cursor.
pub(crate) fn printable(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Writes `value` to standard output as one line of JSON.
pub(crate) fn print_json_line(value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    io::stdout().write_all(&line)
}

/// Writes `value` to standard output as indented JSON.
pub(crate) fn print_json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}
