// SPDX-License-Identifier: GPL-2.0

//! What a priority puts in force, what other system calls see of that, and what they
//! change.

mod last_writer;
mod mapping;
mod outside_changes;
mod read_modify_write;
