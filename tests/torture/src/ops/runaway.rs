// SPDX-License-Identifier: GPL-2.0

//! Threads that a granted ceiling let into the rt band, and that do not sleep there.

use std::hint::spin_loop;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::attr::Attr;
use common::device::SELF;
use common::eventually;
use fastrand::Rng;
use go_sched_policy::LEVELS;
use nix::sys::resource::getrusage;
use nix::sys::resource::UsageWho;
use nix::time::clock_gettime;
use nix::time::ClockId;

use crate::operation::Operation;
use crate::ops::wards::with_ward;
use crate::session::Session;
use crate::world::session;
use crate::world::World;

pub(super) static OPERATIONS: [Operation; 1] =
    [Operation::new("runaway", 1, run_away).needs(missing)];

/// The lowest priority of the rt band; what ran away is put just below.
const RT_FIRST: u32 = 48;

/// The budget counts within windows of this length.
const WINDOW: Duration = Duration::from_secs(1);

/// How long to try to use up the budget, which takes a CPU for oneself.
const PATIENCE: Duration = Duration::from_secs(3);

/// CPU time between two looks at what the kernel does.
const LOOK: Duration = Duration::from_millis(1);

/// The kernel acts on the tick, and an emulated one may be late: how many looks it may
/// be.
const LATE: u32 = 50;

fn missing(world: &World) -> Option<String> {
    let budget = budget(session(&world.in_session()));
    budget
        .is_zero()
        .then(|| "the module's budget_ms is 0".to_owned())
}

fn budget(session: &Session) -> Duration {
    let info = session
        .device
        .try_class_info()
        .expect("the mapping is there");
    Duration::from_millis(info.budget_ms.into())
}

fn run_away(world: &World, rng: &mut Rng) {
    with_ward(world, rng, |ward, session, rng| {
        ward.set_attr(&Attr::normal(0));
        ward.limit(session, Some(LEVELS - 1));
        if !ward.is_bound() {
            ward.bind(session, true);
        }
        let mut prio = rng.u32(RT_FIRST..LEVELS);
        if prio == u32::from(ward.seen()) {
            prio ^= 1;
        }
        ward.hint(session, prio as u8, true);
        let own = Arc::clone(session);
        ward.worker().run(move || burn(&own, prio));
    });
}

/// Burns CPU time until the kernel has noticed, and sleeps.
fn burn(session: &Session, prio: u32) {
    let device = &session.device;
    let before = device.stats(SELF).runaways;
    if !is_noticed(session, before) {
        return;
    }
    assert_eq!(device.stats(SELF).runaways, before + 1);
    let sleeps = sleeps();
    // Another CPU may look at the thread when it is to be lowered; then the next tick
    // tries again.
    let lowered = (0..LATE).any(|_| {
        spin_for(LOOK);
        let record = device.get(SELF);
        assert_eq!(record.prio, Some(prio));
        record.applied == Some(RT_FIRST - 1) || has_slept_since(sleeps)
    });
    assert!(lowered, "it ran away at {prio}: {:?}", device.get(SELF));
    eventually("a thread that slept is not held down any more", || {
        thread::sleep(LOOK);
        device.get(SELF).applied == Some(prio)
    });
}

/// Burns more CPU time within a window than the budget is, which the kernel must
/// notice. False if the thread does not get that much.
fn is_noticed(session: &Session, before: u64) -> bool {
    // At most two windows are touched, so it was too much in one of them.
    let enough = 2 * budget(session);
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let (start, start_cpu, sleeps, mut late) = (Instant::now(), cpu_time(), sleeps(), 0);
        while start.elapsed() < WINDOW && !has_slept_since(sleeps) {
            spin_for(LOOK);
            if session.device.stats(SELF).runaways > before {
                return true;
            }
            let used = cpu_time() - start_cpu;
            late += u32::from(used > enough);
            let elapsed = start.elapsed();
            let record = session.device.get(SELF);
            assert!(
                late < LATE || has_slept_since(sleeps),
                "{used:?} used within {elapsed:?}: {record:?}"
            );
        }
    }
    false
}

/// How often the calling thread has slept. It does so unasked as well: when it writes
/// to memory that another thread has just shared with a child of the process.
fn sleeps() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD)
        .expect("the calling thread's own")
        .voluntary_context_switches()
}

fn has_slept_since(before: i64) -> bool {
    sleeps() != before
}

/// Spins for some CPU time.
fn spin_for(time: Duration) {
    let end = cpu_time() + time;
    while cpu_time() < end {
        spin_loop();
    }
}

/// CPU time of the calling thread.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("the calling thread's clock")
        .into()
}
