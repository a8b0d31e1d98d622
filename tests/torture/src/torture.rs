// SPDX-License-Identifier: GPL-2.0

//! Start, supervision and end of the test.

use std::fmt::Write;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::Builder;
use std::thread::Scope;
use std::thread::ScopedJoinHandle;
use std::time::Duration;
use std::time::Instant;

use common::attr::Attr;
use common::device::SELF;
use common::DEADLINE;
use fastrand::Rng;

use crate::actor::Actor;
use crate::args::Args;
use crate::args::Role;
use crate::args::NAME;
use crate::cgroup::Cgroups;
use crate::checker;
use crate::context::Context;
use crate::operation::Operation;
use crate::ops;
use crate::report;
use crate::shutdown;
use crate::slab;
use crate::victim;

/// Real-time priorities of the threads that run the test, above those of all others.
const RT_PRIORITY_MAIN: u32 = 95;
const RT_PRIORITY_CHECKER: u32 = 90;
const RT_PRIORITY_ACTOR: u32 = 80;

/// Interval of progress reports.
const PROGRESS: Duration = Duration::from_secs(10);

type Operations = Vec<&'static Operation>;

/// Limit of the time before the test proper, and after it, on a debug kernel under
/// emulation.
const OVERHEAD: Duration = DEADLINE.saturating_mul(6);

/// Runs the test, and returns the counts of the operations and the reasons for skipped ones.
pub(crate) fn torture(args: &Args) -> String {
    report::limit_time(args, Duration::from_secs(args.seconds) + OVERHEAD);
    let root = matches!(args.role, Role::Root);
    let mut skipped = String::new();
    let cgroups = if root {
        Cgroups::new()
    } else {
        Err(ErrorKind::PermissionDenied.into())
    };
    if root {
        Attr::fifo(RT_PRIORITY_MAIN).reset_on_fork().apply(SELF);
    }
    let records = root.then(slab::records);
    let context = Context::new(root, args.threads, cgroups);

    let groups = if root { ops::OF_ROOT } else { ops::OF_USER };
    let mut operations = Operations::new();
    for operation in groups.iter().copied().flatten() {
        match operation.missing(&context) {
            None => operations.push(operation),
            Some(why) => skip(&mut skipped, operation.count.name, &why),
        }
    }
    let mut all = operations.clone();
    if root {
        all.extend(victim::OPERATIONS.iter().chain(&checker::OPERATIONS));
        if let Some(Err(why)) = &records {
            skip(&mut skipped, "slab", &why.to_string());
        }
    }

    let mut rng = Rng::with_seed(args.seed);
    let actors: Vec<_> = (0..args.threads).map(|_| Actor::default()).collect();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (index, actor) in actors.iter().enumerate() {
            let (context, operations, seed) = (&context, &operations, rng.u64(..));
            // Half of the actors preempt all threads that they change.
            let urgent = root && index % 2 == 0;
            let run = move || {
                if urgent {
                    Attr::fifo(RT_PRIORITY_ACTOR).reset_on_fork().apply(SELF);
                }
                actor.run(context, operations, seed);
            };
            threads.push(spawn(scope, format!("actor {index}"), run));
        }
        if root {
            for index in 0..context.victims.len() {
                let (context, rng) = (&context, rng.fork());
                let respawn = move || victim::respawn(context, index, rng);
                threads.push(spawn(scope, format!("victims {index}"), respawn));
            }
            let (context, rng) = (&context, rng.fork());
            threads.push(spawn(scope, "checker".to_owned(), move || {
                Attr::fifo(RT_PRIORITY_CHECKER).reset_on_fork().apply(SELF);
                checker::run(context, rng);
            }));
        }
        supervise(args, &context, &actors, &all, &threads);
    });
    shutdown::check(context, args, records.and_then(Result::ok));

    report::list(all.iter().map(|operation| &operation.count)) + &skipped
}

/// Waits for the end of the test's time and then of its threads. Ends the process after a
/// failure, or when threads do not end in time.
fn supervise(
    args: &Args,
    context: &Context,
    actors: &[Actor],
    all: &Operations,
    threads: &[ScopedJoinHandle<'_, ()>],
) {
    let start = Instant::now();
    let end = Duration::from_secs(args.seconds);
    let mut next = PROGRESS;
    while start.elapsed() < end + DEADLINE * 2 {
        thread::sleep(Duration::from_millis(50));
        if report::failure().is_some() {
            report::exit_with_failure(args);
        }
        if let Some(name) = actors.iter().find_map(Actor::hung_operation) {
            report::fail(format!("{name} does not end"));
        }
        if start.elapsed() >= next {
            next += PROGRESS;
            let counts = report::list(all.iter().map(|operation| &operation.count));
            eprintln!("{NAME}: {} s: {counts}", start.elapsed().as_secs());
        }
        if start.elapsed() >= end {
            context.stop.store(true, Ordering::Relaxed);
        }
        if threads.iter().all(ScopedJoinHandle::is_finished) {
            return;
        }
    }
    report::fail("not all threads end".to_owned());
    report::exit_with_failure(args);
}

fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: String,
    action: impl FnOnce() + Send + 'scope,
) -> ScopedJoinHandle<'scope, ()> {
    Builder::new()
        .name(name)
        .spawn_scoped(scope, action)
        .expect("a thread")
}

/// Prints and records that something is not tested here, and the reason.
fn skip(skipped: &mut String, name: &str, why: &str) {
    eprintln!("{NAME}: SKIPPED {name}: {why}");
    // Writing to a string does not fail.
    let _ = write!(skipped, "; SKIPPED {name} ({why})");
}
