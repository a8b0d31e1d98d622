// SPDX-License-Identifier: GPL-2.0

//! Quotas of control groups.

use super::P1;
use super::P2;
use super::P8;
use super::WHOLE;
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

const ASLEEP: &[&str] = &[
    "-goroutines=100",
    "-work=read",
    "-request=nothing",
    "-every=100ms",
];
const NOBODY: &[&str] = &["-goroutines=0", "-request=nothing", "-every=100ms"];
const WAKES: &[&str] = &[
    "-goroutines=2",
    "-remedy=own threads",
    "-request=nanosleep",
    "-every=10ms",
];
const WAKES_RAISED: &[&str] = &["-goroutines=2", "-request=nanosleep", "-every=10ms"];
const TIMER: &[&str] = &[
    "-goroutines=2",
    "-remedy=own threads",
    "-request=nothing",
    "-every=10ms",
];
const TIMER_RAISED: &[&str] = &["-goroutines=2", "-request=nothing", "-every=10ms"];
const COLLECTS: &[&str] = &[
    "-goroutines=1",
    "-work=allocate",
    "-request=compute",
    "-every=10ms",
];
const FIFTH: &str = "20000 100000";
pub(super) const QUOTA: Experiment = Experiment {
    name: "quota",
    title: "quota: sleep, wakeups and GOMAXPROCS under cpu.max",
    question: "S8: who sleeps in a system call uses no quota of the control group, and waits if \
               the group is throttled when he wakes up. S13: GOMAXPROCS should fit the quota. \
               Is that so, and who escapes?",
    method: "The program is in a group of its own, whose cpu.stat is read before and after. \
               Asleep: 100 goroutines in read(2). Waking up: a thread in clock_nanosleep(2), \
               each 10 ms, beside two threads of the program that compute and use up a fifth of \
               a CPU in each period of 100 ms; or a goroutine in time.Sleep there. GOMAXPROCS: \
               a goroutine allocates, so that the collector works, beside requests of 200 us \
               each 10 ms, with a quota of one CPU.",
    runs: Runs::Program,
    cpus: 2,
    only_on_hardware: None,
    seconds: 2.0,
    setups: &[
        Setup::new("nobody asleep", NOBODY).quota(WHOLE),
        Setup::new("100 asleep in read(2)", ASLEEP).quota(WHOLE),
        Setup::new("wakes up, no quota", WAKES),
        Setup::new("wakes up, quota", WAKES).quota(FIFTH),
        Setup::new("wakes up at 50, quota", WAKES_RAISED)
            .quota(FIFTH)
            .waiter(Go(50)),
        Setup::new("time.Sleep, quota", TIMER).quota(FIFTH),
        Setup::new("time.Sleep at 50, quota", TIMER_RAISED)
            .quota(FIFTH)
            .waiter(Go(50)),
        Setup::new("program at 40, quota", WAKES)
            .quota(FIFTH)
            .program(Go(40)),
        Setup::new("GOMAXPROCS 1", COLLECTS)
            .quota(WHOLE)
            .environment(P1),
        Setup::new("GOMAXPROCS 2", COLLECTS)
            .quota(WHOLE)
            .environment(P2),
        Setup::new("GOMAXPROCS 8", COLLECTS)
            .quota(WHOLE)
            .environment(P8),
    ],
    metrics: &[
        Metric::new("p99_ns", "late, or answered after, p99", Nanoseconds),
        Metric::new(
            "throttled_us_per_second",
            "us throttled in a second, all CPUs",
            Number,
        ),
        Metric::new("p50_ns", "the same, p50", Nanoseconds),
        Metric::new("used_us_per_second", "us of CPU used in a second", Number),
        Metric::new(
            "periods_throttled_per_second",
            "periods throttled in a second",
            Number,
        ),
    ],
    claims: &[
        Claim {
            words: "S8: 100 goroutines asleep in read(2) use no quota",
            setup: "100 asleep in read(2)",
            metric: "used_us_per_second",
            over: Some("nobody asleep"),
            rule: AtMost(1.25),
        },
        Claim {
            words: "S8: who wakes up while the group is throttled waits",
            setup: "wakes up, quota",
            metric: "p99_ns",
            over: Some("wakes up, no quota"),
            rule: AtLeast(5.0),
        },
        Claim {
            words: "A thread at 50 escapes the quota of its group",
            setup: "wakes up at 50, quota",
            metric: "p99_ns",
            over: Some("wakes up, quota"),
            rule: AtMost(0.1),
        },
        Claim {
            words: "So does a goroutine at 50 in time.Sleep",
            setup: "time.Sleep at 50, quota",
            metric: "p99_ns",
            over: Some("time.Sleep, quota"),
            rule: AtMost(0.1),
        },
        Claim {
            words: "So does a program at 40",
            setup: "program at 40, quota",
            metric: "p99_ns",
            over: Some("wakes up, quota"),
            rule: AtMost(0.1),
        },
        Claim {
            words:
                "S13: with GOMAXPROCS that fits the quota, the program is throttled half as long",
            setup: "GOMAXPROCS 1",
            metric: "throttled_us_per_second",
            over: Some("GOMAXPROCS 8"),
            rule: AtMost(0.5),
        },
        Claim {
            words: "S13: and its requests are answered sooner",
            setup: "GOMAXPROCS 1",
            metric: "p99_ns",
            over: Some("GOMAXPROCS 8"),
            rule: AtMost(0.9),
        },
    ],
};
