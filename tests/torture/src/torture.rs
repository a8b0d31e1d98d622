// SPDX-License-Identifier: GPL-2.0

//! From the start to the end.

use std::fmt::Write;
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
use crate::cgroup::Cgroups;
use crate::finale;
use crate::operation::Operation;
use crate::ops;
use crate::prey;
use crate::referee;
use crate::report;
use crate::report::NAME;
use crate::slab;
use crate::world::World;

/// Above all that is tortured.
const RT_PRIORITY_MAIN: u32 = 95;
const RT_PRIORITY_REFEREE: u32 = 90;
const RT_PRIORITY_ACTOR: u32 = 80;

/// Between two signs of life.
const PROGRESS: Duration = Duration::from_secs(10);

type Operations = Vec<&'static Operation>;

/// Does it all, and returns what was done.
pub(crate) fn torture(args: &Args) -> String {
    let root = matches!(args.role, Role::Root);
    let mut skipped = String::new();
    let cgroups = if root {
        Cgroups::new()
    } else {
        Err(String::new())
    };
    if root {
        Attr::fifo(RT_PRIORITY_MAIN).reset_on_fork().apply(SELF);
    }
    let records = if root {
        slab::records()
    } else {
        Err(String::new())
    };
    let world = World::new(root, args.threads, cgroups);

    let groups = if root { ops::OF_ROOT } else { ops::OF_USER };
    let mut operations = Operations::new();
    for operation in groups.iter().copied().flatten() {
        match operation.missing(&world) {
            None => operations.push(operation),
            Some(why) => skip(&mut skipped, operation.count.name, &why),
        }
    }
    let mut all = operations.clone();
    if root {
        all.extend(prey::OPERATIONS.iter().chain(&referee::OPERATIONS));
        if let Err(why) = &records {
            skip(&mut skipped, "slab", why);
        }
    }

    let mut rng = Rng::with_seed(args.seed);
    let actors: Vec<_> = (0..args.threads).map(|_| Actor::default()).collect();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (index, actor) in actors.iter().enumerate() {
            let (world, operations, seed) = (&world, &operations, rng.u64(..));
            // Half of them go before all that they act on.
            let urgent = root && index % 2 == 0;
            let act = move || {
                if urgent {
                    Attr::fifo(RT_PRIORITY_ACTOR).reset_on_fork().apply(SELF);
                }
                actor.act(world, operations, seed);
            };
            threads.push(spawn(scope, format!("actor {index}"), act));
        }
        if root {
            for index in 0..world.prey.len() {
                let (world, rng) = (&world, rng.fork());
                let keep_alive = move || prey::keep_alive(world, index, rng);
                threads.push(spawn(scope, format!("keeper {index}"), keep_alive));
            }
            let (world, rng) = (&world, rng.fork());
            threads.push(spawn(scope, "referee".to_owned(), move || {
                Attr::fifo(RT_PRIORITY_REFEREE).reset_on_fork().apply(SELF);
                referee::watch(world, rng);
            }));
        }
        oversee(args, &world, &actors, &all, &threads);
    });
    finale::check(world, args, records.ok());

    report::list(all.iter().map(|operation| &operation.count)) + &skipped
}

/// Waits for the end of the time, or a failure, and then for the threads.
fn oversee(
    args: &Args,
    world: &World,
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
            report::give_up(args);
        }
        if let Some(name) = actors.iter().find_map(Actor::hangs_in) {
            report::fail(format!("{name} does not end"));
        }
        if start.elapsed() >= next {
            next += PROGRESS;
            let counts = report::list(all.iter().map(|operation| &operation.count));
            eprintln!("{NAME}: {} s: {counts}", start.elapsed().as_secs());
        }
        if start.elapsed() >= end {
            world.stop.store(true, Ordering::Relaxed);
        }
        if threads.iter().all(ScopedJoinHandle::is_finished) {
            return;
        }
    }
    report::fail("not all threads come to their end".to_owned());
    report::give_up(args);
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

/// Notes and says that something cannot be done here.
fn skip(skipped: &mut String, name: &str, why: &str) {
    eprintln!("{NAME}: SKIPPED {name}: {why}");
    // Writing to a string does not fail.
    let _ = write!(skipped, "; SKIPPED {name} ({why})");
}
