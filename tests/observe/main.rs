// SPDX-License-Identifier: GPL-2.0

//! What is recorded of a program is what the kernel and Go's runtime did.

mod current;
mod delays;
mod hostile;
mod lag;
mod others;
mod recorded;
mod spikes;
mod states;
mod tracefs;
mod truth;
