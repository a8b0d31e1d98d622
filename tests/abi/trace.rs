// SPDX-License-Identifier: GPL-2.0

//! The tracepoints: the fields of each, and the tracepoints that each change of a
//! thread's scheduling passes.

use common::attr::setpriority;
use common::attr::Attr;
use common::child::become_user_in_thread;
use common::child::Child;
use common::device::Device;
use common::device::SELF;
use common::eventually;
use common::hint::HintPage;
use common::hint::NONE;
use common::module::hand_over;
use common::module::load;
use common::module::unload;
use common::module::Reloaded;
use common::spinner::Spinner;
use common::syscall::set_schedprio;
use common::trace::Trace;
use common::worker::in_thread;
use common::worker::Worker;
use common::CONTESTED_CPU;
use common::KTHREADD;
use common::USER;
use gosched::trace::EventKind;
use rustix::io::Errno;

/// A priority as tests write it, where -1 is none.
fn prio(number: i32) -> Option<u32> {
    u32::try_from(number).ok()
}

fn set(priority: i32, cause: &str) -> EventKind {
    EventKind::Set {
        priority: prio(priority),
        cause: cause.to_owned(),
    }
}

/// A change from one priority and policy to another.
fn apply(
    (old_prio, old_policy): (i32, &str),
    (new_prio, new_policy): (i32, &str),
    cause: &str,
) -> EventKind {
    let name = |policy: &str| format!("SCHED_{}", policy.to_uppercase());
    EventKind::Apply {
        old_priority: prio(old_prio),
        new_priority: prio(new_prio),
        old_policy: name(old_policy),
        new_policy: name(new_policy),
        cause: cause.to_owned(),
    }
}

fn reject(priority: i32, error: Errno, reason: &str) -> EventKind {
    EventKind::Reject {
        priority: prio(priority),
        errno: error.raw_os_error(),
        reason: reason.to_owned(),
    }
}

/// Runs `job` as a user, with a device that root has opened.
fn as_user<R: Send + 'static>(ask: impl FnOnce(&Device) -> R + Send + 'static) -> R {
    in_thread(|| {
        let device = Device::open();
        become_user_in_thread(USER);
        ask(&device)
    })
}

#[test]
fn set_and_clear_are_traced_as_asked_for_and_as_applied() {
    let device = Device::open();
    let worker = Worker::spawn();
    let tid = worker.tid();
    let trace = Trace::start();
    device.set(tid, 50);
    device.set(tid, 20);
    device.set(tid, 20);
    device.set(tid, 0);
    device.clear(tid);
    assert_eq!(
        trace.events_of(tid),
        [
            set(50, "ioctl"),
            apply((-1, "other"), (50, "rr"), "ioctl"),
            set(20, "ioctl"),
            apply((50, "rr"), (20, "other"), "ioctl"),
            // Nothing to apply.
            set(20, "ioctl"),
            set(0, "ioctl"),
            apply((20, "other"), (0, "idle"), "ioctl"),
            set(-1, "ioctl"),
            apply((0, "idle"), (-1, "other"), "ioctl"),
        ]
    );
}

#[test]
fn the_system_call_is_traced_as_what_it_is() {
    let worker = Worker::spawn();
    let tid = worker.tid();
    let trace = Trace::start();
    set_schedprio(tid, 40, 0).unwrap();
    assert_eq!(
        trace.events_of(tid),
        [
            set(40, "syscall"),
            apply((-1, "other"), (40, "other"), "syscall"),
        ]
    );
}

#[test]
fn a_priority_that_falls_with_its_ceiling_is_traced() {
    let device = Device::open();
    let worker = Worker::spawn();
    let tid = worker.tid();
    worker.run(|| become_user_in_thread(USER));
    device.ceiling(tid, 63);
    as_user(move |device| device.set(tid, 50));
    let trace = Trace::start();
    device.ceiling(tid, 60);
    assert_eq!(trace.events_of(tid), []);
    device.ceiling(tid, 40);
    assert_eq!(
        trace.events_of(tid),
        [set(40, "ioctl"), apply((50, "rr"), (40, "other"), "ioctl"),]
    );
}

#[test]
fn a_hint_is_traced_when_it_is_followed_and_when_it_ends() {
    let worker = Worker::spawn();
    let tid = worker.tid();
    let trace = Trace::start();
    worker.run(|| {
        let device = Device::open();
        let page = HintPage::new(&device, 2);
        let slot = page.slot(1);
        device.bind(1);
        slot.take(10, 10);
        device.set(SELF, 50);
        slot.take(NONE, 50);
        device.clear(SELF);
        slot.take(20, 20);
        slot.take(NONE, NONE);
        device.unbind();
    });
    assert_eq!(
        trace.events_of(tid),
        [
            apply((-1, "other"), (10, "idle"), "hint"),
            set(50, "ioctl"),
            apply((10, "idle"), (50, "rr"), "ioctl"),
            set(-1, "ioctl"),
            apply((50, "rr"), (-1, "other"), "ioctl"),
            apply((-1, "other"), (20, "other"), "hint"),
            apply((20, "other"), (-1, "other"), "hint"),
        ]
    );
}

#[test]
fn an_inherited_priority_is_traced_as_one_of_the_fork() {
    let device = Device::open();
    let parent = Worker::spawn();
    device.set_inherited(parent.tid(), 40);
    let trace = Trace::start();
    let child = parent.run(Worker::spawn);
    let tid = child.tid();
    assert_eq!(
        trace.events_of(tid),
        [apply((-1, "other"), (40, "other"), "fork")]
    );
    assert_eq!(trace.events_of(parent.tid()), []);
}

#[test]
fn an_outside_change_is_traced_with_the_policy_it_brings() {
    let device = Device::open();
    let worker = Worker::spawn();
    let tid = worker.tid();
    let trace = Trace::start();
    device.set(tid, 50);
    setpriority(tid, 3).unwrap();
    device.set(tid, 10);
    Attr::fifo(7).apply(tid);
    // Ends no priority.
    Attr::normal(0).apply(tid);
    assert_eq!(
        trace.events_of(tid),
        [
            set(50, "ioctl"),
            apply((-1, "other"), (50, "rr"), "ioctl"),
            apply((50, "rr"), (-1, "other"), "external"),
            set(10, "ioctl"),
            apply((-1, "other"), (10, "idle"), "ioctl"),
            apply((10, "idle"), (-1, "fifo"), "external"),
        ]
    );
}

#[test]
fn unloading_and_loading_the_module_are_traced_for_each_thread() {
    let _reloaded = Reloaded;
    let workers = [(); 2].map(|()| Worker::spawn());
    for worker in &workers {
        Device::open().set(worker.tid(), 50);
    }
    let trace = Trace::start();
    unload();
    load();
    hand_over();
    load();
    for worker in &workers {
        let tid = worker.tid();
        assert_eq!(
            trace.events_of(tid),
            [
                apply((50, "rr"), (-1, "other"), "unregister"),
                apply((-1, "other"), (50, "rr"), "register"),
                apply((50, "rr"), (50, "rr"), "register"),
            ]
        );
    }
}

#[test]
fn a_hint_that_is_no_priority_is_traced_as_rejected() {
    let worker = Worker::spawn();
    let tid = worker.tid();
    let trace = Trace::start();
    for hint in [64, 254] {
        worker.run(move || {
            let device = Device::open();
            let page = HintPage::new(&device, 1);
            device.bind(0);
            page.slot(0).store(hint);
        });
        // The binding is still there when the thread goes to sleep.
        let rejected = reject(hint.into(), Errno::INVAL, "priority");
        eventually("the hint is seen", || {
            trace.events_of(tid).last() == Some(&rejected)
        });
        worker.run(|| Device::open().unbind());
    }
    assert_eq!(
        trace.events_of(tid),
        [
            reject(64, Errno::INVAL, "priority"),
            reject(254, Errno::INVAL, "priority"),
        ]
    );
}

#[test]
fn what_the_device_refuses_is_traced_with_the_error_and_the_reason() {
    let device = Device::open();
    let worker = Worker::spawn();
    let tid = worker.tid();
    let trace = Trace::start();

    device.try_set(tid, 64, 0).unwrap_err();
    device.try_ceiling(tid, 64, 0).unwrap_err();
    as_user(move |device| {
        device.try_set(tid, 20, 0).unwrap_err();
        device.try_clear(tid, 0).unwrap_err();
        device.try_ceiling(tid, 20, 0).unwrap_err();
    });
    Attr::deadline().apply(tid);
    device.try_set(tid, 20, 0).unwrap_err();
    assert_eq!(
        trace.events_of(tid),
        [
            reject(64, Errno::INVAL, "priority"),
            reject(64, Errno::INVAL, "ceiling"),
            reject(20, Errno::PERM, "permission"),
            reject(-1, Errno::PERM, "permission"),
            reject(20, Errno::PERM, "ceiling"),
            reject(20, Errno::BUSY, "deadline"),
        ]
    );

    device.try_set(KTHREADD, 20, 0).unwrap_err();
    assert_eq!(
        trace.events_of(KTHREADD),
        [reject(20, Errno::PERM, "kernel thread")]
    );

    let zombie = Child::sleeping(|| ());
    zombie.kill();
    device.try_set(zombie.pid(), 20, 0).unwrap_err();
    assert_eq!(
        trace.events_of(zombie.pid()),
        [reject(20, Errno::SRCH, "exiting")]
    );
}

#[test]
fn a_refused_binding_is_traced() {
    let worker = Worker::spawn();
    let tid = worker.tid();
    let trace = Trace::start();
    worker.run(|| {
        let device = Device::open();
        let _page = HintPage::new(&device, 2);
        device.bind(0);
        device.try_bind(1).unwrap_err();
        device.try_bind(0).unwrap_err();
        device.unbind();
    });
    assert_eq!(
        trace.events_of(tid),
        [
            reject(-1, Errno::BUSY, "thread bound"),
            reject(-1, Errno::BUSY, "slot bound"),
        ]
    );
}

#[test]
fn what_is_refused_without_a_mapping_is_traced() {
    let _reloaded = Reloaded;
    let worker = Worker::spawn();
    let tid = worker.tid();
    unload();
    let trace = Trace::start();
    set_schedprio(tid, 20, 0).unwrap_err();
    assert_eq!(
        trace.events_of(tid),
        [reject(20, Errno::OPNOTSUPP, "no mapping")]
    );
}

#[test]
fn a_thread_that_nobody_changes_is_in_no_event() {
    let trace = Trace::start();
    let device = Device::open();
    let spinner = Spinner::spinning(CONTESTED_CPU);
    device.get(spinner.tid());
    device.stats(spinner.tid());
    setpriority(spinner.tid(), 3).unwrap();
    let worker = Worker::spawn();
    assert_eq!(trace.events_of(spinner.tid()), []);
    assert_eq!(trace.events_of(worker.tid()), []);
}
