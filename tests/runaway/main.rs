// SPDX-License-Identifier: GPL-2.0

//! The guard that holds a thread which uses up the budget of its granted ceiling.

mod budget;
mod guard;
