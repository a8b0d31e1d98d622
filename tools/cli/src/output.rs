// SPDX-License-Identifier: GPL-2.0

//! Writing to standard output and standard error. What belongs together is written in one
//! piece: what other programs write to the same file then stands before or after it.

use std::fmt::Display;
use std::io;
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use schemars::JsonSchema;
use serde::Serialize;

/// Whether messages are JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// One line of standard error.
#[derive(Serialize, JsonSchema)]
pub(crate) struct MessageJson {
    /// What has failed, and what to do, for people.
    error: String,
}

/// Why nothing can be written to standard output.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub(crate) struct OutputError(#[from] pub(crate) io::Error);

impl OutputError {
    /// Whether whoever read standard output has gone.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Has [`complain`] write JSON from now on.
pub(crate) fn complain_in_json() {
    JSON.store(true, Ordering::Relaxed);
}

/// Writes one message to standard error.
pub(crate) fn complain(sentence: &dyn Display) {
    let message = MessageJson {
        error: sentence.to_string(),
    };
    let line = match JSON.load(Ordering::Relaxed) {
        true => serde_json::to_string(&message).unwrap_or(message.error),
        false => format!("gosched: {}", message.error),
    };
    // Nobody is left to tell when this fails.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Returns `name` with "?" in place of each control character, so that printing the
/// name does not move the cursor.
pub(crate) fn printable(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Writes to standard output what `write` collects.
pub(crate) fn print(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<(), OutputError> {
    let mut text = Vec::new();
    write(&mut text)?;
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    Ok(out.flush()?)
}

/// Writes `value` to standard output as one line of JSON.
pub(crate) fn print_json_line(value: &impl Serialize) -> Result<(), OutputError> {
    print(|out| {
        serde_json::to_writer(&mut *out, value)?;
        writeln!(out)
    })
}

/// Collects `value` as indented JSON.
pub(crate) fn write_json(out: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// Writes `value` to standard output as indented JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), OutputError> {
    print(|out| write_json(out, value))
}
