// SPDX-License-Identifier: GPL-2.0

//! Torture test: changes the scheduling of threads in all ways at the same time, and checks
//! that go_sched keeps its contracts.
//!
//! *Actors* perform random operations on two kinds of threads. A *modeled thread* is changed
//! by one actor at a time, so that its expected state is known after each operation.
//! *Victims* are changed by everybody at once. Their exact state is unknown, but it must be
//! consistent whenever the *checker* pauses all changes. The checker also unloads the module
//! and loads it again. The first check that fails ends the test.

mod actor;
mod args;
mod cgroup;
mod checker;
mod context;
mod in_force;
mod modeled;
mod operation;
mod ops;
mod random;
mod report;
mod session;
mod shutdown;
mod slab;
mod torture;
mod victim;

use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::args::Role;

fn main() -> ExitCode {
    let args = Args::parse();
    report::record_panics();
    let outcome = catch_unwind(|| match args.role {
        Role::Root | Role::User => torture::torture(&args),
        Role::Bound => ops::exec_bound(&args),
        Role::Exec => ops::check_after_exec(args.prio),
    });
    match outcome {
        Ok(done) => report::succeed(&args, &done),
        Err(_) => report::exit_with_failure(&args),
    }
}
