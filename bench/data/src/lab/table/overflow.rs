// SPDX-License-Identifier: GPL-2.0

//! Bursts of goroutines.

use super::P1;
use super::P2;
use super::P4;
use crate::lab::Claim;
use crate::lab::Experiment;
use crate::lab::Metric;
use crate::lab::Rule::AtLeast;
use crate::lab::Rule::AtMost;
use crate::lab::Runs;
use crate::lab::Setup;
use crate::lab::Standing::Go;
use crate::lab::Unit::Nanoseconds;
use crate::lab::Unit::Number;
use crate::lab::Unit::Percent;

/// Bursts of goroutines: 200 each 20 ms, or as many in a second in bursts of 1000.
const SMALL: &[&str] = &[
    "-goroutines=0",
    "-request=burst",
    "-burst=200",
    "-every=20ms",
];
const LARGE: &[&str] = &[
    "-goroutines=0",
    "-request=burst",
    "-burst=1000",
    "-every=100ms",
];
pub(super) const OVERFLOW: Experiment = Experiment {
    name: "overflow",
    title: "overflow: bursts of more goroutines than a P's queue holds",
    question: "The queue of a P holds 256 goroutines. S6: a burst of more overflows it, which \
               makes other Ps steal and threads fight for the kernel's run queue: from 12 \
               runnable threads to 0, and from 8 to 42 us until a thread runs. Does it?",
    method: "One goroutine starts 200 others each 20 ms, or 1,000 each 100 ms: as many in a \
               second. Each computes a little. Overflows are calls of runtime.runqputslow, \
               counted by a uprobe; a goroutine that runs on another thread than the one that \
               started it, with no overflow, was stolen. What threads wait for a CPU is that of \
               schedstat; the number that can run is that of loadavg, each 7 ms.",
    runs: Runs::Program,
    cpus: 2,
    only_on_hardware: None,
    seconds: 1.0,
    setups: &[
        Setup::new("200 goroutines, 1 P", SMALL).environment(P1),
        Setup::new("1,000 goroutines, 1 P", LARGE).environment(P1),
        Setup::new("200 goroutines, 2 Ps", SMALL).environment(P2),
        Setup::new("1,000 goroutines, 2 Ps", LARGE).environment(P2),
        Setup::new("200 goroutines, 4 Ps", SMALL).environment(P4),
        Setup::new("1,000 goroutines, 4 Ps", LARGE).environment(P4),
        Setup::new("1,000, 4 Ps, at 32", LARGE)
            .environment(P4)
            .program(Go(32)),
        Setup::new("1,000, 4 Ps, at 16", LARGE)
            .environment(P4)
            .program(Go(16)),
        Setup::new("1,000, 4 Ps, at 8", LARGE)
            .environment(P4)
            .program(Go(8)),
    ],
    metrics: &[
        Metric::new(
            "thread_wait_ns",
            "a thread waits for a CPU, mean",
            Nanoseconds,
        ),
        Metric::new("elsewhere_percent", "ran on another thread", Percent),
        Metric::new("overflows_per_burst", "overflows in a burst", Number),
        Metric::new("runnable_threads", "threads that can run, mean", Number),
        Metric::new("p50_ns", "a goroutine waits, p50", Nanoseconds),
        Metric::new("p99_ns", "p99", Nanoseconds),
        Metric::new(
            "thread_runs_per_second",
            "a thread gets a CPU, in a second",
            Number,
        ),
    ],
    claims: &[
        Claim {
            words: "S6: with overflow, threads wait 5 times as long for a CPU (8 -> 42 us)",
            setup: "1,000 goroutines, 2 Ps",
            metric: "thread_wait_ns",
            over: Some("200 goroutines, 2 Ps"),
            rule: AtLeast(5.0),
        },
        Claim {
            words: "The same with more Ps than CPUs",
            setup: "1,000 goroutines, 4 Ps",
            metric: "thread_wait_ns",
            over: Some("200 goroutines, 4 Ps"),
            rule: AtLeast(5.0),
        },
        Claim {
            words: "S6: with overflow, hardly a thread can run any more (12 -> 0)",
            setup: "1,000 goroutines, 4 Ps",
            metric: "runnable_threads",
            over: Some("200 goroutines, 4 Ps"),
            rule: AtMost(0.1),
        },
        Claim {
            words: "1,000 goroutines do overflow a P's queue",
            setup: "1,000 goroutines, 1 P",
            metric: "overflows_per_burst",
            over: None,
            rule: AtLeast(1.0),
        },
        Claim {
            words: "200 do not",
            setup: "200 goroutines, 4 Ps",
            metric: "overflows_per_burst",
            over: None,
            rule: AtMost(0.0),
        },
        Claim {
            words: "S6: stealing needs overflow: of 200 goroutines, none runs elsewhere",
            setup: "200 goroutines, 4 Ps",
            metric: "elsewhere_percent",
            over: None,
            rule: AtMost(0.0),
        },
    ],
};
