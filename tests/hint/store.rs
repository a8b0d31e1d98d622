// SPDX-License-Identifier: GPL-2.0

//! The effect of a store to a thread's slot of the hint page.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use common::attr::setpriority;
use common::attr::Attr;
use common::deadline::scope;
use common::device::Device;
use common::eventually;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::hint::NONE;
use common::hint::SLOTS_PER_PAGE;
use common::spinner::Spinner;
use common::state::State;
use common::worker::Worker;
use common::StopOnDrop;
use common::CONTESTED_CPU;
use common::SAMPLE;
use go_sched_policy::LEVELS;
use go_sched_policy::TABLE;
use gosched::uapi::GO_SCHED_CAUSE_HINT;

/// The byte of a slot that stands for a priority or none.
fn byte(prio: Option<u32>) -> u8 {
    prio.map_or(NONE, |prio| prio as u8)
}

/// Checks that a thread has the priority `prio`, or none, and its base.
#[track_caller]
fn assert_at(hinted: &HintedWorker, base: &State, prio: Option<u32>) {
    let state = State::of(hinted.device(), hinted.tid());
    assert_eq!((state.record.prio, state.record.applied), (prio, prio));
    assert_eq!(state.record.base, base.record.base, "at {prio:?}");
    let expected = match prio {
        Some(prio) => base.attr.mapped(&TABLE[prio as usize]),
        None => base.attr,
    };
    assert_eq!(state.attr, expected, "at {prio:?}");
    assert_eq!(hinted.slot().applied(), byte(prio));
}

/// Returns a bound thread that may have any priority, and its state without a priority.
fn free_worker() -> (HintedWorker, State) {
    let hinted = HintedWorker::free();
    let base = State::of(hinted.device(), hinted.tid());
    (hinted, base)
}

#[test]
fn a_new_binding_wants_nothing_and_tells_what_is_in_force() {
    for prio in SAMPLE.map(Some).into_iter().chain([None]) {
        let device = Arc::new(Device::open());
        let page = Arc::new(HintPage::new(&device, 1));
        let worker = Worker::spawn();
        if let Some(prio) = prio {
            device.set(worker.tid(), prio);
        }
        let before = State::of(&device, worker.tid());
        page.slot(0).store(20);
        page.slot(0).forge_applied(21);

        let slot = Arc::clone(&page);
        let bytes = worker.run(move || {
            device.bind(0);
            let slot = slot.slot(0);
            (slot.wanted(), slot.applied())
        });
        assert_eq!(bytes, (NONE, byte(prio)));
        let after = State::of(&Device::open(), worker.tid());
        assert_eq!(after.attr, before.attr);
        assert_eq!(after.record.prio, prio);
    }
}

#[test]
fn a_store_is_in_force_once_the_thread_is_scheduled() {
    for base in [
        Attr::normal(0),
        Attr::normal(-7).slice_ns(10_000_000),
        Attr::batch(3),
        Attr::idle(),
        Attr::rr(9),
        Attr::fifo(9).reset_on_fork(),
    ] {
        let (hinted, _) = free_worker();
        base.apply(hinted.tid());
        let base = State::of(hinted.device(), hinted.tid());
        for from in SAMPLE {
            for to in SAMPLE {
                for prio in [from, to] {
                    hinted.take(byte(Some(prio)), byte(Some(prio)));
                    assert_at(&hinted, &base, Some(prio));
                }
            }
            hinted.take(NONE, NONE);
            assert_at(&hinted, &base, None);
        }
    }
}

#[test]
fn every_priority_can_be_asked_for() {
    let (hinted, base) = free_worker();
    for prio in (0..LEVELS).chain((0..LEVELS).rev()) {
        hinted.take(byte(Some(prio)), byte(Some(prio)));
        assert_at(&hinted, &base, Some(prio));
    }
}

#[test]
fn any_thread_that_has_the_page_may_store() {
    let (hinted, base) = free_worker();
    for prio in SAMPLE {
        hinted.slot().store(byte(Some(prio)));
        hinted.worker().run(|| ());
        // It answered before it went to sleep, which is when the slot is read.
        eventually("the hint is in force", || {
            hinted.slot().applied() == byte(Some(prio))
        });
        assert_at(&hinted, &base, Some(prio));
    }
}

#[test]
fn a_store_to_the_slot_of_a_sleeping_thread_waits_until_it_runs() {
    let (hinted, base) = free_worker();
    hinted.store_while_asleep(10);
    assert_eq!(Attr::of(hinted.tid()), base.attr);
    assert_eq!(hinted.slot().applied(), NONE);
    hinted.take(10, 10);
    assert_at(&hinted, &base, Some(10));
}

#[test]
fn a_store_reaches_a_thread_that_never_calls_the_kernel() {
    let device = Arc::new(Device::open());
    let page = HintPage::new(&device, 1);
    let binder = Arc::clone(&device);
    let spinner = Spinner::paused_after(CONTESTED_CPU, move || binder.bind(0));
    // In its base, so that nothing limits how long it may run up there.
    Attr::normal(-15).apply(spinner.tid());
    Attr::rr(16).apply(spinner.tid());
    spinner.spin();
    for prio in SAMPLE.into_iter().chain(SAMPLE) {
        page.slot(0).store(byte(Some(prio)));
        eventually("the tick has read the slot", || {
            page.slot(0).applied() == byte(Some(prio))
        });
        assert_eq!(device.get(spinner.tid()).applied, Some(prio));
    }
}

#[test]
fn none_brings_back_what_set_said_last() {
    let (hinted, base) = free_worker();
    for prio in SAMPLE {
        for hint in SAMPLE {
            hinted.device().set(hinted.tid(), prio);
            hinted.take(byte(Some(hint)), byte(Some(hint)));
            assert_at(&hinted, &base, Some(hint));
            hinted.take(NONE, byte(Some(prio)));
            assert_at(&hinted, &base, Some(prio));
        }
    }
    hinted.device().clear(hinted.tid());
    assert_at(&hinted, &base, None);
}

#[test]
fn a_value_that_is_no_priority_changes_nothing() {
    let (hinted, base) = free_worker();
    for no_priority in LEVELS as u8..NONE {
        hinted.assert_ignores(no_priority);
    }
    hinted.take(10, 10);
    for no_priority in LEVELS as u8..NONE {
        hinted.assert_ignores(no_priority);
    }
    assert_at(&hinted, &base, Some(10));
    hinted.take(50, 50);
    assert_at(&hinted, &base, Some(50));
}

#[test]
fn the_last_change_wins() {
    let (hinted, base) = free_worker();
    let tid = hinted.tid();
    for [set, hint] in [[40, 10], [10, 40], [60, 50], [50, 60], [20, 20]] {
        hinted.device().set(tid, set);
        assert_at(&hinted, &base, Some(set));
        hinted.take(byte(Some(hint)), byte(Some(hint)));
        assert_at(&hinted, &base, Some(hint));
        hinted.device().set(tid, set);
        assert_at(&hinted, &base, Some(set));
        // What SET has ended does not come back.
        hinted.take(NONE, byte(Some(set)));
        assert_at(&hinted, &base, Some(set));
        hinted.take(byte(Some(hint)), byte(Some(hint)));
        hinted.device().clear(tid);
        assert_at(&hinted, &base, None);
        hinted.take(NONE, NONE);
    }
}

#[test]
fn a_change_by_another_call_ends_the_hint_and_is_the_new_base() {
    let writes: [fn(i32); 3] = [
        |tid| Attr::batch(3).apply(tid),
        |tid| setpriority(tid, 5).unwrap(),
        |tid| Attr::rr(7).apply(tid),
    ];
    for write in writes {
        for set in [None, Some(40)] {
            for hint in SAMPLE {
                let (hinted, _) = free_worker();
                if let Some(prio) = set {
                    hinted.device().set(hinted.tid(), prio);
                }
                hinted.take(byte(Some(hint)), byte(Some(hint)));
                write(hinted.tid());

                let base = State::of(hinted.device(), hinted.tid());
                assert_at(&hinted, &base, None);
                hinted.assert_ignores(byte(Some(hint)));
                hinted.assert_ignores(NONE);
                hinted.take(20, 20);
                assert_at(&hinted, &base, Some(20));
            }
        }
    }
}

#[test]
fn the_same_value_again_does_not_undo_a_later_change() {
    let changes: [fn(&Device, i32); 4] = [
        |device, tid| device.set(tid, 40),
        |device, tid| device.clear(tid),
        |_, tid| Attr::normal(4).apply(tid),
        |_, tid| setpriority(tid, 4).unwrap(),
    ];
    for change in changes {
        for hint in SAMPLE.map(|prio| byte(Some(prio))) {
            let (hinted, _) = free_worker();
            hinted.take(hint, hint);
            change(hinted.device(), hinted.tid());
            hinted.assert_ignores(hint);
            hinted.take(hint ^ 1, hint ^ 1);
            hinted.take(hint, hint);
        }
    }
}

#[test]
fn each_thread_follows_its_own_slot() {
    let device = Arc::new(Device::open());
    // On two pages of memory, and next to each other.
    let slots = [0, 1, SLOTS_PER_PAGE - 1, SLOTS_PER_PAGE];
    let page = Arc::new(HintPage::new(&device, SLOTS_PER_PAGE + 1));
    let threads = slots.map(|slot| HintedWorker::spawn(&device, &page, slot));
    for (thread, slot) in threads.iter().zip(slots) {
        assert_eq!(device.get(thread.tid()).slot, Some(slot));
    }
    for round in 0..4 {
        for (i, thread) in threads.iter().enumerate() {
            let others = || threads.iter().filter(|other| other.tid() != thread.tid());
            let states = || others().map(|other| State::of(&device, other.tid()));
            let before: Vec<_> = states().collect();
            thread.take(round + i as u8, round + i as u8);
            others().for_each(|other| other.worker().run(|| ()));
            assert!(states().eq(before), "slot {} moved others", slots[i]);
        }
    }
}

#[test]
fn a_hint_of_a_deadline_thread_waits_for_the_end_of_that() {
    let (hinted, _) = free_worker();
    let tid = hinted.tid();
    for hint in [10, 50] {
        hinted.take(20, 20);
        Attr::deadline().apply(tid);
        hinted.assert_ignores(hint);
        assert_eq!(Attr::of(tid).policy(), libc::SCHED_DEADLINE);
        Attr::normal(0).apply(tid);
        hinted.take(hint, hint);
    }
}

#[test]
fn applies_counts_each_change_and_no_more() {
    let (hinted, _) = free_worker();
    let tid = hinted.tid();
    let mut before = hinted.device().stats(tid).applies;
    for prio in SAMPLE {
        hinted.take(byte(Some(prio)), byte(Some(prio)));
        hinted.assert_ignores(byte(Some(prio)));
        hinted.assert_ignores(100);
        let stats = hinted.device().stats(tid);
        assert_eq!(stats.applies, before + 1, "at {prio}");
        assert_eq!(stats.last_cause, GO_SCHED_CAUSE_HINT);
        before = stats.applies;
    }
}

#[test]
fn stores_and_requests_at_the_same_time_lose_no_base() {
    const ROUNDS: u32 = 20_000;
    const LAST: u32 = LEVELS - 1;
    let device = Arc::new(Device::open());
    let page = HintPage::new(&device, 1);
    let binder = Arc::clone(&device);
    let spinner = Spinner::paused_after(CONTESTED_CPU, move || binder.bind(0));
    let tid = spinner.tid();
    Attr::rr(16).apply(tid);
    let before = State::of(&device, tid);
    spinner.spin();
    let done = AtomicBool::new(false);

    scope(|scope| {
        scope.spawn(|| {
            let _stop = StopOnDrop(&done);
            for round in 0..ROUNDS {
                device.set(tid, round * 37 % LAST);
                if round % 5 == 0 {
                    device.clear(tid);
                }
            }
        });
        scope.spawn(|| {
            for round in (0_u8..=u8::MAX).cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                page.slot(0).store(round % LAST as u8);
            }
        });
    });

    // What no store has asked for yet.
    page.slot(0).store(LAST as u8);
    eventually("the last store is in force", || {
        page.slot(0).applied() == LAST as u8
    });
    let State { attr, record, .. } = State::of(&device, tid);
    assert_eq!((record.prio, record.applied), (Some(LAST), Some(LAST)));
    assert_eq!(attr, before.attr.mapped(&TABLE[LAST as usize]));
    device.clear(tid);
    assert_eq!(State::of(&device, tid), before);
    assert_eq!(page.slot(0).applied(), NONE);
}
