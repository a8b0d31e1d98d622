// SPDX-License-Identifier: GPL-2.0

//! The table of the experiments.

use super::Claim;
use super::Experiment;
use super::Metric;
use super::Rule::AtLeast;
use super::Rule::AtMost;
use super::Rule::NotHere;
use super::Runs;
use super::Setup;
use super::Standing::Batch;
use super::Standing::Go;
use super::Standing::Idle;
use super::Standing::IdleGroup;
use super::Standing::Nice;
use super::Standing::Ordinary;
use super::Standing::RoundRobin;
use super::Standing::Uclamp;
use super::Standing::Weight;
use super::Unit::Nanoseconds;
use super::Unit::Number;
use super::Unit::Percent;

/// The experiments, in the order of the chapters.
pub const EXPERIMENTS: &[Experiment] = &[
    LOCKS, OVERFLOW, QUOTA, SLICE, SPIKES, PREEMPTION, DRIFT, SMT,
];

const LOCKS: Experiment = Experiment {
    name: "locks",
    title: "locks: what lowered members of a server cost the others",
    question:
        "A thread at 50 maps memory, and so do its siblings: the kernel has one lock for the \
               memory of a process. What does the thread pay if the siblings are lowered, and to \
               which level may they be?",
    method:
        "Three siblings map 256 KiB, touch and unmap them, without end; the thread does so with \
             64 KiB each 5 ms. Another process keeps the CPU busy, so that who is lowered waits. \
             The time is that of the thread's calls, by the guest's clock.",
    runs: Runs::Siblings,
    cpus: 1,
    only_on_hardware: None,
    seconds: 1.5,
    setups: &[
        Setup::new("siblings ordinary", &[]).waiter(Go(50)),
        Setup::new("siblings at 32", &[])
            .waiter(Go(50))
            .program(Go(32)),
        Setup::new("siblings at 20", &[])
            .waiter(Go(50))
            .program(Go(20)),
        Setup::new("siblings at 16", &[])
            .waiter(Go(50))
            .program(Go(16)),
        Setup::new("siblings at 8", &[])
            .waiter(Go(50))
            .program(Go(8)),
        Setup::new("siblings at 0", &[])
            .waiter(Go(50))
            .program(Go(0)),
        Setup::new("siblings at nice 19", &[])
            .waiter(Go(50))
            .program(Nice(19)),
        Setup::new("siblings in SCHED_BATCH", &[])
            .waiter(Go(50))
            .program(Batch),
        Setup::new("siblings in SCHED_IDLE", &[])
            .waiter(Go(50))
            .program(Idle),
        Setup::new("SCHED_IDLE, thread chrt -r", &[])
            .waiter(RoundRobin)
            .program(Idle),
        Setup::new("siblings, cpu.weight 1", &[])
            .waiter(Go(50))
            .program(Weight),
        Setup::new("siblings, cpu.idle", &[])
            .waiter(Go(50))
            .program(IdleGroup),
    ],
    metrics: &[
        Metric::new("mean_ns", "mean time", Nanoseconds),
        Metric::new("p99_ns", "p99", Nanoseconds),
        Metric::new("max_ns", "longest", Nanoseconds),
        Metric::new("maps_per_second", "siblings' mappings in a second", Number),
    ],
    claims: &[
        Claim {
            words: "Siblings at 20 hold the thread up for at least twice as long as ordinary ones",
            setup: "siblings at 20",
            metric: "mean_ns",
            over: Some("siblings ordinary"),
            rule: AtLeast(2.0),
        },
        Claim {
            words: "So do siblings at 16",
            setup: "siblings at 16",
            metric: "mean_ns",
            over: Some("siblings ordinary"),
            rule: AtLeast(2.0),
        },
        Claim {
            words: "Siblings at 8 hold the thread up no longer than ordinary ones",
            setup: "siblings at 8",
            metric: "mean_ns",
            over: Some("siblings ordinary"),
            rule: AtMost(1.1),
        },
        Claim {
            words: "Nor do siblings at 0",
            setup: "siblings at 0",
            metric: "mean_ns",
            over: Some("siblings ordinary"),
            rule: AtMost(1.1),
        },
        Claim {
            words: "SCHED_IDLE by itself holds the thread up at least twice as long as 8",
            setup: "siblings in SCHED_IDLE",
            metric: "mean_ns",
            over: Some("siblings at 8"),
            rule: AtLeast(2.0),
        },
        Claim {
            words: "So does a cgroup with cpu.idle",
            setup: "siblings, cpu.idle",
            metric: "mean_ns",
            over: Some("siblings at 8"),
            rule: AtLeast(2.0),
        },
    ],
};

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
const P1: &[(&str, &str)] = &[("GOMAXPROCS", "1")];
const P2: &[(&str, &str)] = &[("GOMAXPROCS", "2")];
const P4: &[(&str, &str)] = &[("GOMAXPROCS", "4")];
const P8: &[(&str, &str)] = &[("GOMAXPROCS", "8")];
const NO_AUTOGROUP: &[(&str, &str)] = &[("/proc/sys/kernel/sched_autogroup_enabled", "0")];

const OVERFLOW: Experiment = Experiment {
    name: "overflow",
    title: "overflow: bursts of more goroutines than a P's queue holds",
    question: "The queue of a P holds 256 goroutines. S6: a burst of more overflows it, which makes \
               other Ps steal and threads fight for the kernel's run queue: from 12 runnable threads \
               to 0, and from 8 to 42 us until a thread runs. Does it?",
    method: "One goroutine starts 200 others each 20 ms, or 1,000 each 100 ms: as many in a second. \
             Each computes for some 10 us. Overflows are calls of runtime.runqputslow, counted by a \
             uprobe; a goroutine that runs on another thread than the one that started it, with no \
             overflow, was stolen. What threads wait for a CPU is that of schedstat; the number that \
             can run is that of loadavg, each 7 ms.",
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
        Setup::new("1,000, 4 Ps, at 32", LARGE).environment(P4).program(Go(32)),
        Setup::new("1,000, 4 Ps, at 16", LARGE).environment(P4).program(Go(16)),
        Setup::new("1,000, 4 Ps, at 8", LARGE).environment(P4).program(Go(8)),
    ],
    metrics: &[
        Metric::new("thread_wait_ns", "a thread waits for a CPU, mean", Nanoseconds),
        Metric::new("elsewhere_percent", "ran on another thread", Percent),
        Metric::new("overflows_per_burst", "overflows in a burst", Number),
        Metric::new("runnable_threads", "threads that can run, mean", Number),
        Metric::new("p50_ns", "a goroutine waits, p50", Nanoseconds),
        Metric::new("p99_ns", "p99", Nanoseconds),
        Metric::new("thread_runs_per_second", "a thread gets a CPU, in a second", Number),
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
const TIMER_RAISED: &[&str] = &["-goroutines=2", "-request=nothing", "-every=10ms"];
const COLLECTS: &[&str] = &[
    "-goroutines=1",
    "-work=allocate",
    "-request=compute",
    "-every=10ms",
];
const FIFTH: &str = "20000 100000";
const WHOLE: &str = "100000 100000";

const QUOTA: Experiment = Experiment {
    name: "quota",
    title: "quota: sleep, wakeups and GOMAXPROCS under cpu.max",
    question: "S8: who sleeps in a system call uses no quota of the control group, and waits if the \
               group is throttled when he wakes up. S13: GOMAXPROCS should fit the quota. Is that so, \
               and who escapes?",
    method: "The program is in a group of its own, whose cpu.stat is read before and after. Asleep: 100 \
             goroutines in read(2). Waking up: a thread in clock_nanosleep(2), each 10 ms, beside two \
             threads of the program that compute and use up a fifth of a CPU in each period of \
             100 ms; or a goroutine in time.Sleep there. GOMAXPROCS: a goroutine allocates, so that \
             the collector works, beside requests of 200 us each 10 ms, with a quota of one CPU.",
    runs: Runs::Program,
    cpus: 2,
    only_on_hardware: None,
    seconds: 2.0,
    setups: &[
        Setup::new("nobody asleep", NOBODY).quota(WHOLE),
        Setup::new("100 asleep in read(2)", ASLEEP).quota(WHOLE),
        Setup::new("wakes up, no quota", WAKES),
        Setup::new("wakes up, quota", WAKES).quota(FIFTH),
        Setup::new("wakes up at 50, quota", WAKES_RAISED).quota(FIFTH).waiter(Go(50)),
        Setup::new("time.Sleep at 50, quota", TIMER_RAISED).quota(FIFTH).waiter(Go(50)),
        Setup::new("program at 40, quota", WAKES).quota(FIFTH).program(Go(40)),
        Setup::new("GOMAXPROCS 1", COLLECTS).quota(WHOLE).environment(P1),
        Setup::new("GOMAXPROCS 2", COLLECTS).quota(WHOLE).environment(P2),
        Setup::new("GOMAXPROCS 8", COLLECTS).quota(WHOLE).environment(P8),
    ],
    metrics: &[
        Metric::new("p99_ns", "late by, p99", Nanoseconds),
        Metric::new("throttled_us_per_second", "us throttled in a second, all CPUs", Number),
        Metric::new("p50_ns", "late by, p50", Nanoseconds),
        Metric::new("used_us_per_second", "us of CPU used in a second", Number),
        Metric::new("periods_throttled_per_second", "periods throttled in a second", Number),
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
            over: Some("wakes up, quota"),
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
            words: "S13: with GOMAXPROCS that fits the quota, the program is throttled half as long",
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

const COLLECTOR: &[&str] = &[
    "-goroutines=4",
    "-work=allocate",
    "-request=compute",
    "-every=10ms",
];
/// The setting of the slice.
const BASE_SLICE: &str = "/sys/kernel/debug/sched/base_slice_ns";

const SLICE: Experiment = Experiment {
    name: "slice",
    title: "slice: a shorter slice against Go priorities",
    question: "S11: without SMT and with sched_latency_ns of 6 and not 24 ms, the throughput of a Go \
               program spreads by 5.3 and not 18.7 %, and its collections' pauses by 1.1 and not \
               4.2 ms. That setting is gone; base_slice_ns has taken its place. What does it do, and \
               what do Go priorities?",
    method: "Four goroutines allocate on two Ps, so that a collection has somebody to stop, beside requests of 200 us each 10 ms and another process that \
             keeps the CPU busy. The spread of the throughput is the standard deviation of what the \
             goroutines get done in each 100 ms, in per cent; that of the pauses is of all \
             collections, as runtime.MemStats tells them.",
    runs: Runs::Program,
    cpus: 1,
    only_on_hardware: None,
    seconds: 2.0,
    setups: &[
        Setup::new("base_slice_ns of 0.7 ms", COLLECTOR).environment(P2)
            .beside(Ordinary)
            .settings(&[(BASE_SLICE, "700000")]),
        Setup::new("base_slice_ns of 1.4 ms", COLLECTOR).environment(P2)
            .beside(Ordinary)
            .settings(&[(BASE_SLICE, "1400000")]),
        Setup::new("base_slice_ns of 3 ms", COLLECTOR).environment(P2)
            .beside(Ordinary)
            .settings(&[(BASE_SLICE, "3000000")]),
        Setup::new("base_slice_ns of 6 ms", COLLECTOR).environment(P2)
            .beside(Ordinary)
            .settings(&[(BASE_SLICE, "6000000")]),
        Setup::new("program at 40", COLLECTOR).environment(P2).beside(Ordinary).program(Go(40)),
        Setup::new("program at 50", COLLECTOR).environment(P2).beside(Ordinary).program(Go(50)),
        Setup::new("other at 8", COLLECTOR).environment(P2).beside(Go(8)),
        Setup::new("other at nice 19", COLLECTOR).environment(P2).beside(Nice(19)),
        Setup::new("other in SCHED_IDLE", COLLECTOR).environment(P2).beside(Idle),
        Setup::new("no autogroup", COLLECTOR).environment(P2).beside(Ordinary).settings(NO_AUTOGROUP),
    ],
    metrics: &[
        Metric::new("units_deviation_percent", "spread of the throughput", Percent),
        Metric::new("pause_deviation_ns", "spread of the pauses", Nanoseconds),
        Metric::new("p99_ns", "requests, p99", Nanoseconds),
        Metric::new("units_per_second", "units of work in a second", Number),
        Metric::new("collections_per_second", "collections in a second", Number),
    ],
    claims: &[
        Claim {
            words: "S11: a quarter of the slice cuts the spread of the throughput by 3.5 (18.7 -> 5.3 %)",
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
            over: Some("base_slice_ns of 3 ms"),
            rule: AtMost(1.0 / 3.8),
        },
        Claim {
            words: "So does raising the program to 50",
            setup: "program at 50",
            metric: "pause_deviation_ns",
            over: Some("base_slice_ns of 3 ms"),
            rule: AtMost(1.0 / 3.8),
        },
    ],
};

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

const SPIKES: Experiment = Experiment {
    name: "spikes",
    title: "spikes: whose the outliers of a server's latency are",
    question: "S9: of the spikes in the tail, 38 % are the kernel's scheduler's, and come in clusters. \
               How many are, and what helps?",
    method: "Requests of 200 us come each 2 or 5 ms, whether or not earlier ones are answered; a \
             goroutine allocates meanwhile, with two Ps. Another process keeps the CPU busy for 60 of \
             each 450 ms. gosched record records, and gosched spikes tells the causes of clusters of \
             latencies above P98: few are in a run of 2 s.",
    runs: Runs::Spikes,
    cpus: 1,
    only_on_hardware: None,
    seconds: 2.0,
    setups: &[
        Setup::new("500 requests a second", OPEN).environment(P2).beside(Ordinary),
        Setup::new("200 requests a second", OPEN_SLOW).environment(P2).beside(Ordinary),
        Setup::new("other at 8", OPEN).environment(P2).beside(Go(8)),
        Setup::new("requests' thread at 50", OPEN)
            .environment(P2)
            .beside(Ordinary)
            .waiter(Go(50)),
        Setup::new("goroutine at 8, hint", OPEN_HINT).beside(Ordinary),
        Setup::new("goroutine at 8, overlay", OPEN_OVERLAY).beside(Ordinary),
        Setup::new("other at nice 19", OPEN).environment(P2).beside(Nice(19)),
        Setup::new("other in SCHED_BATCH", OPEN).environment(P2).beside(Batch),
        Setup::new("other in SCHED_IDLE", OPEN).environment(P2).beside(Idle),
        Setup::new("other with uclamp 0", OPEN).environment(P2).beside(Uclamp),
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
        Metric::new("in_kernel_percent", "outliers that are the kernel's", Percent),
        Metric::new("p50_ns", "p50", Nanoseconds),
        Metric::new("p999_ns", "p99.9", Nanoseconds),
        Metric::new("in_runtime_percent", "that are the runtime's", Percent),
        Metric::new("in_clusters_percent", "in clusters", Percent),
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
            words: "S9: of the outliers, 38 % or more are the kernel's",
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

const BOTH: &[&str] = &[
    "-goroutines=2",
    "-work=allocate",
    "-request=compute",
    "-every=5ms",
];

const PREEMPTION: Experiment = Experiment {
    name: "preemption",
    title: "preemption: whose delay a goroutine's is",
    question: "S5: of one run, perf tells of a P95 of 4.2 ms until a thread runs, and Go's trace of \
               187 us until a goroutine does. What of a goroutine's delay is the kernel's?",
    method: "Two goroutines allocate, beside requests of 200 us each 5 ms. gosched record has the \
             kernel's events and the trace of Go's runtime by one clock; gosched timeline adds up, over \
             all goroutines that were ready, the time without a P, which is the runtime's, and with a \
             P whose thread has no CPU, or whose group has used up its quota, which are the kernel's. \
             Go's trace takes the latter two for running.",
    runs: Runs::Timeline,
    cpus: 2,
    only_on_hardware: None,
    seconds: 1.0,
    setups: &[
        Setup::new("nobody else", BOTH).environment(P2),
        Setup::new("4 Ps", BOTH).environment(P4),
        Setup::new("beside a busy process", BOTH).environment(P2).beside(Ordinary),
        Setup::new("beside it, 4 Ps", BOTH).environment(P4).beside(Ordinary),
        Setup::new("that process at 8", BOTH).environment(P2).beside(Go(8)),
        Setup::new("that process at nice 19", BOTH).environment(P2).beside(Nice(19)),
        Setup::new("that process in SCHED_IDLE", BOTH).environment(P2).beside(Idle),
        Setup::new("the program at 40", BOTH).environment(P2).beside(Ordinary).program(Go(40)),
        Setup::new("a quota of a CPU", BOTH).environment(P2).quota(WHOLE),
    ],
    metrics: &[
        Metric::new("kernel_percent", "the kernel's share of the delay", Percent),
        Metric::new("thread_p99_ns", "a thread waits for a CPU, p99", Nanoseconds),
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
        Claim {
            words: "S5: perf's P95 and Go's P95 of one run differ by 22 times",
            setup: "beside a busy process",
            metric: "thread_p99_ns",
            over: None,
            rule: NotHere("the two are of different things, and perf's command line is not valid"),
        },
    ],
};

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

const DRIFT: Experiment = Experiment {
    name: "drift",
    title: "drift: what a thread is owed, and what vruntime says",
    question: "S7: vruntime drifts by hundreds of ns for each ms under load, which tells of bad \
               scheduling. Does its growth say anything of what a thread is owed?",
    method: "A program beside a process that keeps the CPU busy: one that computes, one that allocates, \
             and a server of requests of 200 us each ms. gosched lag looks at the thread that ran most, \
             each 23 ms. vruntime grows by 1024/weight for each ns of CPU time, and the weight is \
             3,121 at nice -5 and 335 at nice 5: its growth is known without a look.",
    runs: Runs::Lag,
    cpus: 1,
    only_on_hardware: None,
    seconds: 2.0,
    setups: &[
        Setup::new("a hog", HOG).beside(Ordinary),
        Setup::new("a hog at nice 5", HOG).beside(Ordinary).program(Nice(5)),
        Setup::new("a hog at nice -5", HOG)
            .beside(Ordinary)
            .program(Nice(-5)),
        Setup::new("a hog at 28", HOG)
            .beside(Ordinary)
            .program(Go(28)),
        Setup::new("a hog at 40", HOG).beside(Ordinary).program(Go(40)),
        Setup::new("a collector", COLLECTING).beside(Ordinary),
        Setup::new("a server", SERVES).beside(Ordinary),
        Setup::new("a server at 40", SERVES).beside(Ordinary).program(Go(40)),
    ],
    metrics: &[
        Metric::new("lag_spread_ns", "lag, from lowest to highest", Nanoseconds),
        Metric::new("eligible_percent", "eligible when it waits", Percent),
        Metric::new("cpu_percent", "CPU", Percent),
        Metric::new("slice_ns", "slice", Nanoseconds),
    ],
    claims: &[
        Claim {
            words: "S7: vruntime of a hog at nice 5 grows 9 times as fast as at nice -5: its lag does \
                    so 3 times or more",
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

/// The switch of SMT.
const SMT_CONTROL: &str = "/sys/devices/system/cpu/smt/control";

const SMT: Experiment = Experiment {
    name: "smt",
    title: "smt: with and without hyperthreads",
    question: "S11: without SMT, a Go program's throughput and pauses spread less. Do they?",
    method: "Four goroutines allocate, with as many Ps as CPUs, beside requests of 200 us each 10 ms and \
             another process that keeps all CPUs busy, as in the experiment slice. SMT is switched in \
             smt/control. On a machine with hyperthreads, \"make lab EXPERIMENT=smt ON=host\" runs this \
             as root, and gives the machine its threads back at the end.",
    runs: Runs::Program,
    cpus: 4,
    only_on_hardware: Some(
        "the emulator runs one instruction at a time: the guest has the topology of hyperthreads, and \
         none takes anything from its sibling",
    ),
    seconds: 1.0,
    setups: &[
        Setup::new("SMT on", COLLECTOR).beside(Ordinary).settings(&[(SMT_CONTROL, "on")]),
        Setup::new("SMT off", COLLECTOR).beside(Ordinary).settings(&[(SMT_CONTROL, "off")]),
        Setup::new("SMT on, other at 8", COLLECTOR)
            .beside(Go(8))
            .settings(&[(SMT_CONTROL, "on")]),
    ],
    metrics: SLICE.metrics,
    claims: &[
        Claim {
            words: "S11: without SMT, the throughput spreads 3.5 times less",
            setup: "SMT off",
            metric: "units_deviation_percent",
            over: Some("SMT on"),
            rule: AtMost(1.0 / 3.5),
        },
        Claim {
            words: "S11: and the pauses do so 3.8 times less",
            setup: "SMT off",
            metric: "pause_deviation_ns",
            over: Some("SMT on"),
            rule: AtMost(1.0 / 3.8),
        },
    ],
};
