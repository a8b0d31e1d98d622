// SPDX-License-Identifier: GPL-2.0

//! The parameters that a priority puts in force, of which nothing is left afterwards.

use common::attr::default_slice_ns;
use common::attr::getparam;
use common::attr::getpriority;
use common::attr::getscheduler;
use common::attr::setpriority;
use common::attr::Attr;
use common::device::Device;
use common::device::SELF;
use common::proc_sched::ProcSched;
use common::spinner::Spinner;
use common::state::assert_refused;
use common::state::State;
use common::worker::in_thread;
use common::worker::Worker;
use common::CONTESTED_CPU;
use common::SAMPLE;
use go_sched_policy::TABLE;
use gosched::sched::Params;
use gosched::sched::SchedPolicy;
use procfs::process::Process;
use rustix::io::Errno;
use rustix::thread::gettid;

/// Bases that a thread may have, as put in force and as the device reports them.
fn bases() -> Vec<(Attr, Params)> {
    let base = |policy, nice, rt_priority, slice_ns| Params {
        policy,
        nice,
        rt_priority,
        slice_ns,
    };
    const SLICE: u64 = 10_000_000;
    let mut bases = vec![
        (Attr::idle(), base(SchedPolicy::IDLE, 0, 0, 0)),
        (Attr::fifo(1), base(SchedPolicy::FIFO, 0, 1, 0)),
        (Attr::fifo(99), base(SchedPolicy::FIFO, 0, 99, 0)),
        (Attr::rr(1), base(SchedPolicy::RR, 0, 1, 0)),
        (Attr::rr(50), base(SchedPolicy::RR, 0, 50, 0)),
        (
            Attr::normal(3).slice_ns(SLICE),
            base(SchedPolicy::OTHER, 3, 0, SLICE),
        ),
        (
            Attr::batch(-3).slice_ns(SLICE),
            base(SchedPolicy::BATCH, -3, 0, SLICE),
        ),
    ];
    for nice in [-20, -7, 0, 7, 19] {
        bases.push((Attr::normal(nice), base(SchedPolicy::OTHER, nice, 0, 0)));
        bases.push((Attr::batch(nice), base(SchedPolicy::BATCH, nice, 0, 0)));
    }
    bases
}

/// Returns the attributes that must be in force at a priority, in a thread that had
/// `base` before.
fn mapped(base: Attr, prio: u32) -> Attr {
    base.mapped(&TABLE[prio as usize])
}

#[test]
fn every_priority_puts_its_row_of_the_table_in_force() {
    let device = Device::open();
    let worker = Worker::spawn();
    let tid = worker.tid();
    let base = State::of(&device, tid);

    // Up, down, and across all bands.
    let up = 0..64;
    let down = (0..64).rev();
    let across = (0..64).map(|i| i * 37 % 64);
    for prio in up.chain(down).chain(across) {
        device.set(tid, prio);
        assert_eq!(Attr::of(tid), mapped(base.attr, prio), "priority {prio}");
        let record = device.get(tid);
        assert_eq!(record.prio, Some(prio));
        assert_eq!(record.base, base.record.base, "priority {prio}");
    }
    device.clear(tid);
    assert_eq!(State::of(&device, tid), base);
}

#[test]
fn what_get_tells_is_what_the_scheduler_goes_by_and_other_calls_tell_the_base() {
    for (attr, base) in bases() {
        in_thread(move || {
            let device = Device::open();
            attr.apply(SELF);
            let before = OtherCalls::tell();
            assert_eq!(before.policy, base.policy.number() as i32);
            for prio in 0..64 {
                device.set(SELF, prio);
                let current = device.get(SELF).current;
                ProcSched::new(&current).assert_of(SELF);
                assert_eq!(OtherCalls::tell(), before, "{attr:?} at {prio}");
            }
        });
    }
}

/// The parameters of the calling thread, as all calls but those of go_sched return them.
#[derive(Debug, PartialEq, Eq)]
struct OtherCalls {
    /// The answer of `sched_getattr(2)`.
    attr: Attr,
    /// `sched_getscheduler(2)`.
    policy: i32,
    /// The answer of `sched_getparam(2)`.
    rt_priority: i32,
    /// The answer of `getpriority(2)`.
    nice: i32,
    /// Fields 19, 40 and 41 of `/proc/PID/stat`.
    stat: (i64, Option<u32>, Option<u32>),
}

impl OtherCalls {
    fn tell() -> Self {
        let mut attr = Attr::base_of(SELF);
        // They go with what is in force.
        (attr.0.util_min, attr.0.util_max) = (0, 0);
        let stat = Process::myself()
            .and_then(|me| me.task_from_tid(gettid().as_raw_pid()))
            .and_then(|task| task.stat())
            .expect("a thread reads its own");
        Self {
            attr,
            policy: getscheduler(SELF),
            rt_priority: getparam(SELF),
            nice: getpriority(SELF),
            stat: (stat.nice, stat.rt_priority, stat.policy),
        }
    }
}

#[test]
fn clear_restores_every_base_exactly() {
    for (attr, base) in bases() {
        for attr in [attr, attr.reset_on_fork()] {
            in_thread(move || {
                let device = Device::open();
                attr.apply(SELF);
                let before = State::of(&device, SELF);
                assert_eq!(before.record.prio, None);
                assert_eq!(before.record.base, base, "{attr:?}");

                for prio in SAMPLE {
                    device.set(SELF, prio);
                    assert_eq!(device.get(SELF).base, base, "{attr:?} at {prio}");
                    assert_eq!(Attr::of(SELF), mapped(before.attr, prio));
                    device.clear(SELF);
                    assert_eq!(State::of(&device, SELF), before, "{attr:?} after {prio}");
                }
            });
        }
    }
}

#[test]
fn the_base_is_the_one_before_the_first_of_many_priorities() {
    for (attr, base) in bases() {
        in_thread(move || {
            let device = Device::open();
            attr.apply(SELF);
            let before = State::of(&device, SELF);
            for prio in SAMPLE.into_iter().chain(SAMPLE.into_iter().rev()) {
                device.set(SELF, prio);
                device.set(SELF, prio);
                assert_eq!(device.get(SELF).base, base, "{attr:?} at {prio}");
            }
            device.clear(SELF);
            assert_eq!(State::of(&device, SELF), before, "{attr:?}");
        });
    }
}

#[test]
fn the_nice_value_under_a_base_that_does_not_use_it_survives() {
    for attr in [Attr::rr(5), Attr::fifo(5), Attr::idle()] {
        in_thread(move || {
            let device = Device::open();
            setpriority(SELF, 5).unwrap();
            attr.apply(SELF);
            assert_eq!(getpriority(SELF), 5);
            for prio in SAMPLE {
                device.set(SELF, prio);
                assert_eq!(device.get(SELF).base.nice, 5, "{attr:?} at {prio}");
            }
            device.clear(SELF);
            assert_eq!(getpriority(SELF), 5, "{attr:?}");
        });
    }
}

#[test]
fn the_default_slice_returns_after_every_band() {
    in_thread(|| {
        let device = Device::open();
        for prio in SAMPLE {
            Attr::normal(0).slice_ns(20_000_000).apply(SELF);
            device.set(SELF, prio);
            device.clear(SELF);
            assert_eq!(Attr::of(SELF).0.runtime_ns, 20_000_000);
            Attr::normal(0).apply(SELF);
            device.set(SELF, prio);
            device.clear(SELF);
            assert_eq!(Attr::of(SELF).0.runtime_ns, default_slice_ns());
            assert_eq!(device.get(SELF).base.slice_ns, 0);
        }
    });
}

#[test]
fn a_running_thread_is_mapped_and_restored_like_a_sleeping_one() {
    let device = Device::open();
    // Two, so that one of them is always queued and not running.
    let spinners = [
        Spinner::spinning(CONTESTED_CPU),
        Spinner::spinning(CONTESTED_CPU),
    ];
    let before = spinners.each_ref().map(|one| State::of(&device, one.tid()));

    for prio in 0..64 {
        for (spinner, before) in spinners.iter().zip(&before) {
            device.set(spinner.tid(), prio);
            assert_eq!(Attr::of(spinner.tid()), mapped(before.attr, prio));
        }
    }
    for (spinner, before) in spinners.iter().zip(&before) {
        device.clear(spinner.tid());
        assert_eq!(State::of(&device, spinner.tid()), *before);
    }
}

#[test]
fn a_deadline_thread_is_ebusy() {
    in_thread(|| {
        let device = Device::open();
        Attr::deadline().apply(SELF);
        for prio in SAMPLE {
            assert_refused(&device, SELF, Errno::BUSY, || device.try_set(SELF, prio, 0));
        }
        Attr::normal(0).apply(SELF);
        device.set(SELF, 40);
        assert_eq!(device.prio(SELF), Some(40));
    });
}
