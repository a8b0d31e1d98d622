// SPDX-License-Identifier: GPL-2.0

//! Control groups: bandwidth, weight, CPUs, and the freezer.

use fastrand::Rng;

use crate::cgroup::Cgroups;
use crate::cgroup::Group;
use crate::operation::Operation;
use crate::ops::wards::with_ward;
use crate::random;
use crate::world::World;

pub(super) static OPERATIONS: [Operation; 5] = [
    Operation::new("cgroup-move", 8, |world, rng| {
        in_cgroups(world, |cgroups| migrate(world, cgroups, rng));
    })
    .needs(missing),
    Operation::new("cpu.max", 3, |world, rng| {
        set(world, rng, "cpu.max", |rng| {
            ["max 20000", "5000 20000", "2000 10000"][rng.usize(..3)].to_owned()
        });
    })
    .needs(missing),
    Operation::new("cpu.weight", 3, |world, rng| {
        set(world, rng, "cpu.weight", |rng| {
            rng.u32(10..=10_000).to_string()
        });
    })
    .needs(missing),
    Operation::new("cpuset", 3, |world, rng| {
        set(world, rng, "cpuset.cpus", |rng| {
            ["", "0", "1", "0-1"][rng.usize(..4)].to_owned()
        });
    })
    .needs(missing),
    Operation::new("freeze", 4, |world, rng| {
        in_cgroups(world, |cgroups| freeze(world, cgroups, rng));
    })
    .needs(missing),
];

fn missing(world: &World) -> Option<String> {
    world.cgroups.as_ref().err().cloned()
}

fn in_cgroups(world: &World, action: impl FnOnce(&Cgroups)) {
    if let Ok(cgroups) = &world.cgroups {
        action(cgroups);
    }
}

fn set(world: &World, rng: &mut Rng, file: &str, value: fn(&mut Rng) -> String) {
    in_cgroups(world, |cgroups| {
        let group = &cgroups.groups[rng.usize(..cgroups.groups.len())];
        let value = value(rng);
        let result = group.set(file, &value);
        assert!(result.is_ok(), "{file} to {value}: {result:?}");
    });
}

/// Moves some ward or prey to another group, or out of all.
fn migrate(world: &World, cgroups: &Cgroups, rng: &mut Rng) {
    let prey = world.some_prey(rng).filter(|_| rng.bool());
    // Held, so that nobody finds it moved.
    let ward = world.some_ward(rng);
    let Some(tid) = prey.or(ward.as_ref().map(|ward| ward.tid())) else {
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
        // It was prey, and has ended.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
        Err(error) => panic!("move of {tid}: {error}"),
    }
}

/// Changes a ward that is frozen, beside frozen prey.
fn freeze(world: &World, cgroups: &Cgroups, rng: &mut Rng) {
    let Ok(group) = cgroups.freezer.try_lock() else {
        return;
    };
    let prey = world.some_prey(rng);
    with_ward(world, rng, |ward, session, rng| {
        let threads = [Some(ward.tid()), prey];
        threads.iter().flatten().for_each(|tid| put(&group, *tid));
        group.while_frozen(|| {
            for _ in 0..rng.u32(1..4) {
                match rng.u32(..4) {
                    0 => ward.clear(session),
                    1 => ward.set_attr(&random::attr(rng)),
                    2 => ward.limit(session, random::prio_or_none(rng)),
                    _ => ward.set(session, random::prio(rng), rng.bool(), rng.bool()),
                }
                ward.check(session);
            }
        });
        threads
            .iter()
            .flatten()
            .for_each(|tid| put(&cgroups.home, *tid));
    });
}
