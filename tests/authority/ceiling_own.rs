// SPDX-License-Identifier: GPL-2.0

//! Ownership of priorities. A thread owns a priority if `sched_setattr(2)` would let the
//! thread's user give the thread the parameters of the priority. The own ceiling of a
//! thread is the highest priority that the thread owns. Below the own ceiling may be
//! priorities that the thread does not own. A ceiling that is set without privilege lends
//! none of these.

use common::attr::setpriority;
use common::attr::Attr;
use common::child::become_user;
use common::child::in_child;
use common::child::set_limit;
use common::child::Child;
use common::device::Device;
use common::device::SELF;
use common::hint::HintPage;
use common::state::assert_refused;
use common::worker::Worker;
use common::SAMPLE;
use common::USER;
use go_sched_policy::LEVELS;
use go_sched_policy::TABLE;
use rustix::io::Errno;
use rustix::process::Resource;

/// The lowest priority of the rt band.
const RT: u32 = 48;

/// A base and limits of a thread, and the highest priorities that the thread owns by its
/// base and limits: below the rt band, and in the rt band. The thread owns all priorities
/// up to there.
#[derive(Clone, Copy, Debug)]
struct Case {
    base: Attr,
    /// The value of `RLIMIT_NICE`.
    nice: u64,
    /// The value of `RLIMIT_RTPRIO`.
    rtprio: u64,
    below_rt: u32,
    rt: Option<u32>,
}

impl Case {
    fn owns(&self, prio: u32) -> bool {
        prio <= self.below_rt || prio >= RT && self.rt.is_some_and(|rt| prio <= rt)
    }

    fn own_ceiling(&self) -> u32 {
        self.rt.unwrap_or(self.below_rt)
    }

    /// Runs `job` in a process of root's that is such a thread.
    fn in_child(&self, job: impl FnOnce()) {
        in_child(|| {
            limit(self.nice, self.rtprio);
            self.base.apply(SELF);
            job();
        });
    }
}

/// Returns bases and limits that change what is owned, alone and together.
fn cases() -> Vec<Case> {
    let idle = idle_ceiling();
    [
        (Attr::normal(-20), (0, 0), 47, None),
        (Attr::normal(-15), (0, 0), 47, None),
        (Attr::normal(-14), (0, 0), 46, None),
        (Attr::normal(-1), (0, 0), 33, None),
        (Attr::normal(0), (0, 0), 32, None),
        (Attr::normal(10), (0, 0), 22, None),
        (Attr::normal(16), (0, 0), 16, None),
        // No fair level is as nice.
        (Attr::normal(17), (0, 0), 15, None),
        (Attr::normal(19), (0, 0), 15, None),
        (Attr::batch(-5), (0, 0), 37, None),
        (Attr::batch(0), (0, 0), 32, None),
        (Attr::batch(19), (0, 0), 15, None),
        (Attr::idle(), (0, 0), idle, None),
        // Another policy takes RLIMIT_RTPRIO.
        (Attr::fifo(1), (0, 0), 32, None),
        (Attr::fifo(5), (0, 0), 32, None),
        (Attr::fifo(99), (0, 0), 32, None),
        (Attr::rr(1), (0, 0), 32, Some(48)),
        (Attr::rr(5), (0, 0), 32, Some(52)),
        (Attr::rr(16), (0, 0), 32, Some(63)),
        (Attr::rr(99), (0, 0), 32, Some(63)),
        (Attr::normal(0), (1, 0), 32, None),
        (Attr::normal(0), (20, 0), 32, None),
        (Attr::normal(0), (25, 0), 37, None),
        (Attr::normal(0), (40, 0), 47, None),
        (Attr::normal(0), (0, 1), 32, Some(48)),
        (Attr::normal(0), (0, 4), 32, Some(51)),
        (Attr::normal(0), (0, 99), 32, Some(63)),
        (Attr::normal(0), (40, 99), 47, Some(63)),
        (Attr::normal(10), (15, 0), 27, None),
        (Attr::normal(10), (20, 4), 32, Some(51)),
        (Attr::normal(10), (0, 4), 22, Some(51)),
        (Attr::normal(19), (0, 1), 15, Some(48)),
        (Attr::batch(0), (25, 0), 37, None),
        (Attr::batch(0), (0, 1), 32, Some(48)),
        (Attr::fifo(1), (0, 1), 32, Some(48)),
        (Attr::fifo(3), (0, 5), 32, Some(52)),
        (Attr::fifo(5), (0, 3), 32, Some(52)),
        (Attr::fifo(3), (25, 0), 37, None),
        (Attr::rr(3), (25, 0), 37, Some(50)),
        (Attr::rr(3), (0, 5), 32, Some(52)),
        (Attr::rr(5), (0, 1), 32, Some(52)),
        // One may leave SCHED_IDLE for its nice value, and then go further.
        (Attr::idle(), (19, 0), idle, None),
        (Attr::idle(), (20, 0), 32, None),
        (Attr::idle(), (25, 0), 37, None),
        (Attr::idle(), (0, 5), idle, None),
        (Attr::idle(), (20, 5), 32, Some(52)),
    ]
    .map(|(base, (nice, rtprio), below_rt, rt)| Case {
        base,
        nice,
        rtprio,
        below_rt,
        rt,
    })
    .into()
}

/// Returns the own ceiling of a `SCHED_IDLE` thread: the last level that is no heavier
/// than the one weight of the policy.
fn idle_ceiling() -> u32 {
    let plain = 3 << 10;
    let lighter = TABLE[..16].partition_point(|level| level.weight <= plain) as u32;
    assert!((1..16).contains(&lighter), "{lighter}");
    lighter - 1
}

/// Sets `RLIMIT_NICE` and `RLIMIT_RTPRIO` of the calling process.
fn limit(nice: u64, rtprio: u64) {
    set_limit(Resource::Nice, nice);
    set_limit(Resource::Rtprio, rtprio);
}

/// Checks a thread's ceiling, and whether the ceiling was set.
#[track_caller]
fn assert_ceiling(device: &Device, tid: i32, ceiling: u32, set: bool) {
    let record = device.get(tid);
    assert_eq!(
        (record.ceiling, record.ceiling_granted),
        (ceiling, set),
        "{record:?}"
    );
}

/// Tries all priorities on a thread, and checks that just the priorities of `owned` are
/// accepted.
#[track_caller]
fn assert_allowed(device: &Device, tid: i32, owned: impl Fn(u32) -> bool) {
    for prio in 0..LEVELS {
        if owned(prio) {
            device.set(tid, prio);
            assert_eq!(device.prio(tid), Some(prio));
        } else {
            assert_refused(device, tid, Errno::PERM, || device.try_set(tid, prio, 0));
        }
    }
}

#[test]
fn the_own_ceiling_is_the_highest_priority_that_is_owned() {
    let device = Device::open();
    for case in cases() {
        case.in_child(|| {
            let ceiling = case.own_ceiling();
            assert_ceiling(&device, SELF, ceiling, false);
            for prio in SAMPLE {
                device.set(SELF, prio);
                assert_ceiling(&device, SELF, ceiling, false);
            }
            device.clear(SELF);
            become_user(USER);
            assert_ceiling(&device, SELF, ceiling, false);
        });
    }
}

#[test]
fn without_privilege_just_what_is_owned_may_be_set() {
    let device = Device::open();
    for case in cases() {
        case.in_child(|| {
            become_user(USER);
            assert_allowed(&device, SELF, |prio| case.owns(prio));
        });
    }
}

#[test]
fn a_hint_falls_to_the_next_lower_priority_that_is_owned() {
    let device = Device::open();
    for case in cases() {
        case.in_child(|| {
            let page = HintPage::new(&device, 1);
            device.bind(0);
            for wanted in (0..LEVELS).rev() {
                let owned = (0..=wanted).rev().find(|prio| case.owns(*prio));
                let owned = owned.expect("0 is");
                page.slot(0).take(wanted as u8, owned as u8);
                let record = device.get(SELF);
                assert_eq!(
                    (record.prio, record.applied),
                    (Some(owned), Some(owned)),
                    "{wanted} of {case:?}"
                );
            }
            let owns_all = (0..LEVELS).all(|prio| case.owns(prio));
            assert_eq!(device.stats(SELF).clamps > 0, !owns_all, "{case:?}");
        });
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
            Attr::fifo(5).apply(tid);
            expect(27);
            Attr::idle().apply(tid);
            expect(idle_ceiling());
            Attr::normal(0).apply(tid);
            expect(32);
        }
    }
}

#[test]
fn a_ceiling_set_without_privilege_lends_nothing_when_the_base_is_lowered() {
    let device = Device::open();
    for (rtprio, set, shown) in [
        (0, 20, 20),
        (0, 32, 22),
        (1, 32, 22),
        (1, 47, 22),
        (1, 48, 48),
    ] {
        let child = Child::sleeping(|| {
            limit(0, rtprio);
            become_user(USER);
            device.ceiling(SELF, set);
        });
        setpriority(child.pid(), 10).unwrap();
        assert_ceiling(&device, child.pid(), shown, true);
        in_child(|| {
            become_user(USER);
            let owns = |prio| prio <= 22 || prio == RT && rtprio == 1;
            assert_allowed(&device, child.pid(), owns);
        });
    }
}

#[test]
fn a_ceiling_set_without_privilege_lends_nothing_between_owned_priorities() {
    let device = Device::open();
    in_child(|| {
        limit(0, 1);
        become_user(USER);
        device.ceiling(SELF, 47);
        assert_ceiling(&device, SELF, 32, true);
        let thread = Worker::spawn();
        let process = Child::sleeping(|| ());
        for target in [SELF, thread.tid(), process.pid()] {
            assert_allowed(&device, target, |prio| prio <= 32 || prio == RT);
        }
        device.clear(SELF);

        let page = HintPage::new(&device, 1);
        device.bind(0);
        for wanted in [40, 47, 48, 63] {
            page.slot(0).take(10, 10);
            page.slot(0).take(wanted, 32);
        }
    });
}

#[test]
fn a_ceiling_set_without_privilege_is_a_grant_once_root_sets_it() {
    let device = Device::open();
    let child = Child::sleeping(|| {
        become_user(USER);
        device.ceiling(SELF, 10);
    });
    let set_as_user = |prio| {
        in_child(|| {
            become_user(USER);
            let result = device.try_set(child.pid(), prio, 0);
            assert_eq!(result, if prio <= 40 { Ok(()) } else { Err(Errno::PERM) });
        });
    };
    device.ceiling(child.pid(), 40);
    assert_ceiling(&device, child.pid(), 40, true);
    [33, 40, 41].into_iter().for_each(set_as_user);
}
