// SPDX-License-Identifier: GPL-2.0

//! The tests of the Go module as programs, which `build.rs` has built.

/// The path of each package that has tests, and the package's test program, to be written
/// to a file. The tests of priorities of goroutines have one more, `go_sched/overlay`, which
/// is built with the overlay of Go's runtime.
pub const PROGRAMS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/programs.rs"));
