// SPDX-License-Identifier: GPL-2.0

//! Threads under `SCHED_IDLE`, and the waiting between these and other threads.

mod idle;
mod kernel_work;
