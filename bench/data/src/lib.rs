// SPDX-License-Identifier: GPL-2.0

//! What the two sides of a benchmark agree on: `go_sched_bench_guest`, which
//! measures, and `go_sched_bench` on the host, which reports.
//!
//! The first prints [`Record`]s, one line of JSON each. It knows its clock only: that
//! a nanosecond of it is one instruction, because QEMU counts them, is known to the
//! second.

use serde::Deserialize;
use serde::Serialize;

/// One line of what is printed by the side that measures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// Where the ones that follow were measured.
    Kernel(Kernel),
    /// What one operation takes.
    Figure(Figure),
    /// How a server did.
    Service(Service),
}

/// The kernel that measurements ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// As `uname -r` has it.
    pub release: String,
    /// As `uname -v` has it.
    pub version: String,
    /// Its command line.
    pub command_line: String,
    /// Number of CPUs that are online.
    pub cpus: u32,
    /// What drives its clock, from `clocksource0/current_clocksource`.
    pub clock_source: String,
    /// Version and hash of the mapping in force, if one is.
    pub mapping: Option<Mapping>,
}

/// The mapping in force, see `GO_SCHED_CLASS_INFO` in `uapi/go_sched.h`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mapping {
    /// Its version.
    pub version: u32,
    /// FNV-1a of it, in hexadecimal.
    pub hash: String,
}

/// What a figure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chapter {
    /// What a path through the scheduler costs, with and without go_sched.
    Path,
    /// What a change of a thread's scheduling costs, by one interface or another.
    Change,
    /// What depends on the number of managed threads.
    Scale,
}

/// What [`Figure::repeats`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nanoseconds of the clock where it was measured.
    Nanoseconds,
    /// Bytes.
    Bytes,
}

/// What one operation takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is about.
    pub chapter: Chapter,
    /// The operation, such as "pipe round trip".
    pub operation: String,
    /// The state or the interface, such as "module loaded, unmanaged".
    pub subject: String,
    /// Number of managed threads there are besides, for [`Chapter::Scale`].
    pub threads: Option<u32>,
    /// What [`Self::repeats`] counts.
    pub unit: Unit,
    /// The result of each repeat, for one operation: the median of its samples.
    pub repeats: Vec<f64>,
}

/// How a server did during one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// What competes with it, such as "hogs in another process".
    pub scenario: String,
    /// What was done about that, such as "chrt -r".
    pub alternative: String,
    /// Number of the repeat, from 0.
    pub repeat: u32,
    /// Length of the run, in seconds of the guest.
    pub seconds: f64,
    /// Requests that were answered.
    pub requests: u64,
    /// Requests that failed or were not answered.
    pub failures: u64,
    /// Units of work that requests took, of the same kind as [`Self::background_units`].
    pub request_units: u64,
    /// Units of work that the competition got done.
    pub background_units: u64,
    /// From the time a request was due to its answer, in microseconds: an
    /// HdrHistogram in its V2 serialization, in base64.
    pub latency_us: String,
    /// Deviation of each period of a timing loop from its 10 ms, in microseconds, as
    /// an HdrHistogram likewise; the absolute value.
    pub jitter_us: String,
    /// Standard deviation of the periods, in per cent of the 10 ms.
    pub jitter_percent: f64,
}
