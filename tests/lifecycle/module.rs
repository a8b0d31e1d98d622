// SPDX-License-Identifier: GPL-2.0

//! Loading and unloading the module. Every thread's priority goes out of force and back
//! in, and no thread loses its priority.

use std::io::ErrorKind;
use std::mem;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use common::attr::setpriority;
use common::attr::Attr;
use common::child::in_child;
use common::child::Child;
use common::device::Device;
use common::device::PATH;
use common::device::SELF;
use common::module::is_loaded;
use common::module::load;
use common::module::try_unload;
use common::module::unload;
use common::module::Reloaded;
use common::proc_sched::ProcSched;
use common::spinner::Spinner;
use common::state::State;
use common::worker::in_thread;
use common::worker::Pending;
use common::worker::Worker;
use common::StopOnDrop;
use common::CONTESTED_CPU;
use common::SAMPLE;
use common::WATCHER_CPU;
use rustix::io::Errno;

#[test]
fn the_module_stays_while_its_device_is_open() {
    let _reloaded = Reloaded;
    let device = Device::open();
    assert_eq!(try_unload(), Err(Errno::WOULDBLOCK));
    device.set(SELF, 32);
    device.clear(SELF);
    drop(device);
    unload();
    assert!(!is_loaded());
    let error = Device::try_open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{PATH}");
}

#[test]
fn the_module_goes_when_the_process_that_had_the_device_open_dies() {
    let _reloaded = Reloaded;
    let child = Child::sleeping(|| {
        let device = Device::open();
        device.set_inherited(SELF, 50);
        // Stays open for as long as the process lives.
        mem::forget(device);
    });
    assert_eq!(try_unload(), Err(Errno::WOULDBLOCK));
    child.kill();
    unload();
}

#[test]
fn a_priority_is_out_of_force_without_the_module_and_back_in_with_it() {
    let _reloaded = Reloaded;
    let workers: Vec<_> = (0..64).map(|_| Worker::spawn()).collect();
    let spinners = [WATCHER_CPU, CONTESTED_CPU].map(Spinner::spinning);
    let device = Device::open();
    let threads: Vec<_> = workers
        .iter()
        .map(Worker::tid)
        .zip(0..64)
        .chain([(spinners[0].tid(), 40), (spinners[1].tid(), 50)])
        .map(|(tid, prio)| {
            match prio % 3 {
                0 => Attr::rr(20).reset_on_fork().apply(tid),
                1 => Attr::normal(7).slice_ns(10_000_000).apply(tid),
                _ => Attr::batch(-7).apply(tid),
            }
            let base = Attr::of(tid);
            device.set_inherited(tid, prio);
            (tid, base, State::of(&device, tid))
        })
        .collect();
    drop(device);

    for _ in 0..3 {
        unload();
        for (tid, base, managed) in &threads {
            let without = managed.record.prio;
            assert_eq!(Attr::of(*tid), *base, "without {without:?}");
            assert_eq!(
                ProcSched::of(*tid),
                base.proc_sched(),
                "without {without:?}"
            );
        }
        load();
        let device = Device::open();
        for (tid, _, managed) in &threads {
            assert_eq!(State::of(&device, *tid), *managed);
        }
    }
}

#[test]
fn the_last_writer_wins_while_the_module_is_away() {
    let _reloaded = Reloaded;
    let worker = Worker::spawn();
    for prio in SAMPLE {
        Device::open().set(worker.tid(), prio);
        unload();
        setpriority(worker.tid(), 3).unwrap();
        load();
        let record = Device::open().get(worker.tid());
        assert_eq!(record.prio, None, "after {prio}");
        assert_eq!(record.base.nice, 3, "after {prio}");
        assert_eq!(Attr::of(worker.tid()).0.nice, 3, "after {prio}");
    }
}

#[test]
fn an_inherited_priority_reaches_children_started_while_the_module_is_away() {
    let _reloaded = Reloaded;
    let parent = Worker::spawn();
    Device::open().set_inherited(parent.tid(), 40);
    unload();
    let child = parent.run(Worker::spawn);
    assert_eq!(ProcSched::of(child.tid()), Attr::normal(0).proc_sched());
    load();
    assert_eq!(Device::open().prio(child.tid()), Some(40));
    assert_eq!(Attr::of(child.tid()).0.nice, -8);
}

#[test]
fn two_hundred_lives_of_the_module_under_load_lose_no_base() {
    const LIVES: u32 = 200;
    let _reloaded = Reloaded;
    in_thread(|| {
        // Waiting for its turn among the load would take minutes.
        Attr::fifo(90).reset_on_fork().apply(SELF);
        let spinners = [WATCHER_CPU, CONTESTED_CPU].map(Spinner::spinning);
        let bases = spinners.each_ref().map(|one| Attr::of(one.tid()));
        let forkers = [(); 2].map(|()| Worker::spawn());
        let over = Arc::new(AtomicBool::new(false));
        let loads = forkers.each_ref().map(|forker| {
            let over = Arc::clone(&over);
            forker.start(move || {
                while !over.load(Ordering::Relaxed) {
                    in_child(|| ());
                    in_thread(|| ());
                }
            })
        });

        let stop = StopOnDrop(&over);
        for life in 0..LIVES {
            unload();
            for (spinner, base) in spinners.iter().zip(&bases) {
                let tid = spinner.tid();
                assert_eq!(Attr::of(tid), *base, "in life {life}");
                assert_eq!(ProcSched::of(tid), base.proc_sched(), "in life {life}");
            }
            load();
            let device = Device::open();
            let prios = (0..).map(|i| (life + i) * 37 % 64);
            for (spinner, prio) in spinners.iter().zip(prios.clone()) {
                device.set(spinner.tid(), prio);
            }
            for (forker, prio) in forkers.iter().zip(prios.skip(2)) {
                device.set_inherited(forker.tid(), prio);
            }
        }
        drop(stop);
        loads.into_iter().for_each(Pending::wait);
    });
}
