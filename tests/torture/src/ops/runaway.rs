// SPDX-License-Identifier: GPL-2.0

//! Threads that use up the budget of the ceiling that they were granted.

use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::attr::Attr;
use common::budget::burn;
use common::budget::own_time;
use common::budget::HELD;
use common::device::SELF;
use common::eventually;
use fastrand::Rng;
use go_sched_policy::LEVELS;
use gosched::uapi::go_sched_class_info;
use nix::sys::resource::getrusage;
use nix::sys::resource::UsageWho;

use crate::operation::Operation;
use crate::ops::wards::with_ward;
use crate::session::Session;
use crate::world::session;
use crate::world::World;

pub(super) static OPERATIONS: [Operation; 1] =
    [Operation::new("runaway", 1, run_away).needs(missing)];

/// An even priority that an ordinary thread does not own, like all above it.
const NOT_OWNED: u32 = HELD + 2;

/// How long to try to use up the budget, which takes a CPU for oneself.
const PATIENCE: Duration = Duration::from_secs(3);

/// CPU time between two looks at what the kernel does.
const LOOK: Duration = Duration::from_millis(1);

/// The kernel acts on the tick, and an emulated one may be late: how many looks it may
/// be.
const LATE: u32 = 50;

/// How long a thread that is held sleeps at a time.
const NAP: Duration = Duration::from_millis(10);

fn missing(world: &World) -> Option<String> {
    let info = class_info(session(&world.in_session()));
    (info.budget_ms == 0 || info.share_percent == 0)
        .then(|| "the module's budget_ms or share_percent is 0".to_owned())
}

fn class_info(session: &Session) -> go_sched_class_info {
    let info = session.device.try_class_info();
    info.expect("the mapping is there")
}

fn run_away(world: &World, rng: &mut Rng) {
    with_ward(world, rng, |ward, session, rng| {
        ward.set_attr(&Attr::normal(0));
        // Whatever it had before, the new one is full.
        ward.limit(session, Some(LEVELS - 1));
        if !ward.is_bound() {
            ward.bind(session, true);
        }
        let mut prio = rng.u32(NOT_OWNED..LEVELS);
        if prio == u32::from(ward.seen()) {
            prio ^= 1;
        }
        let before = session.device.stats(ward.tid()).runaways;
        ward.hint(session, prio as u8, true);
        let own = Arc::clone(session);
        ward.worker().run(move || use_up(&own, prio, before));
    });
}

/// Burns CPU time until the kernel has noticed, and sleeps.
fn use_up(session: &Session, prio: u32, before: u64) {
    let device = &session.device;
    if !is_noticed(session, before) {
        return;
    }
    let sleeps = sleeps();
    let lowered = (0..LATE).any(|_| {
        burn(LOOK);
        let record = device.get(SELF);
        assert_eq!(record.prio, Some(prio));
        record.applied == Some(HELD) || has_slept_since(sleeps)
    });
    assert!(lowered, "it ran away at {prio}: {:?}", device.get(SELF));
    eventually("a thread that slept is not held down any more", || {
        thread::sleep(NAP);
        device.get(SELF).applied == Some(prio)
    });
}

/// Burns more CPU time than there is a budget for, which the kernel must notice. False if
/// the thread does not get that much.
fn is_noticed(session: &Session, before: u64) -> bool {
    let info = class_info(session);
    let budget = Duration::from_millis(info.budget_ms.into());
    let (start, start_cpu, mut late) = (Instant::now(), own_time(), 0);
    while start.elapsed() < PATIENCE {
        burn(LOOK);
        if session.device.stats(SELF).runaways > before {
            return true;
        }
        let (used, elapsed) = (own_time() - start_cpu, start.elapsed());
        // It has not slept for longer than that.
        late += u32::from(used > budget + elapsed * info.share_percent / 100);
        let record = session.device.get(SELF);
        assert!(late < LATE, "{used:?} used within {elapsed:?}: {record:?}");
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
