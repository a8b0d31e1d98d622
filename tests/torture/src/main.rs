// SPDX-License-Identifier: GPL-2.0

//! Races everything that changes how threads are scheduled, for as long as it is told
//! to, and checks meanwhile that go_sched keeps its promises.
//!
//! *Actors* do one thing after the other, chosen at random. They act on *wards*, each
//! of which one actor has at a time, so that what a ward must be afterwards is known;
//! and on *prey*, which everybody changes at once, and which must be something whole
//! when the *referee* has everybody pause. The referee also takes the module away and
//! brings it back. The first check that fails ends it all.

mod actor;
mod args;
mod cgroup;
mod finale;
mod in_force;
mod operation;
mod ops;
mod pi_futex;
mod prey;
mod random;
mod referee;
mod report;
mod session;
mod slab;
mod torture;
mod ward;
mod world;

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
        Role::Exec => ops::look_at_itself(args.prio),
    });
    match outcome {
        Ok(done) => report::succeed(&args, &done),
        Err(_) => report::give_up(&args),
    }
}
