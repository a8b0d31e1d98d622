// SPDX-License-Identifier: GPL-2.0

//! Fuzzer of the device and the system call. An unprivileged user makes random requests, and
//! after each request the fuzzer checks that nothing has changed that should not; see
//! `--help`.
//!
//! Each program of requests runs in a child process, which ends or is killed before the
//! deadline of the tests' `in_child`.

mod corpus;
mod coverage;
mod mapping;
mod memory;
mod op;
mod process;
mod role;
mod symbols;
mod tally;

use std::panic::catch_unwind;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;

use clap::Parser;
use common::child::become_user;
use common::child::in_child;
use common::child::Child;
use common::device::Device;
use common::device::PublicDevice;
use common::state::State;
use common::OTHER_USER;
use common::USER;
use rustc_demangle::demangle;
use rustix::process::getpid;

use crate::corpus::Corpus;
use crate::coverage::Coverage;
use crate::op::Program;
use crate::process::Context;
use crate::symbols::Symbols;
use crate::tally::Tally;

/// Process id of init.
const INIT: i32 = 1;
/// Thread id of the kernel thread that starts the others.
const KTHREADD: i32 = 2;

/// Sends random requests to /dev/go_sched, as an unprivileged user.
///
/// Each input is decoded to a program of requests, which runs in a process of its own. If the
/// kernel reports its coverage (CONFIG_KCOV), inputs that reach new code are kept and mutated.
/// The first violation ends the run, and its input is printed for --replay.
#[derive(Parser)]
struct Arguments {
    /// Duration of the run, in seconds
    #[arg(long, value_name = "N", default_value_t = 300)]
    seconds: u64,
    /// Seed of the random numbers [default: a random one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Id of the user that makes the requests
    #[arg(long, value_name = "ID", default_value_t = USER)]
    user: u32,
    /// Run only the program of this input
    #[arg(long, value_name = "HEX")]
    replay: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let _public = PublicDevice::new();
    let bystanders = Bystanders::new();
    let context = Context {
        user: arguments.user,
        bystanders: &bystanders.pids,
        tally: Tally::new(),
        coverage: Coverage::open()
            .zip(Coverage::open())
            .map(|(leaders, seconds)| {
                let coverage: &'static _ = Box::leak(Box::new([leaders, seconds]));
                coverage
            }),
    };
    if let Some(input) = &arguments.replay {
        let input = from_hex(input);
        println!("{:#?}", Program::decode(&input));
        return match run_input(context, &bystanders, &input) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        };
    }
    if context.coverage.is_none() {
        eprintln!(
            "go_sched_fuzz: THIS KERNEL HAS NO CONFIG_KCOV: \
             inputs are random, and no corpus is built"
        );
    }
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let mut corpus = Corpus::new(seed);
    let mut programs = 0;
    let mut passed = true;
    while passed && Instant::now() < end {
        let input = corpus.generate();
        passed = run_input(context, &bystanders, &input);
        programs += 1;
        let reached = context.coverage.into_iter().flatten();
        corpus.add_if_new(input, reached.flat_map(Coverage::addresses));
    }
    let untested = context.tally.never_succeeded();
    if passed && !untested.is_empty() {
        eprintln!("go_sched_fuzz: calls that never succeeded in {programs} programs: {untested:?}");
        passed = false;
    }
    let reached = corpus.reached();
    let symbols = Symbols::load();
    if context.coverage.is_some() {
        for function in symbols.unreached(reached) {
            eprintln!("go_sched_fuzz: not reached: {:#}", demangle(function));
        }
    }
    println!(
        "go_sched_fuzz: {}: seed {seed}, {programs} programs, {} calls, {} PCs reached, \
         {} of them in go_sched's functions, {} inputs in the corpus{}",
        if passed { "PASS" } else { "FAIL" },
        context.tally.calls(),
        reached.len(),
        symbols.count(reached),
        corpus.len(),
        context.tally
    );
    match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Runs the program of an input. Returns whether all checks passed.
fn run_input(context: Context<'_>, bystanders: &Bystanders, input: &[u8]) -> bool {
    let program = Program::decode(input);
    for coverage in context.coverage.into_iter().flatten() {
        coverage.reset();
    }
    let result = catch_unwind(AssertUnwindSafe(|| {
        in_child(|| process::run(context, &program));
        bystanders.assert_unchanged();
    }));
    if result.is_err() {
        eprintln!(
            "go_sched_fuzz: a check failed, see above, after this program:\n{program:#?}\n\
             To repeat: go_sched_fuzz --replay {}",
            to_hex(input)
        );
    }
    result.is_ok()
}

/// Threads that the programs must not be able to change.
struct Bystanders {
    pids: Vec<i32>,
    before: Vec<String>,
    device: Device,
    _children: [Child; 3],
}

impl Bystanders {
    fn new() -> Self {
        let device = Device::open();
        let root = Child::sleeping(|| ());
        let other = Child::sleeping(|| become_user(OTHER_USER));
        // A priority, which a CLEAR would take away.
        device.set(other.pid(), 20);
        let zombie = Child::sleeping(|| ());
        zombie.kill();
        let living = [
            root.pid(),
            other.pid(),
            INIT,
            KTHREADD,
            getpid().as_raw_pid(),
        ];
        Self {
            before: living.map(|pid| describe(&device, pid)).to_vec(),
            pids: living.into_iter().chain([zombie.pid()]).collect(),
            device,
            _children: [root, other, zombie],
        }
    }

    #[track_caller]
    fn assert_unchanged(&self) {
        for (pid, before) in self.pids.iter().zip(&self.before) {
            assert_eq!(
                &describe(&self.device, *pid),
                before,
                "thread {pid} was changed"
            );
        }
    }
}

/// Describes a thread's scheduling and its counters.
fn describe(device: &Device, pid: i32) -> String {
    format!(
        "{:?} {:?}",
        State::of(device, pid),
        device.try_stats(pid, 0)
    )
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(digits: &str) -> Vec<u8> {
    let digits: Vec<_> = digits
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}
