// SPDX-License-Identifier: GPL-2.0

//! The fair scheduler's figures of a thread, as `/proc/PID/sched` shows them.

use std::fs;

/// The load weight of nice 0 in the kernel's scaled unit.
const NICE_ZERO_LOAD: i64 = 1 << 20;

/// The longest that the tick comes late to a thread that has run enough, in
/// nanoseconds: `TICK_NSEC` of a kernel with `CONFIG_HZ_1000`.
pub const TICK_NS: i64 = 1_000_000;

/// The fair scheduler's figures of a thread. The figures do not change while the thread
/// waits for the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fair {
    /// Virtual time so far: nanoseconds that a thread at nice 0 would have run.
    pub vruntime_ns: i64,
    /// CPU time so far, in nanoseconds.
    pub exec_ns: i64,
    /// The load weight, in the unit of [`NICE_ZERO_LOAD`].
    pub weight: i64,
    /// The kernel's own priority: 120 at nice 0, below 100 for a real-time thread and for
    /// a thread that a real-time thread boosts.
    pub prio: i64,
}

impl Fair {
    /// Reads the figures of a thread.
    #[track_caller]
    pub fn of(tid: i32) -> Self {
        let path = format!("/proc/{tid}/sched");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        // Times are in milliseconds, with six digits behind the point.
        let field = |name: &str| {
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(found, _)| found.trim() == name)
                .and_then(|(_, value)| value.trim().replace('.', "").parse().ok())
                .unwrap_or_else(|| panic!("{path} has no {name}:\n{text}"))
        };
        Self {
            vruntime_ns: field("se.vruntime"),
            exec_ns: field("se.sum_exec_runtime"),
            weight: field("se.load.weight"),
            prio: field("prio"),
        }
    }

    /// Returns the virtual time in nanoseconds by which this thread is ahead of another
    /// in the same queue. While the result is more than 0, the other thread is next.
    pub fn ahead_of(&self, other: &Self) -> i64 {
        self.vruntime_ns - other.vruntime_ns
    }

    /// Converts CPU time of the thread to virtual time, both in nanoseconds.
    pub fn virtual_ns(&self, cpu_ns: i64) -> i64 {
        cpu_ns * NICE_ZERO_LOAD / self.weight
    }
}
