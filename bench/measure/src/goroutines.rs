// SPDX-License-Identifier: GPL-2.0

//! Measures how long a program in Go waits for its own goroutines, and what the scheduler
//! of Go's runtime costs: with the runtime as it is, and with the overlay of gosched-overlay.

use std::hint::black_box;
use std::mem::forget;
use std::process::Command;
use std::thread;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use common::child::Child;
use go_sched_bench_data::GoOperation;
use go_sched_bench_data::Outcome;
use go_sched_bench_data::Remedy;
use go_sched_bench_data::Runtime;
use go_sched_bench_data::Subject;
use go_sched_bench_data::Wait;
use serde::de::DeserializeOwned;
use serde::Deserialize;
use strum::VariantArray;

use crate::output;

/// The program, in `PATH`.
pub(crate) const PLAIN: &str = "go_sched_bench_goroutines_plain";
/// The program built with the overlay.
pub(crate) const OVERLAY: &str = "go_sched_bench_goroutines_overlay";
/// What the overlay says on standard error, with `GOSCHED_DEBUG=1`, if threads follow their
/// goroutines.
const FOLLOWS: &str = "threads follow their goroutines by /dev/go_sched";

/// The command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure once and shortly
    #[arg(long)]
    quick: bool,
    /// Measure this wait only; may be repeated
    #[arg(long)]
    wait: Vec<Wait>,
    /// Measure with this remedy only; may be repeated
    #[arg(long)]
    remedy: Vec<Remedy>,
}

/// The command line of the costs.
#[derive(Debug, clap::Args)]
pub(crate) struct CostArguments {
    /// Measure once
    #[arg(long)]
    quick: bool,
}

/// The program's answer about a wait.
#[derive(Debug, Deserialize)]
struct Waited {
    go: String,
    p50_ns: f64,
    p99_ns: f64,
    max_ns: f64,
    units_per_second: f64,
    collections_per_second: f64,
}

/// The program's answer about a cost.
#[derive(Debug, Deserialize)]
struct Cost {
    go: String,
    cost_ns: f64,
}

/// Measures all remedies in turn, so that a change of the machine's mood hits all of them.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let waits = if arguments.wait.is_empty() {
        Wait::VARIANTS
    } else {
        &arguments.wait
    };
    let mut go = None;
    for &wait in waits {
        let chosen =
            |remedy: &&Remedy| arguments.remedy.is_empty() || arguments.remedy.contains(remedy);
        let remedies = Remedy::VARIANTS.iter().filter(chosen);
        let mut results: Vec<_> = remedies
            .filter(|remedy| applies(wait, **remedy))
            .map(|remedy| (*remedy, Vec::new()))
            .collect();
        for repeat in 0..if arguments.quick { 1 } else { 5 } {
            for (remedy, of_remedy) in &mut results {
                let waited = measure(wait, *remedy, arguments.quick)
                    .with_context(|| format!("{wait}, {remedy}"))?;
                eprintln!("{wait}, {remedy}, repeat {repeat}: {waited:?}");
                go.get_or_insert_with(|| waited.go.clone());
                of_remedy.push(waited);
            }
        }
        for (remedy, of_remedy) in results {
            for &outcome in Outcome::VARIANTS {
                let subject = Subject::Goroutines {
                    wait,
                    remedy,
                    outcome,
                };
                let values = of_remedy.iter().map(|waited| waited.get(outcome));
                output::figure(subject, values.collect())?;
            }
        }
    }
    note(go)
}

impl Waited {
    fn get(&self, outcome: Outcome) -> f64 {
        match outcome {
            Outcome::P50 => self.p50_ns,
            Outcome::P99 => self.p99_ns,
            Outcome::Max => self.max_ns,
            Outcome::Background => self.units_per_second,
            Outcome::Collections => self.collections_per_second,
        }
    }
}

fn note(go: Option<String>) -> Result<()> {
    let go = go.context("nothing was measured")?;
    output::note(format!("the programs were built with {go}"))
}

/// Says whether a remedy is one for a wait.
fn applies(wait: Wait, remedy: Remedy) -> bool {
    // The server's goroutines run on any thread.
    (wait, remedy) != (Wait::Http, Remedy::RoundRobin)
}

fn measure(wait: Wait, remedy: Remedy, quick: bool) -> Result<Waited> {
    let (goroutines, work, request) = match wait {
        Wait::Computing4 => ("4", "compute", "compute"),
        Wait::Computing16 => ("16", "compute", "compute"),
        Wait::Allocating4 => ("4", "allocate", "compute"),
        Wait::Allocating16 => ("16", "allocate", "compute"),
        Wait::GcPressure => ("4", "allocate", "allocate"),
        Wait::Http => ("4", "gzip", "http"),
        Wait::Stop | Wait::StopBesideProcess => ("4", "allocate", "stop"),
    };
    // Beside plain goroutines, a server of net/http takes some 70 ms for a request.
    let (every, length) = match (wait, quick) {
        (Wait::Http, false) => ("100ms", "5s"),
        (Wait::Http, true) => ("100ms", "1s"),
        (_, false) => ("5ms", "1500ms"),
        (_, true) => ("5ms", "500ms"),
    };
    let name = match remedy {
        Remedy::Nothing => "nothing",
        Remedy::MorePs => "more Ps",
        Remedy::Set => "SET",
        Remedy::Hint => "hint",
        Remedy::Idle => "SCHED_IDLE",
        Remedy::RoundRobin => "chrt -r",
        Remedy::Overlay | Remedy::GoSched => "go_sched",
    };
    let _busy = (wait == Wait::StopBesideProcess).then(|| busy_process(|| ()));
    let runtime = match remedy {
        Remedy::Overlay => Runtime::Overlay,
        Remedy::GoSched => Runtime::GoSched,
        _ => Runtime::Plain,
    };
    let mut command = program(runtime);
    command.args(["-goroutines", goroutines, "-work", work]);
    command.args(["-request", request, "-remedy", name]);
    command.args(["-every", every, "-for", length]);
    answer(command, runtime)
}

/// Starts a process that keeps all CPUs busy, until the drop. `begin` runs first on its threads.
pub(crate) fn busy_process(begin: impl Fn() + Copy + Send + 'static) -> Child {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    Child::sleeping(|| {
        for _ in 0..cpus {
            forget(thread::spawn(move || {
                begin();
                loop {
                    black_box(0);
                }
            }));
        }
    })
}

/// Measures all runtimes in turn.
pub(crate) fn run_costs(arguments: &CostArguments) -> Result<()> {
    let mut go = None;
    for &operation in GoOperation::VARIANTS {
        let mut results: Vec<_> = Runtime::VARIANTS
            .iter()
            .map(|runtime| (*runtime, Vec::new()))
            .collect();
        for _ in 0..if arguments.quick { 1 } else { 5 } {
            for (runtime, of_runtime) in &mut results {
                let cost = measure_cost(operation, *runtime)
                    .with_context(|| format!("{operation}, {runtime}"))?;
                go.get_or_insert(cost.go);
                of_runtime.push(cost.cost_ns);
            }
        }
        for (runtime, of_runtime) in results {
            output::figure(Subject::GoCost { operation, runtime }, of_runtime)?;
        }
    }
    note(go)
}

fn measure_cost(operation: GoOperation, runtime: Runtime) -> Result<Cost> {
    let name = match operation {
        GoOperation::Switch => "switch",
        GoOperation::Gosched => "gosched",
        GoOperation::Go => "go",
        GoOperation::Program => "program",
    };
    let mut command = program(runtime);
    command.args(["-cost", name]);
    if matches!(runtime, Runtime::OverlayLowered | Runtime::GoSchedLowered) {
        command.arg("-lowered");
    }
    answer(command, runtime)
}

/// Has a command that runs the plain program measure a switch between goroutines, and returns
/// nanoseconds.
pub(crate) fn switch(mut command: Command) -> Result<f64> {
    command.args(["-cost", "switch"]);
    answer(command, Runtime::Plain).map(|cost: Cost| cost.cost_ns)
}

fn program(runtime: Runtime) -> Command {
    let mut command = Command::new(if runtime == Runtime::Plain {
        PLAIN
    } else {
        OVERLAY
    });
    if matches!(runtime, Runtime::Overlay | Runtime::OverlayLowered) {
        command.env("GOSCHED_DEVICE", "off");
    }
    command.env("GOSCHED_DEBUG", "1");
    command
}

/// Runs the program and returns its answer. Fails if threads do not follow their goroutines
/// where they shall.
fn answer<T: DeserializeOwned>(mut command: Command, runtime: Runtime) -> Result<T> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| name.clone())?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {errors}");
    if matches!(runtime, Runtime::GoSched | Runtime::GoSchedLowered) {
        ensure!(errors.contains(FOLLOWS), "{name} has no device: {errors}");
    }
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{name} printed {}", String::from_utf8_lossy(&output.stdout)))
}
