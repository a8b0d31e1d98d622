// SPDX-License-Identifier: GPL-2.0

//! Permissions of other system calls for a thread with a priority, which are the same as
//! without the priority. Otherwise a user could keep for ever what root lent for a while.

use common::attr::setparam;
use common::attr::setpriority;
use common::attr::setscheduler;
use common::attr::Attr;
use common::child::become_user;
use common::child::in_child;
use common::child::set_limit;
use common::device::Device;
use common::device::PublicDevice;
use common::device::SELF;
use common::state::assert_refused;
use common::state::assert_unchanged;
use common::USER;
use rustix::io::Errno;
use rustix::process::Resource;

/// Priorities above nice 0, at the ends of their bands.
const RAISED: [u32; 4] = [33, 47, 48, 63];

/// Priorities below nice 0, at the ends of their bands.
const LOWERED: [u32; 4] = [0, 15, 16, 31];

/// Runs `job` as a user in a process that root has given `base` and `prio`.
fn as_user_at(base: Attr, prio: u32, job: impl FnOnce(&Device)) {
    let _public = PublicDevice::new();
    in_child(|| {
        base.apply(SELF);
        Device::open().set(SELF, prio);
        become_user(USER);
        job(&Device::open());
    });
}

#[test]
fn a_raised_thread_may_not_become_less_nice_than_its_base() {
    for prio in RAISED {
        as_user_at(Attr::normal(0), prio, |device| {
            for nice in [-1, -5, -15, -20] {
                assert_refused(device, SELF, Errno::ACCESS, || setpriority(SELF, nice));
                for attr in [Attr::normal(nice), Attr::batch(nice)] {
                    assert_refused(device, SELF, Errno::PERM, || attr.try_apply(SELF));
                }
            }
        });
    }
}

#[test]
fn a_raised_thread_may_not_become_real_time() {
    for prio in RAISED {
        as_user_at(Attr::normal(0), prio, |device| {
            for rt_priority in [1, 16] {
                for policy in [libc::SCHED_RR, libc::SCHED_FIFO] {
                    assert_refused(device, SELF, Errno::PERM, || {
                        setscheduler(SELF, policy, rt_priority)
                    });
                }
                for attr in [Attr::rr(1), Attr::fifo(1)] {
                    assert_refused(device, SELF, Errno::PERM, || attr.try_apply(SELF));
                }
            }
            assert_refused(device, SELF, Errno::PERM, || {
                Attr::deadline().try_apply(SELF)
            });
        });
    }
}

#[test]
fn a_raised_thread_may_not_keep_its_policy_with_another_rt_priority() {
    for prio in RAISED {
        as_user_at(Attr::normal(0), prio, |device| {
            // The base is not real-time, so no real-time priority is valid.
            let result = assert_unchanged(device, SELF, || setparam(SELF, 1));
            assert!(matches!(result, Err(Errno::INVAL | Errno::PERM)));
        });
        as_user_at(Attr::rr(2), prio, |device| {
            assert_refused(device, SELF, Errno::PERM, || setparam(SELF, 3));
        });
    }
}

#[test]
fn an_idle_base_may_not_be_left() {
    for prio in RAISED.into_iter().chain(LOWERED) {
        as_user_at(Attr::idle(), prio, |device| {
            for attr in [Attr::normal(0), Attr::normal(19), Attr::batch(19)] {
                assert_refused(device, SELF, Errno::PERM, || attr.try_apply(SELF));
            }
        });
    }
}

#[test]
fn a_lowered_thread_may_go_where_its_base_may() {
    for prio in LOWERED {
        for nice in [0, 7, 19] {
            as_user_at(Attr::normal(0), prio, |device| {
                setpriority(SELF, nice).unwrap();
                assert_eq!(device.get(SELF).base.nice, nice);
                assert_eq!(device.prio(SELF), None);
            });
            as_user_at(Attr::normal(0), prio, |device| {
                Attr::batch(nice).apply(SELF);
                assert_eq!(device.get(SELF).base.nice, nice);
                assert_eq!(device.prio(SELF), None);
            });
        }
    }
}

#[test]
fn a_lowered_thread_may_not_go_above_its_base() {
    for prio in LOWERED {
        as_user_at(Attr::normal(5), prio, |device| {
            assert_refused(device, SELF, Errno::ACCESS, || setpriority(SELF, 4));
            assert_refused(device, SELF, Errno::PERM, || {
                Attr::normal(4).try_apply(SELF)
            });
            assert_refused(device, SELF, Errno::PERM, || Attr::rr(1).try_apply(SELF));
        });
    }
}

#[test]
fn a_raised_thread_may_be_lowered_from_its_base() {
    for prio in RAISED {
        as_user_at(Attr::normal(0), prio, |device| {
            setpriority(SELF, 5).unwrap();
            assert_eq!(device.prio(SELF), None);
            assert_eq!(Attr::of(SELF).0.nice, 5);
            assert_refused(device, SELF, Errno::ACCESS, || setpriority(SELF, 4));
        });
    }
}

#[test]
fn the_limits_of_the_thread_still_count() {
    let _public = PublicDevice::new();
    in_child(|| {
        set_limit(Resource::Nice, 25);
        set_limit(Resource::Rtprio, 4);
        become_user(USER);
        let device = Device::open();

        device.set(SELF, 10);
        assert_refused(&device, SELF, Errno::ACCESS, || setpriority(SELF, -6));
        assert_refused(&device, SELF, Errno::PERM, || Attr::rr(5).try_apply(SELF));
        setpriority(SELF, -5).unwrap();
        assert_eq!(device.prio(SELF), None);

        device.set(SELF, 10);
        Attr::rr(4).apply(SELF);
        assert_eq!(device.prio(SELF), None);
        assert_eq!(device.get(SELF).base.rt_priority, 4);
    });
}
