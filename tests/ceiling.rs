// SPDX-License-Identifier: GPL-2.0

//! The ceiling of a thread: what it is, who may change it, and what it allows.

use std::fs::File;
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;

use common::attr::setpriority;
use common::attr::Attr;
use common::child::become_user;
use common::child::become_user_with_sys_nice;
use common::child::become_user_with_sys_nice_in_thread;
use common::child::drop_sys_nice;
use common::child::in_child;
use common::child::pidfd;
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
use common::OTHER_USER;
use common::SAMPLE;
use common::USER;
use go_sched_policy::LEVELS;
use go_sched_policy::TABLE;
use gosched::uapi::GO_SCHED_PRIO_NONE;
use gosched::uapi::GO_SCHED_TARGET_PIDFD;
use nix::errno::Errno;
use nix::sched::unshare;
use nix::sched::CloneFlags;
use nix::sys::resource::setrlimit;
use nix::sys::resource::Resource;

/// The thread that starts all kernel threads.
const KTHREADD: i32 = 2;

/// Above the largest thread id the kernel gives out.
const NO_TID: i32 = 1 << 22;

/// A ceiling in each band above nice 0, their ends included.
const GRANTED: [u32; 6] = [33, 40, 47, 48, 55, 63];

/// The ceiling of `SCHED_IDLE`: the last level no heavier than that policy's one
/// weight.
fn idle_ceiling() -> u32 {
    let plain = 3 << 10;
    let lighter = TABLE[..16].partition_point(|level| level.weight <= plain) as u32;
    assert!((1..16).contains(&lighter), "{lighter}");
    lighter - 1
}

/// Runs `job` as root and then `then` as a user, in one process. The device is
/// root's: an open file carries no privilege.
fn as_user(job: impl FnOnce(&Device), then: impl FnOnce(&Device)) {
    let device = Device::open();
    in_child(|| {
        job(&device);
        become_user(USER);
        then(&device);
    });
}

/// Checks a thread's ceiling, and whether it was granted.
#[track_caller]
fn assert_ceiling(device: &Device, tid: i32, ceiling: u32, granted: bool) {
    let record = device.get(tid);
    assert_eq!(
        (record.ceiling, record.ceiling_granted),
        (ceiling, granted),
        "{record:?}"
    );
}

/// Tries all priorities on a thread: just those of `allowed` must be.
#[track_caller]
fn assert_allowed(device: &Device, tid: i32, allowed: RangeInclusive<u32>) {
    for prio in 0..LEVELS {
        if allowed.contains(&prio) {
            device.set(tid, prio);
            assert_eq!(device.prio(tid), Some(prio));
        } else {
            assert_refused(device, tid, Errno::EPERM, || device.try_set(tid, prio, 0));
        }
    }
}

#[test]
fn the_own_ceiling_follows_the_base() {
    let bases = [
        (Attr::normal(-20), 47),
        (Attr::normal(-15), 47),
        (Attr::normal(-14), 46),
        (Attr::normal(-1), 33),
        (Attr::normal(0), 32),
        (Attr::normal(10), 22),
        (Attr::normal(16), 16),
        // No fair level is as nice.
        (Attr::normal(17), 15),
        (Attr::normal(19), 15),
        (Attr::batch(-5), 37),
        (Attr::batch(0), 32),
        (Attr::batch(19), 15),
        (Attr::idle(), idle_ceiling()),
        (Attr::fifo(1), 48),
        (Attr::fifo(5), 52),
        (Attr::fifo(16), 63),
        (Attr::fifo(50), 63),
        (Attr::fifo(99), 63),
        (Attr::rr(1), 48),
        (Attr::rr(5), 52),
        (Attr::rr(16), 63),
        (Attr::rr(50), 63),
        (Attr::rr(99), 63),
    ];
    let device = Device::open();
    for (base, ceiling) in bases {
        let worker = Worker::spawn();
        base.apply(worker.tid());
        assert_ceiling(&device, worker.tid(), ceiling, false);
        for prio in SAMPLE {
            device.set(worker.tid(), prio);
            assert_ceiling(&device, worker.tid(), ceiling, false);
        }
        device.clear(worker.tid());
        assert_ceiling(&device, worker.tid(), ceiling, false);
    }
}

#[test]
fn the_own_ceiling_follows_the_limits_of_the_thread() {
    let limits = [
        (Attr::normal(0), 1, 0, 32),
        (Attr::normal(0), 20, 0, 32),
        (Attr::normal(0), 25, 0, 37),
        (Attr::normal(0), 40, 0, 47),
        (Attr::normal(0), 0, 4, 51),
        (Attr::normal(0), 0, 99, 63),
        (Attr::normal(0), 40, 99, 63),
        (Attr::normal(10), 15, 0, 27),
        (Attr::normal(10), 20, 4, 51),
        (Attr::batch(0), 25, 0, 37),
        (Attr::fifo(3), 0, 5, 52),
        (Attr::fifo(5), 0, 3, 52),
        (Attr::rr(3), 25, 0, 50),
        // One may leave SCHED_IDLE for its nice value, and then go further.
        (Attr::idle(), 19, 0, idle_ceiling()),
        (Attr::idle(), 20, 0, 32),
        (Attr::idle(), 25, 0, 37),
        (Attr::idle(), 0, 5, idle_ceiling()),
        (Attr::idle(), 20, 5, 52),
    ];
    let device = Device::open();
    for (base, nice, rtprio, ceiling) in limits {
        let child = Child::sleeping(|| {
            setrlimit(Resource::RLIMIT_NICE, nice, nice).unwrap();
            setrlimit(Resource::RLIMIT_RTPRIO, rtprio, rtprio).unwrap();
            base.apply(SELF);
            assert_ceiling(&device, SELF, ceiling, false);
        });
        assert_ceiling(&device, child.pid(), ceiling, false);
    }
}

#[test]
fn an_outside_change_of_the_base_changes_the_own_ceiling_and_no_granted_one() {
    let device = Device::open();
    let worker = Worker::spawn();
    let tid = worker.tid();
    for granted in [None, Some(50)] {
        let expect = |own| match granted {
            Some(granted) => assert_ceiling(&device, tid, granted, true),
            None => assert_ceiling(&device, tid, own, false),
        };
        if let Some(granted) = granted {
            device.ceiling(tid, granted as i32);
        }
        for prio in SAMPLE {
            device.set(tid, prio);
            setpriority(tid, 5).unwrap();
            expect(27);
            Attr::rr(5).apply(tid);
            expect(52);
            Attr::idle().apply(tid);
            expect(idle_ceiling());
            Attr::normal(0).apply(tid);
            expect(32);
        }
    }
}

#[test]
fn up_to_a_granted_ceiling_a_user_moves_his_threads_and_processes() {
    let _unlimited = Reconfigured::unlimited();
    for granted in GRANTED {
        as_user(
            |device| device.ceiling(SELF, granted as i32),
            |device| {
                let thread = Worker::spawn();
                let process = Child::sleeping(|| ());
                for target in [SELF, thread.tid(), process.pid()] {
                    assert_ceiling(device, target, granted, true);
                    assert_allowed(device, target, 0..=granted);
                    device.clear(target);
                    assert_ceiling(device, target, granted, true);
                }
            },
        );
    }
}

#[test]
fn a_hint_is_lowered_to_the_ceiling() {
    let _unlimited = Reconfigured::unlimited();
    for (base, granted, ceiling) in [
        (Attr::normal(0), None, 32),
        (Attr::normal(10), None, 22),
        (Attr::rr(4), None, 51),
        (Attr::idle(), None, idle_ceiling()),
        (Attr::normal(0), Some(10), 10),
        (Attr::normal(0), Some(40), 40),
        (Attr::normal(0), Some(55), 55),
    ] {
        in_thread(move || {
            let device = Device::open();
            let page = HintPage::new(&device, 1);
            base.apply(SELF);
            if let Some(granted) = granted {
                device.ceiling(SELF, granted);
            }
            device.bind(0);
            for prio in (0..LEVELS as u8).rev() {
                let lowered = prio.min(ceiling as u8);
                page.slot(0).take(prio, lowered);
                let record = device.get(SELF);
                assert_eq!(record.prio, Some(lowered.into()), "of {prio}");
                assert_eq!(record.applied, Some(lowered.into()), "of {prio}");
            }
            let some_were_above = ceiling < LEVELS - 1;
            assert_eq!(device.stats(SELF).clamps > 0, some_were_above);
            device.unbind();
        });
    }
}

#[test]
fn a_ceiling_below_the_base_binds_hints_alone() {
    as_user(
        |_| (),
        |device| {
            device.ceiling(SELF, 10);
            assert_ceiling(device, SELF, 10, true);
            // What sched_setattr(2) allows stays allowed.
            assert_allowed(device, SELF, 0..=32);
            device.clear(SELF);

            let page = HintPage::new(device, 1);
            device.bind(0);
            page.slot(0).take(32, 10);
            page.slot(0).take(NONE, NONE);
        },
    );
}

#[test]
fn the_owner_lowers_a_ceiling_and_cannot_raise_it_again() {
    as_user(
        |device| device.ceiling(SELF, 55),
        |device| {
            for (lower, higher) in [(55, 56), (50, 51), (33, 63), (10, 11), (0, 1)] {
                device.ceiling(SELF, lower);
                assert_ceiling(device, SELF, lower as u32, true);
                assert_refused(device, SELF, Errno::EPERM, || {
                    device.try_ceiling(SELF, higher, 0)
                });
            }
            assert_refused(device, SELF, Errno::EPERM, || {
                device.try_ceiling(SELF, GO_SCHED_PRIO_NONE, 0)
            });
        },
    );
}

#[test]
fn the_owner_returns_from_a_granted_ceiling_to_his_own() {
    for granted in [32, 33, 63] {
        as_user(
            |device| device.ceiling(SELF, granted),
            |device| {
                device.ceiling(SELF, GO_SCHED_PRIO_NONE);
                assert_ceiling(device, SELF, 32, false);
                device.ceiling(SELF, GO_SCHED_PRIO_NONE);
                assert_refused(device, SELF, Errno::EPERM, || {
                    device.try_ceiling(SELF, 33, 0)
                });
                assert_allowed(device, SELF, 0..=32);
            },
        );
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
        assert_refused(&device, SELF, Errno::EPERM, || {
            device.try_ceiling(SELF, 33, 0)
        });
        device.ceiling(SELF, 31);
    });
    as_user(
        |_| (),
        |device| {
            unshare(CloneFlags::CLONE_NEWUSER).unwrap();
            for ceiling in 33..LEVELS as i32 {
                assert_refused(device, SELF, Errno::EPERM, || {
                    device.try_ceiling(SELF, ceiling, 0)
                });
            }
        },
    );
}

#[test]
fn a_ceiling_is_nothing_to_another_user() {
    let device = Device::open();
    let root = Worker::spawn();
    let other = Child::sleeping(|| become_user(OTHER_USER));
    for target in [root.tid(), other.pid()] {
        device.ceiling(target, 55);
        as_user(
            |_| (),
            |device| {
                for prio in SAMPLE {
                    assert_refused(device, target, Errno::EPERM, || {
                        device.try_set(target, prio, 0)
                    });
                    assert_refused(device, target, Errno::EPERM, || {
                        device.try_ceiling(target, prio as i32, 0)
                    });
                }
                assert_refused(device, target, Errno::EPERM, || {
                    device.try_ceiling(target, GO_SCHED_PRIO_NONE, 0)
                });
            },
        );
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
        assert_refused(&device, tid, Errno::EPERM, || {
            Attr::normal(5).try_apply(tid)
        });
        for prio in SAMPLE {
            assert_refused(&device, tid, Errno::EPERM, || device.try_set(tid, prio, 0));
            assert_refused(&device, tid, Errno::EPERM, || {
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
            Err(Errno::EBADF)
        );
    }
}

#[test]
fn no_thread_and_no_kernel_thread_has_a_ceiling_to_change() {
    let device = Device::open();
    assert_eq!(device.try_ceiling(NO_TID, 40, 0), Err(Errno::ESRCH));
    assert_eq!(device.try_ceiling(-1, 40, 0), Err(Errno::EINVAL));
    let dead = Child::sleeping(|| ());
    dead.kill();
    assert_eq!(device.try_ceiling(dead.pid(), 40, 0), Err(Errno::ESRCH));
    for ceiling in [GO_SCHED_PRIO_NONE, 0, 32, 63] {
        assert_refused(&device, KTHREADD, Errno::EPERM, || {
            device.try_ceiling(KTHREADD, ceiling, 0)
        });
    }
}

#[test]
fn a_ceiling_other_than_none_and_0_to_63_is_einval() {
    let device = Device::open();
    for ceiling in [64, 65, 255, 256, i32::MAX, -2, -64, i32::MIN] {
        assert_refused(&device, SELF, Errno::EINVAL, || {
            device.try_ceiling(SELF, ceiling, 0)
        });
    }
}
