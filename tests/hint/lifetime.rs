// SPDX-License-Identifier: GPL-2.0

//! The life of a binding: until the thread ends, runs another program, or the module
//! goes, whatever becomes of the file and its mappings.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use common::attr::Attr;
use common::child::in_child;
use common::child::with_program;
use common::child::Child;
use common::deadline::scope;
use common::deadline::TimedReader;
use common::device::Device;
use common::device::SELF;
use common::eventually;
use common::hint::be_scheduled;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::hint::NONE;
use common::module::load;
use common::module::try_unload;
use common::module::unload;
use common::module::Reloaded;
use common::proc_sched::ProcSched;
use common::state::assert_unchanged;
use common::state::State;
use common::worker::in_thread;
use common::worker::Worker;
use nix::unistd::execv;
use rustix::io::Errno;
use rustix::pipe::pipe_with;
use rustix::pipe::PipeFlags;

/// A device with two slots, to be shared with threads and processes.
fn shared_page() -> (Arc<Device>, Arc<HintPage>) {
    let device = Arc::new(Device::open());
    let page = Arc::new(HintPage::new(&device, 2));
    (device, page)
}

/// Checks that slot 0 is free: a new thread can be bound to it, and a hint that is left
/// in the slot has no effect on that thread.
#[track_caller]
fn assert_free(device: &Arc<Device>, page: &Arc<HintPage>) {
    assert_eq!(page.slot(0).applied(), NONE, "the end of a binding is told");
    let hinted = HintedWorker::spawn(device, page, 0);
    assert_eq!(device.get(hinted.tid()).slot, Some(0));
    assert_eq!(device.prio(hinted.tid()), None);
    hinted.assert_ignores(NONE);
    hinted.take(12, 12);
}

#[test]
fn a_slot_is_free_when_its_thread_has_ended() {
    let (device, page) = shared_page();
    for _ in 0..20 {
        let hinted = HintedWorker::spawn(&device, &page, 0);
        hinted.take(10, 10);
        drop(hinted);
        // A thread may be joined a moment before it is gone.
        eventually("the thread is gone", || page.slot(0).applied() == NONE);
        assert_free(&device, &page);
        eventually("the thread is gone", || page.slot(0).applied() == NONE);
    }
}

#[test]
fn a_slot_is_free_when_its_process_was_killed() {
    let (device, page) = shared_page();
    let child = Child::sleeping(|| {
        device.bind(0);
        page.slot(0).take(10, 10);
    });
    assert_eq!(device.try_bind(0), Err(Errno::BUSY));
    assert_eq!(page.slot(0).applied(), 10);
    // And not only when it has been waited for.
    child.kill();
    assert_free(&device, &page);
}

#[test]
fn hints_work_on_after_close() {
    in_thread(|| {
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        device.bind(0);
        drop(device);
        page.slot(0).take(10, 10);
        let record = Device::open().get(SELF);
        assert_eq!((record.prio, record.slot), (Some(10), Some(0)));
        page.slot(0).take(30, 30);
        Device::open().unbind();
        assert_eq!(page.slot(0).applied(), NONE);
    });
}

#[test]
fn the_last_hint_stays_in_force_after_munmap() {
    in_thread(|| {
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        device.bind(0);
        page.slot(0).take(10, 10);
        assert_unchanged(&device, SELF, || {
            drop(page);
            be_scheduled();
        });

        let page = HintPage::new(&device, 1);
        assert_eq!((page.slot(0).wanted(), page.slot(0).applied()), (10, 10));
        page.slot(0).take(20, 20);
    });
}

#[test]
fn the_last_hint_stays_in_force_after_munmap_and_close() {
    in_thread(|| {
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        device.bind(0);
        page.slot(0).take(10, 10);
        let state = State::of(&device, SELF);
        drop(page);
        drop(device);
        be_scheduled();

        let device = Device::open();
        assert_eq!(State::of(&device, SELF), state);
        // The slot of another file, even if it has the same number.
        let page = HintPage::new(&device, 1);
        page.slot(0).store(20);
        be_scheduled();
        assert_eq!(State::of(&device, SELF), state);

        device.unbind();
        device.bind(0);
        page.slot(0).take(20, 20);
    });
}

/// Returns a command that binds itself to slot 0, takes hint 10, and then becomes `cat`.
/// The command may be given a priority before.
fn cat_with_hint(device: &Arc<Device>, page: &Arc<HintPage>, set: Option<u32>) -> Command {
    let (device, page) = (Arc::clone(device), Arc::clone(page));
    let mut command = Command::new("cat");
    // SAFETY: Between fork and exec glibc allows the system calls the closure
    // makes.
    unsafe {
        command.pre_exec(move || {
            if let Some(prio) = set {
                device.try_set(SELF, prio, 0)?;
            }
            device.try_bind(0)?;
            page.slot(0).take(10, 10);
            io::Result::Ok(())
        })
    };
    command
}

#[test]
fn exec_ends_the_binding_and_the_hint() {
    let (device, page) = shared_page();
    for set in [None, Some(20), Some(50)] {
        with_program(&mut cat_with_hint(&device, &page, set), |pid| {
            let record = device.get(pid);
            assert_eq!((record.slot, record.prio), (None, set));
            assert_eq!(record.applied, set);
            assert_free(&device, &page);
        });
        eventually("the slot is free", || page.slot(0).applied() == NONE);
    }
}

#[test]
fn exec_by_another_thread_ends_the_binding_of_each() {
    let (device, page) = shared_page();
    let (stdin, to_program) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (from_program, stdout) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let child = Child::sleeping(|| {
        device.bind(0);
        page.slot(0).take(10, 10);
        let (device, page) = (Arc::clone(&device), Arc::clone(&page));
        thread::spawn(move || {
            device.bind(1);
            page.slot(1).take(11, 11);
            let error = Command::new("cat").stdin(stdin).stdout(stdout).exec();
            panic!("exec of cat: {error}");
        });
    });

    // An echo comes from the new program, so exec is over.
    let mut to_program = File::from(to_program);
    to_program.write_all(b"?").unwrap();
    let mut from_program = TimedReader::new(File::from(from_program));
    from_program.read_exact(&mut [0]).unwrap();
    let record = device.get(child.pid());
    assert_eq!((record.slot, record.prio), (None, None));
    assert_eq!(page.slot(1).applied(), NONE);
    assert_free(&device, &page);
}

#[test]
fn an_exec_that_fails_ends_nothing() {
    in_thread(|| {
        let (device, page) = shared_page();
        device.bind(0);
        page.slot(0).take(10, 10);
        assert_unchanged(&device, SELF, || {
            assert_eq!(
                execv(c"/nowhere", &[c"nowhere"]),
                Err(nix::errno::Errno::ENOENT)
            );
        });
        page.slot(0).take(20, 20);
    });
}

#[test]
fn a_new_thread_or_process_has_no_binding_and_no_hint() {
    in_thread(|| {
        let (device, page) = shared_page();
        let base = State::of(&device, SELF);
        device.bind(0);
        page.slot(0).take(10, 10);

        let child = Worker::spawn();
        assert_eq!(State::of(&device, child.tid()), base);
        in_child(|| {
            assert_eq!(State::of(&device, SELF), base);
            // It has the page, and with it a hold on its parent.
            assert_unchanged(&device, SELF, || {
                page.slot(0).store(20);
                (0..100).for_each(|_| be_scheduled());
            });
        });
        page.slot(0).take(20, 20);
        assert_eq!(State::of(&device, child.tid()), base);
    });
}

#[test]
fn a_process_can_be_bound_to_a_slot_of_its_parents_file() {
    let (device, page) = shared_page();
    let hinted = HintedWorker::spawn(&device, &page, 0);
    hinted.take(10, 10);
    in_child(|| {
        assert_eq!(device.try_bind(0), Err(Errno::BUSY));
        device.bind(1);
        assert_unchanged(&device, hinted.tid(), || page.slot(1).take(21, 21));
        assert_eq!(device.prio(SELF), Some(21));
        // Each has its own ceiling.
        Attr::normal(10).apply(SELF);
        page.slot(1).take(32, 22);
        page.slot(0).store(32);
    });
    hinted.take(32, 32);
}

#[test]
fn the_module_stays_while_a_page_is_mapped() {
    let _reloaded = Reloaded;
    let device = Device::open();
    let page = HintPage::new(&device, 1);
    assert_eq!(try_unload(), Err(Errno::WOULDBLOCK));
    drop(device);
    for _ in 0..20 {
        assert_eq!(try_unload(), Err(Errno::WOULDBLOCK));
    }
    page.slot(0).store(1);
    assert_eq!(page.slot(0).wanted(), 1);
    drop(page);
    unload();
}

/// Lets a thread take a hint, and unloads and loads the module while the hint is in
/// effect.
fn with_hint_from_before(set: Option<u32>, then: impl FnOnce(&Worker, &State)) {
    let _reloaded = Reloaded;
    let worker = Worker::spawn();
    let tid = worker.tid();
    let base = Attr::of(tid);
    if let Some(prio) = set {
        Device::open().set(tid, prio);
    }
    let before = State::of(&Device::open(), tid);
    worker.run(|| {
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        device.bind(0);
        page.slot(0).take(10, 10);
    });
    assert_eq!(Device::open().prio(tid), Some(10));

    unload();
    worker.run(be_scheduled);
    assert_eq!(Attr::of(tid), base);
    assert_eq!(ProcSched::of(tid), base.proc_sched());
    load();
    worker.run(be_scheduled);
    assert_eq!(Device::open().get(tid).slot, None);
    then(&worker, &before);
}

#[test]
fn a_bound_thread_outlives_the_module() {
    for set in [None, Some(40)] {
        with_hint_from_before(set, |worker, before| {
            worker.run(|| Device::open().unbind());
            assert_eq!(State::of(&Device::open(), worker.tid()), *before);
        });
    }
}

#[test]
fn a_thread_that_outlived_the_module_is_bound_like_any_other() {
    for set in [None, Some(40)] {
        with_hint_from_before(set, |worker, before| {
            let bytes = worker.run(|| {
                let device = Device::open();
                let page = HintPage::new(&device, 1);
                device.bind(0);
                let bytes = (page.slot(0).wanted(), page.slot(0).applied());
                page.slot(0).take(20, 20);
                device.unbind();
                bytes
            });
            let set = set.map_or(NONE, |prio| prio as u8);
            assert_eq!(bytes, (NONE, set), "nothing is left of the hint");
            assert_eq!(State::of(&Device::open(), worker.tid()), *before);
        });
    }
}

#[test]
fn hundreds_of_bindings_come_and_go() {
    const THREADS: u32 = 250;
    let (device, page) = shared_page();
    scope(|scope| {
        for slot in 0..2 {
            let (device, page) = (&device, &page);
            scope.spawn(move || {
                for round in 0..THREADS {
                    let prio = (round % 33) as u8;
                    // In time, or the outer scope ends the process.
                    thread::scope(|scope| {
                        scope.spawn(move || {
                            // The last thread was joined before it was gone.
                            let mut result = Ok(());
                            eventually("the slot is free", || {
                                result = device.try_bind(slot);
                                result != Err(Errno::BUSY)
                            });
                            assert_eq!(result, Ok(()));
                            page.slot(slot).take(prio, prio);
                        });
                    });
                }
            });
        }
    });
}
