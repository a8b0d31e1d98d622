// SPDX-License-Identifier: GPL-2.0

//! The interface of `/dev/go_sched` and of the system call: layout, numbers, targets,
//! counters, tracepoints, and the selftests of the kernel.

mod counters;
mod selftests;
mod structures;
mod syscall;
mod targets;
mod trace;
