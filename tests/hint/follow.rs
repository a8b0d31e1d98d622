// SPDX-License-Identifier: GPL-2.0

//! `GO_SCHED_FOLLOW`, and the same by `go_set_schedprio(2)`: a thread that does not run
//! gets the priority that its slot asks for, if that is a higher one.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use common::child::become_user;
use common::child::become_user_in_thread;
use common::child::in_child;
use common::child::pidfd;
use common::device::Device;
use common::device::PublicDevice;
use common::device::SELF;
use common::eventually;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::hint::NONE;
use common::pin;
use common::spinner::Spinner;
use common::state::assert_refused;
use common::state::assert_unchanged;
use common::syscall::follow_hint;
use common::syscall::set_schedprio;
use common::worker::Worker;
use common::CONTESTED_CPU;
use common::KTHREADD;
use common::NO_TID;
use common::OTHER_USER;
use common::USER;
use gosched::uapi::GO_SCHED_FOLLOW_HINT;
use gosched::uapi::GO_SCHED_INHERIT;
use gosched::uapi::GO_SCHED_TARGET_PIDFD;
use rustix::io::Errno;
use rustix::process::getpid;

/// Ways to have a thread follow its hint.
const WAYS: [fn(&Device, i32); 2] = [
    |device, tid| device.follow(tid),
    |_, tid| follow_hint(tid, 0).expect("root may"),
];

#[test]
fn a_thread_that_sleeps_is_raised() {
    let hinted = HintedWorker::free();
    let device = hinted.device();
    for follow in WAYS {
        hinted.take(8, 8);
        for raised in [20, 40, 60] {
            assert_unchanged(device, hinted.tid(), || hinted.store_while_asleep(raised));
            follow(device, hinted.tid());
            let record = device.get(hinted.tid());
            let prio = Some(raised.into());
            assert_eq!((record.prio, record.applied), (prio, prio));
            assert_eq!(hinted.slot().applied(), raised);
        }
    }
}

#[test]
fn a_thread_that_waits_for_a_cpu_is_raised_and_runs() {
    let hinted = HintedWorker::free();
    let device = hinted.device();
    hinted.worker().run(|| pin(CONTESTED_CPU));
    for follow in WAYS {
        hinted.take(8, 8);
        let spinner = Spinner::paused(CONTESTED_CPU);
        device.set(spinner.tid(), 50);
        spinner.spin();
        // It is woken, and has to wait for the spinner, which never sleeps.
        let pending = hinted.worker().start(|| ());
        hinted.slot().store(60);
        follow(device, hinted.tid());
        pending.wait();
        assert_eq!(device.get(hinted.tid()).applied, Some(60));
    }
}

#[test]
fn nobody_is_lowered() {
    let hinted = HintedWorker::free();
    let device = hinted.device();
    for follow in WAYS {
        hinted.take(40, 40);
        for lower in [39, 16, 8, 0, NONE] {
            hinted.store_while_asleep(lower);
            follow(device, hinted.tid());
            let record = device.get(hinted.tid());
            assert_eq!((record.prio, record.applied), (Some(40), Some(40)));
        }
        // The thread itself looks at it no later than it would have.
        hinted.take(8, 8);
    }
}

#[test]
fn nobody_is_raised_above_the_ceiling() {
    let _public = PublicDevice::new();
    in_child(|| {
        become_user(USER);
        let device = Arc::new(Device::open());
        let page = Arc::new(HintPage::new(&device, 1));
        let hinted = HintedWorker::spawn(&device, &page, 0);
        for follow in WAYS {
            hinted.take(8, 8);
            hinted.slot().store(63);
            follow(&device, hinted.tid());
            assert_eq!(device.get(hinted.tid()).applied, Some(32));
        }
    });
}

#[test]
fn a_thread_that_is_not_bound_stays_as_it_is() {
    let device = Device::open();
    let (unmanaged, managed) = (Worker::spawn(), Worker::spawn());
    device.set(managed.tid(), 20);
    for follow in WAYS {
        for tid in [unmanaged.tid(), managed.tid(), SELF] {
            assert_unchanged(&device, tid, || follow(&device, tid));
        }
    }
}

#[test]
fn a_thread_may_be_named_by_a_pidfd() {
    let device = Device::open();
    let fd = pidfd(getpid().as_raw_pid(), 0);
    let flags = GO_SCHED_TARGET_PIDFD;
    assert_eq!(device.try_follow(fd.as_raw_fd(), flags), Ok(()));
    assert_eq!(follow_hint(fd.as_raw_fd(), flags), Ok(()));
    assert_eq!(device.try_follow(-1, flags), Err(Errno::BADF));
    assert_eq!(follow_hint(-1, flags), Err(Errno::BADF));
}

#[test]
fn who_may_not_set_a_priority_may_not_have_one_followed() {
    let _public = PublicDevice::new();
    let hinted = HintedWorker::free();
    hinted.take(8, 8);
    let tid = hinted.tid();
    hinted.worker().run(|| become_user_in_thread(USER));
    hinted.store_while_asleep(20);
    for (user, result) in [(OTHER_USER, Err(Errno::PERM)), (USER, Ok(()))] {
        in_child(|| {
            become_user(user);
            assert_eq!(Device::open().try_follow(tid, 0), result);
            assert_eq!(follow_hint(tid, 0), result);
        });
    }
    assert_eq!(hinted.device().get(tid).applied, Some(20));
}

#[test]
fn what_is_no_thread_to_follow_is_refused() {
    let device = Device::open();
    for (tid, error) in [
        (NO_TID, Errno::SRCH),
        (-1, Errno::INVAL),
        (KTHREADD, Errno::PERM),
    ] {
        assert_eq!(device.try_follow(tid, 0), Err(error));
        assert_eq!(follow_hint(tid, 0), Err(error));
    }
}

#[test]
fn a_priority_and_other_flags_to_follow_are_refused() {
    let device = Device::open();
    let refused = |action: &dyn Fn() -> Result<(), Errno>| {
        assert_refused(&device, SELF, Errno::INVAL, action);
    };
    refused(&|| set_schedprio(SELF, 1, GO_SCHED_FOLLOW_HINT));
    refused(&|| follow_hint(SELF, GO_SCHED_INHERIT));
    refused(&|| device.try_follow(SELF, GO_SCHED_INHERIT));
    refused(&|| device.try_follow(SELF, GO_SCHED_FOLLOW_HINT));
    refused(&|| device.try_set(SELF, 0, GO_SCHED_FOLLOW_HINT));
}

#[test]
fn a_raise_is_followed_once() {
    let hinted = HintedWorker::free();
    let device = hinted.device();
    hinted.take(8, 8);
    hinted.store_while_asleep(40);
    device.follow(hinted.tid());
    device.set(hinted.tid(), 20);
    // The store is older than the request.
    assert_unchanged(device, hinted.tid(), || device.follow(hinted.tid()));
    eventually("the thread runs", || {
        hinted.worker().run(|| ());
        true
    });
    assert_eq!(device.get(hinted.tid()).applied, Some(20));
}
