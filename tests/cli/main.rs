// SPDX-License-Identifier: GPL-2.0

//! The command `gosched`, end to end.

mod follow;
mod top;
mod verbs;
