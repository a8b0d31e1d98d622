// SPDX-License-Identifier: GPL-2.0

//! Exit statuses other than 0.

/// The status of any failure, misuse included, as with chrt(1).
pub(crate) const FAILURE: u8 = 1;

/// The statuses of `gosched run`, as with env(1) and nice(1): gosched itself failed,
/// the command cannot be run, there is no such command.
pub(crate) const RUN_FAILURE: u8 = 125;
pub(crate) const CANNOT_RUN: u8 = 126;
pub(crate) const NOT_FOUND: u8 = 127;
