// SPDX-License-Identifier: GPL-2.0

//! A priority has the same effect beside a sched_ext scheduler that runs only threads of
//! its own policy as without a scheduler.

use common::attr::setscheduler;
use common::attr::Attr;
use common::device::Device;
use common::device::SELF;
use common::hint::HintPage;
use common::state::State;
use common::syscall::set_schedprio;
use common::worker::Worker;
use common::SAMPLE;
use go_sched_policy::TABLE;
use gosched::sched::SchedPolicy;
use scx::Scheduler;

#[test]
fn a_priority_is_in_force() {
    let _scheduler = Scheduler::partial("set");
    let device = Device::open();
    let base = Attr::of(SELF);
    let worker = Worker::spawn();
    for prio in SAMPLE {
        let mapped = base.mapped(&TABLE[prio as usize]);
        device.set(worker.tid(), prio);
        assert_eq!(worker.run(|| Attr::of(SELF)), mapped);
        device.clear(worker.tid());
        assert_eq!(worker.run(|| Attr::of(SELF)), base);
        set_schedprio(worker.tid(), prio, 0).unwrap();
        assert_eq!(worker.run(|| Attr::of(SELF)), mapped);
    }
}

#[test]
fn a_hint_is_in_force() {
    let _scheduler = Scheduler::partial("hint");
    Worker::spawn().run(|| {
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        let base = Attr::of(SELF);
        device.bind(0);
        device.ceiling(SELF, 63);
        for prio in SAMPLE {
            page.slot(0).take(prio as u8, prio as u8);
            assert_eq!(Attr::of(SELF), base.mapped(&TABLE[prio as usize]));
        }
    });
}

#[test]
fn a_priority_outlives_the_scheduler() {
    let device = Device::open();
    let worker = Worker::spawn();
    for prio in SAMPLE {
        let scheduler = Scheduler::partial("end");
        device.set(worker.tid(), prio);
        let before = State::of(&device, worker.tid());
        drop(scheduler);
        worker.run(|| ());
        assert_eq!(State::of(&device, worker.tid()), before);
    }
}

#[test]
fn a_thread_of_the_scheduler_is_its_thread_again_without_its_priority() {
    let _scheduler = Scheduler::partial("base");
    let device = Device::open();
    let worker = Worker::spawn();
    setscheduler(worker.tid(), SchedPolicy::EXT.number() as i32, 0).unwrap();
    let base = Attr::of(worker.tid());
    for prio in SAMPLE {
        device.set(worker.tid(), prio);
        assert_eq!(device.get(worker.tid()).base.policy, SchedPolicy::EXT);
        let attr = worker.run(|| Attr::of(SELF));
        assert_eq!(attr, base.mapped(&TABLE[prio as usize]));
        device.clear(worker.tid());
        assert_eq!(worker.run(|| Attr::of(SELF)), base);
    }
}
