// SPDX-License-Identifier: GPL-2.0

//! Go programs, which `build.rs` has built: the tests of the Go module, and go/internal/lowered.

/// The path of each package that has tests, and the package's test program, to be written
/// to a file. The tests of priorities of goroutines have one more, `go_sched/overlay`, which
/// is built with the overlay of Go's runtime.
pub const PROGRAMS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// The program go/internal/lowered, to be written to a file.
pub const PLAIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/plain"));

/// The same, built with the overlay of Go's runtime.
pub const OVERLAY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/overlay.program"));
