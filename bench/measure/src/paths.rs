// SPDX-License-Identifier: GPL-2.0

//! Measures the cost of paths through the scheduler, in each setup of go_sched.

use std::io::ErrorKind;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use common::hint::be_scheduled;
use go_sched_bench_data::Path;
use go_sched_bench_data::Setup;
use go_sched_bench_data::Subject;
use gosched::Children;
use nix::sched::clone;
use nix::sched::CloneFlags;
use nix::unistd::fork;
use nix::unistd::ForkResult;
use rustix::process::waitpid;
use rustix::process::Pid;
use rustix::process::WaitOptions;
use strum::VariantArray;

use crate::output;
use crate::ping_pong;
use crate::sample::empty_sample;
use crate::sample::median;
use crate::sample::nanoseconds;
use crate::sample::per_operation;
use crate::sample::pin;
use crate::sample::Effort;
use crate::setup::check;
use crate::setup::prepare;
use crate::setup::Follower;

/// Calls of `sched_yield(2)` in a sample.
const YIELDS: u32 = 32;

/// A gap in the clock is a tick if it is this many times as long as the usual one.
const GAP: u32 = 8;

/// Time to wait for ticks, which come at least every 10 ms.
const TICK_DEADLINE: Duration = Duration::from_secs(10);

/// Bytes of stack for a process that ends at once.
const STACK: usize = 16 << 10;

const HACKBENCH: &str = "hackbench";

/// The command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Setup of go_sched; the kernel must be one that allows for it
    #[arg(long, required = true, num_args = 1.., value_name = "SETUP")]
    setup: Vec<Setup>,
    /// Measure less
    #[arg(long)]
    quick: bool,
}

/// The command line of a process that makes one measurement.
#[derive(Debug, clap::Args)]
pub(crate) struct OnceArguments {
    setup: Setup,
    operation: Path,
    #[arg(long)]
    quick: bool,
}

/// Measures in a thread that has entered no setup yet, and returns nanoseconds.
type Measure = fn(Setup, Effort) -> Result<f64>;

fn measure(operation: Path) -> Measure {
    match operation {
        Path::PipeRoundTrip => ping_pong::by_pipe,
        Path::FutexRoundTrip => ping_pong::by_futex,
        Path::SchedYield => sched_yield,
        Path::ForkExit => fork_exit,
        Path::VforkExit => vfork_exit,
        Path::Hackbench => hackbench,
        Path::Tick => tick,
    }
}

/// Measures, and prints the figures.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    for setup in &arguments.setup {
        check(*setup)?;
    }
    let _follower = Follower::of(&arguments.setup);
    let repeats = Effort::new(arguments.quick).repeats;
    for &operation in Path::VARIANTS {
        let mut figures = Vec::new();
        for &setup in &arguments.setup {
            match obstacle(operation, setup) {
                None => figures.push((setup, Vec::new())),
                Some(why) => output::omit(Subject::Path { operation, setup }, why)?,
            }
        }
        // In turn, so that what changes while this runs meets all setups alike.
        for _ in 0..repeats {
            for (setup, results) in &mut figures {
                results.push(measure_in_new_process(operation, *setup, arguments.quick)?);
            }
        }
        for (setup, results) in figures {
            output::figure(Subject::Path { operation, setup }, results)?;
        }
    }
    Ok(())
}

/// Measures once, and prints the nanoseconds alone.
pub(crate) fn run_once(arguments: &OnceArguments) -> Result<()> {
    pin()?;
    let effort = Effort::new(arguments.quick);
    let time = measure(arguments.operation)(arguments.setup, effort)?;
    println!("{time}");
    Ok(())
}

/// Returns why there is nothing to measure, if there is not.
fn obstacle(operation: Path, setup: Setup) -> Option<&'static str> {
    if operation != Path::Hackbench {
        None
    } else if setup == Setup::Hint {
        Some("nothing inherits a slot")
    } else if let Err(ErrorKind::NotFound) = look_for_hackbench() {
        Some("there is no such program; Debian has it in rt-tests")
    } else {
        None
    }
}

/// Measures in a process that has done nothing else, because what a process has done
/// shows in its memory, and that in what it takes to fork it. Where that memory lies
/// does so too, and differs from process to process: it is in the spread.
fn measure_in_new_process(operation: Path, setup: Setup, quick: bool) -> Result<f64> {
    let mut command = Command::new("/proc/self/exe");
    in_new_process(&mut command, operation, setup, quick);
    time_of(&mut command).with_context(|| format!("{operation}, {setup}"))
}

/// Has a command that runs this program measure once.
pub(crate) fn in_new_process(command: &mut Command, operation: Path, setup: Setup, quick: bool) {
    command.args(["once", &setup.to_string(), &operation.to_string()]);
    if quick {
        command.arg("--quick");
    }
}

/// Runs a command that measures once, and returns nanoseconds.
pub(crate) fn time_of(command: &mut Command) -> Result<f64> {
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{}", output.status);
    let text = String::from_utf8(output.stdout)?;
    text.trim().parse().context("it prints a number")
}

/// Yields where nobody else wants the CPU.
fn sched_yield(setup: Setup, effort: Effort) -> Result<f64> {
    prepare(setup)?.enter(0, Children::StartAtBase)?;
    per_operation(effort.samples, YIELDS, || {
        be_scheduled();
        Ok(())
    })
}

/// Measures a process that ends at once, and the wait for its end. The process has its
/// parent's priority, but for one from the parent's slot.
fn fork_exit(setup: Setup, effort: Effort) -> Result<f64> {
    prepare(setup)?.enter(0, Children::Inherit)?;
    per_operation(effort.samples, 1, || {
        // SAFETY: The child calls nothing but `_exit`.
        match unsafe { fork() }.context("fork(2)")? {
            ForkResult::Child => {
                // SAFETY: It is the end of the process, in which nothing is dropped.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => reap(child.as_raw()),
        }
    })
}

/// Measures a process that ends at once without a copy of the memory, which is how Go's
/// os/exec and posix_spawn(3) start programs.
fn vfork_exit(setup: Setup, effort: Effort) -> Result<f64> {
    prepare(setup)?.enter(0, Children::Inherit)?;
    let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
    let mut stack = vec![0; STACK];
    per_operation(effort.samples, 1, || {
        // SAFETY: The child, on a stack of its own, does nothing but end, while this
        // thread waits.
        let child = unsafe { clone(Box::new(|| 0), &mut stack, flags, Some(libc::SIGCHLD)) };
        reap(child.context("clone(2)")?.as_raw())
    })
}

/// Waits for a process that ends at once.
fn reap(child: i32) -> Result<()> {
    let ended = waitpid(Pid::from_raw(child), WaitOptions::empty()).context("waitpid(2)")?;
    let status = ended.and_then(|(_, status)| status.exit_status());
    ensure!(status == Some(0), "{status:?}");
    Ok(())
}

/// Measures 20 senders and 20 receivers, each of which hears from every sender. Their
/// start, 40 processes, is part of it. The first run brings the program into memory, and
/// now and then one of them waits for the kernel's housekeeping: hence the median of a
/// few.
fn hackbench(setup: Setup, effort: Effort) -> Result<f64> {
    prepare(setup)?.enter(0, Children::Inherit)?;
    let mut command = Command::new(HACKBENCH);
    command
        .args(["--pipe", "--process", "--groups", "1"])
        .args(["--loops", effort.either("20", "100")])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let mut times = Vec::new();
    for _ in 0..effort.either(3, 5) {
        let start = Instant::now();
        let status = command.status().context(HACKBENCH)?;
        times.push(nanoseconds(start.elapsed()));
        ensure!(status.success(), "{HACKBENCH}: {status}");
    }
    median(&mut times)
}

fn look_for_hackbench() -> Result<(), ErrorKind> {
    let output = Command::new(HACKBENCH).arg("--help").output();
    output.map(drop).map_err(|error| error.kind())
}

/// Measures the time that a tick takes from a thread that only reads the clock.
fn tick(setup: Setup, effort: Effort) -> Result<f64> {
    prepare(setup)?.enter(0, Children::StartAtBase)?;
    let usual = empty_sample()?;
    let long = Duration::from_nanos(usual.max(1.0) as u64) * GAP;
    let wanted = effort.either(21, 101);
    let mut gaps = Vec::with_capacity(wanted);
    let start = Instant::now();
    let mut last = start;
    while gaps.len() < wanted {
        let now = Instant::now();
        let gap = now - last;
        last = now;
        if gap > long {
            gaps.push(nanoseconds(gap) - usual);
        }
        if now - start > TICK_DEADLINE {
            bail!(
                "{} ticks in {TICK_DEADLINE:?}: does the tick stop?",
                gaps.len()
            );
        }
    }
    median(&mut gaps)
}
