// SPDX-License-Identifier: GPL-2.0

//! The tests of the Go package as a program, which `build.rs` has built.

/// The program, to be written to a file.
pub const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gosched.test"));
