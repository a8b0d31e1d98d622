// SPDX-License-Identifier: GPL-2.0

//! Measures in the kernel it runs on, and prints what it found as lines of JSON; see
//! `--help`.
//!
//! What a figure means is the host's business: it knows whether this clock counts
//! time or instructions.

mod changes;
mod goroutines;
mod kernel;
mod lab;
mod lowered;
mod memory;
mod output;
mod paths;
mod ping_pong;
mod recorder;
mod sample;
mod scale;
mod service;
mod setup;
mod sleepers;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use clap::Subcommand;
use go_sched_bench_data::Record;

/// Measure what go_sched costs and what it buys, in the kernel this runs on.
///
/// Runs as root, and prints one line of JSON for the kernel and one for each figure.
/// Standard error has the progress.
#[derive(Debug, Parser)]
#[command(name = "go_sched_bench_guest")]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

/// The part to measure.
#[derive(Debug, Subcommand)]
enum Part {
    /// Measure the cost of paths through the scheduler
    Paths(paths::Arguments),
    /// Measure one path once, in a process of its own
    #[command(hide = true)]
    Once(paths::OnceArguments),
    /// Measure the cost of a change of a thread's scheduling, by each interface
    Changes(changes::Arguments),
    /// Measure the costs that may depend on the number of managed threads
    Scale(scale::Arguments),
    /// Measure how long others wait for lowered threads that spend their time in the
    /// kernel
    Lowered(lowered::Arguments),
    /// Measure how long a program in Go waits for its own goroutines
    Goroutines(goroutines::Arguments),
    /// Measure the cost of operations of Go's scheduler
    GoroutineCosts(goroutines::CostArguments),
    /// Measure what "gosched record" costs
    Recorder(recorder::Arguments),
    /// Measure a server beside competition
    Service(service::Arguments),
    /// Run an experiment of the lab
    Lab(lab::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let is_own_child = matches!(arguments.part, Part::Once(_));
    let Err(error) = run(&arguments, is_own_child) else {
        return ExitCode::SUCCESS;
    };
    let why = format!("{error:#}");
    eprintln!("go_sched_bench_guest: {why}");
    if !is_own_child {
        // Standard output may be what failed.
        let _ = output::print(Record::Failure { why });
    }
    ExitCode::FAILURE
}

fn run(arguments: &Arguments, is_own_child: bool) -> Result<()> {
    if !is_own_child {
        output::print(kernel::describe()?)?;
    }
    match &arguments.part {
        Part::Paths(arguments) => paths::run(arguments),
        Part::Once(arguments) => paths::run_once(arguments),
        Part::Changes(arguments) => changes::run(arguments),
        Part::Scale(arguments) => scale::run(arguments),
        Part::Lowered(arguments) => lowered::run(arguments),
        Part::Goroutines(arguments) => goroutines::run(arguments),
        Part::GoroutineCosts(arguments) => goroutines::run_costs(arguments),
        Part::Recorder(arguments) => recorder::run(arguments),
        Part::Service(arguments) => service::run(arguments),
        Part::Lab(arguments) => lab::run(arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
