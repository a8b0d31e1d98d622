// SPDX-License-Identifier: GPL-2.0

//! What threads are owed.

use crate::lab::Claim;
use crate::lab::Experiment;
use crate::lab::Metric;
use crate::lab::Rule::AtLeast;
use crate::lab::Rule::AtMost;
use crate::lab::Runs;
use crate::lab::Setup;
use crate::lab::Standing::Go;
use crate::lab::Standing::Nice;
use crate::lab::Standing::Ordinary;
use crate::lab::Unit::Nanoseconds;
use crate::lab::Unit::Percent;

const HOG: &[&str] = &[
    "-goroutines=1",
    "-work=compute",
    "-request=nothing",
    "-every=100ms",
];
const COLLECTING: &[&str] = &[
    "-goroutines=1",
    "-work=allocate",
    "-request=nothing",
    "-every=100ms",
];
const SERVES: &[&str] = &["-goroutines=0", "-request=compute", "-every=1ms"];

pub(super) const DRIFT: Experiment = Experiment {
    name: "drift",
    title: "drift: what a thread is owed, and what vruntime says",
    question: "S7: vruntime drifts by hundreds of ns for each ms under load, which tells of bad \
               scheduling. Does its growth say anything of what a thread is owed?",
    method: "A program beside a process that keeps the CPU busy: one that computes, one that \
               allocates, and a server of requests of 200 us each ms. gosched lag looks at the \
               thread that ran most, each 23 ms. vruntime grows by 1024/weight for each ns of \
               CPU time, and the weight is 3,121 at nice -5 and 335 at nice 5: its growth is \
               known without a look.",
    runs: Runs::Lag,
    cpus: 1,
    only_on_hardware: None,
    seconds: 2.0,
    setups: &[
        Setup::new("a hog", HOG).beside(Ordinary),
        Setup::new("a hog at nice 5", HOG)
            .beside(Ordinary)
            .program(Nice(5)),
        Setup::new("a hog at nice -5", HOG)
            .beside(Ordinary)
            .program(Nice(-5)),
        Setup::new("a hog at 28", HOG)
            .beside(Ordinary)
            .program(Go(28)),
        Setup::new("a hog at 40", HOG)
            .beside(Ordinary)
            .program(Go(40)),
        Setup::new("a collector", COLLECTING).beside(Ordinary),
        Setup::new("a server", SERVES).beside(Ordinary),
        Setup::new("a server at 40", SERVES)
            .beside(Ordinary)
            .program(Go(40)),
    ],
    metrics: &[
        Metric::new("lag_spread_ns", "lag, from lowest to highest", Nanoseconds),
        Metric::new("eligible_percent", "eligible when it waits", Percent),
        Metric::new("cpu_percent", "CPU", Percent),
        Metric::new("slice_ns", "slice", Nanoseconds),
    ],
    claims: &[
        Claim {
            words: "S7: a hog at nice 5, whose vruntime grows 9 times as fast as at nice -5, is 3 \
                       times as far from its due",
            setup: "a hog at nice 5",
            metric: "lag_spread_ns",
            over: Some("a hog at nice -5"),
            rule: AtLeast(3.0),
        },
        Claim {
            words: "The lag of a hog stays within 10 ms, whatever vruntime does",
            setup: "a hog",
            metric: "lag_spread_ns",
            over: None,
            rule: AtMost(10_000_000.0),
        },
    ],
};
