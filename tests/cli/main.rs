// SPDX-License-Identifier: GPL-2.0

//! The command `gosched`, on the threads of a real kernel.

mod follow;
mod handed;
mod output;
mod program;
mod run;
mod screen;
mod system;
mod top;
mod verbs;
