// SPDX-License-Identifier: GPL-2.0

//! Threads under `SCHED_IDLE`: whom they wait for, and who does not wait for them.

mod idle;
mod kernel_work;
