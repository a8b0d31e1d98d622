// SPDX-License-Identifier: MIT OR GPL-2.0

//! Reads execution traces of Go programs, as `runtime/trace` and `net/http/pprof` write them:
//! what each goroutine, P and thread did, and when.
//!
//! The formats of Go 1.22 to 1.27 are read, and those of later ones until they have an event
//! that this crate does not know. [`Reader`] reads from a stream, [`Trace`] from memory. A
//! trace whose end is missing is read as far as it is whole.
//!
//! A trace has one time for each event. On Linux it is CLOCK_MONOTONIC, and threads have the
//! numbers of `gettid(2)`, so that events can be put beside those of the kernel. In a pid or
//! time namespace, both are as the program sees them.
//!
//! Nothing in a trace makes this crate panic, run without end, or take more memory than a
//! multiple of the trace's length.

#![forbid(unsafe_code)]

mod bytes;
mod clock;
mod error;
mod event;
mod frontier;
mod generation;
mod input;
mod order;
mod reader;
mod tables;
mod trace;
mod wire;

pub use self::clock::ClockSnapshot;
pub use self::error::Error;
pub use self::event::Event;
pub use self::event::EventKind;
pub use self::event::GoId;
pub use self::event::GoState;
pub use self::event::GoTransition;
pub use self::event::ProcId;
pub use self::event::ProcState;
pub use self::event::ProcTransition;
pub use self::event::Range;
pub use self::event::TaskId;
pub use self::event::ThreadId;
pub use self::reader::Reader;
pub use self::tables::Frame;
pub use self::tables::Stack;
pub use self::trace::Trace;

/// The examples of the readme, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
