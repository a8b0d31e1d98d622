// SPDX-License-Identifier: GPL-2.0

//! Writing to standard output and standard error. What belongs together is written in one
//! piece: what other programs write to the same file then stands before or after it. Once
//! a signal asks for the end, a reader that does not read is not waited for.

use std::env;
use std::fmt::Display;
use std::io;
use std::io::Write;
use std::mem;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::handed;
use crate::interrupt::is_asked_to_end;

/// The time that a reader has to read what is being written when a signal asks for the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest time until a signal is seen.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// True if messages are JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// One line of standard error.
#[derive(Serialize, JsonSchema)]
pub(crate) struct MessageJson {
    /// The failure and what to do about it, as a sentence for people.
    error: String,
}

/// The reason that nothing can be written to standard output.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub(crate) struct OutputError(#[from] pub(crate) io::Error);

impl OutputError {
    /// Returns whether whoever read standard output has gone.
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
        // What it is about may have been named by others.
        false => {
            let lines = message.error.split('\n').map(printable);
            format!("gosched: {}", lines.collect::<Vec<_>>().join("\n"))
        }
    };
    // Nobody is left to tell when this fails.
    let _ = write(io::stderr, format!("{line}\n").into_bytes());
}

/// Returns `name` with "?" in place of each character that shows nothing of its own: one
/// that moves the cursor, turns the direction of the text around it, or hides.
pub(crate) fn printable(name: &str) -> String {
    name.chars()
        .map(|c| if is_shown(c) { c } else { '?' })
        .collect()
}

/// Returns whether a character shows something: `Debug` of a text escapes those that do not.
fn is_shown(c: char) -> bool {
    // A mark that combines with a letter is escaped without one.
    let text: String = ['a', c].iter().collect();
    matches!(c, '"' | '\'' | '\\') || text.escape_debug().eq(text.chars())
}

/// Returns whether the user wants colours on a terminal, see no-color.org.
pub(crate) fn wants_colours() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes to standard output what `collect` collects.
pub(crate) fn print(
    collect: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
) -> Result<(), OutputError> {
    let mut text = Vec::new();
    collect(&mut text)?;
    if text.is_empty() {
        return Ok(());
    }
    handed::check_stdout()?;
    Ok(write(io::stdout, text)?)
}

/// Writes `text`, and gives up if nobody reads it for a second once a signal asks for the end.
fn write<W: Write + 'static>(stream: fn() -> W, text: Vec<u8>) -> io::Result<()> {
    let text = Arc::new(text);
    let write = move |text: &[u8]| {
        let mut stream = stream();
        stream.write_all(text).and_then(|()| stream.flush())
    };
    if is_asked_to_end().is_none() {
        return write(&text);
    }
    // A handler of signals does not end a write(2) that waits: the kernel begins it again.
    let (sender, result) = sync_channel(1);
    let of_thread = Arc::clone(&text);
    let writer = thread::Builder::new().spawn(move || sender.send(write(&of_thread)));
    if writer.is_err() {
        // No thread may be left to this user.
        return write(&text);
    }
    let mut patience = PATIENCE;
    loop {
        match result.recv_timeout(LOOK_EVERY) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::Other.into()),
            Err(RecvTimeoutError::Timeout) if is_asked_to_end() == Some(true) => {
                patience = patience.saturating_sub(LOOK_EVERY);
                if patience.is_zero() {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads it"));
                }
            }
            Err(RecvTimeoutError::Timeout) => (),
        }
    }
}

/// Standard output of a terminal; each flush writes what was collected in one piece.
#[derive(Default)]
pub(crate) struct Screenful(Vec<u8>);

impl Write for Screenful {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        write(io::stdout, mem::take(&mut self.0))
    }
}

/// Writes `value` to standard output as one line of JSON.
pub(crate) fn print_json_line(value: &impl Serialize) -> Result<(), OutputError> {
    print(|out| write_json_line(out, value))
}

/// Collects `value` as one line of JSON.
pub(crate) fn write_json_line(out: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_of_its_own_is_replaced() {
        for c in
            "\0\t\n\u{1b}\u{7f}\u{9b}\u{ad}\u{61c}\u{180e}\u{200b}\u{200d}\u{200e}\u{2028}\u{2029}\
                  \u{202e}\u{2060}\u{2066}\u{feff}\u{fff9}\u{1d173}\u{e0001}\u{e0041}"
                .chars()
        {
            let name = format!("a{c}b");
            assert_eq!(printable(&name), "a?b", "{}", c.escape_unicode());
        }
        for name in [
            "it's a \"name\" \\",
            "Grüße",
            "u\u{308}ber",
            "हिन्दी",
            "日本語",
            "עברית",
            "🦀",
        ] {
            assert_eq!(printable(name), name);
        }
    }
}
