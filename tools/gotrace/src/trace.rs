// SPDX-License-Identifier: MIT OR GPL-2.0

//! Whole traces.

use crate::error::Error;
use crate::event::Event;
use crate::reader::Reader;

/// All events of a trace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trace {
    /// The minor version of the format, see [`Reader::minor_version`].
    pub minor_version: u32,
    /// The events, in one order for all threads.
    pub events: Vec<Event>,
    /// The number of bytes at the end that were not read, see [`Reader::truncated`].
    pub truncated: Option<u64>,
}

impl Trace {
    /// Reads a trace.
    ///
    /// # Errors
    ///
    /// The bytes are no trace, or a broken one, or of a version that is not read. A
    /// [`Reader`] returns the events before the one that is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes)?;
        let events = reader.by_ref().collect::<Result<_, _>>()?;
        Ok(Self {
            minor_version: reader.minor_version(),
            events,
            truncated: reader.truncated(),
        })
    }
}
