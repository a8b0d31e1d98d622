// SPDX-License-Identifier: GPL-2.0

//! The measurements of a run, as `report.json` keeps them. Nothing in it is derived:
//! what follows from the measurements is computed whenever it is shown.

use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use clap::ValueEnum;
use go_sched_bench_data::lab;
use go_sched_bench_data::lab::Experiment;
use go_sched_bench_data::Kernel;
use go_sched_bench_data::Record;
use serde::Deserialize;
use serde::Serialize;

/// Name of the file in the report's folder.
pub(crate) const FILE: &str = "report.json";
/// Name of the file of the lab's report beside it.
pub(crate) const LAB_FILE: &str = "lab.json";
/// Version of the file's layout. A version that an older program cannot read has a new
/// number.
const FORMAT: u32 = 2;

/// One part of the measurements: what one boot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// Paths through the scheduler of a kernel without the patches.
    PathsUnpatched,
    /// Paths with the patches, and no module loaded.
    PathsPatched,
    /// Paths with the module loaded: unmanaged, managed.
    PathsModule,
    /// Paths with a thread that follows a slot: beside the thread, managed by a hint.
    PathsHint,
    /// The cost of a change, by go_sched and by others.
    Changes,
    /// Costs that may depend on the number of managed threads.
    Scale,
    /// Times that others wait for lowered threads that spend their time in the kernel.
    Lowered,
    /// Times that a program in Go waits for its own goroutines, which compute.
    Goroutines,
    /// The same, which allocate.
    GoroutinesAllocating,
    /// Times that a program in Go takes to stop the world.
    GoroutinesStop,
    /// The cost of operations of Go's scheduler.
    GoroutineCosts,
    /// The cost of `gosched record`.
    Recorder,
    /// A server under load.
    Service,
    /// A server on one CPU beside another process that computes.
    ServiceOneCpu,
    /// The lab's experiment of this name, as the others below.
    Locks,
    /// Bursts of goroutines.
    Overflow,
    /// Quotas of control groups.
    Quota,
    /// Slices of the scheduler.
    Slice,
    /// Outliers of a server's latency.
    Spikes,
    /// Delays of goroutines.
    Preemption,
    /// What threads are owed.
    Drift,
    /// Hyperthreads.
    Smt,
}

impl Part {
    /// Returns the part's title.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::PathsUnpatched => "hot path, unpatched kernel",
            Self::PathsPatched => "hot path, patched kernel without the module",
            Self::PathsModule => "hot path, module loaded",
            Self::PathsHint => "hot path, hints in use",
            Self::Changes => "cost of a change",
            Self::Scale => "growth with the number of threads",
            Self::Lowered => "waiting for lowered threads",
            Self::Goroutines => "waiting for goroutines",
            Self::GoroutinesAllocating => "waiting for goroutines that allocate",
            Self::GoroutinesStop => "stopping goroutines",
            Self::GoroutineCosts => "cost of goroutines",
            Self::Recorder => "cost of gosched record",
            Self::Service => "server under load",
            Self::ServiceOneCpu => "server under load, one CPU",
            Self::Locks
            | Self::Overflow
            | Self::Quota
            | Self::Slice
            | Self::Spikes
            | Self::Preemption
            | Self::Drift
            | Self::Smt => self.experiment().map_or("", |experiment| experiment.title),
        }
    }

    /// Returns the experiment that the part is, if it is one of the lab's.
    pub(crate) fn experiment(self) -> Option<&'static Experiment> {
        lab::find(self.to_possible_value()?.get_name())
    }
}

/// The place of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    /// A guest, with the kernels that the Makefile builds.
    Guest,
    /// This machine, with the kernel it runs.
    Host,
}

/// The meaning of a figure's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// Instructions, which QEMU counts: a nanosecond of the guest's clock is one.
    Instructions,
    /// Time of an emulated machine: only ratios within the boot mean something.
    Ratio,
    /// Time of real hardware.
    WallClock,
}

impl Method {
    /// Returns the label of a figure.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Instructions => "instructions (icount)",
            Self::Ratio => "ratio within one boot",
            Self::WallClock => "wall clock",
        }
    }

    /// Returns a short label, for where there is little room.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Ratio => "ratio",
            Self::WallClock => "wall clock",
        }
    }

    /// Returns the unit that a nanosecond of the clock is.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Ratio => "emulated ns",
            Self::WallClock => "ns",
        }
    }
}

/// One run of the program that measures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Boot {
    /// The part that the boot measures.
    pub(crate) part: Part,
    /// The version measured, as `git describe` names it.
    pub(crate) tree: Option<String>,
    /// The meaning of the boot's numbers.
    pub(crate) method: Method,
    /// The command that starts the boot.
    pub(crate) command: String,
    /// Seconds of wall clock, the guest's start included.
    pub(crate) seconds: f64,
    /// Remarks of the program that measures, a line each.
    pub(crate) notes: Vec<String>,
    /// The reason why the records do not count, if so.
    pub(crate) failure: Option<String>,
    /// The records of the measurements.
    pub(crate) records: Vec<Record>,
}

impl Boot {
    /// Returns the kernel of the boot.
    pub(crate) fn kernel(&self) -> Option<&Kernel> {
        self.records.iter().find_map(|record| match record {
            Record::Kernel(kernel) => Some(kernel),
            _ => None,
        })
    }
}

/// A part that was not measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Missing {
    /// The part that was not measured.
    pub(crate) part: Part,
    /// The reason why the part was not measured.
    pub(crate) why: String,
    /// The command that measures the part.
    pub(crate) command: String,
}

/// The machine that this program ran on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Model of the CPUs.
    pub(crate) cpu: String,
    /// Number of CPUs.
    pub(crate) cpus: usize,
    /// Release of the machine's kernel.
    pub(crate) kernel: String,
    /// First line of `qemu-system-x86_64 --version`.
    pub(crate) qemu: Option<String>,
}

/// All measurements of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Version of the file's layout, [`FORMAT`].
    pub(crate) format: u32,
    /// Start of the run, in the format of RFC 3339.
    pub(crate) started: String,
    /// Seconds of wall clock that the whole run took.
    pub(crate) seconds: f64,
    /// True if the run had few repeats and was short.
    pub(crate) quick: bool,
    /// The version measured last, as `git describe` names it.
    pub(crate) tree: Option<String>,
    /// The place of the measurements.
    pub(crate) place: Place,
    /// The machine that started the boots.
    pub(crate) machine: Machine,
    /// The runs of the program that measures.
    pub(crate) boots: Vec<Boot>,
    /// The parts that were not measured.
    pub(crate) missing: Vec<Missing>,
}

impl Report {
    /// Returns a report without any measurements.
    pub(crate) fn new(started: String, quick: bool, place: Place) -> Self {
        Self {
            format: FORMAT,
            started,
            seconds: 0.0,
            quick,
            tree: None,
            place,
            machine: Machine::default(),
            boots: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Reads `report.json` of a folder, or `lab.json`.
    pub(crate) fn read(directory: &Path, file: &str) -> Result<Self> {
        let path = directory.join(file);
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "{} cannot be read; \"make {}\" writes it",
                path.display(),
                if file == FILE { "bench" } else { "lab" }
            )
        })?;
        let report: Self =
            serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        anyhow::ensure!(
            report.format == FORMAT,
            "{} has format {}, this program reads {FORMAT}",
            path.display(),
            report.format
        );
        Ok(report)
    }

    /// Writes `report.json` into a folder, or `lab.json`.
    pub(crate) fn write(&self, directory: &Path, file: &str) -> Result<()> {
        let path = directory.join(file);
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| path.display().to_string())
    }

    /// Fails unless figures of the other can stand beside this report's. The kernel may
    /// be another: that is what reports are added up for, on real hardware. So may the
    /// version of go_sched: the report says of which one each part is. If all of both is
    /// emulated, the machine has no part in any figure.
    pub(crate) fn check_same(&self, other: &Self, emulated: bool) -> Result<()> {
        let wall_clock = |boot: &Boot| boot.method == Method::WallClock;
        let emulated = emulated && !other.boots.iter().any(wall_clock);
        let conditions = |report: &Self| {
            let machine = &report.machine;
            let place = format!("{:?}", report.place).to_lowercase();
            let extent = if report.quick { "quick" } else { "full" };
            let machine = if emulated {
                String::new()
            } else {
                format!(", {} CPUs, {}", machine.cpus, machine.cpu)
            };
            format!("{extent}, on {place}{machine}")
        };
        let (own, others) = (conditions(self), conditions(other));
        anyhow::ensure!(
            own == others,
            "this run does not go with the report there is: {own} with {others}"
        );
        Ok(())
    }

    /// Returns the boots whose records count.
    pub(crate) fn good_boots(&self) -> impl Iterator<Item = &Boot> {
        self.boots.iter().filter(|boot| boot.failure.is_none())
    }

    /// Returns the boot of a part, if its records count.
    pub(crate) fn boot(&self, part: Part) -> Option<&Boot> {
        self.good_boots().find(|boot| boot.part == part)
    }

    /// Returns the version measured, or the versions and what is of which.
    pub(crate) fn trees(&self) -> String {
        let name = |tree: &Option<String>| tree.clone().unwrap_or("unknown version".to_owned());
        let mut groups: Vec<(&Option<String>, Vec<&str>)> = Vec::new();
        for boot in &self.boots {
            let title = boot.part.title();
            match groups.iter_mut().find(|(tree, _)| **tree == boot.tree) {
                Some((_, titles)) => titles.push(title),
                None => groups.push((&boot.tree, vec![title])),
            }
        }
        groups.sort_by_key(|(_, titles)| titles.len());
        match groups.split_last() {
            None => name(&self.tree),
            Some(((tree, _), [])) => name(tree),
            Some(((most, _), others)) => {
                let of = |(tree, titles): &(&Option<String>, Vec<&str>)| {
                    format!("{} for {}", name(tree), titles.join(" and "))
                };
                let others: Vec<_> = others.iter().map(of).collect();
                format!("{}, {} for all else", others.join(", "), name(most))
            }
        }
    }

    /// Returns the meaning of most boots' numbers, for the heading.
    pub(crate) fn conditions(&self) -> &'static str {
        let real = self
            .boots
            .iter()
            .any(|boot| boot.method == Method::WallClock);
        match (self.place, real) {
            (Place::Host, _) => {
                "Measured in the kernel that this machine runs: all times are wall clock."
            }
            (Place::Guest, true) => {
                "Measured in a virtual machine on this machine's CPUs (KVM): all times are wall clock."
            }
            (Place::Guest, false) => {
                "An emulated machine (QEMU TCG): instructions are counted exactly, and times are \
                 good for ratios within one boot only. What real hardware shows, these figures \
                 do not say."
            }
        }
    }
}
