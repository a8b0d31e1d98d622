// SPDX-License-Identifier: GPL-2.0

//! The counters of a thread, as `GO_SCHED_STATS` and `/proc/PID/sched` have them. The
//! fields of `GO_SCHED_GET` that its first version did not have.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::process;

use common::attr::setpriority;
use common::attr::setscheduler;
use common::child::become_user_in_thread;
use common::device::Device;
use common::device::SELF;
use common::eventually;
use common::hint::HintPage;
use common::hint::NONE;
use common::module::load;
use common::module::unload;
use common::module::Reloaded;
use common::state::assert_unchanged;
use common::syscall::set_schedprio;
use common::worker::in_thread;
use common::worker::Worker;
use common::SAMPLE;
use common::USER;
use gosched::uapi;
use gosched::uapi::go_sched_get;
use gosched::uapi::go_sched_stats;
use rustix::thread::sched_yield;

/// The lines about go_sched of a thread's file in `/proc`, by their names.
fn proc_lines(tid: i32) -> BTreeMap<String, i64> {
    let path = format!("/proc/{}/task/{tid}/sched", process::id());
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{path}: {error}"))
        .lines()
        .filter_map(|line| line.strip_prefix("go_sched."))
        .map(|line| {
            let (name, value) = line.split_once(':').expect("NAME : VALUE");
            let value = value.trim().parse().expect("a number");
            (name.trim().to_owned(), value)
        })
        .collect()
}

/// Reads the counters of a sleeping thread, and checks that `/proc` has the same.
#[track_caller]
fn counters(device: &Device, tid: i32) -> go_sched_stats {
    let stats = device.stats(tid);
    let record = device.get(tid);
    let prio = |prio: Option<u32>| prio.map_or(-1, i64::from);
    let expected: [(_, i64); 8] = [
        ("prio", prio(record.prio)),
        ("applied", prio(record.applied)),
        ("ceiling", record.ceiling.into()),
        ("applies", stats.applies as i64),
        ("clamps", stats.clamps as i64),
        ("skips", stats.skips as i64),
        ("runaways", stats.runaways as i64),
        ("last_cause", stats.last_cause.into()),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(proc_lines(tid), BTreeMap::from(expected));
    stats
}

/// Checks the number of changes of a thread's scheduling, and the cause of the last one.
#[track_caller]
fn assert_applied(device: &Device, tid: i32, applies: u64, cause: u32) {
    let stats = counters(device, tid);
    assert_eq!((stats.applies, stats.last_cause), (applies, cause));
}

#[test]
fn nothing_is_counted_of_a_thread_without_a_record() {
    let device = Device::open();
    let worker = Worker::spawn();
    setpriority(worker.tid(), 3).unwrap();
    let stats = device.stats(worker.tid());
    assert_eq!(stats.last_cause, uapi::GO_SCHED_CAUSE_NONE);
    assert_eq!(
        (stats.applies, stats.clamps, stats.skips, stats.runaways),
        (0, 0, 0, 0)
    );
    assert!(proc_lines(worker.tid()).is_empty());
}

#[test]
fn a_ceiling_alone_is_no_change() {
    let device = Device::open();
    let worker = Worker::spawn();
    device.ceiling(worker.tid(), 50);
    assert_applied(&device, worker.tid(), 0, uapi::GO_SCHED_CAUSE_NONE);
}

#[test]
fn each_change_is_counted_with_its_cause() {
    let device = Device::open();
    let worker = Worker::spawn();
    let tid = worker.tid();
    let mut applies = 0;
    for prio in SAMPLE {
        device.set(tid, prio);
        applies += 1;
        assert_applied(&device, tid, applies, uapi::GO_SCHED_CAUSE_IOCTL);
        // No change.
        set_schedprio(tid, prio, 0).unwrap();
        assert_applied(&device, tid, applies, uapi::GO_SCHED_CAUSE_IOCTL);
        set_schedprio(tid, prio ^ 1, 0).unwrap();
        applies += 1;
        assert_applied(&device, tid, applies, uapi::GO_SCHED_CAUSE_SYSCALL);
        device.clear(tid);
        applies += 1;
        assert_applied(&device, tid, applies, uapi::GO_SCHED_CAUSE_IOCTL);
        // Nothing to clear.
        device.clear(tid);
        assert_applied(&device, tid, applies, uapi::GO_SCHED_CAUSE_IOCTL);
        device.set(tid, prio);
        setpriority(tid, 0).unwrap();
        applies += 2;
        assert_applied(&device, tid, applies, uapi::GO_SCHED_CAUSE_EXTERNAL);
    }
}

#[test]
fn a_refused_change_is_not_counted() {
    let device = Device::open();
    let worker = Worker::spawn();
    let tid = worker.tid();
    device.set(tid, 20);
    device.try_set(tid, 64, 0).unwrap_err();
    in_thread(move || {
        let device = Device::open();
        become_user_in_thread(USER);
        device.try_set(tid, 10, 0).unwrap_err();
    });
    // No such policy.
    setscheduler(tid, 77, 0).unwrap_err();
    assert_applied(&device, tid, 1, uapi::GO_SCHED_CAUSE_IOCTL);
}

#[test]
fn an_inherited_priority_counts_for_the_child() {
    let device = Device::open();
    let parent = Worker::spawn();
    device.set_inherited(parent.tid(), 40);
    let child = parent.run(Worker::spawn);
    assert_applied(&device, child.tid(), 1, uapi::GO_SCHED_CAUSE_FORK);
    assert_applied(&device, parent.tid(), 1, uapi::GO_SCHED_CAUSE_IOCTL);
}

#[test]
fn a_reload_of_the_module_counts_twice() {
    let _reloaded = Reloaded;
    let worker = Worker::spawn();
    Device::open().set(worker.tid(), 40);
    unload();
    load();
    let device = Device::open();
    assert_applied(&device, worker.tid(), 3, uapi::GO_SCHED_CAUSE_REGISTER);
}

#[test]
fn hints_are_counted_and_those_above_the_ceiling_once_each() {
    let device = Device::open();
    let worker = Worker::spawn();
    let tid = worker.tid();
    worker.run(|| {
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        let slot = page.slot(0);
        device.bind(0);
        slot.take(10, 10);
        let stats = device.stats(SELF);
        assert_eq!((stats.applies, stats.clamps), (1, 0));
        assert_eq!(stats.last_cause, uapi::GO_SCHED_CAUSE_HINT);
        // The thread's own ceiling is 32.
        slot.take(63, 32);
        let stats = device.stats(SELF);
        assert_eq!((stats.applies, stats.clamps), (2, 1));
        // Another one, for which nothing needs to change.
        slot.store(50);
        eventually("the hint is seen", || {
            sched_yield();
            device.stats(SELF).clamps == 2
        });
        assert_eq!(device.stats(SELF).applies, 2);
        slot.take(NONE, NONE);
        device.unbind();
    });
    let stats = counters(&device, tid);
    assert_eq!((stats.applies, stats.clamps), (3, 2));
}

#[test]
fn each_time_that_a_hint_is_put_off_is_counted() {
    let device = Device::open();
    let worker = Worker::spawn();
    worker.run(|| {
        let mut kernel = File::open("/dev/zero").expect("the guest has it");
        let mut buffer = vec![0; 1 << 20];
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        device.bind(0);
        let mut prios = (10..=20).rev().cycle();
        eventually("a hint is put off", || {
            // No thread is lowered while it is preempted inside the kernel.
            page.slot(0).store(prios.next().expect("they come around"));
            kernel.read_exact(&mut buffer).expect("it has no end");
            device.stats(SELF).skips > 0
        });
        let last = page.slot(0).wanted();
        page.slot(0).take(last, last);
        device.unbind();
    });
    assert!(counters(&device, worker.tid()).skips > 0);
}

#[test]
fn get_tells_the_priority_in_force_the_ceiling_and_the_slot() {
    let device = Device::open();
    let worker = Worker::spawn();
    let tid = worker.tid();
    let told = || {
        let record = device.get(tid);
        (
            record.applied,
            record.ceiling,
            record.ceiling_granted,
            record.slot,
        )
    };
    assert_eq!(told(), (None, 32, false, None));
    device.set(tid, 50);
    assert_eq!(told(), (Some(50), 32, false, None));
    device.ceiling(tid, 60);
    assert_eq!(told(), (Some(50), 60, true, None));
    worker.run(|| {
        let device = Device::open();
        let page = HintPage::new(&device, 40);
        device.bind(39);
        page.slot(39).take(20, 20);
    });
    assert_eq!(told(), (Some(20), 60, true, Some(39)));
    worker.run(|| Device::open().unbind());
    assert_eq!(told(), (Some(50), 60, true, None));
    device.ceiling(tid, uapi::GO_SCHED_PRIO_NONE);
    device.clear(tid);
    assert_eq!(told(), (None, 32, false, None));
}

#[test]
fn get_writes_no_byte_beyond_the_size_it_was_given() {
    const CANARY: u8 = 0xA5;
    #[repr(C, align(8))]
    struct Bytes([u8; 96]);

    in_thread(|| {
        let device = Device::open();
        device.set(SELF, 50);
        let whole = size_of::<go_sched_get>();
        let mut full = Bytes([0; 96]);
        full.0[..4].copy_from_slice(&(whole as u32).to_ne_bytes());
        device.request_on(uapi::GO_SCHED_GET, &mut full).unwrap();

        // The first version's size, each later field's end, and within a field.
        for size in [40, 41, 44, 48, 52, 54, 56, 60, 64, 68, 72, 75, 80] {
            let mut bytes = Bytes([CANARY; 96]);
            bytes.0[..12].fill(0);
            bytes.0[..4].copy_from_slice(&(size as u32).to_ne_bytes());
            device.request_on(uapi::GO_SCHED_GET, &mut bytes).unwrap();
            assert_eq!(bytes.0[4..size], full.0[4..size], "size {size}");
            assert!(
                bytes.0[size..].iter().all(|byte| *byte == CANARY),
                "size {size}"
            );
        }
    });
}

#[test]
fn asking_changes_nothing() {
    let device = Device::open();
    let worker = Worker::spawn();
    for prio in SAMPLE {
        device.set(worker.tid(), prio);
        assert_unchanged(&device, worker.tid(), || counters(&device, worker.tid()));
    }
}

#[test]
fn anybody_may_ask() {
    let worker = Worker::spawn();
    let tid = worker.tid();
    let own = Device::open();
    own.set(tid, 50);
    let asked = in_thread(move || {
        let device = Device::open();
        become_user_in_thread(USER);
        let stats = device.stats(tid);
        (stats.applies, stats.last_cause, device.get(tid))
    });
    let stats = counters(&own, tid);
    assert_eq!(asked, (stats.applies, stats.last_cause, own.get(tid)));
}
