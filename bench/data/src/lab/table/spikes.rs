// SPDX-License-Identifier: GPL-2.0

//! Outliers of a server's latency.

use super::NO_AUTOGROUP;
use super::P2;
use crate::lab::Claim;
use crate::lab::Experiment;
use crate::lab::Metric;
use crate::lab::Rule::AtLeast;
use crate::lab::Rule::AtMost;
use crate::lab::Runs;
use crate::lab::Setup;
use crate::lab::Standing::Batch;
use crate::lab::Standing::Go;
use crate::lab::Standing::Idle;
use crate::lab::Standing::Nice;
use crate::lab::Standing::Ordinary;
use crate::lab::Standing::RoundRobin;
use crate::lab::Standing::Uclamp;
use crate::lab::Unit::Nanoseconds;
use crate::lab::Unit::Number;
use crate::lab::Unit::Percent;

const OPEN: &[&str] = &[
    "-goroutines=1",
    "-work=allocate",
    "-request=compute",
    "-every=2ms",
];
const OPEN_SLOW: &[&str] = &[
    "-goroutines=1",
    "-work=allocate",
    "-request=compute",
    "-every=5ms",
];
const OPEN_HINT: &[&str] = &[
    "-goroutines=1",
    "-work=allocate",
    "-request=compute",
    "-every=2ms",
    "-remedy=hint",
];
const OPEN_OVERLAY: &[&str] = &[
    "-goroutines=1",
    "-work=allocate",
    "-request=compute",
    "-every=2ms",
    "-remedy=go_sched",
];

pub(super) const SPIKES: Experiment = Experiment {
    name: "spikes",
    title: "spikes: whose the outliers of a server's latency are",
    question: "S9: of the spikes in the tail, 38 % are the kernel's scheduler's, and come in \
               clusters. How many are, and what helps?",
    method: "Requests of 200 us come each 2 or 5 ms, whether or not earlier ones are \
               answered; a goroutine allocates meanwhile, with two Ps. Another process keeps \
               the CPU busy for 60 of each 450 ms. gosched record records, and gosched spikes \
               tells the causes of clusters of latencies above P98: few are in a run of 2 s.",
    runs: Runs::Spikes,
    cpus: 1,
    only_on_hardware: None,
    seconds: 2.0,
    setups: &[
        Setup::new("500 requests a second", OPEN)
            .environment(P2)
            .beside(Ordinary),
        Setup::new("200 requests a second", OPEN_SLOW)
            .environment(P2)
            .beside(Ordinary),
        Setup::new("other at 8", OPEN).environment(P2).beside(Go(8)),
        Setup::new("requests' thread at 50", OPEN)
            .environment(P2)
            .beside(Ordinary)
            .waiter(Go(50)),
        Setup::new("goroutine at 8, hint", OPEN_HINT)
            .environment(P2)
            .beside(Ordinary),
        Setup::new("goroutine at 8, overlay", OPEN_OVERLAY)
            .environment(P2)
            .beside(Ordinary),
        Setup::new("other at nice 19", OPEN)
            .environment(P2)
            .beside(Nice(19)),
        Setup::new("other in SCHED_BATCH", OPEN)
            .environment(P2)
            .beside(Batch),
        Setup::new("other in SCHED_IDLE", OPEN)
            .environment(P2)
            .beside(Idle),
        Setup::new("other with uclamp 0", OPEN)
            .environment(P2)
            .beside(Uclamp),
        Setup::new("the program at nice -20", OPEN)
            .environment(P2)
            .beside(Ordinary)
            .program(Nice(-20)),
        Setup::new("chrt -r for the program", OPEN)
            .environment(P2)
            .beside(Ordinary)
            .program(RoundRobin),
        Setup::new("no autogroup", OPEN)
            .environment(P2)
            .beside(Ordinary)
            .settings(NO_AUTOGROUP),
    ],
    metrics: &[
        Metric::new("p99_ns", "p99", Nanoseconds),
        Metric::new(
            "in_kernel_percent",
            "of those in clusters, the kernel's",
            Percent,
        ),
        Metric::new("p50_ns", "p50", Nanoseconds),
        Metric::new("in_runtime_percent", "the runtime's", Percent),
        Metric::new("in_clusters_percent", "outliers in clusters", Percent),
        Metric::new("units_per_second", "units of work in a second", Number),
    ],
    claims: &[
        Claim {
            words: "S9: outliers come in clusters",
            setup: "500 requests a second",
            metric: "in_clusters_percent",
            over: None,
            rule: AtLeast(50.0),
        },
        Claim {
            words: "S9: of the outliers in clusters, 38 % or more are the kernel's",
            setup: "500 requests a second",
            metric: "in_kernel_percent",
            over: None,
            rule: AtLeast(38.0),
        },
        Claim {
            words: "With the other process at 8, p99 is 38 % lower or more",
            setup: "other at 8",
            metric: "p99_ns",
            over: Some("500 requests a second"),
            rule: AtMost(0.62),
        },
        Claim {
            words: "With the requests' thread at 50, it is",
            setup: "requests' thread at 50",
            metric: "p99_ns",
            over: Some("500 requests a second"),
            rule: AtMost(0.62),
        },
        Claim {
            words: "With the goroutine lowered by the overlay, it is",
            setup: "goroutine at 8, overlay",
            metric: "p99_ns",
            over: Some("500 requests a second"),
            rule: AtMost(0.62),
        },
        Claim {
            words: "SCHED_IDLE for the other process does as much",
            setup: "other in SCHED_IDLE",
            metric: "p99_ns",
            over: Some("500 requests a second"),
            rule: AtMost(0.62),
        },
    ],
};
