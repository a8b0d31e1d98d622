// SPDX-License-Identifier: GPL-2.0

//! Hyperthreads.

use super::COLLECTOR;
use super::SLICE;
use crate::lab::Claim;
use crate::lab::Experiment;
use crate::lab::Rule::AtMost;
use crate::lab::Runs;
use crate::lab::Setup;
use crate::lab::Standing::Go;
use crate::lab::Standing::Ordinary;

/// The switch of SMT.
const SMT_CONTROL: &str = "/sys/devices/system/cpu/smt/control";

pub(super) const SMT: Experiment = Experiment {
    name: "smt",
    title: "smt: with and without hyperthreads",
    question: "S11: without SMT, a Go program's throughput and pauses spread less. Do they?",
    method: "Four goroutines allocate, with as many Ps as CPUs, beside requests of 200 us \
               each 10 ms and another process that keeps all CPUs busy, as in the experiment \
               slice. SMT is switched in smt/control. On a machine with hyperthreads, \"make \
               lab EXPERIMENT=smt ON=host\" runs this as root, and gives the machine its \
               threads back at the end.",
    runs: Runs::Program,
    cpus: 4,
    only_on_hardware: Some(
        "the emulator runs one instruction at a time: the guest has the topology of \
         hyperthreads, and none takes anything from its sibling",
    ),
    seconds: 1.0,
    setups: &[
        Setup::new("SMT on", COLLECTOR)
            .beside(Ordinary)
            .settings(&[(SMT_CONTROL, "on")]),
        Setup::new("SMT off", COLLECTOR)
            .beside(Ordinary)
            .settings(&[(SMT_CONTROL, "off")]),
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
