// SPDX-License-Identifier: GPL-2.0

//! Live upgrade: with `handover=1` the module leaves the mapping in force, and the
//! next one replaces it, so that no thread is at its base meanwhile.

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

use common::attr::setpriority;
use common::attr::Attr;
use common::child::become_user;
use common::child::in_child;
use common::child::Child;
use common::deadline::scope;
use common::device::Device;
use common::device::SELF;
use common::eventually;
use common::hint::HintPage;
use common::hint::NONE;
use common::module::hand_over;
use common::module::is_loaded;
use common::module::load;
use common::module::unload;
use common::module::Reloaded;
use common::module::HANDOVER;
use common::proc_sched::ProcSched;
use common::spinner::Spinner;
use common::state::State;
use common::syscall::set_schedprio;
use common::trace::Trace;
use common::worker::Worker;
use common::StopOnDrop;
use common::CONTESTED_CPU;
use common::SAMPLE;
use common::USER;
use common::WATCHER_CPU;
use go_sched_policy::HASH;
use go_sched_policy::LEVELS;
use go_sched_policy::TABLE;
use go_sched_policy::VERSION;
use gosched::trace::EventKind;
use rustix::io::Errno;

/// Has a worker store a hint of `prio`, and leaves the hint in effect. The device is
/// closed then, so that the module can be unloaded.
fn hint(worker: &Worker, prio: u8) {
    worker.run(move || {
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        device.bind(0);
        page.slot(0).take(prio, prio);
    });
}

/// Checks that the level of a priority is in force. The attributes are checked where the
/// module is loaded, because they can be read from the module alone.
#[track_caller]
fn assert_in_force(tid: i32, base: Attr, prio: u32) {
    let expected = base.mapped(&TABLE[prio as usize]);
    expected.proc_sched().assert_of(tid);
    if is_loaded() {
        assert_eq!(Attr::of(tid), expected, "thread {tid} at {prio}");
    }
}

/// Checks that a thread is at its base.
#[track_caller]
fn assert_at_base(tid: i32, base: Attr) {
    assert_eq!(ProcSched::of(tid), base.proc_sched(), "thread {tid}");
    assert_eq!(Attr::of(tid), base, "thread {tid}");
}

/// Reads the parameters in force for `threads` over and over while `job` runs, and checks
/// that the parameters never change. Each thread is read some times before and after
/// `job`, and whenever `job` calls its argument.
fn assert_constant(threads: &[(i32, ProcSched)], job: impl FnOnce(&dyn Fn())) {
    const LOOKS: usize = 20;
    let over = AtomicBool::new(false);
    let looks = AtomicUsize::new(0);

    scope(|scope| {
        let watcher = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for (tid, expected) in threads {
                    assert_eq!(ProcSched::of(*tid), *expected, "thread {tid}");
                }
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _stop = StopOnDrop(&over);
        let look = || {
            let before = looks.load(Ordering::Relaxed);
            eventually("the threads are looked at", || {
                watcher.is_finished() || looks.load(Ordering::Relaxed) >= before + LOOKS
            });
        };
        look();
        job(&look);
        look();
    });
}

#[test]
fn a_plain_reload_has_a_window_in_which_threads_are_at_their_base() {
    let _reloaded = Reloaded;
    let worker = Worker::spawn();
    let tid = worker.tid();
    let base = Attr::of(tid);
    Device::open().set(tid, 50);
    assert_in_force(tid, base, 50);

    let start = Instant::now();
    unload();
    let at_base = ProcSched::of(tid);
    load();
    let window = start.elapsed();
    assert_eq!(at_base, base.proc_sched());
    assert_in_force(tid, base, 50);
    // Not by print!, which a test that passes keeps to itself.
    writeln!(
        io::stdout(),
        "rmmod and insmod without handover: threads were at their base for up to {} ns",
        window.as_nanos()
    )
    .unwrap();
}

#[test]
fn no_thread_is_at_its_base_while_a_module_hands_over_to_the_next() {
    let _reloaded = Reloaded;
    let device = Device::open();
    let spinners = [WATCHER_CPU, CONTESTED_CPU].map(Spinner::spinning);
    let workers: Vec<_> = (0..LEVELS).map(|_| Worker::spawn()).collect();
    let prios = workers.iter().map(Worker::tid).zip(0..LEVELS);
    // An idle one would be at its base whenever it is preempted in the kernel.
    let prios = prios.chain([(spinners[0].tid(), 40), (spinners[1].tid(), 20)]);
    let mut threads: Vec<_> = prios
        .map(|(tid, prio)| {
            Attr::batch(3).slice_ns(5_000_000).apply(tid);
            let base = Attr::of(tid);
            device.set_inherited(tid, prio);
            assert_in_force(tid, base, prio);
            (tid, prio)
        })
        .collect();
    drop(device);
    let hinting = Worker::spawn();
    hint(&hinting, 20);
    threads.push((hinting.tid(), 20));
    let in_force: Vec<_> = threads
        .iter()
        .map(|(tid, _)| (*tid, ProcSched::of(*tid)))
        .collect();

    let trace = Trace::start();
    assert_constant(&in_force, |look| {
        for _ in 0..3 {
            hand_over();
            assert!(!is_loaded());
            look();
            load();
            look();
        }
    });

    for (tid, prio) in &threads {
        let events = trace.events_of(*tid);
        for event in &events {
            assert!(
                matches!(event, EventKind::Apply { new_priority, cause, .. }
                    if *new_priority == Some(*prio) && cause == "register"),
                "{event:?} of a thread at {prio}"
            );
        }
    }
}

#[test]
fn what_is_known_of_a_thread_outlives_a_handover() {
    let _reloaded = Reloaded;
    let device = Device::open();
    let threads: Vec<_> = SAMPLE
        .into_iter()
        .map(|prio| {
            let worker = Worker::spawn();
            Attr::rr(20).reset_on_fork().apply(worker.tid());
            device.ceiling(worker.tid(), 60);
            device.set_inherited(worker.tid(), prio);
            let state = State::of(&device, worker.tid());
            (worker, state)
        })
        .collect();
    drop(device);
    hand_over();
    load();
    let device = Device::open();
    for (worker, state) in &threads {
        assert_eq!(State::of(&device, worker.tid()), *state);
    }
}

#[test]
fn a_handover_ends_bindings_and_keeps_the_hint_in_effect() {
    let _reloaded = Reloaded;
    let worker = Worker::spawn();
    let tid = worker.tid();
    let base = Attr::of(tid);
    Device::open().set(tid, 40);
    hint(&worker, 20);
    hand_over();
    assert_in_force(tid, base, 20);
    load();
    assert_in_force(tid, base, 20);

    worker.run(|| {
        let device = Device::open();
        assert_eq!(device.get(SELF).slot, None);
        let page = HintPage::new(&device, 1);
        device.bind(0);
        page.slot(0).take(25, 25);
        page.slot(0).take(NONE, 40);
        device.unbind();
    });
    assert_in_force(tid, base, 40);
}

#[test]
fn the_system_call_works_while_handed_over() {
    let _reloaded = Reloaded;
    let worker = Worker::spawn();
    let tid = worker.tid();
    let base = Attr::of(tid);
    Device::open().set(tid, 40);
    hand_over();
    for prio in SAMPLE {
        set_schedprio(tid, prio, 0).unwrap();
        assert_in_force(tid, base, prio);
        worker.run(move || set_schedprio(SELF, 63 - prio, 0).unwrap());
        assert_in_force(tid, base, 63 - prio);
    }
    let last = 63 - SAMPLE[SAMPLE.len() - 1];
    assert_eq!(set_schedprio(tid, LEVELS, 0), Err(Errno::INVAL));
    in_child(|| {
        become_user(USER);
        assert_eq!(set_schedprio(tid, 20, 0), Err(Errno::PERM));
        assert_eq!(set_schedprio(SELF, 33, 0), Err(Errno::PERM));
        set_schedprio(SELF, 32, 0).unwrap();
    });
    assert_in_force(tid, base, last);

    load();
    assert_in_force(tid, base, last);
    assert_eq!(Device::open().prio(tid), Some(last));
}

#[test]
fn the_last_writer_wins_while_handed_over() {
    let _reloaded = Reloaded;
    for prio in SAMPLE {
        let worker = Worker::spawn();
        let tid = worker.tid();
        Device::open().set(tid, prio);
        hand_over();
        setpriority(tid, 3).unwrap();
        let base = Attr::of(tid);
        assert_eq!((base.policy(), base.0.nice), (libc::SCHED_OTHER, 3));
        assert_at_base(tid, base);
        load();
        let record = Device::open().get(tid);
        assert_eq!((record.prio, record.base.nice), (None, 3), "after {prio}");
        assert_at_base(tid, base);
    }
}

#[test]
fn children_start_while_handed_over_as_they_always_do() {
    let _reloaded = Reloaded;
    let [heir, other] = [(); 2].map(|()| Worker::spawn());
    let base = Attr::of(heir.tid());
    let device = Device::open();
    device.set_inherited(heir.tid(), 40);
    device.set(other.tid(), 50);
    drop(device);

    hand_over();
    let [inherited, plain] = [&heir, &other].map(|parent| parent.run(Worker::spawn));
    let process = heir.run(|| Child::sleeping(|| ()));
    let check = || {
        assert_in_force(inherited.tid(), base, 40);
        assert_in_force(process.pid(), base, 40);
        assert_at_base(plain.tid(), base);
    };
    check();
    load();
    check();
    let device = Device::open();
    assert_eq!(device.prio(inherited.tid()), Some(40));
    assert_eq!(device.prio(process.pid()), Some(40));
    assert_eq!(device.prio(plain.tid()), None);
}

#[test]
fn threads_and_processes_may_end_while_handed_over() {
    let _reloaded = Reloaded;
    for prio in SAMPLE {
        let worker = Worker::spawn();
        let bound = Worker::spawn();
        let child = Child::sleeping(|| Device::open().set_inherited(SELF, prio));
        Device::open().set(worker.tid(), prio);
        hint(&bound, 7);
        hand_over();
        drop((worker, bound));
        child.kill();
        load();
        assert_eq!(
            Device::open().try_get(child.pid(), 0).err(),
            Some(Errno::SRCH)
        );
        drop(child);
    }
}

#[test]
fn the_module_that_took_over_reverts_when_it_is_unloaded() {
    let _reloaded = Reloaded;
    let [set, hinting] = [(); 2].map(|()| Worker::spawn());
    let base = Attr::of(set.tid());
    Device::open().set(set.tid(), 50);
    hint(&hinting, 20);
    hand_over();
    load();
    // The parameter is the next module's own.
    assert_eq!(fs::read_to_string(HANDOVER).unwrap(), "N\n");

    unload();
    assert_at_base(set.tid(), base);
    assert_at_base(hinting.tid(), base);
    assert_eq!(set_schedprio(set.tid(), 40, 0), Err(Errno::OPNOTSUPP));
    load();
    assert_in_force(set.tid(), base, 50);
    assert_at_base(hinting.tid(), base);
}

#[test]
fn handover_can_be_taken_back_before_the_module_goes() {
    let _reloaded = Reloaded;
    let worker = Worker::spawn();
    let base = Attr::of(worker.tid());
    Device::open().set(worker.tid(), 50);
    fs::write(HANDOVER, "1").unwrap();
    assert_eq!(fs::read_to_string(HANDOVER).unwrap(), "Y\n");
    fs::write(HANDOVER, "0").unwrap();
    unload();
    assert_at_base(worker.tid(), base);
}

#[test]
fn handover_is_up_to_root() {
    in_child(|| {
        become_user(USER);
        let error = fs::write(HANDOVER, "1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    });
}

#[test]
fn the_mapping_in_force_is_told_by_its_version_and_hash() {
    let _reloaded = Reloaded;
    let info = || Device::open().try_class_info().unwrap();
    assert_eq!((info().version, info().hash), (VERSION, HASH));
    hand_over();
    load();
    assert_eq!((info().version, info().hash), (VERSION, HASH));
}
