// SPDX-License-Identifier: GPL-2.0

//! Changes of cgroups: bandwidth, weight, CPUs, and the freezer.

use common::cgroup::ROOT;
use fastrand::Rng;

use crate::cgroup::Cgroups;
use crate::cgroup::Group;
use crate::context::Context;
use crate::operation::Operation;
use crate::ops::requests::with_modeled;
use crate::random;

pub(super) static OPERATIONS: [Operation; 5] = [
    Operation::new("cgroup-move", 8, |context, rng| {
        in_cgroups(context, |cgroups| migrate(context, cgroups, rng));
    })
    .needs(missing),
    Operation::new("cpu.max", 3, |context, rng| {
        set(context, rng, "cpu.max", |rng| {
            ["max 20000", "5000 20000", "2000 10000"][rng.usize(..3)].to_owned()
        });
    })
    .needs(missing),
    Operation::new("cpu.weight", 3, |context, rng| {
        set(context, rng, "cpu.weight", |rng| {
            rng.u32(10..=10_000).to_string()
        });
    })
    .needs(missing),
    Operation::new("cpuset", 3, |context, rng| {
        set(context, rng, "cpuset.cpus", |rng| {
            ["", "0", "1", "0-1"][rng.usize(..4)].to_owned()
        });
    })
    .needs(missing),
    Operation::new("freeze", 4, |context, rng| {
        in_cgroups(context, |cgroups| freeze(context, cgroups, rng));
    })
    .needs(missing),
];

fn missing(context: &Context) -> Option<String> {
    let error = context.cgroups.as_ref().err()?;
    Some(format!("cgroup v2 at {ROOT}: {error}"))
}

fn in_cgroups(context: &Context, action: impl FnOnce(&Cgroups)) {
    if let Ok(cgroups) = &context.cgroups {
        action(cgroups);
    }
}

fn set(context: &Context, rng: &mut Rng, file: &str, value: fn(&mut Rng) -> String) {
    in_cgroups(context, |cgroups| {
        let group = &cgroups.groups[rng.usize(..cgroups.groups.len())];
        let value = value(rng);
        let result = group.set(file, &value);
        assert!(result.is_ok(), "{file} to {value}: {result:?}");
    });
}

/// Moves a modeled thread or a victim to a random group, or out of all groups.
fn migrate(context: &Context, cgroups: &Cgroups, rng: &mut Rng) {
    let victim = context.pick_victim(rng).filter(|_| rng.bool());
    // Stays locked, so that no other actor uses the thread during the move.
    let thread = context.pick_modeled(rng);
    let Some(tid) = victim.or(thread.as_ref().map(|thread| thread.tid())) else {
        return;
    };
    match cgroups.groups.get(rng.usize(..=cgroups.groups.len())) {
        Some(group) => put(group, tid),
        None => put(&cgroups.home, tid),
    }
}

fn put(group: &Group, tid: i32) {
    match group.take(tid) {
        Ok(()) => {}
        // The thread was a victim, and has ended.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
        Err(error) => panic!("move of {tid}: {error}"),
    }
}

/// Changes a frozen modeled thread, while a victim is frozen as well.
fn freeze(context: &Context, cgroups: &Cgroups, rng: &mut Rng) {
    let Ok(group) = cgroups.freezer.try_lock() else {
        return;
    };
    let victim = context.pick_victim(rng);
    with_modeled(context, rng, |thread, session, rng| {
        let threads = [Some(thread.tid()), victim];
        threads.iter().flatten().for_each(|tid| put(&group, *tid));
        group.while_frozen(|| {
            for _ in 0..rng.u32(1..4) {
                match rng.u32(..4) {
                    0 => thread.clear(session),
                    1 => thread.set_attr(&random::attr(rng)),
                    2 => thread.set_ceiling(session, random::prio_or_none(rng)),
                    _ => thread.set(session, random::prio(rng), rng.bool(), rng.bool()),
                }
                thread.check(session);
            }
        });
        threads
            .iter()
            .flatten()
            .for_each(|tid| put(&cgroups.home, *tid));
    });
}
