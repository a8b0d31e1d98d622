// SPDX-License-Identifier: GPL-2.0

//! A sched_ext scheduler that runs all threads: no thread gets a priority and no thread
//! follows a hint. When the scheduler has ended, priorities and hints work as before.

use std::thread;
use std::time::Duration;

use common::attr::Attr;
use common::budget::burn;
use common::budget::SOME_TICKS;
use common::device::Device;
use common::device::SELF;
use common::eventually;
use common::hint::be_scheduled;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::hint::NONE;
use common::module::load;
use common::module::try_unload;
use common::module::Reconfigured;
use common::proc_sched::ProcSched;
use common::state::assert_refused;
use common::state::State;
use common::syscall::set_schedprio;
use common::worker::Worker;
use common::SAMPLE;
use go_sched_policy::TABLE;
use rustix::io::Errno;
use scx::state;
use scx::Scheduler;

/// Returns a thread at each priority of the sample, with the thread's state.
fn sample(device: &Device) -> Vec<(Worker, State)> {
    SAMPLE
        .into_iter()
        .map(|prio| {
            let worker = Worker::spawn();
            device.set(worker.tid(), prio);
            let state = State::of(device, worker.tid());
            (worker, state)
        })
        .collect()
}

#[test]
fn set_is_ebusy_and_changes_nothing() {
    let device = Device::open();
    let (plain, managed) = (Worker::spawn(), Worker::spawn());
    device.set(managed.tid(), 20);
    let _scheduler = Scheduler::full("set");
    for prio in SAMPLE {
        for tid in [SELF, plain.tid(), managed.tid()] {
            assert_refused(&device, tid, Errno::BUSY, || device.try_set(tid, prio, 0));
        }
    }
}

#[test]
fn the_system_call_is_ebusy_and_changes_nothing() {
    let device = Device::open();
    let (plain, managed) = (Worker::spawn(), Worker::spawn());
    device.set(managed.tid(), 20);
    let _scheduler = Scheduler::full("syscall");
    for prio in SAMPLE {
        for tid in [SELF, plain.tid(), managed.tid()] {
            assert_refused(&device, tid, Errno::BUSY, || set_schedprio(tid, prio, 0));
        }
    }
}

#[test]
fn bind_is_ebusy_and_changes_nothing() {
    let _scheduler = Scheduler::full("bind");
    Worker::spawn().run(|| {
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        let slot = page.slot(0);
        slot.store(20);
        let applied = slot.applied();
        assert_refused(&device, SELF, Errno::BUSY, || device.try_bind(0));
        assert_eq!((slot.wanted(), slot.applied()), (20, applied));
    });
}

#[test]
fn a_priority_can_be_taken_away() {
    let device = Device::open();
    let base = Attr::of(SELF);
    let threads = sample(&device);
    let _scheduler = Scheduler::full("clear");
    for (worker, _) in &threads {
        device.clear(worker.tid());
        assert_eq!(device.prio(worker.tid()), None);
        assert_eq!(Attr::of(worker.tid()), base);
    }
}

#[test]
fn the_scheduler_leaves_no_trace_in_what_has_a_priority() {
    let device = Device::open();
    let threads = sample(&device);
    for _ in 0..3 {
        let scheduler = Scheduler::full("passing");
        threads.iter().for_each(|(worker, _)| worker.run(|| ()));
        drop(scheduler);
        for (worker, before) in &threads {
            worker.run(|| ());
            assert_eq!(State::of(&device, worker.tid()), *before);
        }
    }
}

#[test]
fn a_thread_started_beside_the_scheduler_inherits() {
    let device = Device::open();
    let parent = Worker::spawn();
    for prio in SAMPLE {
        device.set_inherited(parent.tid(), prio);
        let scheduler = Scheduler::full("fork");
        let child = parent.run(Worker::spawn);
        drop(scheduler);
        assert_eq!(Attr::of(child.tid()), Attr::of(parent.tid()));
        assert_eq!(device.prio(child.tid()), Some(prio));
    }
}

#[test]
fn the_module_can_be_reloaded_beside_the_scheduler() {
    let base = Attr::of(SELF);
    let device = Device::open();
    let threads = sample(&device);
    drop(device);
    let scheduler = Scheduler::full("reload");

    // The kernel may release a file shortly after a thread has closed it.
    eventually("the module can be unloaded", || try_unload().is_ok());
    for (worker, _) in &threads {
        assert_eq!(Attr::of(worker.tid()), base);
        assert_eq!(ProcSched::of(worker.tid()), base.proc_sched());
    }
    load();
    let device = Device::open();
    assert_refused(&device, SELF, Errno::BUSY, || device.try_set(SELF, 32, 0));
    drop(scheduler);
    for (worker, before) in &threads {
        assert_eq!(State::of(&device, worker.tid()), *before);
    }
}

/// Number of times that a thread enters the scheduler and must not follow its hint.
const OFTEN: u32 = 100;

#[test]
fn a_bound_thread_follows_hints_again_when_the_scheduler_has_ended() {
    let _unlimited = Reconfigured::unlimited();
    let hinted = HintedWorker::free();
    let (device, tid) = (hinted.device(), hinted.tid());
    for before in [NONE, 20, 63] {
        for wanted in SAMPLE.map(|prio| prio as u8).into_iter().chain([NONE]) {
            hinted.take(before, before);
            let state = State::of(device, tid);
            let stats = device.stats(tid);

            let scheduler = Scheduler::full("hint");
            hinted.slot().store(wanted);
            // The scheduler reads the hint at a yield, on the tick, and at a wakeup.
            hinted.worker().run(|| {
                (0..OFTEN).for_each(|_| be_scheduled());
                burn(SOME_TICKS);
                thread::sleep(Duration::from_millis(1));
            });
            assert_eq!(hinted.slot().applied(), before, "{wanted} is not followed");
            assert_eq!(device.get(tid), state.record, "{wanted} is not followed");
            assert_eq!(device.stats(tid).applies, stats.applies);
            drop(scheduler);

            // The hint was stored before, and is not stored again.
            eventually("the hint is followed", || {
                hinted.worker().run(be_scheduled);
                hinted.slot().applied() == wanted
            });
            let prio = (wanted != NONE).then(|| u32::from(wanted));
            assert_eq!(device.prio(tid), prio);
        }
    }
}

#[test]
fn all_requests_work_when_the_scheduler_has_ended() {
    let device = Device::open();
    let base = Attr::of(SELF);
    drop(Scheduler::full("over"));
    assert_eq!(state(), "disabled");
    for prio in SAMPLE {
        let mapped = base.mapped(&TABLE[prio as usize]);
        let worker = Worker::spawn();
        device.set(worker.tid(), prio);
        assert_eq!(Attr::of(worker.tid()), mapped);
        device.clear(worker.tid());
        assert_eq!(Attr::of(worker.tid()), base);
        set_schedprio(worker.tid(), prio, 0).unwrap();
        assert_eq!(Attr::of(worker.tid()), mapped);
    }
}
