// SPDX-License-Identifier: GPL-2.0

//! Victims: threads that all actors and the victims themselves change at once. Their exact
//! state is unknown, but must be consistent when the checker reads it.

use std::fs::File;
use std::hint::spin_loop;
use std::io::Read;
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
use rustix::io::Errno;
use rustix::thread::gettid;

use crate::context::session;
use crate::context::Context;
use crate::operation::choose;
use crate::operation::Operation;
use crate::random;
use crate::session::SLOTS;

/// Operations that a victim performs on itself.
pub(crate) static OPERATIONS: [Operation; 8] = [
    Operation::new("own-hint", 30, store_own),
    Operation::new("own-bind", 6, bind),
    Operation::new("own-unbind", 3, unbind),
    Operation::new("own-set", 6, set),
    Operation::new("own-setattr", 2, set_attr),
    Operation::new("own-page", 2, bind_to_own_page),
    Operation::new("own-read", 6, read_zeros),
    Operation::new("pi-futex", 6, lock_two),
];

/// Runs one victim after the other until the end.
pub(crate) fn respawn(context: &Context, index: usize, mut rng: Rng) {
    while !context.is_over() {
        let rng = rng.fork();
        thread::scope(|scope| {
            let victim = Builder::new().name(format!("victim {index}"));
            let victim = victim.spawn_scoped(scope, move || run(context, index, rng));
            victim.expect("a thread");
        });
    }
}

/// Performs a random number of operations. The operations allocate no memory: a victim is
/// often the least urgent thread, and would block the others while it holds the
/// allocator's lock.
fn run(context: &Context, index: usize, mut rng: Rng) {
    let tid = &context.victims[index];
    tid.store(gettid().as_raw_pid(), Ordering::Relaxed);
    let operations = OPERATIONS.each_ref();
    for _ in 0..rng.u32(..2000) {
        if context.is_over() {
            break;
        }
        {
            let _changing = context.change_victims();
            choose(&operations, &mut rng).run(context, &mut rng);
        }
        pause(&mut rng);
    }
    let _changing = context.change_victims();
    tid.store(0, Ordering::Relaxed);
}

/// Sleeps, yields or spins for a short time, or returns at once.
fn pause(rng: &mut Rng) {
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

fn store_own(context: &Context, rng: &mut Rng) {
    let guard = context.read_session();
    let session = session(&guard);
    if let Some(slot) = session.device.get(SELF).slot {
        // The binding may be to another file's page. The store then goes to a slot of
        // another victim.
        session.page.slot(slot).store(random::hint(rng));
    }
}

fn bind(context: &Context, rng: &mut Rng) {
    // The modeled threads have the first slots. Another victim may have this one.
    let slot = rng.u32(context.modeled_count()..SLOTS);
    let result = session(&context.read_session()).device.try_bind(slot);
    assert!(
        matches!(result, Ok(()) | Err(Errno::BUSY)),
        "BIND: {result:?}"
    );
}

fn unbind(context: &Context, _rng: &mut Rng) {
    session(&context.read_session()).device.unbind();
}

fn set(context: &Context, rng: &mut Rng) {
    let (prio, flags) = (random::prio(rng), random::inherit(rng));
    if rng.bool() {
        let guard = context.read_session();
        let result = session(&guard).device.try_set(SELF, prio, flags);
        assert_eq!(result, Ok(()), "SET of itself to {prio}");
    } else {
        // The module may be unloaded.
        let result = set_schedprio(SELF, prio, flags);
        let may_be = matches!(result, Ok(()) | Err(Errno::OPNOTSUPP));
        assert!(may_be, "go_set_schedprio of itself to {prio}: {result:?}");
    }
}

fn set_attr(_context: &Context, rng: &mut Rng) {
    random::attr(rng).apply(SELF);
}

/// Binds the thread to a slot of a page of its own, which is unmapped before the binding
/// ends or after.
fn bind_to_own_page(context: &Context, rng: &mut Rng) {
    let guard = context.read_session();
    // The thread may be bound to a slot of the shared page.
    session(&guard).device.unbind();
    let device = Device::open();
    let slot = rng.u32(context.modeled_count()..SLOTS_PER_PAGE);
    // The bind or the mapping, whichever is first, allocates the page.
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
        pause(rng);
        drop(page);
    } else {
        page.slot(slot).store(random::hint(rng));
        drop(page);
        drop(device);
    }
    pause(rng);
    if rng.bool() {
        session(&guard).device.unbind();
    }
}

/// Works inside the kernel for a while, where others preempt the thread.
fn read_zeros(_context: &Context, rng: &mut Rng) {
    let mut zeros = File::open("/dev/zero").expect("every guest has it");
    for _ in 0..rng.u32(..16) {
        // A signal ends it early.
        let read = zeros.read(&mut [1; 1 << 16]);
        assert_ne!(read.expect("it has no end"), 0);
    }
}

/// Takes two locks in order, the second with a short timeout. Chains of waiting threads form
/// and dissolve that way.
fn lock_two(context: &Context, rng: &mut Rng) {
    let first = rng.usize(..context.mutexes.len() - 1);
    let second = rng.usize(first + 1..context.mutexes.len());
    let (first, second) = (&context.mutexes[first], &context.mutexes[second]);
    first.lock();
    pause(rng);
    let timeout = Duration::from_nanos(rng.u64(..2_000_000));
    if second.lock_within(timeout) {
        pause(rng);
        second.unlock();
    }
    first.unlock();
}
