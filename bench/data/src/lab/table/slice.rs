// SPDX-License-Identifier: GPL-2.0

//! Slices of the scheduler.

use super::COLLECTOR;
use super::NO_AUTOGROUP;
use super::P2;
use crate::lab::Claim;
use crate::lab::Experiment;
use crate::lab::Metric;
use crate::lab::Rule::AtMost;
use crate::lab::Runs;
use crate::lab::Setup;
use crate::lab::Standing::Go;
use crate::lab::Standing::Idle;
use crate::lab::Standing::Nice;
use crate::lab::Standing::Ordinary;
use crate::lab::Unit::Nanoseconds;
use crate::lab::Unit::Number;
use crate::lab::Unit::Percent;

/// The setting of the slice.
const BASE_SLICE: &str = "/sys/kernel/debug/sched/base_slice_ns";

pub(super) const SLICE: Experiment = Experiment {
    name: "slice",
    title: "slice: a shorter slice against Go priorities",
    question: "S11: without SMT and with sched_latency_ns of 6 and not 24 ms, the throughput of \
               a Go program spreads by 5.3 and not 18.7 %, and its collections' pauses by 1.1 \
               and not 4.2 ms. That setting is gone; base_slice_ns has taken its place. What \
               does it do, and what do Go priorities?",
    method: "Four goroutines allocate on two Ps, so that a collection has somebody to stop, \
               beside requests of 200 us each 10 ms and another process that keeps the CPU \
               busy. The spread of the throughput is the standard deviation of what the \
               goroutines get done in each 100 ms, in per cent; that of the pauses is of all \
               collections, as runtime.MemStats tells them.",
    runs: Runs::Program,
    cpus: 1,
    only_on_hardware: None,
    seconds: 2.0,
    setups: &[
        Setup::new("base_slice_ns of 0.7 ms", COLLECTOR)
            .environment(P2)
            .beside(Ordinary)
            .settings(&[(BASE_SLICE, "700000")]),
        Setup::new("base_slice_ns of 1.4 ms", COLLECTOR)
            .environment(P2)
            .beside(Ordinary)
            .settings(&[(BASE_SLICE, "1400000")]),
        Setup::new("base_slice_ns of 3 ms", COLLECTOR)
            .environment(P2)
            .beside(Ordinary)
            .settings(&[(BASE_SLICE, "3000000")]),
        Setup::new("base_slice_ns of 6 ms", COLLECTOR)
            .environment(P2)
            .beside(Ordinary)
            .settings(&[(BASE_SLICE, "6000000")]),
        Setup::new("program at 40", COLLECTOR)
            .environment(P2)
            .beside(Ordinary)
            .program(Go(40)),
        Setup::new("program at 50", COLLECTOR)
            .environment(P2)
            .beside(Ordinary)
            .program(Go(50)),
        Setup::new("other at 8", COLLECTOR)
            .environment(P2)
            .beside(Go(8)),
        Setup::new("other at nice 19", COLLECTOR)
            .environment(P2)
            .beside(Nice(19)),
        Setup::new("other in SCHED_IDLE", COLLECTOR)
            .environment(P2)
            .beside(Idle),
        Setup::new("no autogroup", COLLECTOR)
            .environment(P2)
            .beside(Ordinary)
            .settings(NO_AUTOGROUP),
    ],
    metrics: &[
        Metric::new(
            "units_deviation_percent",
            "spread of the throughput",
            Percent,
        ),
        Metric::new("pause_deviation_ns", "spread of the pauses", Nanoseconds),
        Metric::new("p99_ns", "requests, p99", Nanoseconds),
        Metric::new("units_per_second", "units of work in a second", Number),
        Metric::new("collections_per_second", "collections in a second", Number),
    ],
    claims: &[
        Claim {
            words: "S11: a quarter of the slice cuts the spread of the throughput by 3.5 (18.7 -> \
                       5.3 %)",
            setup: "base_slice_ns of 1.4 ms",
            metric: "units_deviation_percent",
            over: Some("base_slice_ns of 6 ms"),
            rule: AtMost(1.0 / 3.5),
        },
        Claim {
            words: "S11: and that of the pauses by 3.8 (4.2 -> 1.1 ms)",
            setup: "base_slice_ns of 1.4 ms",
            metric: "pause_deviation_ns",
            over: Some("base_slice_ns of 6 ms"),
            rule: AtMost(1.0 / 3.8),
        },
        Claim {
            words: "It cuts the spread of the pauses by half at least",
            setup: "base_slice_ns of 1.4 ms",
            metric: "pause_deviation_ns",
            over: Some("base_slice_ns of 6 ms"),
            rule: AtMost(0.5),
        },
        Claim {
            words: "Lowering the other process to 8 cuts the spread of the pauses by as much",
            setup: "other at 8",
            metric: "pause_deviation_ns",
            over: Some("base_slice_ns of 0.7 ms"),
            rule: AtMost(1.0 / 3.8),
        },
        Claim {
            words: "So does raising the program to 50",
            setup: "program at 50",
            metric: "pause_deviation_ns",
            over: Some("base_slice_ns of 0.7 ms"),
            rule: AtMost(1.0 / 3.8),
        },
    ],
};
