// SPDX-License-Identifier: MIT OR GPL-2.0

//! Errors by meaning.

use std::fmt;
use std::io;

/// The first minor version of Go whose format is read.
pub(crate) const OLDEST: u32 = 22;
/// The last minor version of Go whose events are known.
pub(crate) const NEWEST: u32 = 27;

/// The reason that a trace could not be read. Events before an error are right.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Reading the input failed.
    Io(io::Error),
    /// The input has no byte, as when a program ended before it wrote its trace.
    Empty,
    /// The input does not begin as traces do.
    NotATrace,
    /// The trace has the format that Go had before 1.22.
    Old {
        /// The minor version in the trace's header: 21 for Go 1.21.
        minor: u32,
    },
    /// The trace has an event that came with a newer Go.
    UnknownEvent {
        /// The number of the event in the format.
        event: u8,
        /// The minor version in the trace's header.
        minor: u32,
    },
    /// The trace contradicts itself or its format.
    Broken {
        /// The generation in which the contradiction is, 0 if that is not known.
        generation: u64,
        /// The contradiction, in a part of a sentence.
        reason: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read the trace: {error}"),
            Self::Empty => f.write_str("the trace is empty: the program wrote nothing to it"),
            Self::NotATrace => f.write_str(
                "not a Go execution trace: it does not begin with \"go 1.NN trace\"",
            ),
            Self::Old { minor } => write!(
                f,
                "the trace has the format of Go 1.{minor}: those of Go 1.{OLDEST} to 1.{NEWEST} are read"
            ),
            Self::UnknownEvent { event, minor } => write!(
                f,
                "the trace, of the format of Go 1.{minor}, has an event {event}, which Go 1.{NEWEST} \
                 and those before it do not have: a newer version of this program may read it"
            ),
            Self::Broken { generation, reason } => {
                write!(f, "the trace is broken in generation {generation}: {reason}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// The reason that a generation could not be read; the caller knows which one it is.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Reading the input failed.
    Io(io::Error),
    /// An event of a number that is not known.
    Unknown(u8),
    /// Another contradiction, in a part of a sentence.
    Broken(String),
}

impl Fault {
    /// Returns the fault that `reason` tells.
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self::Broken(reason.into())
    }

    /// Returns the error of a trace of the version `minor`.
    pub(crate) fn at(self, generation: u64, minor: u32) -> Error {
        match self {
            Self::Io(error) => Error::Io(error),
            Self::Unknown(event) => Error::UnknownEvent { event, minor },
            Self::Broken(reason) => Error::Broken { generation, reason },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
