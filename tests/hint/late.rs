// SPDX-License-Identifier: GPL-2.0

//! A hint is in force while its thread sleeps and when the thread wakes up, also when
//! another process keeps the scheduler from reading the hint in time. Any process can do
//! that by `sched_getaffinity(2)`, which takes a lock that a change of scheduling needs.

use std::hint::spin_loop;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;
use std::thread::Thread;
use std::time::Duration;
use std::time::Instant;

use common::child::become_user;
use common::child::Child;
use common::device::Device;
use common::device::SELF;
use common::eventually;
use common::hint::HintedWorker;
use common::hint::Slot;
use common::module::Reconfigured;
use common::pin;
use common::CONTESTED_CPU;
use common::DEADLINE;
use common::USER;
use common::WATCHER_CPU;
use rustix::process::Pid;
use rustix::thread::sched_getaffinity;

/// The hints of a thread, in the order of time.
const OLD: u8 = 16;
const NEW: u8 = 50;

/// Number of hints that the scheduler is to be kept from reading in time.
const SKIPS: u64 = 3;

/// A thread that follows a hint on the contested CPU, while a user's process on the other
/// CPU calls `sched_getaffinity(2)` on the thread.
struct Watched {
    hinted: HintedWorker,
    _looker: Child,
    _unlimited: Reconfigured,
}

impl Watched {
    fn new() -> Self {
        let unlimited = Reconfigured::unlimited();
        let hinted = HintedWorker::free();
        let tid = Pid::from_raw(hinted.tid());
        hinted.worker().run(|| pin(CONTESTED_CPU));
        let looker = Child::sleeping(|| {
            pin(WATCHER_CPU);
            become_user(USER);
            thread::spawn(move || while sched_getaffinity(tid).is_ok() {});
        });
        Self {
            hinted,
            _looker: looker,
            _unlimited: unlimited,
        }
    }
}

/// Runs rounds until the scheduler has been late often enough, which must be once at least.
/// A round returns how often the scheduler was kept from reading the hint.
#[track_caller]
fn until_put_off(mut round: impl FnMut() -> u64) {
    let (start, mut skips) = (Instant::now(), 0);
    while skips < SKIPS && start.elapsed() < DEADLINE {
        skips += round();
    }
    assert_ne!(skips, 0, "proves nothing: no hint was late");
}

/// Stores a hint. An emulator's CPUs take turns: this one's begins with the store, and with
/// the other CPU stopped wherever it was, in a call with the lock held too.
fn store_first_in_a_turn(slot: Slot<'_>, hint: u8) {
    spin_loop();
    slot.store(hint);
}

#[test]
fn a_thread_wakes_up_at_the_hint_it_stored_before_it_slept() {
    let watched = Watched::new();
    let page = Arc::clone(watched.hinted.page());
    watched.hinted.worker().run(move || {
        let device = Device::open();
        let skips = || device.stats(SELF).skips;
        until_put_off(|| {
            page.slot(0).take(OLD, OLD);
            let before = skips();
            store_first_in_a_turn(page.slot(0), NEW);
            thread::sleep(Duration::from_millis(1));
            let applied = page.slot(0).applied();
            let put_off = skips() - before;
            assert_eq!(applied, NEW, "when it woke up, put off {put_off} times");
            put_off
        });
    });
}

/// A helper that wakes a thread for each round. On drop, the helper tells the thread to
/// end.
struct Alarm<'a> {
    sleeper: Thread,
    round: &'a AtomicU32,
}

impl Alarm<'_> {
    const END: u32 = u32::MAX;

    fn ring(&self, round: u32) {
        self.round.store(round, Ordering::Relaxed);
        self.sleeper.unpark();
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.ring(Self::END);
    }
}

#[test]
fn a_hint_is_in_force_while_its_thread_sleeps() {
    let watched = Watched::new();
    let worker = watched.hinted.worker();
    let page = Arc::clone(watched.hinted.page());
    // The last round that was begun, and the last one in which the hint was stored.
    let begun = Arc::new(AtomicU32::new(0));
    let stored = Arc::new(AtomicU32::new(0));
    // How often acting on a hint was put off before that.
    let skips_before = Arc::new(AtomicU64::new(0));
    let alarm = Alarm {
        sleeper: worker.run(thread::current),
        round: &begun,
    };
    let sleeping = worker.start({
        let (page, begun, stored) = (Arc::clone(&page), Arc::clone(&begun), Arc::clone(&stored));
        let skips_before = Arc::clone(&skips_before);
        let device = Device::open();
        move || loop {
            let round = begun.load(Ordering::Relaxed);
            if round == Alarm::END {
                return;
            }
            page.slot(0).take(OLD, OLD);
            skips_before.store(device.stats(SELF).skips, Ordering::Relaxed);
            store_first_in_a_turn(page.slot(0), NEW);
            stored.store(round, Ordering::Relaxed);
            while begun.load(Ordering::Relaxed) == round {
                thread::park();
            }
        }
    });

    let mut round = 0;
    until_put_off(|| {
        round += 1;
        alarm.ring(round);
        eventually("the hint is stored", || {
            stored.load(Ordering::Relaxed) == round
        });
        // Nobody wakes the thread up meanwhile.
        eventually("the hint is in force", || page.slot(0).applied() == NEW);
        let skips = watched.hinted.device().stats(worker.tid()).skips;
        skips - skips_before.load(Ordering::Relaxed)
    });
    drop(alarm);
    sleeping.wait();
}
