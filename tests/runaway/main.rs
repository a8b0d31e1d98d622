// SPDX-License-Identifier: GPL-2.0

//! What holds a thread that uses up the budget of its granted ceiling.

mod budget;
mod guard;
