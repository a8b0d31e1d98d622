// SPDX-License-Identifier: GPL-2.0

//! What was done, what could not be, and what went wrong first.

use std::fmt::Write;
use std::panic;
use std::process::exit;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::OnceLock;
use std::thread;

use common::child::panic_message;
use nix::unistd::sysconf;
use nix::unistd::SysconfVar;

use crate::args::Args;
use crate::args::Role;

pub(crate) const NAME: &str = "go_sched_torture";

/// How often one thing was done.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) name: &'static str,
    done: AtomicU64,
}

impl Count {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            done: AtomicU64::new(0),
        }
    }

    pub(crate) fn add(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

/// Lists counts as `name n, name n`.
pub(crate) fn list<'a>(counts: impl Iterator<Item = &'a Count>) -> String {
    let mut list = String::new();
    for count in counts {
        let separator = if list.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(list, "{separator}{} {}", count.name, count.get());
    }
    list
}

static FAILURE: OnceLock<String> = OnceLock::new();

/// Has every panic recorded, of which the first is the verdict: the others may be
/// its consequence.
pub(crate) fn record_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let words = panic_message(panic.payload());
        fail(format!("{words} ({})", place.unwrap_or_default()));
    }));
}

/// Records a failure, unless there is one already.
pub(crate) fn fail(words: String) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("a thread without name");
    // What came later is left out.
    let _ = FAILURE.set(format!("{name}: {words}"));
}

/// The first failure, if there was one.
pub(crate) fn failure() -> Option<&'static str> {
    FAILURE.get().map(String::as_str)
}

/// Says that all went well.
pub(crate) fn succeed(args: &Args, done: &str) -> ExitCode {
    if matches!(args.role, Role::Root) {
        println!("{NAME}: SUCCESS {}: {done}", describe(args));
    }
    ExitCode::SUCCESS
}

/// Says what went wrong, and ends the program whatever its threads do.
pub(crate) fn give_up(args: &Args) -> ! {
    let failure = failure().unwrap_or("no reason is known");
    let verdict = format!("{NAME}: FAILURE {}: {failure}", describe(args));
    match args.role {
        Role::Root => println!("{verdict}"),
        Role::User | Role::Bound | Role::Exec => eprintln!("{verdict}"),
    }
    exit(1)
}

fn describe(args: &Args) -> String {
    // Those that are offline at this moment included.
    let cpus = sysconf(SysconfVar::_NPROCESSORS_CONF).ok().flatten();
    let cpus = cpus.unwrap_or_default();
    format!("{} s, {cpus} CPUs, seed {}", args.seconds, args.seed)
}
