// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::path::PathBuf;

use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use crate::report::Part;
use crate::report::Place;

/// Measure what go_sched costs and what it buys, and report it: as report.json, as a short table,
/// and as a page with plots.
///
/// Started by "make bench", which builds what this needs.
#[derive(Debug, Parser)]
#[command(
    name = "go_sched_bench",
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0, or 1 if a measurement could not be made that should have been. \
                  Figures never decide it."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) bench: Bench,
}

/// The other commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draw the page: index.html with the plots, and report.json beside it
    Page {
        /// Folder of the report
        #[arg(long, value_name = "DIR", default_value = "bench/report")]
        report: PathBuf,
        /// Folder to write the page to
        into: PathBuf,
    },
    /// Put the report's tables between the markers of a README, as "<!-- bench -->" and
    /// "<!-- /bench -->", and draw its picture into the folder of the report
    Readme {
        /// Folder of the report
        #[arg(long, value_name = "DIR", default_value = "bench/report")]
        report: PathBuf,
        /// Check only that both are as the report says
        #[arg(long)]
        check: bool,
        /// The README
        file: PathBuf,
    },
}

/// The way in which QEMU runs the guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Accelerator {
    /// Run on this machine's CPU: times are those of real hardware
    Kvm,
    /// Emulate: instructions are counted
    Tcg,
}

/// The measurements to make.
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// Run the experiments of the lab, and not the benchmarks
    #[arg(long)]
    pub(crate) lab: bool,
    /// Few repeats and short runs
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure in guests, or in the kernel that this machine runs (as root)
    #[arg(long, value_enum, default_value = "guest")]
    pub(crate) on: Place,
    /// Way in which QEMU runs the guests
    #[arg(long, value_enum, env = "GO_SCHED_ACCEL", default_value = "tcg")]
    pub(crate) accel: Accelerator,
    /// Measure these parts only; may be repeated
    #[arg(long, value_enum, value_name = "PART")]
    pub(crate) only: Vec<Part>,
    /// Keep what the report in the folder has of the other parts
    #[arg(long)]
    pub(crate) add: bool,
    /// Folder to write the report to
    #[arg(long, value_name = "DIR", default_value = "bench/report")]
    pub(crate) report: PathBuf,
    /// Draw the page as well, into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) page: Option<PathBuf>,
    /// The clone of go_sched
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) tree: PathBuf,
    /// Folder where everything is built
    #[arg(long, value_name = "DIR", env = "GO_SCHED_CACHE")]
    pub(crate) cache: Option<PathBuf>,
    /// The program that measures, static: go_sched_bench_guest
    #[arg(long, value_name = "FILE")]
    pub(crate) guest_program: Option<PathBuf>,
    /// Files for the guest; on this machine, their folder "bin" comes first in PATH. May
    /// be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) overlay: Vec<PathBuf>,
    /// CPUs of the guest with the server
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) service_cpus: u8,
    /// Have that guest's time follow its instructions, 2^SHIFT ns each
    #[arg(long, value_name = "SHIFT")]
    pub(crate) service_icount: Option<u8>,
    /// Runs of the server in each combination; default: 3, with --quick 1
    #[arg(long, value_name = "N")]
    pub(crate) service_repeats: Option<u32>,
    /// Length of each run of the server, in seconds; default: 8, with --quick 0.8
    #[arg(long, value_name = "SECONDS")]
    pub(crate) service_seconds: Option<f64>,
    /// Seconds until a guest is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(crate) timeout: u64,
}
