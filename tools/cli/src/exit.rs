// SPDX-License-Identifier: GPL-2.0

//! Exit statuses other than 0.

/// The status of a failure.
pub(crate) const FAILURE: u8 = 1;

/// The status of a wrong command line, as with grep(1) and ls(1).
pub(crate) const MISUSE: u8 = 2;

/// The statuses of `gosched run`, as with env(1) and nice(1): gosched itself failed or
/// its command line is wrong, the command cannot be run, there is no such command.
pub(crate) const RUN_FAILURE: u8 = 125;
pub(crate) const CANNOT_RUN: u8 = 126;
pub(crate) const NOT_FOUND: u8 = 127;
