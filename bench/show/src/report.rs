// SPDX-License-Identifier: GPL-2.0

//! The measurements of a run, as `report.json` keeps them. Nothing in it is derived:
//! what follows from the measurements is computed whenever it is shown.

use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use clap::ValueEnum;
use go_sched_bench_data::Kernel;
use go_sched_bench_data::Record;
use serde::Deserialize;
use serde::Serialize;

/// Name of the file in the report's folder.
pub(crate) const FILE: &str = "report.json";
/// Changed when a report can no longer be read by an older program.
const FORMAT: u32 = 2;

/// One part of the measurements: what one boot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// Paths through the scheduler of a kernel without the patches.
    PathsUnpatched,
    /// The same with the patches, and no module loaded.
    PathsPatched,
    /// The same with the module loaded: unmanaged, managed.
    PathsModule,
    /// The same with a thread that follows a slot: beside it, managed by a hint.
    PathsHint,
    /// What a change costs, by go_sched and by others.
    Changes,
    /// What depends on the number of managed threads.
    Scale,
    /// Who waits for lowered threads that live in the kernel.
    Lowered,
    /// A server under load.
    Service,
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
            Self::Service => "server under load",
        }
    }
}

/// Where the measurements run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    /// In a guest, with the kernels that the Makefile builds.
    Guest,
    /// On this machine, with the kernel it runs.
    Host,
}

/// What a figure's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// QEMU counts the instructions: a nanosecond of the guest's clock is one.
    Instructions,
    /// Time of an emulated machine: only ratios within the boot mean something.
    Ratio,
    /// Time of real hardware.
    WallClock,
}

impl Method {
    /// For whoever reads a figure.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Instructions => "instructions (icount)",
            Self::Ratio => "ratio within one boot",
            Self::WallClock => "wall clock",
        }
    }

    /// The same where there is little room.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Ratio => "ratio",
            Self::WallClock => "wall clock",
        }
    }

    /// What a nanosecond of the clock is.
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
    /// What it is for.
    pub(crate) part: Part,
    /// What was measured, as `git describe` names it.
    pub(crate) tree: Option<String>,
    /// What its numbers are.
    pub(crate) method: Method,
    /// As it could be typed.
    pub(crate) command: String,
    /// Wall clock, boot included.
    pub(crate) seconds: f64,
    /// What it said besides, a line each.
    pub(crate) notes: Vec<String>,
    /// Why its records do not count, if they do not.
    pub(crate) failure: Option<String>,
    /// What it measured.
    pub(crate) records: Vec<Record>,
}

impl Boot {
    /// The kernel it ran on.
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
    /// What was not measured.
    pub(crate) part: Part,
    /// Why not.
    pub(crate) why: String,
    /// The command that measures it.
    pub(crate) command: String,
}

/// The machine this program ran on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Model of its CPUs.
    pub(crate) cpu: String,
    /// How many there are.
    pub(crate) cpus: usize,
    /// Its kernel's release.
    pub(crate) kernel: String,
    /// The first line of what QEMU says of its version.
    pub(crate) qemu: Option<String>,
}

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// When the run started, as RFC 3339 has it.
    pub(crate) started: String,
    /// How long the whole run took, wall clock.
    pub(crate) seconds: f64,
    /// Whether it had few repeats and short runs.
    pub(crate) quick: bool,
    /// What was measured last, as `git describe` names it.
    pub(crate) tree: Option<String>,
    /// Where it ran.
    pub(crate) place: Place,
    /// On what.
    pub(crate) machine: Machine,
    /// The runs of the program that measures.
    pub(crate) boots: Vec<Boot>,
    /// The parts that were not measured.
    pub(crate) missing: Vec<Missing>,
}

impl Report {
    /// One without any measurements.
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

    /// Reads `report.json` of a folder.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "{} cannot be read; \"make bench\" writes it",
                path.display()
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

    /// Writes `report.json` into a folder.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| path.display().to_string())
    }

    /// Whether figures of the other can stand beside this one's. The kernel may be
    /// another: that is what reports are added up for, on real hardware. So may the
    /// version of go_sched: the report says of which one each part is.
    pub(crate) fn check_same(&self, other: &Self) -> Result<()> {
        let conditions = |report: &Self| {
            let machine = &report.machine;
            let place = format!("{:?}", report.place).to_lowercase();
            format!(
                "{}, on {place}, {} CPUs, {}",
                if report.quick { "quick" } else { "full" },
                machine.cpus,
                machine.cpu,
            )
        };
        let (own, others) = (conditions(self), conditions(other));
        anyhow::ensure!(
            own == others,
            "this run does not go with the report there is: {own} with {others}"
        );
        Ok(())
    }

    /// The boots whose records count.
    pub(crate) fn good_boots(&self) -> impl Iterator<Item = &Boot> {
        self.boots.iter().filter(|boot| boot.failure.is_none())
    }

    /// The boot of a part, if its records count.
    pub(crate) fn boot(&self, part: Part) -> Option<&Boot> {
        self.good_boots().find(|boot| boot.part == part)
    }

    /// What was measured, and of which parts it was an older version.
    pub(crate) fn trees(&self) -> String {
        let name = |tree: &Option<String>| tree.clone().unwrap_or("unknown version".to_owned());
        let mut words = name(&self.tree);
        for boot in &self.boots {
            if boot.tree != self.tree {
                words += &format!("; {}: {}", boot.part.title(), name(&boot.tree));
            }
        }
        words
    }

    /// What the numbers of most boots are, for the heading.
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
