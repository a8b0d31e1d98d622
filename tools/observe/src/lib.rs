// SPDX-License-Identifier: GPL-2.0

//! Records what the Linux scheduler does with the threads of one program, and which goroutine
//! each thread of Go's runtime had, or has.

pub mod agreement;
pub mod current;
pub mod delay;
pub mod directory;
pub mod event;
pub mod goroutines;
pub mod heat;
pub mod lag;
pub mod latencies;
pub mod layout;
pub mod perfetto;
pub mod record;
pub mod spikes;
pub mod states;
pub mod summary;
pub mod threads;
mod tracefs;
pub mod why;
