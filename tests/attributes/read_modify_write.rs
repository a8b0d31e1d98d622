// SPDX-License-Identifier: GPL-2.0

//! Other system calls return the base of a thread with a priority. So a program that
//! reads the base, changes a part and writes all of the base back ends the priority, as
//! the last writer, and leaves the rest of the base as it was.

use common::attr::getparam;
use common::attr::getpriority;
use common::attr::getscheduler;
use common::attr::setparam;
use common::attr::setpriority;
use common::attr::setscheduler;
use common::attr::Attr;
use common::child::become_user;
use common::child::in_child;
use common::child::Child;
use common::device::Device;
use common::device::SELF;
use common::state::State;
use common::worker::Worker;
use common::OTHER_USER;
use common::SAMPLE;
use common::USER;
use procfs::process::Process;
use procfs::process::Stat;
use rustix::io::Errno;
use rustix::process::setpgid;

/// Priorities of each band, below and above the bases.
const PRIOS: [u32; 6] = [8, 16, 24, 40, 47, 50];

/// The parameters of a thread that a system call returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parameters {
    policy: Option<i32>,
    nice: Option<i32>,
    rt_priority: Option<u32>,
    attr: Option<Attr>,
}

/// A name, and a function that reads.
type Reader = (&'static str, fn(i32) -> Parameters);

/// A name, and a function that writes back the attributes read, if they suffice.
type Writer = (
    &'static str,
    fn(i32, &Parameters) -> Option<Result<(), Errno>>,
);

/// Calls `getpriority(2)` without the library. Returns 20 less the nice value.
fn raw_getpriority(which: libc::__priority_which_t, id: i32) -> i32 {
    // SAFETY: The call takes no pointer.
    20 - unsafe { libc::syscall(libc::SYS_getpriority, which, id) } as i32
}

/// Reads `/proc/PID/stat` of a thread of this process.
fn stat(tid: i32) -> Stat {
    let task = Process::myself().and_then(|me| me.task_from_tid(tid));
    task.and_then(|task| task.stat()).expect("the thread lives")
}

fn readers() -> [Reader; 5] {
    [
        ("sched_getattr", |tid| {
            let attr = Attr::base_of(tid);
            Parameters {
                policy: Some(attr.policy()),
                nice: None,
                rt_priority: Some(attr.0.rt_priority),
                attr: Some(attr),
            }
        }),
        ("sched_getscheduler and sched_getparam", |tid| Parameters {
            policy: Some(getscheduler(tid)),
            rt_priority: Some(getparam(tid) as u32),
            ..Parameters::default()
        }),
        ("getpriority", |tid| Parameters {
            nice: Some(getpriority(tid)),
            ..Parameters::default()
        }),
        ("getpriority without the library", |tid| Parameters {
            nice: Some(raw_getpriority(libc::PRIO_PROCESS, tid)),
            ..Parameters::default()
        }),
        ("/proc/PID/stat", |tid| {
            let stat = stat(tid);
            Parameters {
                policy: stat.policy.map(|policy| policy as i32),
                nice: Some(stat.nice as i32),
                rt_priority: stat.rt_priority,
                attr: None,
            }
        }),
    ]
}

fn writers() -> [Writer; 4] {
    [
        ("sched_setattr", |tid, read| {
            read.attr.map(|attr| attr.try_apply(tid))
        }),
        ("sched_setscheduler", |tid, read| {
            let (policy, priority) = read.policy.zip(read.rt_priority)?;
            Some(setscheduler(tid, policy, priority as i32))
        }),
        ("sched_setparam", |tid, read| {
            Some(setparam(tid, read.rt_priority? as i32))
        }),
        ("setpriority", |tid, read| {
            Some(setpriority(tid, read.nice?))
        }),
    ]
}

/// Gives a thread a base.
type SetUp = fn(i32);

fn bases() -> [(&'static str, SetUp); 6] {
    [
        ("SCHED_OTHER", |tid| Attr::normal(0).apply(tid)),
        ("SCHED_OTHER, nice 5, 10 ms", |tid| {
            Attr::normal(5).slice_ns(10_000_000).apply(tid);
        }),
        ("SCHED_BATCH", |tid| Attr::batch(-2).apply(tid)),
        ("SCHED_IDLE, nice 3", |tid| {
            Attr::normal(3).apply(tid);
            Attr::idle().apply(tid);
        }),
        ("SCHED_FIFO", |tid| Attr::fifo(7).apply(tid)),
        ("SCHED_RR", |tid| Attr::rr(9).apply(tid)),
    ]
}

#[test]
fn what_is_read_and_written_back_leaves_the_base_as_it_was() {
    let device = Device::open();
    for (base, set_up) in bases() {
        for (reader, read) in readers() {
            for (writer, write) in writers() {
                for prio in PRIOS {
                    let worker = Worker::spawn();
                    let tid = worker.tid();
                    set_up(tid);
                    let before = State::of(&device, tid);
                    device.set(tid, prio);
                    let Some(written) = write(tid, &read(tid)) else {
                        continue;
                    };
                    let context = format!("{base} at {prio}: {reader}, {writer}");
                    assert_eq!(written, Ok(()), "{context}");
                    assert_eq!(device.prio(tid), None, "{context}");
                    assert_eq!(State::of(&device, tid), before, "{context}");
                }
            }
        }
    }
}

#[test]
fn all_calls_tell_the_base() {
    let device = Device::open();
    for (base, set_up) in bases() {
        let worker = Worker::spawn();
        let tid = worker.tid();
        set_up(tid);
        let read = || readers().map(|(_, read)| read(tid));
        let mut before = read();
        for prio in PRIOS.into_iter().chain(SAMPLE) {
            device.set(tid, prio);
            let mut after = read();
            // The clamp of the utilization, of which only what is in force is read.
            for parameters in [&mut before, &mut after] {
                if let Some(Attr(attr)) = &mut parameters[0].attr {
                    attr.util_min = 0;
                }
            }
            assert_eq!(after, before, "{base} at {prio}");
        }
    }
}

#[test]
fn proc_stat_shows_in_force_what_is_lent() {
    let device = Device::open();
    let worker = Worker::spawn();
    // As proc_pid_stat(5) has it: 20 more than a nice value, or below 0.
    for (prio, shown) in [(8, 39), (24, 28), (40, 12), (50, -4)] {
        device.set(worker.tid(), prio);
        let stat = stat(worker.tid());
        assert_eq!(stat.priority, shown, "at {prio}");
        assert_eq!(
            (stat.nice, stat.rt_priority, stat.policy),
            (0, Some(0), Some(0))
        );
    }
}

#[test]
fn a_nice_value_counts_from_the_base() {
    let device = Device::open();
    for prio in PRIOS {
        let worker = Worker::spawn();
        let tid = worker.tid();
        device.set(tid, prio);
        setpriority(tid, getpriority(tid) + 2).unwrap();
        let record = device.get(tid);
        assert_eq!((record.prio, record.base.nice), (None, 2), "at {prio}");

        device.set(tid, prio);
        // SAFETY: The call takes no pointer.
        let nice = worker.run(|| unsafe { libc::nice(3) });
        let record = device.get(tid);
        assert_eq!((nice, record.prio, record.base.nice), (5, None, 5));
    }
}

#[test]
fn a_user_who_adds_nothing_to_his_nice_value_gets_back_to_his_priority() {
    let device = Device::open();
    for prio in [8, 16, 24] {
        in_child(|| {
            become_user(USER);
            device.set(SELF, prio);
            // SAFETY: The call takes no pointer.
            assert_eq!(unsafe { libc::nice(0) }, 0, "at {prio}");
            assert_eq!(device.prio(SELF), None);
            device.set(SELF, 32);
            device.set(SELF, prio);
            let nice = raw_getpriority(libc::PRIO_PROCESS, 0);
            setpriority(SELF, nice).unwrap();
            device.set(SELF, 32);
            assert_eq!(device.get(SELF).base.nice, 0, "at {prio}");
        });
    }
}

#[test]
fn the_nice_value_of_a_group_or_a_user_is_that_of_the_bases() {
    let device = Device::open();
    let child = Child::sleeping(|| {
        setpgid(None, None).expect("a group of its own");
        setpriority(SELF, 4).expect("it may be nice");
        become_user(OTHER_USER);
    });
    for prio in PRIOS.into_iter().chain(SAMPLE) {
        device.set(child.pid(), prio);
        for (which, id) in [
            (libc::PRIO_PGRP, child.pid()),
            (libc::PRIO_USER, OTHER_USER as i32),
        ] {
            assert_eq!(raw_getpriority(which, id), 4, "at {prio}");
        }
    }
}
