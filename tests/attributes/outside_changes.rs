// SPDX-License-Identifier: GPL-2.0

//! Changes of a thread by other means than go_sched. A change that does not set the
//! thread's own parameters leaves the thread's priority alone. Any other change ends the
//! priority, whether the priority came from a request, a hint or a parent.

use std::fs;
use std::mem;

use common::attr::setparam;
use common::attr::setpriority;
use common::attr::setscheduler;
use common::attr::Attr;
use common::cgroup::Cgroup;
use common::child::become_user;
use common::child::become_user_with_ceiling;
use common::child::in_child;
use common::child::Child;
use common::device::Device;
use common::device::SELF;
use common::hint::HintedWorker;
use common::hint::NONE;
use common::module::Reconfigured;
use common::pin;
use common::spinner::Spinner;
use common::state::assert_refused;
use common::state::State;
use common::syscall::result_of;
use common::worker::in_thread;
use common::CONTESTED_CPU;
use common::OTHER_USER;
use common::SAMPLE;
use common::USER;
use common::WATCHER_CPU;
use gosched::sched::Params;
use gosched::sched::SchedPolicy;
use gosched::uapi::GO_SCHED_PRIO_NONE;
use rustix::io::Errno;
use rustix::process::setpgid;
use rustix::process::setsid;
use rustix::process::Pid;
use rustix::thread::sched_getaffinity;
use rustix::thread::sched_setaffinity;
use rustix::thread::CpuSet;

/// A ceiling above all that the base of an ordinary thread allows.
const GRANTED: u32 = 55;

/// Makes a control group with the controllers that schedule.
fn scheduling_group() -> Cgroup {
    Cgroup::new("under-test", "+cpu +cpuset")
}

/// Returns the two threads of a process: the sleeping one, and the one that spins on the
/// contested CPU.
fn threads_of(process: &Child) -> [i32; 2] {
    let tids: Vec<i32> = fs::read_dir(format!("/proc/{}/task", process.pid()))
        .expect("the process lives")
        .map(|entry| {
            let name = entry.expect("an entry").file_name();
            name.to_str()
                .and_then(|name| name.parse().ok())
                .expect("a thread id")
        })
        .collect();
    tids.try_into().expect("two threads")
}

/// Runs `change` on processes whose threads have priorities, and checks that the
/// priorities and the parameters in force stay.
#[track_caller]
fn assert_left_alone(change: impl Fn(&Child) + Send + 'static) {
    in_thread(move || {
        pin(WATCHER_CPU);
        // Waiting for its turn among the threads under test would take minutes.
        Attr::fifo(90).reset_on_fork().apply(SELF);
        for base in [Attr::normal(5).slice_ns(10_000_000), Attr::rr(9)] {
            for prio in SAMPLE {
                assert_leaves_alone(&change, base, prio);
            }
        }
    });
}

#[track_caller]
fn assert_leaves_alone(change: &impl Fn(&Child), base: Attr, prio: u32) {
    let device = Device::open();
    let process = Child::sleeping(|| {
        // A process of its own session has an autogroup of its own.
        setsid().expect("a child leads no process group");
        mem::forget(Spinner::spinning(CONTESTED_CPU));
    });
    let tids = threads_of(&process);
    let before = tids.map(|tid| {
        base.apply(tid);
        let before = State::of(&device, tid);
        device.ceiling(tid, 40);
        device.set_inherited(tid, prio);
        (before, State::of(&device, tid))
    });

    change(&process);
    for (tid, (base, managed)) in tids.into_iter().zip(before) {
        assert_eq!(State::of(&device, tid), managed);
        device.clear(tid);
        device.ceiling(tid, GO_SCHED_PRIO_NONE);
        assert_eq!(State::of(&device, tid), base, "after {prio}");
    }
}

#[test]
fn the_nice_value_of_its_autogroup_leaves_a_priority_alone() {
    assert_left_alone(|process| {
        let file = format!("/proc/{}/autogroup", process.pid());
        for nice in [10, 19, -20, 0] {
            fs::write(&file, nice.to_string()).unwrap();
            let shown = fs::read_to_string(&file).unwrap();
            assert!(shown.trim().ends_with(&format!("nice {nice}")), "{shown}");
        }
    });
}

#[test]
fn its_affinity_leaves_a_priority_alone() {
    assert_left_alone(|process| {
        for tid in threads_of(process).map(Pid::from_raw) {
            for cpu in [WATCHER_CPU, CONTESTED_CPU] {
                let mut set = CpuSet::new();
                set.set(cpu);
                sched_setaffinity(tid, &set).unwrap();
                assert_eq!(sched_getaffinity(tid), Ok(set));
            }
        }
    });
}

#[test]
fn its_cpuset_leaves_a_priority_alone() {
    let group = scheduling_group();
    assert_left_alone(move |process| {
        group.set("cpuset.cpus", &CONTESTED_CPU.to_string());
        group.add(process.pid() as u32);
        for cpu in [WATCHER_CPU, CONTESTED_CPU] {
            group.set("cpuset.cpus", &cpu.to_string());
            assert_eq!(group.get("cpuset.cpus.effective"), cpu.to_string());
            for tid in threads_of(process) {
                let set = sched_getaffinity(Pid::from_raw(tid)).unwrap();
                assert!(set.is_set(cpu));
                assert!(!set.is_set(WATCHER_CPU + CONTESTED_CPU - cpu));
            }
        }
    });
}

#[test]
fn the_weight_of_its_control_group_leaves_a_priority_alone() {
    let group = scheduling_group();
    assert_left_alone(move |process| {
        group.add(process.pid() as u32);
        for (file, values) in [
            ("cpu.weight", ["1", "10000", "100"]),
            ("cpu.weight.nice", ["19", "-20", "0"]),
            ("cpu.idle", ["1", "0", "0"]),
            ("cpu.uclamp.max", ["10.00", "50.00", "max"]),
        ] {
            for value in values {
                group.set(file, value);
                assert_eq!(group.get(file), value, "{file}");
            }
        }
    });
}

#[test]
fn the_quota_of_its_control_group_leaves_a_priority_alone() {
    let group = scheduling_group();
    assert_left_alone(move |process| {
        group.add(process.pid() as u32);
        for quota in ["1000 100000", "max 100000"] {
            group.set("cpu.max", quota);
            assert_eq!(group.get("cpu.max"), quota);
        }
    });
}

/// Calls `setpriority(2)` on a process group or on a user's processes.
fn setpriority_of_many(which: libc::__priority_which_t, id: i32, nice: i32) -> Result<(), Errno> {
    // SAFETY: The call takes no pointer.
    result_of(unsafe { libc::setpriority(which, id as libc::id_t, nice) }.into()).map(drop)
}

const ORDINARY: Params = Params {
    policy: SchedPolicy::OTHER,
    nice: 0,
    rt_priority: 0,
    slice_ns: 0,
};

/// A change of a thread's parameters, and the base of an ordinary thread after it.
type Writer = (&'static str, fn(i32), Params);

fn writers() -> [Writer; 6] {
    [
        (
            "sched_setattr to what it is",
            |tid| Attr::normal(0).apply(tid),
            ORDINARY,
        ),
        (
            "sched_setattr",
            |tid| Attr::batch(3).slice_ns(5_000_000).apply(tid),
            Params {
                policy: SchedPolicy::BATCH,
                nice: 3,
                slice_ns: 5_000_000,
                ..ORDINARY
            },
        ),
        (
            "sched_setscheduler",
            |tid| setscheduler(tid, libc::SCHED_RR, 3).expect("root may"),
            Params {
                policy: SchedPolicy::RR,
                rt_priority: 3,
                ..ORDINARY
            },
        ),
        (
            "sched_setscheduler to SCHED_IDLE",
            |tid| setscheduler(tid, libc::SCHED_IDLE, 0).expect("root may"),
            Params {
                policy: SchedPolicy::IDLE,
                ..ORDINARY
            },
        ),
        (
            "sched_setparam",
            |tid| setparam(tid, 0).expect("root may"),
            ORDINARY,
        ),
        (
            "setpriority",
            |tid| setpriority(tid, -4).expect("root may"),
            Params {
                nice: -4,
                ..ORDINARY
            },
        ),
    ]
}

/// Checks that a thread has no priority, and that its base is in force.
#[track_caller]
fn assert_base(device: &Device, tid: i32, base: Params, context: &str) {
    let State { attr, nice, record } = State::of(device, tid);
    assert_eq!((record.prio, record.applied), (None, None), "{context}");
    assert_eq!(record.base, base, "{context}");
    assert_eq!(attr.0.policy, base.policy, "{context}");
    assert_eq!(attr.0.rt_priority, base.rt_priority, "{context}");
    assert_eq!(nice, base.nice, "{context}");
}

#[test]
fn a_change_of_the_parameters_ends_a_hint_and_the_priority_below_it() {
    let _unlimited = Reconfigured::unlimited();
    for (name, write, base) in writers() {
        for set in [None, Some(20)] {
            for hint in SAMPLE {
                let hinted = HintedWorker::free();
                let (device, tid) = (hinted.device(), hinted.tid());
                if let Some(prio) = set {
                    device.set(tid, prio);
                }
                hinted.take(hint as u8, hint as u8);
                write(tid);
                assert_base(device, tid, base, name);
                assert_eq!(hinted.slot().applied(), NONE, "{name}");
                assert_eq!(device.get(tid).slot, Some(0), "{name}");

                // The same value again is no change, and there is none below.
                hinted.assert_ignores(hint as u8);
                hinted.take(NONE, NONE);
                assert_base(device, tid, base, name);
                hinted.take(30, 30);
                assert_eq!(device.get(tid).base, base, "{name}");
            }
        }
    }
}

#[test]
fn a_change_of_the_parameters_ends_a_granted_priority_and_leaves_the_ceiling() {
    let device = Device::open();
    for (name, write, base) in writers() {
        for prio in [33, 47, 48, GRANTED] {
            let child = Child::sleeping(|| {
                become_user_with_ceiling(USER, &device, GRANTED);
                device.set(SELF, prio);
            });
            write(child.pid());
            assert_base(&device, child.pid(), base, name);
            let record = device.get(child.pid());
            assert_eq!((record.ceiling, record.ceiling_granted), (GRANTED, true));
        }
    }
}

#[test]
fn a_granted_ceiling_is_no_permission_for_other_calls() {
    let _unlimited = Reconfigured::unlimited();
    let device = Device::open();
    in_child(|| {
        become_user_with_ceiling(USER, &device, GRANTED);
        for prio in SAMPLE.into_iter().filter(|prio| *prio <= GRANTED) {
            device.set(SELF, prio);
            assert_refused(&device, SELF, Errno::ACCESS, || setpriority(SELF, -1));
            for attr in [
                Attr::normal(-1),
                Attr::batch(-1),
                Attr::rr(1),
                Attr::fifo(1),
            ] {
                assert_refused(&device, SELF, Errno::PERM, || attr.try_apply(SELF));
            }
            assert_refused(&device, SELF, Errno::PERM, || {
                setscheduler(SELF, libc::SCHED_RR, 1)
            });
        }
    });
}

#[test]
fn setpriority_of_a_process_group_or_a_user_wins() {
    let device = Device::open();
    for prio in SAMPLE {
        let child = Child::sleeping(|| {
            setpgid(None, None).expect("a group of its own");
            become_user(OTHER_USER);
        });
        let (group, user) = (child.pid(), OTHER_USER as i32);
        for (which, id, nice) in [(libc::PRIO_PGRP, group, 6), (libc::PRIO_USER, user, 7)] {
            device.set(child.pid(), prio);
            setpriority_of_many(which, id, nice).unwrap();
            let base = Params { nice, ..ORDINARY };
            assert_base(&device, child.pid(), base, "setpriority of many");
        }
    }
}
