// SPDX-License-Identifier: GPL-2.0

//! The permission to give a thread a priority: a caller has it if `sched_setattr(2)`
//! would let the caller do the same to the thread's base.

use std::io::ErrorKind;
use std::ops::RangeInclusive;

use common::attr::Attr;
use common::child::become_user;
use common::child::become_user_with_sys_nice;
use common::child::drop_sys_nice;
use common::child::in_child;
use common::child::set_limit;
use common::child::unshare;
use common::child::Child;
use common::device::Device;
use common::device::PublicDevice;
use common::device::PATH;
use common::device::SELF;
use common::state::assert_refused;
use common::state::assert_unchanged;
use common::worker::Worker;
use common::OTHER_USER;
use common::SAMPLE;
use common::USER;
use go_sched_policy::LEVELS;
use go_sched_policy::TABLE;
use gosched::uapi::GO_SCHED_INHERIT;
use rustix::io::Errno;
use rustix::process::Resource;
use rustix::thread::gettid;
use rustix::thread::UnshareFlags;

/// Runs `job` as root and then `then` as a user, both in the same process.
fn as_user(job: impl FnOnce(), then: impl FnOnce(&Device)) {
    let _public = PublicDevice::new();
    in_child(|| {
        job();
        become_user(USER);
        then(&Device::open());
    });
}

/// Tries all priorities on the calling thread, from its base and from each priority of
/// `allowed`. Checks that just the priorities of `allowed` are accepted.
#[track_caller]
fn assert_allowed(device: &Device, allowed: &[RangeInclusive<u32>]) {
    let base = device.get(SELF).base;
    let may = |prio: &u32| allowed.iter().any(|range| range.contains(prio));

    for prio in 0..LEVELS {
        if may(&prio) {
            device.set(SELF, prio);
            assert_eq!(device.prio(SELF), Some(prio));
            for refused in (0..LEVELS).filter(|prio| !may(prio)) {
                assert_refused(device, SELF, Errno::PERM, || {
                    device.try_set(SELF, refused, 0)
                });
            }
            device.clear(SELF);
            let record = device.get(SELF);
            assert_eq!((record.prio, record.base), (None, base), "after {prio}");
        } else {
            assert_refused(device, SELF, Errno::PERM, || device.try_set(SELF, prio, 0));
        }
    }
}

#[test]
fn root_may_give_any_priority_to_anybody() {
    let device = Device::open();
    let child = Child::sleeping(|| become_user(USER));
    for prio in 0..LEVELS {
        device.set(SELF, prio);
        device.set(child.pid(), prio);
        assert_eq!(device.prio(SELF), Some(prio));
        assert_eq!(device.prio(child.pid()), Some(prio));
    }
    device.clear(SELF);
    device.clear(child.pid());
}

#[test]
fn a_user_lowers_his_thread_and_brings_it_back_to_its_base() {
    as_user(|| (), |device| assert_allowed(device, &[0..=32]));
}

#[test]
fn a_user_stays_below_the_nice_value_of_the_base() {
    as_user(
        || Attr::normal(5).apply(SELF),
        |device| assert_allowed(device, &[0..=27]),
    );
    as_user(
        || Attr::batch(-5).apply(SELF),
        |device| assert_allowed(device, &[0..=37]),
    );
}

#[test]
fn a_user_has_of_the_rt_band_what_a_round_robin_base_has_and_its_nice_value() {
    as_user(
        || Attr::rr(1).apply(SELF),
        |device| assert_allowed(device, &[0..=32, 48..=48]),
    );
    as_user(
        || Attr::rr(4).apply(SELF),
        |device| assert_allowed(device, &[0..=32, 48..=51]),
    );
}

#[test]
fn a_user_with_a_fifo_base_has_of_the_rt_band_what_rlimit_rtprio_lets_him_choose() {
    as_user(
        || Attr::fifo(4).apply(SELF),
        |device| assert_allowed(device, &[0..=32]),
    );
    for (priority, limit) in [(4, 1), (1, 4)] {
        as_user(
            || {
                set_limit(Resource::Rtprio, limit);
                Attr::fifo(priority).apply(SELF);
            },
            |device| assert_allowed(device, &[0..=32, 48..=51]),
        );
    }
}

#[test]
fn a_user_with_an_idle_base_stays_below_its_weight() {
    let plain = 3 << 10;
    let lighter = TABLE[..16].partition_point(|level| level.weight <= plain) as u32;
    assert!((1..16).contains(&lighter), "{lighter}");
    as_user(
        || Attr::idle().apply(SELF),
        |device| assert_allowed(device, &[0..=lighter - 1]),
    );
}

#[test]
fn rlimit_nice_lets_a_user_raise_his_thread() {
    as_user(
        || set_limit(Resource::Nice, 25),
        |device| assert_allowed(device, &[0..=37]),
    );
}

#[test]
fn rlimit_nice_lets_a_user_leave_an_idle_base() {
    as_user(
        || {
            set_limit(Resource::Nice, 20);
            Attr::idle().apply(SELF);
        },
        |device| assert_allowed(device, &[0..=32]),
    );
}

#[test]
fn rlimit_rtprio_lets_a_user_raise_his_thread() {
    as_user(
        || set_limit(Resource::Rtprio, 4),
        |device| assert_allowed(device, &[0..=32, 48..=51]),
    );
}

#[test]
fn cap_sys_nice_lets_a_user_do_all_that_root_does() {
    let _public = PublicDevice::new();
    let other = Worker::spawn();
    let others = other.tid();
    in_child(|| {
        become_user_with_sys_nice(USER);
        let device = Device::open();
        assert_allowed(&device, &[0..=63]);
        for prio in SAMPLE {
            device.set(others, prio);
        }
        device.clear(others);
    });
}

#[test]
fn root_without_cap_sys_nice_is_a_user() {
    in_child(|| {
        drop_sys_nice();
        assert_allowed(&Device::open(), &[0..=32]);
    });
}

#[test]
fn root_of_a_user_namespace_is_a_user() {
    as_user(
        || (),
        |device| {
            unshare(UnshareFlags::NEWUSER);
            assert_allowed(device, &[0..=32]);
        },
    );
}

#[test]
fn a_user_may_not_touch_the_thread_of_another() {
    let device = Device::open();
    let root = Worker::spawn();
    let other = Child::sleeping(|| become_user(OTHER_USER));

    for target in [root.tid(), other.pid()] {
        for managed in [None, Some(5), Some(50)] {
            match managed {
                Some(prio) => device.set(target, prio),
                None => device.clear(target),
            }
            as_user(
                || (),
                |device| {
                    for prio in SAMPLE {
                        assert_refused(device, target, Errno::PERM, || {
                            device.try_set(target, prio, 0)
                        });
                    }
                    assert_refused(device, target, Errno::PERM, || device.try_clear(target, 0));
                    assert_eq!(device.prio(target), managed, "anybody may read");
                },
            );
        }
    }
}

#[test]
fn a_user_may_lower_his_other_threads_and_processes() {
    as_user(
        || (),
        |device| {
            let thread = Worker::spawn();
            let process = Child::sleeping(|| ());
            for target in [thread.tid(), process.pid()] {
                device.set(target, 3);
                device.set(target, 32);
                assert_refused(device, target, Errno::PERM, || {
                    device.try_set(target, 33, 0)
                });
                device.clear(target);
            }
        },
    );
}

#[test]
fn a_user_may_give_back_what_root_gave_him_but_not_take_it_again() {
    for raised in [33, 47, 48, 63] {
        as_user(
            || Device::open().set(SELF, raised),
            |device| {
                for prio in 33..LEVELS {
                    assert_refused(device, SELF, Errno::PERM, || device.try_set(SELF, prio, 0));
                }
                device.set(SELF, 32);
                assert_refused(device, SELF, Errno::PERM, || {
                    device.try_set(SELF, raised, 0)
                });
                device.clear(SELF);
                assert_refused(device, SELF, Errno::PERM, || {
                    device.try_set(SELF, raised, 0)
                });
            },
        );
    }
}

#[test]
fn a_user_may_bring_back_what_root_lowered() {
    for lowered in [0, 15, 16] {
        as_user(
            || Device::open().set(SELF, lowered),
            |device| assert_allowed(device, &[0..=32]),
        );
        as_user(
            || Device::open().set(SELF, lowered),
            |device| {
                device.clear(SELF);
                assert_eq!(device.prio(SELF), None);
            },
        );
    }
}

#[test]
fn a_user_may_clear_his_threads_whatever_their_policy() {
    let device = Device::open();
    for base in [
        Attr::idle(),
        Attr::fifo(4),
        Attr::rr(4),
        Attr::deadline(),
        Attr::normal(-5).reset_on_fork(),
    ] {
        let child = Child::sleeping(|| {
            base.apply(SELF);
            become_user(USER);
            assert_unchanged(&device, SELF, || device.clear(SELF));
        });
        in_child(|| {
            become_user(USER);
            assert_unchanged(&device, child.pid(), || device.clear(child.pid()));
        });
        in_child(|| {
            become_user(OTHER_USER);
            assert_refused(&device, child.pid(), Errno::PERM, || {
                device.try_clear(child.pid(), 0)
            });
        });
    }
}

#[test]
fn reset_on_fork_is_no_obstacle_and_stays() {
    as_user(
        || Attr::normal(0).reset_on_fork().apply(SELF),
        |device| assert_allowed(device, &[0..=32]),
    );
}

#[test]
fn inheritance_takes_no_privilege_of_its_own() {
    as_user(
        || (),
        |device| {
            device.set_inherited(SELF, 20);
            assert_refused(device, SELF, Errno::PERM, || {
                device.try_set(SELF, 33, GO_SCHED_INHERIT)
            });
            device.set(SELF, 20);
            assert!(!device.get(SELF).inherit);
        },
    );
}

#[test]
fn the_device_is_roots_until_its_mode_is_changed() {
    in_child(|| {
        become_user(USER);
        let error = Device::try_open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{PATH}");
    });
}

#[test]
fn an_open_device_carries_no_privilege() {
    let device = Device::open();
    let root = gettid().as_raw_pid();
    in_child(|| {
        become_user(USER);
        device.set(SELF, 32);
        assert_refused(&device, SELF, Errno::PERM, || device.try_set(SELF, 33, 0));
        assert_unchanged(&device, root, || {
            assert_eq!(device.try_set(root, 20, 0), Err(Errno::PERM));
        });
    });
}
