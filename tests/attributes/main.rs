// SPDX-License-Identifier: GPL-2.0

//! The parameters that a priority puts in force, what other system calls read of them,
//! and what those calls change.

mod last_writer;
mod mapping;
mod outside_changes;
mod read_modify_write;
