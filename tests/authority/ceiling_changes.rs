// SPDX-License-Identifier: GPL-2.0

//! The fate of a priority when the ceiling above it falls, and of a ceiling when its
//! thread creates others or the module goes.

use common::attr::Attr;
use common::child::become_user_with_ceiling;
use common::child::in_child;
use common::child::set_limit;
use common::child::Child;
use common::device::Device;
use common::device::SELF;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::module::load;
use common::module::unload;
use common::module::Reconfigured;
use common::module::Reloaded;
use common::proc_sched::ProcSched;
use common::state::assert_refused;
use common::state::assert_unchanged;
use common::state::State;
use common::worker::in_thread;
use common::worker::Worker;
use common::USER;
use go_sched_policy::TABLE;
use gosched::uapi::GO_SCHED_PRIO_NONE;
use rustix::io::Errno;
use rustix::process::Resource;

/// A granted ceiling above all that the base of an ordinary thread allows.
const GRANTED: u32 = 55;

/// Runs `job` as a user with a ceiling of [`GRANTED`].
fn with_grant(job: impl FnOnce(&Device)) {
    let device = Device::open();
    in_child(|| {
        become_user_with_ceiling(USER, &device, GRANTED);
        job(&device);
    });
}

/// Checks that the calling thread has a priority, and that the priority is in force.
#[track_caller]
fn assert_in_force(device: &Device, prio: u32) {
    let State { attr, record, .. } = State::of(device, SELF);
    assert_eq!((record.prio, record.applied), (Some(prio), Some(prio)));
    assert_eq!(attr, attr.mapped(&TABLE[prio as usize]));
}

#[test]
fn a_granted_priority_falls_with_the_ceiling() {
    let _unlimited = Reconfigured::unlimited();
    for (prio, ceiling) in [
        (55, 54),
        (50, 48),
        (50, 47),
        (50, 33),
        (47, 40),
        (40, 32),
        (40, 0),
    ] {
        with_grant(|device| {
            device.set(SELF, prio);
            device.ceiling(SELF, ceiling);
            assert_in_force(device, ceiling as u32);
            assert_refused(device, SELF, Errno::PERM, || device.try_set(SELF, prio, 0));
        });
    }
}

#[test]
fn a_granted_priority_falls_with_the_return_to_the_own_ceiling() {
    let _unlimited = Reconfigured::unlimited();
    for prio in [33, 47, 48, 55] {
        with_grant(|device| {
            device.set(SELF, prio);
            device.ceiling(SELF, GO_SCHED_PRIO_NONE);
            assert_in_force(device, 32);
        });
    }
}

#[test]
fn without_a_ceiling_a_granted_priority_falls_to_the_next_that_is_owned() {
    let _unlimited = Reconfigured::unlimited();
    let device = Device::open();
    for (prio, owned) in [(40, 32), (47, 32), (50, 48), (55, 48)] {
        in_child(|| {
            set_limit(Resource::Rtprio, 1);
            become_user_with_ceiling(USER, &device, GRANTED);
            device.set(SELF, prio);
            device.ceiling(SELF, GO_SCHED_PRIO_NONE);
            assert_in_force(&device, owned);
        });
    }
}

#[test]
fn a_priority_at_or_below_the_new_ceiling_stays() {
    let _unlimited = Reconfigured::unlimited();
    for (prio, ceiling) in [(50, 54), (50, 50), (40, 47), (32, 40), (0, 32), (20, 20)] {
        with_grant(|device| {
            device.set(SELF, prio);
            device.ceiling(SELF, ceiling);
            assert_in_force(device, prio);
        });
    }
}

#[test]
fn a_priority_that_the_base_allows_stays() {
    for prio in [5, 16, 32] {
        with_grant(|device| {
            device.set(SELF, prio);
            device.ceiling(SELF, 0);
            assert_in_force(device, prio);
        });
    }
}

#[test]
fn a_falling_priority_is_inherited_as_before() {
    let _unlimited = Reconfigured::unlimited();
    with_grant(|device| {
        device.set_inherited(SELF, 50);
        device.ceiling(SELF, 40);
        let record = device.get(SELF);
        assert_eq!((record.prio, record.inherit), (Some(40), true));
        let child = Worker::spawn();
        assert_eq!(device.prio(child.tid()), Some(40));
    });
}

#[test]
fn a_hint_in_effect_falls_with_the_ceiling() {
    let _unlimited = Reconfigured::unlimited();
    for (prio, ceiling) in [(55, 54), (50, 47), (47, 40), (40, 32)] {
        with_grant(|device| {
            let page = HintPage::new(device, 1);
            device.bind(0);
            page.slot(0).take(prio, prio);
            device.ceiling(SELF, ceiling.into());
            assert_in_force(device, ceiling.into());
            assert_eq!(page.slot(0).applied(), ceiling);
        });
    }
}

#[test]
fn a_hint_in_effect_rises_with_the_ceiling_no_further_than_it_wants() {
    let _unlimited = Reconfigured::unlimited();
    in_thread(|| {
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        device.bind(0);
        page.slot(0).take(50, 32);
        for (ceiling, prio) in [(40, 40), (49, 49), (50, 50), (63, 50), (20, 20)] {
            device.ceiling(SELF, ceiling);
            assert_in_force(&device, prio.into());
            assert_eq!(page.slot(0).applied(), prio);
        }
        device.unbind();
    });
}

#[test]
fn a_value_that_is_no_priority_is_ignored_when_the_ceiling_changes() {
    let _unlimited = Reconfigured::unlimited();
    let hinted = HintedWorker::free();
    let (device, tid) = (hinted.device(), hinted.tid());
    hinted.take(40, 40);
    for ignored in [64, 200, 254] {
        hinted.assert_ignores(ignored);
        for ceiling in [62, 45, 63] {
            device.ceiling(tid, ceiling);
            let record = device.get(tid);
            assert_eq!((record.prio, record.applied), (Some(40), Some(40)));
        }
    }
}

#[test]
fn a_priority_that_privilege_gave_stays_above_a_falling_ceiling() {
    let device = Device::open();
    let child = Child::sleeping(|| become_user_with_ceiling(USER, &device, GRANTED));
    device.set(child.pid(), 60);
    let before = State::of(&device, child.pid());
    device.ceiling(child.pid(), 40);
    let after = State::of(&device, child.pid());
    assert_eq!((after.attr, after.nice), (before.attr, before.nice));
    assert_eq!(after.record.prio, Some(60));
}

#[test]
fn a_ceiling_that_rises_moves_no_priority() {
    in_thread(|| {
        let device = Device::open();
        for prio in [0, 15, 32] {
            device.set(SELF, prio);
            for ceiling in [40, 50, 63] {
                device.ceiling(SELF, ceiling);
                assert_in_force(&device, prio);
            }
            device.ceiling(SELF, GO_SCHED_PRIO_NONE);
            assert_in_force(&device, prio);
        }
    });
}

#[test]
fn a_ceiling_is_no_priority() {
    let device = Device::open();
    let worker = Worker::spawn();
    let before = State::of(&device, worker.tid());
    for ceiling in [0, 20, 40, 63, GO_SCHED_PRIO_NONE] {
        device.ceiling(worker.tid(), ceiling);
        let State { attr, nice, record } = State::of(&device, worker.tid());
        assert_eq!((attr, nice), (before.attr, before.nice), "{ceiling}");
        assert_eq!((record.prio, record.applied), (None, None), "{ceiling}");
        assert_eq!(record.base, before.record.base, "{ceiling}");
    }
    assert_eq!(State::of(&device, worker.tid()), before);
}

#[test]
fn a_granted_ceiling_is_that_of_new_threads_and_processes() {
    for ceiling in [10, 40, GRANTED] {
        in_thread(move || {
            let device = Device::open();
            device.ceiling(SELF, ceiling as i32);
            for prio in [None, Some(5), Some(50)] {
                if let Some(prio) = prio {
                    device.set(SELF, prio);
                }
                let thread = Worker::spawn();
                let process = Child::sleeping(|| ());
                let grandchild = thread.run(Worker::spawn);
                for child in [thread.tid(), process.pid(), grandchild.tid()] {
                    let record = device.get(child);
                    assert_eq!(record.prio, None);
                    assert_eq!((record.ceiling, record.ceiling_granted), (ceiling, true));
                }
            }
        });
    }
}

#[test]
fn an_inherited_ceiling_is_the_childs_own() {
    in_thread(|| {
        let device = Device::open();
        device.ceiling(SELF, GRANTED as i32);
        let child = Worker::spawn();
        assert_unchanged(&device, SELF, || device.ceiling(child.tid(), 40));
        assert_unchanged(&device, child.tid(), || device.ceiling(SELF, 45));
    });
}

#[test]
fn reset_on_fork_keeps_a_granted_ceiling_from_children() {
    for base in [Attr::normal(0), Attr::batch(0), Attr::rr(4)] {
        in_thread(move || {
            let device = Device::open();
            base.reset_on_fork().apply(SELF);
            device.ceiling(SELF, GRANTED as i32);
            for prio in [None, Some(5), Some(50)] {
                if let Some(prio) = prio {
                    device.set_inherited(SELF, prio);
                }
                let thread = Worker::spawn();
                let process = Child::sleeping(|| ());
                for child in [thread.tid(), process.pid()] {
                    let record = device.get(child);
                    assert_eq!((record.ceiling, record.ceiling_granted), (32, false));
                    assert_eq!(record.prio, None);
                }
            }
        });
    }
}

#[test]
fn a_granted_ceiling_outlives_the_module() {
    let _reloaded = Reloaded;
    let child = Child::sleeping(|| become_user_with_ceiling(USER, &Device::open(), GRANTED));
    let base = ProcSched::of(child.pid());
    Device::open().set(child.pid(), 50);
    let before = State::of(&Device::open(), child.pid());
    unload();
    assert_eq!(ProcSched::of(child.pid()), base);
    load();
    let device = Device::open();
    assert_eq!(State::of(&device, child.pid()), before);
    assert_eq!(before.record.ceiling, GRANTED);
}
