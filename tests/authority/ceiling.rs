// SPDX-License-Identifier: GPL-2.0

//! The ceiling of a thread: the callers that may change the ceiling, and the priorities
//! that a granted ceiling allows.

use std::fs::File;
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;

use common::attr::Attr;
use common::child::become_user;
use common::child::become_user_with_ceiling;
use common::child::become_user_with_sys_nice;
use common::child::become_user_with_sys_nice_in_thread;
use common::child::drop_sys_nice;
use common::child::in_child;
use common::child::pidfd;
use common::child::set_limit;
use common::child::unshare;
use common::child::Child;
use common::device::Device;
use common::device::SELF;
use common::hint::HintPage;
use common::hint::NONE;
use common::module::Reconfigured;
use common::state::assert_refused;
use common::state::assert_unchanged;
use common::worker::in_thread;
use common::worker::Worker;
use common::KTHREADD;
use common::NO_TID;
use common::OTHER_USER;
use common::SAMPLE;
use common::USER;
use go_sched_policy::LEVELS;
use gosched::uapi::GO_SCHED_PRIO_NONE;
use gosched::uapi::GO_SCHED_TARGET_PIDFD;
use rustix::io::Errno;
use rustix::process::Resource;
use rustix::thread::UnshareFlags;

/// A ceiling in each band above nice 0, their ends included.
const GRANTED: [u32; 6] = [33, 40, 47, 48, 55, 63];

/// Runs `job` as a user, in a process of its own, with root's open device: an open file
/// carries no privilege.
fn as_user(job: impl FnOnce(&Device)) {
    let device = Device::open();
    in_child(|| {
        become_user(USER);
        job(&device);
    });
}

/// Runs `job` in a new process, as a user that has been granted a ceiling.
fn with_ceiling(ceiling: u32, job: impl FnOnce(&Device)) {
    let device = Device::open();
    in_child(|| {
        become_user_with_ceiling(USER, &device, ceiling);
        job(&device);
    });
}

/// Checks a thread's ceiling, and whether the ceiling was granted.
#[track_caller]
fn assert_ceiling(device: &Device, tid: i32, ceiling: u32, granted: bool) {
    let record = device.get(tid);
    assert_eq!(
        (record.ceiling, record.ceiling_granted),
        (ceiling, granted),
        "{record:?}"
    );
}

/// Tries all priorities on a thread, and checks that just the priorities of `allowed` are
/// accepted.
#[track_caller]
fn assert_allowed(device: &Device, tid: i32, allowed: RangeInclusive<u32>) {
    for prio in 0..LEVELS {
        if allowed.contains(&prio) {
            device.set(tid, prio);
            assert_eq!(device.prio(tid), Some(prio));
        } else {
            assert_refused(device, tid, Errno::PERM, || device.try_set(tid, prio, 0));
        }
    }
}

#[test]
fn up_to_a_granted_ceiling_a_user_moves_his_threads_and_processes() {
    let _unlimited = Reconfigured::unlimited();
    for granted in GRANTED {
        with_ceiling(granted, |device| {
            let thread = Worker::spawn();
            let process = Child::sleeping(|| ());
            for target in [SELF, thread.tid(), process.pid()] {
                assert_ceiling(device, target, granted, true);
                assert_allowed(device, target, 0..=granted);
                device.clear(target);
                assert_ceiling(device, target, granted, true);
            }
        });
    }
}

#[test]
fn a_hint_is_lowered_to_a_granted_ceiling() {
    let _unlimited = Reconfigured::unlimited();
    for ceiling in [0, 10, 32, 40, 55, 63] {
        in_thread(move || {
            let device = Device::open();
            let page = HintPage::new(&device, 1);
            device.ceiling(SELF, ceiling);
            device.bind(0);
            for prio in (0..LEVELS as u8).rev() {
                let lowered = prio.min(ceiling as u8);
                page.slot(0).take(prio, lowered);
                let record = device.get(SELF);
                assert_eq!(record.prio, Some(lowered.into()), "of {prio}");
                assert_eq!(record.applied, Some(lowered.into()), "of {prio}");
            }
            let some_were_above = ceiling < LEVELS as i32 - 1;
            assert_eq!(device.stats(SELF).clamps > 0, some_were_above);
            device.unbind();
        });
    }
}

#[test]
fn a_granted_ceiling_allows_what_lies_between_owned_priorities() {
    let _unlimited = Reconfigured::unlimited();
    let device = Device::open();
    in_child(|| {
        set_limit(Resource::Rtprio, 1);
        become_user_with_ceiling(USER, &device, 40);
        for prio in 0..LEVELS {
            if prio <= 40 || prio == 48 {
                device.set(SELF, prio);
            } else {
                assert_refused(&device, SELF, Errno::PERM, || device.try_set(SELF, prio, 0));
            }
        }
    });
}

#[test]
fn a_ceiling_below_the_base_binds_hints_alone() {
    let bind_hints = |device: &Device| {
        assert_ceiling(device, SELF, 10, true);
        // What sched_setattr(2) allows stays allowed.
        assert_allowed(device, SELF, 0..=32);
        device.clear(SELF);

        let page = HintPage::new(device, 1);
        device.bind(0);
        page.slot(0).take(32, 10);
        page.slot(0).take(NONE, NONE);
    };
    with_ceiling(10, bind_hints);
    as_user(|device| {
        device.ceiling(SELF, 10);
        bind_hints(device);
    });
}

#[test]
fn the_owner_lowers_a_ceiling_and_cannot_raise_it_again() {
    let _unlimited = Reconfigured::unlimited();
    with_ceiling(55, |device| {
        for (lower, higher) in [(55, 56), (50, 51), (33, 63), (10, 11), (0, 1)] {
            device.ceiling(SELF, lower);
            assert_ceiling(device, SELF, lower as u32, true);
            // It is a granted one still.
            device.set(SELF, lower as u32);
            assert_refused(device, SELF, Errno::PERM, || {
                device.try_ceiling(SELF, higher, 0)
            });
        }
        assert_refused(device, SELF, Errno::PERM, || {
            device.try_ceiling(SELF, GO_SCHED_PRIO_NONE, 0)
        });
    });
}

#[test]
fn the_owner_returns_from_a_granted_ceiling_to_his_own() {
    for granted in [32, 33, 63] {
        with_ceiling(granted, |device| {
            device.ceiling(SELF, GO_SCHED_PRIO_NONE);
            assert_ceiling(device, SELF, 32, false);
            device.ceiling(SELF, GO_SCHED_PRIO_NONE);
            assert_refused(device, SELF, Errno::PERM, || {
                device.try_ceiling(SELF, 33, 0)
            });
            assert_allowed(device, SELF, 0..=32);
        });
    }
}

#[test]
fn root_takes_a_granted_ceiling_back() {
    let device = Device::open();
    let child = Child::sleeping(|| become_user(USER));
    for granted in [0, 10, 40, 63] {
        device.ceiling(child.pid(), granted);
        assert_ceiling(&device, child.pid(), granted as u32, true);
        device.ceiling(child.pid(), GO_SCHED_PRIO_NONE);
        assert_ceiling(&device, child.pid(), 32, false);
    }
}

#[test]
fn cap_sys_nice_raises_a_ceiling_and_nothing_less_does() {
    let device = Device::open();
    let worker = Worker::spawn();
    let target = worker.tid();
    in_child(|| {
        become_user_with_sys_nice(USER);
        device.ceiling(target, 63);
        device.ceiling(target, 40);
        device.ceiling(SELF, 63);
    });
    in_child(|| {
        drop_sys_nice();
        assert_refused(&device, SELF, Errno::PERM, || {
            device.try_ceiling(SELF, 33, 0)
        });
        device.ceiling(SELF, 31);
    });
    as_user(|device| {
        unshare(UnshareFlags::NEWUSER);
        for ceiling in 33..LEVELS as i32 {
            assert_refused(device, SELF, Errno::PERM, || {
                device.try_ceiling(SELF, ceiling, 0)
            });
        }
    });
}

#[test]
fn a_ceiling_is_nothing_to_another_user() {
    let device = Device::open();
    let root = Worker::spawn();
    let other = Child::sleeping(|| become_user(OTHER_USER));
    for target in [root.tid(), other.pid()] {
        device.ceiling(target, 55);
        as_user(|device| {
            for prio in SAMPLE {
                assert_refused(device, target, Errno::PERM, || {
                    device.try_set(target, prio, 0)
                });
                assert_refused(device, target, Errno::PERM, || {
                    device.try_ceiling(target, prio as i32, 0)
                });
            }
            assert_refused(device, target, Errno::PERM, || {
                device.try_ceiling(target, GO_SCHED_PRIO_NONE, 0)
            });
        });
    }
}

#[test]
fn a_ceiling_is_nothing_to_a_thread_with_fewer_capabilities() {
    let device = Device::open();
    let mighty = Worker::spawn();
    let tid = mighty.tid();
    mighty.run(|| become_user_with_sys_nice_in_thread(USER));
    device.ceiling(tid, 55);
    in_child(|| {
        become_user(USER);
        assert_refused(&device, tid, Errno::PERM, || Attr::normal(5).try_apply(tid));
        for prio in SAMPLE {
            assert_refused(&device, tid, Errno::PERM, || device.try_set(tid, prio, 0));
            assert_refused(&device, tid, Errno::PERM, || {
                device.try_ceiling(tid, prio as i32, 0)
            });
        }
    });
    device.set(tid, 55);
}

#[test]
fn a_ceiling_is_the_threads_alone() {
    let device = Device::open();
    let (one, other) = (Worker::spawn(), Worker::spawn());
    assert_unchanged(&device, other.tid(), || {
        assert_unchanged(&device, SELF, || {
            one.run(|| Device::open().ceiling(SELF, 44));
        });
    });
    assert_ceiling(&device, one.tid(), 44, true);
}

#[test]
fn a_pidfd_names_the_thread_as_well() {
    let device = Device::open();
    let worker = Worker::spawn();
    let fd = pidfd(worker.tid(), libc::PIDFD_THREAD);
    device
        .try_ceiling(fd.as_raw_fd(), 44, GO_SCHED_TARGET_PIDFD)
        .unwrap();
    assert_ceiling(&device, worker.tid(), 44, true);

    let file = File::open("/dev/null").unwrap();
    for no_pidfd in [file.as_raw_fd(), 1 << 20, -1] {
        assert_eq!(
            device.try_ceiling(no_pidfd, 44, GO_SCHED_TARGET_PIDFD),
            Err(Errno::BADF)
        );
    }
}

#[test]
fn no_thread_and_no_kernel_thread_has_a_ceiling_to_change() {
    let device = Device::open();
    assert_eq!(device.try_ceiling(NO_TID, 40, 0), Err(Errno::SRCH));
    assert_eq!(device.try_ceiling(-1, 40, 0), Err(Errno::INVAL));
    let dead = Child::sleeping(|| ());
    dead.kill();
    assert_eq!(device.try_ceiling(dead.pid(), 40, 0), Err(Errno::SRCH));
    for ceiling in [GO_SCHED_PRIO_NONE, 0, 32, 63] {
        assert_refused(&device, KTHREADD, Errno::PERM, || {
            device.try_ceiling(KTHREADD, ceiling, 0)
        });
    }
}

#[test]
fn a_ceiling_other_than_none_and_0_to_63_is_einval() {
    let device = Device::open();
    for ceiling in [64, 65, 255, 256, i32::MAX, -2, -64, i32::MIN] {
        assert_refused(&device, SELF, Errno::INVAL, || {
            device.try_ceiling(SELF, ceiling, 0)
        });
    }
}
