// SPDX-License-Identifier: GPL-2.0

//! Measures the costs that may depend on the number of managed threads.
//!
//! All of them sleep. The figures are about a few more threads beside them; those that
//! are called "unmanaged" are measured while the ones that sleep are so too.

use std::fs::File;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use common::device::Device;
use common::device::PATH;
use common::device::SELF;
use common::hint::HintPage;
use common::module::is_loaded;
use common::module::try_unload;
use common::module::FILE;
use go_sched_bench_data::Growth;
use go_sched_bench_data::Setup;
use go_sched_bench_data::Subject;
use go_sched_bench_data::ORDINARY;
use gosched::Children;
use rustix::io::Errno;
use rustix::system::finit_module;

use crate::memory::Account;
use crate::output;
use crate::ping_pong;
use crate::sample::empty_sample;
use crate::sample::in_new_thread;
use crate::sample::median;
use crate::sample::nanoseconds;
use crate::sample::per_operation;
use crate::sample::pin;
use crate::sample::Effort;
use crate::setup::prepare;
use crate::sleepers::spawn_small;
use crate::sleepers::Sleepers;

/// Number of new threads below which their memory is omitted: the kernel counts it in
/// batches of a page, which would be more than 8 bytes for each of them.
const COUNTABLE: u32 = 500;

/// Time that the module may be busy after the device was closed.
const BUSY_DEADLINE: Duration = Duration::from_secs(10);

/// The command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure less
    #[arg(long)]
    quick: bool,
    /// Numbers of managed threads, in rising order
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "1,10,100,1000,10000",
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    threads: Vec<u32>,
}

/// Measures, and prints the figures.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(is_loaded(), "growth is measured with the module loaded");
    ensure!(
        arguments.threads.is_sorted_by(|a, b| a < b),
        "--threads: in rising order, because threads are added and not ended"
    );
    pin()?;
    let effort = Effort::new(arguments.quick);
    let account = match Account::open() {
        Ok(account) => Some(account),
        Err(error) => {
            output::note(format!("memory: omitted: {error:#}"))?;
            None
        }
    };
    let mut sleepers = Sleepers::new()?;
    for threads in &arguments.threads {
        sleepers.grow(*threads)?;
        measure(&mut sleepers, account.as_ref(), effort)?;
    }
    Ok(())
}

fn measure(sleepers: &mut Sleepers, account: Option<&Account>, effort: Effort) -> Result<()> {
    let threads = sleepers.len();
    let subject = |operation, managed| Subject::Growth {
        operation,
        managed,
        threads,
    };
    let print = |operation, managed, results| output::figure(subject(operation, managed), results);

    let unmanaged = Setup::Unmanaged;
    print(Growth::ContextSwitch, false, switches(unmanaged, effort)?)?;
    print(Growth::Fork, false, forks(unmanaged, effort)?)?;

    let device = Device::try_open().context(PATH)?;
    let new = sleepers.without_record();
    let account = account.filter(|_| new >= COUNTABLE);
    let before = account.map(Account::bytes).transpose()?;
    sleepers.manage(&device)?;
    if let (Some(account), Some(before)) = (account, before) {
        let bytes = account.bytes()?.saturating_sub(before);
        print(Growth::Memory, true, vec![bytes as f64 / f64::from(new)])?;
    } else if new < COUNTABLE {
        let why = "the kernel counts it by the page";
        output::omit(subject(Growth::Memory, true), why)?;
    }

    let managed = Setup::Managed;
    print(Growth::ContextSwitch, true, switches(managed, effort)?)?;
    print(Growth::Fork, true, forks(managed, effort)?)?;
    let (sets, binds) = sets_and_binds(&device, effort)?;
    print(Growth::Set, true, sets)?;
    print(Growth::Bind, true, binds)?;
    drop(device);

    let (mut unregisters, mut registers) = (Vec::new(), Vec::new());
    for _ in 0..effort.repeats {
        unregisters.push(unregister()?);
        registers.push(register()?);
    }
    print(Growth::Unregister, true, unregisters)?;
    print(Growth::Register, true, registers)?;
    sleepers.release(&Device::try_open().context(PATH)?)
}

/// Measures round trips between two threads through pipes.
fn switches(setup: Setup, effort: Effort) -> Result<Vec<f64>> {
    let switch = || in_new_thread(|| ping_pong::by_pipe(setup, effort));
    (0..effort.repeats).map(|_| switch()).collect()
}

/// Measures threads that end at once, created by one that hands down its priority, and
/// the wait for their ends.
fn forks(setup: Setup, effort: Effort) -> Result<Vec<f64>> {
    let fork = || {
        prepare(setup)?.enter(0, Children::Inherit)?;
        per_operation(effort.samples, 1, || {
            let child = spawn_small(|| ())?;
            child.join().ok().context("a thread that does nothing ends")
        })
    };
    (0..effort.repeats).map(|_| in_new_thread(fork)).collect()
}

/// Measures the first `GO_SCHED_SET` of new threads, for which the kernel makes a record,
/// and then their `GO_SCHED_BIND`. Each has a slot of its own.
fn sets_and_binds(device: &Device, effort: Effort) -> Result<(Vec<f64>, Vec<f64>)> {
    let count = effort.either(31, 101);
    let page = HintPage::new(device, count);
    let overhead = empty_sample()?;
    let (mut sets, mut binds) = (Vec::new(), Vec::new());
    for _ in 0..effort.repeats {
        let (mut set_times, mut bind_times) = (Vec::new(), Vec::new());
        for slot in 0..count {
            let (set, bind) = thread::scope(|scope| {
                let probe = scope.spawn(|| set_and_bind(device, slot));
                probe.join()
            })
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            set_times.push(set);
            bind_times.push(bind);
        }
        sets.push((median(&mut set_times)? - overhead).max(0.0));
        binds.push((median(&mut bind_times)? - overhead).max(0.0));
    }
    drop(page);
    Ok((sets, binds))
}

fn set_and_bind(device: &Device, slot: u32) -> Result<(f64, f64)> {
    let start = Instant::now();
    device.try_set(SELF, ORDINARY, 0).context("GO_SCHED_SET")?;
    let set = start.elapsed();
    let start = Instant::now();
    device.try_bind(slot).context("GO_SCHED_BIND")?;
    let bind = start.elapsed();
    Ok((nanoseconds(set), nanoseconds(bind)))
}

/// Measures the nanoseconds that `delete_module(2)` takes.
fn unregister() -> Result<f64> {
    let deadline = Instant::now() + BUSY_DEADLINE;
    loop {
        let start = Instant::now();
        let result = try_unload();
        let time = start.elapsed();
        match result {
            Ok(()) => return Ok(nanoseconds(time)),
            // A file that was closed may be released a moment later.
            Err(Errno::WOULDBLOCK) if start < deadline => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error).context("delete_module(2)"),
        }
    }
}

/// Measures the nanoseconds that `finit_module(2)` takes.
fn register() -> Result<f64> {
    let file = File::open(FILE).context(FILE)?;
    let start = Instant::now();
    finit_module(&file, c"", 0).context("finit_module(2)")?;
    Ok(nanoseconds(start.elapsed()))
}
