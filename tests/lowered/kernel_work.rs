// SPDX-License-Identifier: GPL-2.0

//! A thread at an idle priority is at its base while others may wait for what the thread
//! holds inside the kernel: from a switch to another thread there until the return to
//! user mode.

use std::fs;
use std::fs::File;
use std::io::Read;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::attr::Attr;
use common::child::become_user_in_thread;
use common::device::Device;
use common::device::Record;
use common::device::SELF;
use common::eventually;
use common::hint::HintedWorker;
use common::module::load;
use common::module::unload;
use common::module::Reloaded;
use common::pin;
use common::spinner::Spinner;
use common::state::State;
use common::syscall::set_schedprio;
use common::trace::Trace;
use common::worker::Pending;
use common::worker::Worker;
use common::StopOnDrop;
use common::CONTESTED_CPU;
use common::USER;
use gosched::sched::SchedPolicy;
use gosched::trace::EventKind;
use procfs::process::Process;

/// The name that the tracepoint has for the cause.
const CAUSE: &str = "kernel-work";

/// Priorities of the idle band.
const IDLE: [u32; 3] = [0, 8, 15];

/// Returns the letter that `/proc` has for the state of a thread of this process.
fn state(tid: i32) -> char {
    let task = Process::myself().and_then(|process| process.task_from_tid(tid));
    let stat = task.and_then(|task| task.stat());
    stat.expect("the thread lives").state
}

/// A thread that sleeps in the kernel until it has a lock, and that no signal wakes. The
/// thread reads a file that another thread reads at the same time, and the other thread
/// has to wait for a message.
struct Waiting<'worker> {
    done: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    reader: Worker,
    pending: Option<(Pending<()>, Pending<()>)>,
    _waiter: &'worker Worker,
}

impl<'worker> Waiting<'worker> {
    fn new(waiter: &'worker Worker) -> Self {
        let file = Arc::new(File::open("/proc/kmsg").expect("root may read it"));
        let [done, stop, started] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let reader = Worker::spawn();
        let reading = reader.start({
            let (file, stop, started) = (file.clone(), stop.clone(), started.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    started.store(true, Ordering::Relaxed);
                    read_message(&file);
                }
            }
        });
        eventually("the reader waits for a message", || {
            started.load(Ordering::Relaxed) && state(reader.tid()) == 'S'
        });
        let pending = waiter.start({
            let done = done.clone();
            move || {
                read_message(&file);
                done.store(true, Ordering::Relaxed);
            }
        });
        eventually("the waiter waits for the lock", || {
            state(waiter.tid()) == 'D'
        });
        Self {
            done,
            stop,
            reader,
            pending: Some((reading, pending)),
            _waiter: waiter,
        }
    }

    /// Lets the thread return to user mode.
    fn end(mut self) {
        self.give_messages();
        if let Some((reading, pending)) = self.pending.take() {
            reading.wait();
            pending.wait();
        }
    }

    fn give_messages(&self) {
        self.stop.store(true, Ordering::Relaxed);
        eventually("both readers have read", || {
            fs::write("/dev/kmsg", "a message to read").expect("root may write it");
            self.done.load(Ordering::Relaxed) && state(self.reader.tid()) == 'S'
        });
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Or neither worker would end, after a failure.
        if self.pending.is_some() {
            self.give_messages();
        }
    }
}

fn read_message(mut file: &File) {
    let read = file.read(&mut [0; 8192]);
    assert!(read.expect("there is a message") > 0);
}

/// Checks that the base is in force for kernel work of a thread at `prio`.
#[track_caller]
fn assert_raised(record: &Record, prio: u32) {
    assert_eq!((record.prio, record.applied), (Some(prio), Some(prio)));
    assert!(record.kernel_work);
    assert_eq!(record.current.policy, record.base.policy);
    assert_eq!(record.current.nice, record.base.nice);
    assert_eq!(record.current.rt_priority, record.base.rt_priority);
}

/// Checks that nothing but the priority is in force.
#[track_caller]
fn assert_at(record: &Record, prio: u32) {
    assert_eq!((record.prio, record.applied), (Some(prio), Some(prio)));
    assert!(!record.kernel_work);
}

/// Checks the same of a thread, while the thread may be on its way through the kernel.
#[track_caller]
fn assert_settles_at(device: &Device, tid: i32, prio: u32) {
    assert_at(&State::of(device, tid).record, prio);
}

/// Returns the changes of a thread for kernel work.
fn changes(trace: &Trace, tid: i32) -> Vec<(Option<u32>, Option<u32>)> {
    let events = trace.events_of(tid).into_iter();
    events
        .filter_map(|event| match event {
            EventKind::Apply {
                old_priority,
                new_priority,
                cause,
                ..
            } if cause == CAUSE => Some((old_priority, new_priority)),
            _ => None,
        })
        .collect()
}

#[test]
fn who_sleeps_for_a_lock_of_the_kernel_is_at_its_base_until_it_returns() {
    let device = Device::open();
    for base in [
        Attr::normal(0),
        Attr::normal(10),
        Attr::batch(-5),
        Attr::rr(9),
    ] {
        for prio in IDLE {
            let worker = Worker::spawn();
            base.apply(worker.tid());
            device.set(worker.tid(), prio);
            let trace = Trace::start();
            let waiting = Waiting::new(&worker);
            assert_raised(&device.get(worker.tid()), prio);
            let raised = [(Some(prio), None)];
            assert!(changes(&trace, worker.tid()).ends_with(&raised));
            waiting.end();
            assert_settles_at(&device, worker.tid(), prio);
            let lowered = [(None, Some(prio))];
            assert!(changes(&trace, worker.tid()).ends_with(&lowered));
        }
    }
}

#[test]
fn a_user_is_raised_to_the_base_and_not_above_it() {
    let device = Device::open();
    let worker = Worker::spawn();
    Attr::normal(7).apply(worker.tid());
    worker.run(|| {
        become_user_in_thread(USER);
        set_schedprio(SELF, 8, 0).expect("everybody owns it");
    });
    let waiting = Waiting::new(&worker);
    let record = device.get(worker.tid());
    assert_raised(&record, 8);
    assert_eq!(record.current.nice, 7);
    waiting.end();
}

#[test]
fn who_is_lowered_while_it_sleeps_for_a_lock_is_at_its_base_until_it_returns() {
    let device = Device::open();
    for prio in IDLE {
        let worker = Worker::spawn();
        let waiting = Waiting::new(&worker);
        device.set(worker.tid(), prio);
        assert_raised(&device.get(worker.tid()), prio);
        waiting.end();
        assert_settles_at(&device, worker.tid(), prio);
    }
}

#[test]
fn a_hint_for_less_waits_while_its_thread_sleeps_for_a_lock() {
    let hinted = HintedWorker::free();
    let device = hinted.device();
    for (from, to) in [(32, 8), (60, 0)] {
        hinted.take(from, from);
        // The thread may see it on its way there, or when it goes to sleep.
        hinted.slot().store(to);
        let waiting = Waiting::new(hinted.worker());
        let record = device.get(hinted.tid());
        assert_ne!(record.current.policy, SchedPolicy::IDLE);
        waiting.end();
        hinted.take(to, to);
    }
}

#[test]
fn who_sleeps_so_that_a_signal_wakes_it_stays_at_its_priority() {
    let device = Device::open();
    let worker = Worker::spawn();
    device.set(worker.tid(), 8);
    let trace = Trace::start();
    let sleeping = worker.start(|| thread::sleep(Duration::from_millis(200)));
    eventually("the thread sleeps", || state(worker.tid()) == 'S');
    assert_settles_at(&device, worker.tid(), 8);
    sleeping.wait();
    assert_eq!(changes(&trace, worker.tid()), []);
}

#[test]
fn who_is_not_below_its_base_stays_at_its_priority() {
    let device = Device::open();
    for (base, prio) in [
        (Attr::normal(0), 16),
        (Attr::normal(0), 32),
        (Attr::normal(0), 60),
        (Attr::idle(), 0),
        (Attr::idle(), 8),
    ] {
        let worker = Worker::spawn();
        base.apply(worker.tid());
        device.set(worker.tid(), prio);
        let waiting = Waiting::new(&worker);
        assert_settles_at(&device, worker.tid(), prio);
        waiting.end();
    }
}

#[test]
fn counters_and_the_slot_do_not_change_by_kernel_work() {
    let hinted = HintedWorker::free();
    let (device, tid) = (hinted.device(), hinted.tid());
    hinted.take(8, 8);
    let before = device.stats(tid);
    let waiting = Waiting::new(hinted.worker());
    assert_raised(&device.get(tid), 8);
    assert_eq!(hinted.slot().applied(), 8);
    waiting.end();
    assert_eq!(hinted.slot().applied(), 8);
    let after = device.stats(tid);
    assert_eq!(
        (after.applies, after.last_cause),
        (before.applies, before.last_cause)
    );
}

#[test]
fn a_thread_that_asks_for_itself_is_told_what_it_returns_with() {
    let device = Arc::new(Device::open());
    let worker = Worker::spawn();
    let spinner = Spinner::paused(CONTESTED_CPU);
    let trace = Trace::start();
    let over = Arc::new(AtomicBool::new(false));
    let stop = StopOnDrop(&over);
    let asking = worker.start({
        let (device, over) = (device.clone(), over.clone());
        move || {
            pin(CONTESTED_CPU);
            device.set(SELF, 8);
            while !over.load(Ordering::Relaxed) {
                let record = device.get(SELF);
                assert_at(&record, 8);
                assert_eq!(record.current.policy, SchedPolicy::IDLE);
            }
        }
    });
    eventually("the thread was preempted while it asked", || {
        spinner.spin();
        thread::sleep(Duration::from_millis(2));
        spinner.pause();
        thread::sleep(Duration::from_millis(2));
        changes(&trace, worker.tid()).len() >= 20
    });
    drop(stop);
    asking.wait();
}

#[test]
fn who_is_preempted_in_the_kernel_is_at_its_base_until_it_returns() {
    let device = Device::open();
    let worker = Worker::spawn();
    device.set(worker.tid(), 8);
    let spinner = Spinner::paused(CONTESTED_CPU);
    let trace = Trace::start();
    let over = Arc::new(AtomicBool::new(false));
    let stop = StopOnDrop(&over);
    let calling = worker.start({
        let over = over.clone();
        move || {
            pin(CONTESTED_CPU);
            let zeros = File::open("/dev/zero").expect("it is there");
            let mut buffer = vec![0; 1 << 20];
            while !over.load(Ordering::Relaxed) {
                (&zeros).read_exact(&mut buffer).expect("it has no end");
            }
        }
    });
    eventually("the thread was preempted in the kernel", || {
        spinner.spin();
        thread::sleep(Duration::from_millis(5));
        spinner.pause();
        thread::sleep(Duration::from_millis(5));
        changes(&trace, worker.tid()).len() >= 10
    });
    drop(stop);
    calling.wait();
    assert_settles_at(&device, worker.tid(), 8);
    for (number, change) in changes(&trace, worker.tid()).iter().enumerate() {
        let expected = [(Some(8), None), (None, Some(8))][number % 2];
        assert_eq!(*change, expected, "change {number}");
    }
}

#[test]
fn who_is_preempted_in_user_mode_stays_at_its_priority() {
    const TIMES: usize = 20;

    let device = Device::open();
    let lowered = Spinner::paused(CONTESTED_CPU);
    device.set(lowered.tid(), 8);
    lowered.spin();
    let spinner = Spinner::paused(CONTESTED_CPU);
    let trace = Trace::start();
    // An interrupt that comes on the way back from another one looks as any in the kernel
    // does, and on a busy host they come in bunches.
    eventually("most of the time it is not raised", || {
        let before = changes(&trace, lowered.tid()).len();
        for _ in 0..TIMES {
            spinner.spin();
            thread::sleep(Duration::from_millis(5));
            spinner.pause();
            thread::sleep(Duration::from_millis(5));
        }
        changes(&trace, lowered.tid()).len() - before < TIMES
    });
}

#[test]
fn who_lives_in_the_kernel_is_lowered_there_until_it_returns() {
    /// Random bytes that take seconds to make, in one call.
    const BYTES: usize = 64 << 20;

    let device = Device::open();
    let worker = Worker::spawn();
    device.set(worker.tid(), 8);
    let spinner = Spinner::paused(CONTESTED_CPU);
    let trace = Trace::start();
    let [begins, returned] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let calling = worker.start({
        let (begins, returned) = (begins.clone(), returned.clone());
        move || {
            pin(CONTESTED_CPU);
            let random = File::open("/dev/urandom").expect("it is there");
            let mut bytes = vec![0; BYTES];
            begins.store(true, Ordering::Relaxed);
            (&random).read_exact(&mut bytes).expect("it has no end");
            returned.store(true, Ordering::Relaxed);
        }
    });
    let preempt = || {
        spinner.pause();
        thread::sleep(Duration::from_millis(5));
        spinner.spin();
        thread::sleep(Duration::from_millis(5));
    };
    // Each call before it may be preempted as well.
    eventually("the call begins", || begins.load(Ordering::Relaxed));
    let number = || changes(&trace, worker.tid()).len();
    eventually("the thread was raised, and lowered again", || {
        let before = number();
        preempt();
        let after = number();
        after >= 2 && after == before
    });
    let before = number();
    (0..20).for_each(|_| preempt());
    let record = device.get(worker.tid());
    let after = number();
    assert!(!returned.load(Ordering::Relaxed), "proves nothing");
    assert_at(&record, 8);
    // Once for the call, if the first time was before it.
    assert!(after - before <= 2, "{before} changes, and then {after}");
    drop(spinner);
    calling.wait();
}

#[test]
fn a_request_is_obeyed_during_kernel_work() {
    let device = Device::open();
    let worker = Worker::spawn();
    device.set(worker.tid(), 8);
    let waiting = Waiting::new(&worker);
    assert_raised(&device.get(worker.tid()), 8);
    device.set(worker.tid(), 0);
    assert_raised(&device.get(worker.tid()), 0);
    // Below the base as well, if not in the idle band.
    device.set(worker.tid(), 20);
    assert_raised(&device.get(worker.tid()), 20);
    device.set(worker.tid(), 40);
    assert_settles_at(&device, worker.tid(), 40);
    device.set(worker.tid(), 8);
    assert_raised(&device.get(worker.tid()), 8);
    device.clear(worker.tid());
    let record = device.get(worker.tid());
    assert_eq!((record.prio, record.applied), (None, None));
    assert!(!record.kernel_work);
    device.set(worker.tid(), 8);
    waiting.end();
    assert_settles_at(&device, worker.tid(), 8);
}

#[test]
fn an_outside_change_during_kernel_work_is_the_new_base() {
    let device = Device::open();
    let worker = Worker::spawn();
    device.set(worker.tid(), 8);
    let waiting = Waiting::new(&worker);
    Attr::normal(5).apply(worker.tid());
    let record = device.get(worker.tid());
    assert_eq!((record.prio, record.applied), (None, None));
    assert_eq!((record.base.nice, record.current.nice), (5, 5));
    assert!(!record.kernel_work);
    waiting.end();
    let record = device.get(worker.tid());
    assert_eq!((record.base.nice, record.current.nice), (5, 5));
}

#[test]
fn a_hint_for_more_is_followed_during_kernel_work() {
    let hinted = HintedWorker::free();
    let device = hinted.device();
    hinted.take(8, 8);
    let waiting = Waiting::new(hinted.worker());
    for below in [10, 20] {
        hinted.slot().store(below);
        device.follow(hinted.tid());
        assert_raised(&device.get(hinted.tid()), below.into());
    }
    hinted.slot().store(40);
    device.follow(hinted.tid());
    assert_settles_at(device, hinted.tid(), 40);
    waiting.end();
    assert_settles_at(device, hinted.tid(), 40);
}

#[test]
fn kernel_work_outlives_the_module() {
    let _loaded = Reloaded;
    let device = Device::open();
    let worker = Worker::spawn();
    device.set(worker.tid(), 8);
    let waiting = Waiting::new(&worker);
    drop(device);
    unload();
    load();
    let device = Device::open();
    assert_raised(&device.get(worker.tid()), 8);
    waiting.end();
    assert_settles_at(&device, worker.tid(), 8);
    // Nobody has set or bound anything since.
    let waiting = Waiting::new(&worker);
    assert_raised(&device.get(worker.tid()), 8);
    waiting.end();
}
