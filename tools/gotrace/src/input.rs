// SPDX-License-Identifier: MIT OR GPL-2.0

//! The input: its header, and batches off its front.

use std::io;
use std::io::BufReader;
use std::io::Read;

use crate::bytes::Varint;
use crate::error::Error;
use crate::error::Fault;
use crate::error::OLDEST;
use crate::event::ThreadId;
use crate::wire;

/// Length of the header in bytes.
const HEADER: u64 = 16;
/// The most bytes that a batch may have. Go writes up to 64 KiB.
const MAX_BATCH: u64 = 1 << 20;

/// An input, with a count of the bytes that were read.
#[derive(Debug)]
pub(crate) struct Input<R> {
    inner: BufReader<R>,
    read: u64,
}

/// A number of events of one thread, or a part of a table.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) generation: u64,
    /// The thread that wrote it, or wrote the events in it; none for a part of the runtime
    /// that no thread of Go's stands for.
    pub(crate) thread: Option<ThreadId>,
    /// Units of the trace's clock; events count from here.
    pub(crate) time: u64,
    /// Whether the contents are of an experiment's own format.
    pub(crate) experimental: bool,
    pub(crate) data: Vec<u8>,
}

/// What comes next in an input.
#[derive(Debug)]
pub(crate) enum Part {
    Batch(Batch),
    EndOfGeneration,
    EndOfInput,
    /// The input ends within a batch, whose generation may be known.
    Cut(Option<u64>),
}

impl<R: Read> Input<R> {
    /// Reads the header; returns the minor version of Go in it as well.
    pub(crate) fn new(input: R) -> Result<(Self, u32), Error> {
        let mut input = Self {
            inner: BufReader::with_capacity(1 << 16, input),
            read: 0,
        };
        let header = input.up_to(HEADER).map_err(Error::Io)?;
        if header.is_empty() {
            return Err(Error::Empty);
        }
        let minor = version(&header).ok_or(Error::NotATrace)?;
        if minor < OLDEST {
            return Err(Error::Old { minor });
        }
        Ok((input, minor))
    }

    /// Returns how many bytes were read.
    pub(crate) fn position(&self) -> u64 {
        self.read
    }

    /// Reads the next part.
    pub(crate) fn part(&mut self) -> Result<Part, Fault> {
        let experimental = match self.byte()? {
            None => return Ok(Part::EndOfInput),
            Some(wire::BATCH) => false,
            Some(wire::EXPERIMENTAL_BATCH) => true,
            Some(wire::END_OF_GENERATION) => return Ok(Part::EndOfGeneration),
            Some(byte) => {
                return Err(Fault::new(format!("byte {byte} is where a batch belongs")));
            }
        };
        // The number of the experiment.
        if experimental && self.byte()?.is_none() {
            return Ok(Part::Cut(None));
        }
        let Some(generation) = self.number()? else {
            return Ok(Part::Cut(None));
        };
        let cut = Part::Cut(Some(generation));
        let (Some(thread), Some(time), Some(size)) =
            (self.number()?, self.number()?, self.number()?)
        else {
            return Ok(cut);
        };
        if size > MAX_BATCH {
            return Err(Fault::new(format!("a batch claims to have {size} bytes")));
        }
        let data = self.up_to(size)?;
        if (data.len() as u64) < size {
            return Ok(cut);
        }
        Ok(Part::Batch(Batch {
            generation,
            thread: ThreadId::told(thread),
            time,
            experimental,
            data,
        }))
    }

    /// Reads a byte, if there is one left.
    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.inner.by_ref().bytes().next().transpose()?;
        self.read = self.read.saturating_add(u64::from(byte.is_some()));
        Ok(byte)
    }

    /// Reads a number; returns `None` if the input ends first.
    fn number(&mut self) -> Result<Option<u64>, Fault> {
        let mut varint = Varint::default();
        while let Some(byte) = self.byte()? {
            if let Some(number) = varint.add(byte)? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Reads `count` bytes, or as many as are left. Takes memory for those alone.
    fn up_to(&mut self, count: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.inner.by_ref().take(count).read_to_end(&mut bytes)?;
        self.read = self.read.saturating_add(bytes.len() as u64);
        Ok(bytes)
    }
}

/// Returns the minor version of "go 1.NN trace", which null bytes follow.
fn version(header: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(header).ok()?;
    let number = text
        .strip_prefix("go 1.")?
        .trim_end_matches('\0')
        .strip_suffix(" trace")?;
    // Parsing would take a sign.
    number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(header: &[u8]) -> String {
        match Input::new(header) {
            Ok((_, minor)) => format!("read as 1.{minor}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn versions_are_told_apart() {
        assert_eq!(error_of(b"go 1.22 trace\0\0\0"), "read as 1.22");
        assert_eq!(error_of(b"go 1.31 trace\0\0\0"), "read as 1.31");
        for old in ["5", "11", "19", "21"] {
            let header = format!("go 1.{old} trace\0\0\0");
            assert_eq!(
                error_of(header.as_bytes()),
                format!(
                    "the trace has the format of Go 1.{old}: those of Go 1.22 to 1.27 are read"
                )
            );
        }
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        assert!(error_of(b"").contains("empty"));
        for header in [
            &b"go 1.22 tra"[..],
            b"go 1.+2 trace\0\0\0",
            b"go 1. trace\0\0\0\0\0",
            b"go 2.22 trace\0\0\0",
            b"\x7fELF            ",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(error_of(header).starts_with("not a Go"), "{header:?}");
        }
    }
}
