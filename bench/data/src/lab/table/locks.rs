// SPDX-License-Identifier: GPL-2.0

//! Locks of the kernel.

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
use crate::lab::Standing::IdleGroup;
use crate::lab::Standing::Nice;
use crate::lab::Standing::RoundRobin;
use crate::lab::Standing::Weight;
use crate::lab::Unit::Nanoseconds;
use crate::lab::Unit::Number;

pub(super) const LOCKS: Experiment = Experiment {
    name: "locks",
    title: "locks: what lowered members of a server cost the others",
    question: "A thread at 50 maps memory, and so do its siblings: the kernel has one lock for \
               the memory of a process. What does the thread pay if the siblings are lowered, \
               and to which level may they be?",
    method: "Three siblings map 256 KiB, touch and unmap them, without end; the thread does \
               so with 64 KiB, and rests for 5 ms after each time. Another process keeps the \
               CPU busy, so that who is lowered waits. The time is that of the thread's calls, \
               by the guest's clock.",
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
