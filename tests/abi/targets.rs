// SPDX-License-Identifier: GPL-2.0

//! The target of a request: threads by id and by pidfd.

use std::fs::File;
use std::os::fd::AsRawFd;

use common::child::in_child;
use common::child::pidfd;
use common::child::unshare;
use common::child::Child;
use common::device::Device;
use common::device::SELF;
use common::eventually;
use common::state::assert_refused;
use common::state::assert_unchanged;
use common::worker::in_thread;
use common::worker::Worker;
use common::KTHREADD;
use common::NO_TID;
use gosched::uapi::GO_SCHED_TARGET_PIDFD;
use rustix::io::Errno;
use rustix::process::getpid;
use rustix::thread::gettid;
use rustix::thread::UnshareFlags;

/// Checks that all three requests on a target fail with `error`.
#[track_caller]
fn assert_no_target(device: &Device, target: i32, flags: u32, error: Errno) {
    let results = [
        device.try_set(target, 20, flags),
        device.try_clear(target, flags),
        device.try_get(target, flags).map(drop),
    ];
    assert_eq!(results, [Err(error); 3], "SET, CLEAR and GET of {target}");
}

#[test]
fn target_0_is_the_calling_thread() {
    let (one, other) = (Worker::spawn(), Worker::spawn());
    let device = Device::open();
    let main = gettid().as_raw_pid();

    assert_unchanged(&device, main, || {
        assert_unchanged(&device, other.tid(), || {
            one.run(|| Device::open().set(SELF, 40));
        });
    });
    assert_eq!(device.prio(one.tid()), Some(40));
    one.run(|| Device::open().clear(SELF));
    assert_eq!(device.prio(one.tid()), None);
}

#[test]
fn a_thread_id_names_that_thread_alone() {
    let (one, other) = (Worker::spawn(), Worker::spawn());
    let device = Device::open();

    assert_unchanged(&device, SELF, || {
        assert_unchanged(&device, other.tid(), || device.set(one.tid(), 17));
    });
    assert_eq!(device.prio(one.tid()), Some(17));
}

#[test]
fn a_thread_id_may_be_of_another_process() {
    let device = Device::open();
    let child = Child::sleeping(|| ());
    device.set(child.pid(), 60);
    assert_eq!(device.prio(child.pid()), Some(60));
}

#[test]
fn a_pidfd_names_the_main_thread_of_its_process() {
    let device = Device::open();
    let child = Child::sleeping(|| {
        std::thread::spawn(|| loop {
            std::thread::park();
        });
    });
    let fd = pidfd(child.pid(), 0);
    let target = fd.as_raw_fd();

    device.try_set(target, 21, GO_SCHED_TARGET_PIDFD).unwrap();
    assert_eq!(device.prio(child.pid()), Some(21));
    let record = device.try_get(target, GO_SCHED_TARGET_PIDFD).unwrap();
    assert_eq!(record, device.get(child.pid()));
    device.try_clear(target, GO_SCHED_TARGET_PIDFD).unwrap();
    assert_eq!(device.prio(child.pid()), None);
}

#[test]
fn a_pidfd_of_a_thread_names_that_thread() {
    let device = Device::open();
    let worker = Worker::spawn();
    let fd = pidfd(worker.tid(), libc::PIDFD_THREAD);
    let target = fd.as_raw_fd();

    assert_unchanged(&device, getpid().as_raw_pid(), || {
        device.try_set(target, 22, GO_SCHED_TARGET_PIDFD).unwrap();
    });
    assert_eq!(device.prio(worker.tid()), Some(22));
    let record = device.try_get(target, GO_SCHED_TARGET_PIDFD).unwrap();
    assert_eq!(record, device.get(worker.tid()));
    device.try_clear(target, GO_SCHED_TARGET_PIDFD).unwrap();
    assert_eq!(device.prio(worker.tid()), None);
}

#[test]
fn a_thread_id_in_no_use_is_esrch() {
    let device = Device::open();
    assert_no_target(&device, NO_TID, 0, Errno::SRCH);
    assert_no_target(&device, i32::MAX, 0, Errno::SRCH);
}

#[test]
fn a_negative_thread_id_is_einval() {
    let device = Device::open();
    for target in [-1, -getpid().as_raw_pid(), i32::MIN] {
        assert_no_target(&device, target, 0, Errno::INVAL);
    }
}

#[test]
fn a_thread_that_has_ended_is_esrch() {
    let device = Device::open();
    let worker = Worker::spawn();
    let tid = worker.tid();
    let fd = pidfd(tid, libc::PIDFD_THREAD);
    device.set(tid, 30);
    drop(worker);

    // A thread may be joined a moment before it is gone.
    eventually("the thread is gone", || {
        device.try_get(tid, 0) == Err(Errno::SRCH)
    });
    assert_no_target(&device, tid, 0, Errno::SRCH);
    let target = fd.as_raw_fd();
    assert_no_target(&device, target, GO_SCHED_TARGET_PIDFD, Errno::SRCH);
}

#[test]
fn a_process_that_has_ended_is_esrch_before_and_after_it_is_waited_for() {
    let device = Device::open();
    let child = Child::sleeping(|| ());
    let pid = child.pid();
    let fd = pidfd(pid, 0);
    let target = fd.as_raw_fd();
    device.set(pid, 30);

    child.kill();
    assert_no_target(&device, pid, 0, Errno::SRCH);
    assert_no_target(&device, target, GO_SCHED_TARGET_PIDFD, Errno::SRCH);
    child.wait();
    assert_no_target(&device, pid, 0, Errno::SRCH);
    assert_no_target(&device, target, GO_SCHED_TARGET_PIDFD, Errno::SRCH);
}

#[test]
fn a_descriptor_that_is_no_pidfd_is_ebadf() {
    let device = Device::open();
    let file = File::open("/dev/null").unwrap();
    let closed = file.try_clone().unwrap().as_raw_fd();

    for target in [file.as_raw_fd(), closed, 1 << 20, -1, i32::MIN] {
        assert_no_target(&device, target, GO_SCHED_TARGET_PIDFD, Errno::BADF);
    }
}

#[test]
fn a_kernel_thread_is_eperm_but_can_be_read() {
    let device = Device::open();
    for prio in common::SAMPLE {
        assert_refused(&device, KTHREADD, Errno::PERM, || {
            device.try_set(KTHREADD, prio, 0)
        });
    }
    assert_refused(&device, KTHREADD, Errno::PERM, || {
        device.try_clear(KTHREADD, 0)
    });
    assert_eq!(device.prio(KTHREADD), None);
}

/// Runs `job` in the first process of a pid namespace, with the id that a process
/// outside has there. Checks that the process has the priority 44 then.
pub(crate) fn assert_in_pid_namespace(job: impl FnOnce(i32)) {
    in_child(|| {
        unshare(UnshareFlags::NEWPID);
        let outside = getpid().as_raw_pid();
        let first = Child::sleeping(|| {
            assert_eq!(getpid().as_raw_pid(), 1);
            job(outside);
        });
        let device = Device::open();
        assert_eq!(device.prio(first.pid()), Some(44));
        assert_eq!(device.prio(1), None, "the guest's own first process");
    });
}

#[test]
fn a_thread_id_is_one_of_the_callers_pid_namespace() {
    assert_in_pid_namespace(|outside| {
        let device = Device::open();
        device.set(1, 44);
        assert_eq!(device.prio(SELF), Some(44));
        assert_no_target(&device, outside, 0, Errno::SRCH);
    });
}

#[test]
fn a_pidfd_names_its_process_in_any_pid_namespace() {
    let worker = Worker::spawn();
    let tid = worker.tid();
    let fd = pidfd(tid, libc::PIDFD_THREAD);
    let target = fd.as_raw_fd();

    in_child(|| {
        unshare(UnshareFlags::NEWPID);
        in_child(|| {
            Device::open()
                .try_set(target, 45, GO_SCHED_TARGET_PIDFD)
                .unwrap();
        });
    });
    assert_eq!(Device::open().prio(tid), Some(45));
}

#[test]
fn the_thread_that_opened_the_device_does_not_matter() {
    let device = Device::open();
    let main = gettid().as_raw_pid();
    let tid = in_thread(move || {
        device.set(SELF, 46);
        assert_eq!(device.prio(SELF), Some(46));
        assert_eq!(device.prio(main), None);
        gettid().as_raw_pid()
    });
    assert_ne!(tid, main);
}
