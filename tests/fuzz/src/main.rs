// SPDX-License-Identifier: GPL-2.0

//! Sends random requests to the device, as an unprivileged user, and checks after
//! each of them that it changed nothing it should not have; see `--help`.

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
use nix::unistd::getpid;
use rustc_demangle::demangle;

use crate::corpus::Corpus;
use crate::coverage::Coverage;
use crate::op::Program;
use crate::process::World;
use crate::symbols::Symbols;
use crate::tally::Tally;

/// The process that the kernel starts, and the thread that starts the kernel's.
const INIT: i32 = 1;
const KTHREADD: i32 = 2;

/// Sends random requests to /dev/go_sched, as an unprivileged user.
///
/// Each program of requests runs in a process of its own. Inputs that reach new
/// code are kept and varied, if the kernel tells (CONFIG_KCOV). Violations end the
/// run, with an input that can be replayed.
#[derive(Parser)]
struct Arguments {
    /// How long to go on
    #[arg(long, value_name = "N", default_value_t = 300)]
    seconds: u64,
    /// Start of the random numbers; default: another one each time
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Id of the user that sends the requests
    #[arg(long, value_name = "ID", default_value_t = USER)]
    user: u32,
    /// Run the program of one input, and nothing else
    #[arg(long, value_name = "HEX")]
    replay: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let _public = PublicDevice::new();
    let bystanders = Bystanders::new();
    let world = World {
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
        return match try_input(world, &bystanders, &input) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        };
    }
    if world.coverage.is_none() {
        eprintln!(
            "go_sched_fuzz: THIS KERNEL HAS NO CONFIG_KCOV: \
             the requests are random, and nothing is learned from them"
        );
    }
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let mut corpus = Corpus::new(seed);
    let mut programs = 0;
    let mut sound = true;
    while sound && Instant::now() < end {
        let input = corpus.draw();
        sound = try_input(world, &bystanders, &input);
        programs += 1;
        let reached = world.coverage.into_iter().flatten();
        corpus.learn(input, reached.flat_map(Coverage::addresses));
    }
    let idle = world.tally.never_succeeded();
    if sound && !idle.is_empty() {
        eprintln!(
            "go_sched_fuzz: never succeeded in {programs} programs, so little was tried: {idle:?}"
        );
        sound = false;
    }
    let reached = corpus.reached();
    let symbols = Symbols::load();
    if world.coverage.is_some() {
        for function in symbols.without(reached) {
            eprintln!("go_sched_fuzz: not reached: {:#}", demangle(function));
        }
    }
    println!(
        "go_sched_fuzz: {}: seed {seed}, {programs} programs, {} calls, {} PCs reached, \
         {} of them in go_sched's functions, {} inputs in the corpus{}",
        if sound { "PASS" } else { "FAIL" },
        world.tally.calls(),
        reached.len(),
        symbols.count(reached),
        corpus.len(),
        world.tally
    );
    match sound {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Runs the program of an input. Returns whether all held that must.
fn try_input(world: World<'_>, bystanders: &Bystanders, input: &[u8]) -> bool {
    let program = Program::decode(input);
    for coverage in world.coverage.into_iter().flatten() {
        coverage.reset();
    }
    let result = catch_unwind(AssertUnwindSafe(|| {
        in_child(|| process::run(world, &program));
        bystanders.assert_unchanged();
    }));
    if result.is_err() {
        eprintln!(
            "go_sched_fuzz: see above for what does not hold. This did it:\n{program:#?}\n\
             Again: go_sched_fuzz --replay {}",
            to_hex(input)
        );
    }
    result.is_ok()
}

/// Threads that the programs cannot change.
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
        // One of them has what can be taken away.
        device.set(other.pid(), 20);
        let zombie = Child::sleeping(|| ());
        zombie.kill();
        let living = [root.pid(), other.pid(), INIT, KTHREADD, getpid().as_raw()];
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

/// Everything about a thread's scheduling, and how often it was changed.
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
