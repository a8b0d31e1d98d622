// SPDX-License-Identifier: GPL-2.0

//! Counts of operations, and the first failure.

use std::fmt::Write;
use std::panic;
use std::path::Path;
use std::process::exit;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use common::child::panic_message;

use crate::args::Args;
use crate::args::Role;
use crate::args::NAME;

/// Number of times that an operation was performed.
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

/// Formats counts as `name n, name n`.
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

/// Installs a hook that records panics. The first panic is the verdict: the others may be
/// its consequences.
pub(crate) fn record_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic_message(panic.payload());
        fail(format!("{message} ({})", place.unwrap_or_default()));
    }));
}

/// Records a failure, unless an earlier one is recorded.
pub(crate) fn fail(message: String) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("a thread without name");
    // Later failures are not recorded.
    let _ = FAILURE.set(format!("{name}: {message}"));
}

/// Returns the first failure.
pub(crate) fn failure() -> Option<&'static str> {
    FAILURE.get().map(String::as_str)
}

/// Prints that the test succeeded, with the counts of the operations.
pub(crate) fn succeed(args: &Args, done: &str) -> ExitCode {
    if matches!(args.role, Role::Root) {
        println!("{NAME}: SUCCESS {}: {done}", describe(args));
    }
    ExitCode::SUCCESS
}

/// Ends the process with a failure once `limit` has passed, whatever its threads wait for.
pub(crate) fn limit_time(args: &Args, limit: Duration) {
    let args = args.clone();
    thread::spawn(move || {
        thread::sleep(limit);
        fail(format!("the test does not end within {limit:?}"));
        exit_with_failure(&args);
    });
}

/// Prints the first failure, and ends the process whatever its threads do.
pub(crate) fn exit_with_failure(args: &Args) -> ! {
    let failure = failure().unwrap_or("no reason is known");
    let verdict = format!("{NAME}: FAILURE {}: {failure}", describe(args));
    match args.role {
        Role::Root => println!("{verdict}"),
        Role::User | Role::Bound | Role::Exec => eprintln!("{verdict}"),
    }
    exit(1)
}

fn describe(args: &Args) -> String {
    // CPUs that are offline count too.
    let exists = |cpu: &u32| Path::new(&format!("/sys/devices/system/cpu/cpu{cpu}")).exists();
    let cpus = (0..).take_while(exists).count();
    format!("{} s, {cpus} CPUs, seed {}", args.seconds, args.seed)
}
