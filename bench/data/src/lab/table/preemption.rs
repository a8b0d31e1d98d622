// SPDX-License-Identifier: GPL-2.0

//! Delays of goroutines.

use super::P2;
use super::P4;
use super::WHOLE;
use crate::lab::Claim;
use crate::lab::Experiment;
use crate::lab::Metric;
use crate::lab::Rule::AtLeast;
use crate::lab::Rule::AtMost;
use crate::lab::Runs;
use crate::lab::Setup;
use crate::lab::Standing::Go;
use crate::lab::Standing::Idle;
use crate::lab::Standing::Nice;
use crate::lab::Standing::Ordinary;
use crate::lab::Unit::Nanoseconds;
use crate::lab::Unit::Percent;

const BOTH: &[&str] = &[
    "-goroutines=2",
    "-work=allocate",
    "-request=compute",
    "-every=5ms",
];

pub(super) const PREEMPTION: Experiment = Experiment {
    name: "preemption",
    title: "preemption: whose delay a goroutine's is",
    question: "S5: of one run, perf tells of a P95 of 4.2 ms until a thread runs, and Go's \
               trace of 187 us until a goroutine does, which are times of different things. \
               What of a goroutine's delay is the kernel's?",
    method: "Two goroutines allocate, beside requests of 200 us each 5 ms. gosched record has \
               the kernel's events and the trace of Go's runtime by one clock; gosched timeline \
               adds up, over all goroutines that were ready, the time without a P, which is the \
               runtime's, and with a P whose thread has no CPU, or whose group has used up its \
               quota, which are the kernel's. Go's trace takes the latter two for running.",
    runs: Runs::Timeline,
    cpus: 2,
    only_on_hardware: None,
    seconds: 1.0,
    setups: &[
        Setup::new("nobody else", BOTH).environment(P2),
        Setup::new("4 Ps", BOTH).environment(P4),
        Setup::new("beside a busy process", BOTH)
            .environment(P2)
            .beside(Ordinary),
        Setup::new("beside it, 4 Ps", BOTH)
            .environment(P4)
            .beside(Ordinary),
        Setup::new("that process at 8", BOTH)
            .environment(P2)
            .beside(Go(8)),
        Setup::new("that process at nice 19", BOTH)
            .environment(P2)
            .beside(Nice(19)),
        Setup::new("that process in SCHED_IDLE", BOTH)
            .environment(P2)
            .beside(Idle),
        Setup::new("the program at 40", BOTH)
            .environment(P2)
            .beside(Ordinary)
            .program(Go(40)),
        Setup::new("a quota of a CPU", BOTH)
            .environment(P2)
            .quota(WHOLE),
    ],
    metrics: &[
        Metric::new("kernel_percent", "the kernel's share of the delay", Percent),
        Metric::new(
            "thread_p99_ns",
            "a thread waits for a CPU, p99",
            Nanoseconds,
        ),
        Metric::new("no_p_ns", "no P, in a second", Nanoseconds),
        Metric::new("no_cpu_ns", "no CPU, in a second", Nanoseconds),
        Metric::new("quota_ns", "quota, in a second", Nanoseconds),
    ],
    claims: &[
        Claim {
            words: "S5: beside a busy process, most of the delay is the kernel's",
            setup: "beside a busy process",
            metric: "kernel_percent",
            over: None,
            rule: AtLeast(50.0),
        },
        Claim {
            words: "With nobody else, most is the runtime's",
            setup: "nobody else",
            metric: "kernel_percent",
            over: None,
            rule: AtMost(50.0),
        },
        Claim {
            words: "With that process at 8, goroutines lack a CPU for a tenth of the time",
            setup: "that process at 8",
            metric: "no_cpu_ns",
            over: Some("beside a busy process"),
            rule: AtMost(0.1),
        },
    ],
};
