// SPDX-License-Identifier: GPL-2.0

//! Prey: threads that everybody changes at once, they themselves included. What they
//! must be is not known, but it must be something whole; the referee looks.

use std::hint::spin_loop;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::Builder;
use std::time::Duration;
use std::time::Instant;

use common::device::Device;
use common::device::SELF;
use common::hint::HintPage;
use common::hint::SLOTS_PER_PAGE;
use common::syscall::set_schedprio;
use fastrand::Rng;
use nix::errno::Errno;
use nix::unistd::gettid;
use rustix::time::Timespec;

use crate::operation::choose;
use crate::operation::Operation;
use crate::random;
use crate::session::SLOTS;
use crate::world::session;
use crate::world::World;

/// What a thread of the prey does to itself.
pub(crate) static OPERATIONS: [Operation; 7] = [
    Operation::new("own-hint", 30, store_own),
    Operation::new("own-bind", 6, bind),
    Operation::new("own-unbind", 3, unbind),
    Operation::new("own-set", 6, set),
    Operation::new("own-setattr", 2, set_attr),
    Operation::new("own-page", 2, bind_to_page_of_its_own),
    Operation::new("pi-futex", 6, lock_two),
];

/// Runs threads, one after the other, until the end.
pub(crate) fn keep_alive(world: &World, index: usize, mut rng: Rng) {
    while !world.is_over() {
        let rng = rng.fork();
        thread::scope(|scope| {
            let life = Builder::new().name(format!("prey {index}"));
            let life = life.spawn_scoped(scope, move || live(world, index, rng));
            life.expect("a thread");
        });
    }
}

/// One thread's life. It takes no memory: it is often the least urgent thread of all,
/// and would keep the others from the allocator.
fn live(world: &World, index: usize, mut rng: Rng) {
    let tid = &world.prey[index];
    tid.store(gettid().as_raw(), Ordering::Relaxed);
    let operations = OPERATIONS.each_ref();
    for _ in 0..rng.u32(..2000) {
        if world.is_over() {
            break;
        }
        {
            let _disturbing = world.disturb();
            choose(&operations, &mut rng).run(world, &mut rng);
        }
        idle(&mut rng);
    }
    let _disturbing = world.disturb();
    tid.store(0, Ordering::Relaxed);
}

/// Leaves the CPU, or does not.
fn idle(rng: &mut Rng) {
    match rng.u32(..4) {
        0 => thread::sleep(Duration::from_micros(rng.u64(..2000))),
        1 => thread::yield_now(),
        2 => {
            let end = Instant::now() + Duration::from_micros(rng.u64(..200));
            while Instant::now() < end {
                spin_loop();
            }
        }
        _ => {}
    }
}

fn store_own(world: &World, rng: &mut Rng) {
    let guard = world.in_session();
    let session = session(&guard);
    if let Some(slot) = session.device.get(SELF).slot {
        // It may be one of another file: then this is the slot of others.
        session.page.slot(slot).store(random::hint(rng));
    }
}

fn bind(world: &World, rng: &mut Rng) {
    // The wards have the first slots. Others of the prey may have this one.
    let slot = rng.u32(world.ward_count()..SLOTS);
    let result = session(&world.in_session()).device.try_bind(slot);
    assert!(
        matches!(result, Ok(()) | Err(Errno::EBUSY)),
        "BIND: {result:?}"
    );
}

fn unbind(world: &World, _rng: &mut Rng) {
    session(&world.in_session()).device.unbind();
}

fn set(world: &World, rng: &mut Rng) {
    let (prio, flags) = (random::prio(rng), random::inherit(rng));
    if rng.bool() {
        let guard = world.in_session();
        let result = session(&guard).device.try_set(SELF, prio, flags);
        assert_eq!(result, Ok(()), "SET of itself to {prio}");
    } else {
        // The module may be away.
        let result = set_schedprio(SELF, prio, flags);
        let may_be = matches!(result, Ok(()) | Err(Errno::EOPNOTSUPP));
        assert!(may_be, "go_set_schedprio of itself to {prio}: {result:?}");
    }
}

fn set_attr(_world: &World, rng: &mut Rng) {
    random::attr(rng).apply(SELF);
}

/// Binds the thread through another open file, whose page goes before the binding or
/// after it.
fn bind_to_page_of_its_own(world: &World, rng: &mut Rng) {
    let guard = world.in_session();
    // The binding, if there is one, may be of the shared file.
    session(&guard).device.unbind();
    let device = Device::open();
    let slot = rng.u32(world.ward_count()..SLOTS_PER_PAGE);
    // Either makes the page.
    let bind_first = rng.bool();
    if bind_first {
        device.bind(slot);
    }
    let page = HintPage::new(&device, SLOTS_PER_PAGE);
    if !bind_first {
        page.slot(slot).store(random::hint(rng));
        device.bind(slot);
    }
    if rng.bool() {
        drop(device);
        page.slot(slot).store(random::hint(rng));
        idle(rng);
        drop(page);
    } else {
        page.slot(slot).store(random::hint(rng));
        drop(page);
        drop(device);
    }
    idle(rng);
    if rng.bool() {
        session(&guard).device.unbind();
    }
}

/// Takes two locks in order, the second not for ever, and so is part of chains that
/// form and dissolve.
fn lock_two(world: &World, rng: &mut Rng) {
    let first = rng.usize(..world.futexes.len() - 1);
    let second = rng.usize(first + 1..world.futexes.len());
    let (first, second) = (&world.futexes[first], &world.futexes[second]);
    first.lock();
    idle(rng);
    let patience = Timespec {
        tv_sec: 0,
        tv_nsec: rng.i64(0..2_000_000),
    };
    if second.lock_within(patience) {
        idle(rng);
        second.unlock();
    }
    first.unlock();
}
