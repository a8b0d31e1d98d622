// SPDX-License-Identifier: GPL-2.0

//! The interface of `/dev/go_sched` and of the system call: layout, numbers, targets,
//! counters, tracepoints.

mod counters;
mod structures;
mod syscall;
mod targets;
mod trace;
