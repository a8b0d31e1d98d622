// SPDX-License-Identifier: GPL-2.0

//! The last writer wins: another call that changes a thread's scheduling ends the
//! thread's priority, and the new parameters become the thread's base.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use common::attr::setparam;
use common::attr::setpriority;
use common::attr::setscheduler;
use common::attr::Attr;
use common::deadline::scope;
use common::device::Device;
use common::device::SELF;
use common::pin;
use common::spinner::Spinner;
use common::state::assert_refused;
use common::state::State;
use common::worker::Worker;
use common::StopOnDrop;
use common::CONTESTED_CPU;
use common::SAMPLE;
use go_sched_policy::TABLE;
use gosched::sched::Params;
use gosched::sched::SchedPolicy;
use rustix::io::Errno;

/// Gives a new thread a base and a priority, and runs `write` on the thread. Checks that
/// the parameters that `write` sets are the new base and in force, for all bands.
#[track_caller]
fn assert_wins(base: Attr, expected: Params, write: fn()) {
    let device = Device::open();
    for prio in SAMPLE {
        for inherit in [false, true] {
            let worker = Worker::spawn();
            let tid = worker.tid();
            base.apply(tid);
            if inherit {
                device.set_inherited(tid, prio);
            } else {
                device.set(tid, prio);
            }
            worker.run(write);

            let state = State::of(&device, tid);
            assert_eq!(state.record.prio, None, "after {prio}");
            assert!(!state.record.inherit, "after {prio}");
            assert_eq!(state.record.base, expected, "after {prio}");
            assert_eq!(state.attr.0.policy, expected.policy, "after {prio}");
            assert_eq!(state.nice, expected.nice, "after {prio}");
            assert_eq!(state.attr.0.rt_priority, expected.rt_priority);

            // And it is a base like any other.
            device.set(tid, prio);
            assert_eq!(device.get(tid).base, expected, "after {prio}");
            device.clear(tid);
            assert_eq!(State::of(&device, tid), state, "after {prio}");
        }
    }
}

const ORDINARY: Params = Params {
    policy: SchedPolicy::OTHER,
    nice: 0,
    rt_priority: 0,
    slice_ns: 0,
};

#[test]
fn sched_setattr_wins() {
    let base = ORDINARY;
    assert_wins(Attr::normal(0), base, || Attr::normal(0).apply(SELF));
    let base = Params {
        policy: SchedPolicy::BATCH,
        nice: 3,
        slice_ns: 5_000_000,
        ..ORDINARY
    };
    assert_wins(Attr::rr(9), base, || {
        Attr::batch(3).slice_ns(5_000_000).apply(SELF);
    });
    let base = Params {
        policy: SchedPolicy::FIFO,
        rt_priority: 7,
        ..ORDINARY
    };
    assert_wins(Attr::normal(0), base, || Attr::fifo(7).apply(SELF));
}

#[test]
fn sched_setattr_to_what_is_in_force_wins_as_well() {
    let device = Device::open();
    for prio in SAMPLE {
        let worker = Worker::spawn();
        device.set(worker.tid(), prio);
        let in_force = Attr::of(worker.tid());
        in_force.apply(worker.tid());
        let record = device.get(worker.tid());
        assert_eq!(record.prio, None, "after {prio}");
        assert_eq!(record.base.policy, in_force.0.policy, "after {prio}");
        // The other policies do not use the nice value, and leave it alone.
        let nice = match in_force.0.policy {
            SchedPolicy::OTHER => in_force.0.nice,
            _ => 0,
        };
        assert_eq!(record.base.nice, nice, "after {prio}");
    }
}

#[test]
fn sched_setscheduler_wins() {
    let base = Params {
        policy: SchedPolicy::RR,
        rt_priority: 3,
        ..ORDINARY
    };
    assert_wins(Attr::normal(0), base, || {
        setscheduler(SELF, libc::SCHED_RR, 3).unwrap();
    });
    let base = Params {
        policy: SchedPolicy::IDLE,
        ..ORDINARY
    };
    assert_wins(Attr::normal(0), base, || {
        setscheduler(SELF, libc::SCHED_IDLE, 0).unwrap();
    });
}

#[test]
fn sched_setparam_wins_and_keeps_the_policy_of_the_base() {
    let base = Params {
        policy: SchedPolicy::FIFO,
        rt_priority: 8,
        ..ORDINARY
    };
    assert_wins(Attr::fifo(2), base, || setparam(SELF, 8).unwrap());
    assert_wins(Attr::normal(0), ORDINARY, || setparam(SELF, 0).unwrap());
}

#[test]
fn setpriority_wins_and_keeps_the_policy_of_the_base() {
    let base = Params {
        nice: -4,
        ..ORDINARY
    };
    assert_wins(Attr::normal(2), base, || setpriority(SELF, -4).unwrap());
    let base = Params {
        policy: SchedPolicy::RR,
        nice: 6,
        rt_priority: 12,
        ..ORDINARY
    };
    assert_wins(Attr::rr(12), base, || setpriority(SELF, 6).unwrap());
    let base = Params {
        policy: SchedPolicy::BATCH,
        nice: 6,
        slice_ns: 5_000_000,
        ..ORDINARY
    };
    assert_wins(Attr::batch(1).slice_ns(5_000_000), base, || {
        setpriority(SELF, 6).unwrap();
    });
}

#[test]
fn sched_setattr_to_deadline_wins() {
    let device = Device::open();
    for prio in SAMPLE {
        let worker = Worker::spawn();
        device.set(worker.tid(), prio);
        Attr::deadline().apply(worker.tid());
        let record = device.get(worker.tid());
        assert_eq!(record.prio, None, "after {prio}");
        assert_eq!(record.base.policy, SchedPolicy::DEADLINE, "after {prio}");
        Attr::normal(0).apply(worker.tid());
    }
}

#[test]
fn a_change_of_the_utilization_clamp_alone_keeps_the_priority() {
    let device = Device::open();
    for prio in SAMPLE {
        let worker = Worker::spawn();
        device.set_inherited(worker.tid(), prio);
        let before = State::of(&device, worker.tid());

        Attr::utilization_only(100, 900).apply(worker.tid());
        let after = State::of(&device, worker.tid());
        let mut expected = before.attr;
        (expected.0.util_min, expected.0.util_max) = (100, 900);
        assert_eq!(after.attr, expected);
        assert_eq!(after.record, before.record);

        device.clear(worker.tid());
        assert_eq!(Attr::of(worker.tid()).0.util_min, 100);
    }
}

#[test]
fn a_refused_change_keeps_the_priority() {
    let device = Device::open();
    for prio in SAMPLE {
        let worker = Worker::spawn();
        let tid = worker.tid();
        device.set_inherited(tid, prio);
        // No policy 77, no real-time priority 0 or 100, no SCHED_OTHER with one.
        for (policy, priority) in [
            (77, 0),
            (libc::SCHED_RR, 0),
            (libc::SCHED_FIFO, 100),
            (libc::SCHED_OTHER, 1),
        ] {
            assert_refused(&device, tid, Errno::INVAL, || {
                setscheduler(tid, policy, priority)
            });
        }
        // A deadline thread must be free to run on any CPU.
        worker.run(|| pin(CONTESTED_CPU));
        assert_refused(&device, tid, Errno::PERM, || {
            Attr::deadline().try_apply(tid)
        });
    }
}

#[test]
fn writers_at_the_same_time_leave_what_one_of_them_wrote() {
    const ROUNDS: u32 = 2000;
    let device = Device::open();
    let spinner = Spinner::spinning(CONTESTED_CPU);
    let tid = spinner.tid();
    let before = State::of(&device, tid);
    let done = AtomicBool::new(false);

    scope(|scope| {
        scope.spawn(|| {
            let _stop = StopOnDrop(&done);
            let device = Device::open();
            for i in 0..ROUNDS {
                device.set(tid, i * 37 % 64);
            }
        });
        scope.spawn(|| {
            let device = Device::open();
            while !done.load(Ordering::Relaxed) {
                device.clear(tid);
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                Attr::normal(0).apply(tid);
                setpriority(tid, 0).unwrap();
            }
        });
    });

    let State { attr, record, .. } = State::of(&device, tid);
    assert_eq!(record.base, ORDINARY);
    assert_eq!(
        attr,
        match record.prio {
            Some(prio) => before.attr.mapped(&TABLE[prio as usize]),
            None => before.attr,
        }
    );
    device.clear(tid);
    assert_eq!(State::of(&device, tid), before);
}
