// SPDX-License-Identifier: GPL-2.0

//! Threads that use up the budget of their granted ceiling.

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

use crate::context::session;
use crate::context::Context;
use crate::operation::Operation;
use crate::ops::requests::with_modeled;
use crate::session::Session;

pub(super) static OPERATIONS: [Operation; 1] =
    [Operation::new("runaway", 1, run_away).needs(missing)];

/// An even priority above all that an ordinary thread owns.
const NOT_OWNED: u32 = HELD + 2;

/// Time in which to use up the budget. On busy CPUs, a thread may not be able to.
const TIMEOUT: Duration = Duration::from_secs(3);

/// CPU time between two reads of the thread's record.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Number of polls by which the kernel may be late: it acts on the tick, which an emulator
/// may delay.
const MAX_LATE_POLLS: u32 = 50;

/// Duration of one sleep of a held thread.
const SLEEP: Duration = Duration::from_millis(10);

fn missing(context: &Context) -> Option<String> {
    let info = class_info(session(&context.read_session()));
    (info.budget_ms == 0 || info.share_percent == 0)
        .then(|| "the module's budget_ms or share_percent is 0".to_owned())
}

fn class_info(session: &Session) -> go_sched_class_info {
    let info = session.device.try_class_info();
    info.expect("the mapping is there")
}

fn run_away(context: &Context, rng: &mut Rng) {
    with_modeled(context, rng, |thread, session, rng| {
        thread.set_attr(&Attr::normal(0));
        // A new ceiling comes with a full budget.
        thread.set_ceiling(session, Some(LEVELS - 1));
        if !thread.is_bound() {
            thread.bind(session, true);
        }
        let mut prio = rng.u32(NOT_OWNED..LEVELS);
        if prio == u32::from(thread.last_hint()) {
            prio ^= 1;
        }
        let before = session.device.stats(thread.tid()).runaways;
        thread.hint(session, prio as u8, true);
        let own = Arc::clone(session);
        thread.worker().run(move || use_up(&own, prio, before));
    });
}

/// Uses CPU time until the kernel holds the thread, and sleeps until the kernel releases it.
fn use_up(session: &Session, prio: u32, before: u64) {
    let device = &session.device;
    if !is_noticed(session, before) {
        return;
    }
    let sleeps = sleeps();
    let lowered = (0..MAX_LATE_POLLS).any(|_| {
        burn(POLL_INTERVAL);
        let record = device.get(SELF);
        assert_eq!(record.prio, Some(prio));
        record.applied == Some(HELD) || has_slept_since(sleeps)
    });
    assert!(lowered, "it ran away at {prio}: {:?}", device.get(SELF));
    eventually("a thread that slept is not held down any more", || {
        thread::sleep(SLEEP);
        device.get(SELF).applied == Some(prio)
    });
}

/// Uses more CPU time than the budget has, which the kernel must notice. Returns false if
/// the thread does not get that much CPU time.
fn is_noticed(session: &Session, before: u64) -> bool {
    let info = class_info(session);
    let budget = Duration::from_millis(info.budget_ms.into());
    let (start, start_cpu, mut late) = (Instant::now(), own_time(), 0);
    while start.elapsed() < TIMEOUT {
        burn(POLL_INTERVAL);
        if session.device.stats(SELF).runaways > before {
            return true;
        }
        let (used, elapsed) = (own_time() - start_cpu, start.elapsed());
        // The thread has slept for at most `elapsed`, and sleep fills the budget.
        late += u32::from(used > budget + elapsed * info.share_percent / 100);
        let record = session.device.get(SELF);
        assert!(
            late < MAX_LATE_POLLS,
            "{used:?} used within {elapsed:?}: {record:?}"
        );
    }
    false
}

/// Returns how often the calling thread has slept. Page faults count: a write to memory that
/// another thread shares with a child during fork may sleep.
fn sleeps() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD)
        .expect("the calling thread's own")
        .voluntary_context_switches()
}

fn has_slept_since(before: i64) -> bool {
    sleeps() != before
}
