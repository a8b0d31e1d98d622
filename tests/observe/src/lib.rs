// SPDX-License-Identifier: GPL-2.0

//! The programs in Go that the tests record.

/// A program in Go.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The release of Go that built it, and how.
    pub name: &'static str,
    /// N of that release, Go 1.N.
    pub release: u32,
    /// Its executable.
    pub executable: &'static [u8],
}

impl Program {
    /// Returns whether it can write the trace of a flight recorder.
    pub fn has_flight_recorder(&self) -> bool {
        self.release >= 25
    }
}

/// Programs that write a trace of Go's runtime, see go/internal/traced. Go before 1.22 has none
/// that is read.
pub const TRACED: &[Program] = include!(concat!(env!("OUT_DIR"), "/traced.rs"));
/// Programs that say on which thread each of their goroutines is, see go/internal/marked.
pub const MARKED: &[Program] = include!(concat!(env!("OUT_DIR"), "/marked.rs"));
/// Programs whose requests are disturbed twice, see go/internal/disturbed.
pub const DISTURBED: &[Program] = include!(concat!(env!("OUT_DIR"), "/disturbed.rs"));
