// SPDX-License-Identifier: GPL-2.0

//! Priority inheritance: a thread with a lock that a more urgent thread waits for runs as
//! the waiter does, whatever becomes of the holder's own priority meanwhile.

use std::sync::Arc;

use common::attr::Attr;
use common::budget::granted_worker;
use common::budget::set_as_user;
use common::budget::URGENT;
use common::device::Device;
use common::eventually;
use common::hint::be_scheduled;
use common::hint::HintPage;
use common::pi_mutex::PiMutex;
use common::worker::Pending;
use common::worker::Worker;
use go_sched_policy::TABLE;
use procfs::process::Process;

/// The kernel's priority of an ordinary thread, as in `/proc/PID/stat`.
const ORDINARY: i64 = 20;

/// A thread that holds a lock, and a thread that waits for the lock.
struct Contention {
    mutex: Arc<PiMutex>,
    holder: Worker,
    waiter: Worker,
    waiting: Pending<()>,
}

impl Contention {
    /// Makes a waiter at priority `prio`, and a holder without a priority.
    fn new(device: &Device, prio: u32) -> Self {
        let waiter = Worker::spawn();
        device.set(waiter.tid(), prio);
        Self::with(waiter, || (), as_rt(prio))
    }

    /// Has `waiter` run `before` and then wait for a holder. Returns once the holder runs
    /// at the kernel's priority `boost`.
    fn with(waiter: Worker, before: impl FnOnce() + Send + 'static, boost: i64) -> Self {
        let mutex = PiMutex::new();
        let holder = Worker::spawn();
        let held = Arc::clone(&mutex);
        holder.run(move || held.lock());
        let waiting = wait_for(&waiter, &mutex, before);
        let new = Self {
            mutex,
            holder,
            waiter,
            waiting,
        };
        eventually("the holder is boosted", || new.runs_as() == boost);
        new
    }

    /// Returns the kernel's priority of the holder, as in `/proc/PID/stat`.
    fn runs_as(&self) -> i64 {
        let task = Process::myself().and_then(|me| me.task_from_tid(self.holder.tid()));
        task.and_then(|task| task.stat())
            .expect("the holder lives")
            .priority
    }

    /// Lets the holder release the lock, and the waiter take the lock. Returns the holder
    /// and the waiter.
    fn end(self) -> (Worker, Worker) {
        let mutex = self.mutex;
        self.holder.run(move || mutex.unlock());
        self.waiting.wait();
        (self.holder, self.waiter)
    }
}

/// Has a worker run `before`, wait for a lock, and release the lock again.
fn wait_for(
    worker: &Worker,
    mutex: &Arc<PiMutex>,
    before: impl FnOnce() + Send + 'static,
) -> Pending<()> {
    let wanted = Arc::clone(mutex);
    worker.start(move || {
        before();
        wanted.lock();
        wanted.unlock();
    })
}

/// Returns a thread that runs above what the thread owns, by a grant, and a lock that the
/// thread holds.
fn granted_holder(device: &Device) -> (Worker, Arc<PiMutex>) {
    let worker = granted_worker(device);
    let mutex = PiMutex::new();
    let held = Arc::clone(&mutex);
    worker.run(move || held.lock());
    set_as_user(worker.tid(), URGENT);
    (worker, mutex)
}

/// Returns a thread that follows a hint at 50, and the page of the hint. The base of the
/// thread is an rt level too: what a thread was granted does not boost others.
fn waiter_bound_at_50() -> (Worker, Arc<HintPage>) {
    let device = Arc::new(Device::open());
    let page = Arc::new(HintPage::new(&device, 1));
    let waiter = Worker::spawn();
    Attr::rr(16).apply(waiter.tid());
    let slots = Arc::clone(&page);
    waiter.run(move || {
        device.bind(0);
        slots.slot(0).take(50, 50);
    });
    (waiter, page)
}

/// Returns the priority that `/proc/PID/stat` shows for a Go priority of the rt band:
/// minus one, minus the real-time priority (proc_pid_stat(5)).
fn as_rt(prio: u32) -> i64 {
    -1 - i64::from(TABLE[prio as usize].rt_priority)
}

/// Returns policy, nice value and real-time priority of a thread, without a boost.
fn own_parameters(tid: i32) -> (i32, i32, u32) {
    let attr = Attr::of(tid);
    (attr.policy(), attr.0.nice, attr.0.rt_priority)
}

#[test]
fn a_boosted_thread_stays_boosted_at_all_priorities_below() {
    let device = Device::open();
    let contention = Contention::new(&device, 50);
    let tid = contention.holder.tid();
    for prio in [5, 40, 15, 49, 16, 0, 32] {
        device.set(tid, prio);
        assert_eq!(contention.runs_as(), as_rt(50), "at {prio}");
        let level = &TABLE[prio as usize];
        let expected = (level.policy.number() as i32, level.nice, level.rt_priority);
        assert_eq!(own_parameters(tid), expected, "at {prio}");
    }
    let (holder, _) = contention.end();
    assert_eq!(own_parameters(holder.tid()), (libc::SCHED_OTHER, 0, 0));
    assert_eq!(device.prio(holder.tid()), Some(32));
}

#[test]
fn a_priority_above_the_boost_takes_effect_at_once() {
    let device = Device::open();
    let contention = Contention::new(&device, 50);
    device.set(contention.holder.tid(), 60);
    assert_eq!(contention.runs_as(), as_rt(60));
    device.set(contention.holder.tid(), 10);
    assert_eq!(contention.runs_as(), as_rt(50));
    contention.end();
}

#[test]
fn clear_gives_a_boosted_thread_its_base_and_leaves_it_the_boost() {
    let device = Device::open();
    let contention = Contention::new(&device, 63);
    let tid = contention.holder.tid();
    device.set(tid, 20);
    device.clear(tid);
    assert_eq!(contention.runs_as(), as_rt(63));
    assert_eq!(own_parameters(tid), (libc::SCHED_OTHER, 0, 0));
    contention.end();
}

#[test]
fn a_new_priority_of_the_waiter_reaches_the_holder() {
    let device = Device::open();
    let contention = Contention::new(&device, 50);
    device.set(contention.holder.tid(), 10);
    for prio in [55, 63, 52] {
        device.set(contention.waiter.tid(), prio);
        assert_eq!(contention.runs_as(), as_rt(prio));
    }
    contention.end();
}

#[test]
fn a_hint_stored_for_a_waiter_takes_effect_when_it_has_the_lock() {
    let (waiter, page) = waiter_bound_at_50();
    let contention = Contention::with(waiter, || (), as_rt(50));
    for wanted in [60, 10, 55] {
        page.slot(0).store(wanted);
        // What would be too early has many chances to happen.
        contention
            .holder
            .run(|| (0..100).for_each(|_| be_scheduled()));
        assert_eq!(page.slot(0).applied(), 50);
        assert_eq!(contention.runs_as(), as_rt(50));
    }
    let (_, waiter) = contention.end();
    waiter.run(be_scheduled);
    eventually("the hint is in force", || page.slot(0).applied() == 55);
}

#[test]
fn a_hint_stored_just_before_a_thread_waits_is_followed_while_it_waits() {
    /// The priority of the holder without a boost, as in `/proc/PID/stat`: nice 0.
    const ORDINARY: i64 = 20;

    for (hint, boost) in [(60, as_rt(60)), (49, as_rt(49)), (10, ORDINARY)] {
        let (waiter, page) = waiter_bound_at_50();
        let slots = Arc::clone(&page);
        let contention = Contention::with(waiter, move || slots.slot(0).store(hint), boost);
        eventually("the hint is in force", || page.slot(0).applied() == hint);
        assert_eq!(contention.runs_as(), boost, "at {hint}");
        contention.end();
    }
}

#[test]
fn a_boosted_thread_stays_boosted_at_all_hints_below() {
    let device = Arc::new(Device::open());
    let page = Arc::new(HintPage::new(&device, 1));
    let contention = Contention::new(&device, 50);
    let tid = contention.holder.tid();
    device.ceiling(tid, 63);
    let binder = Arc::clone(&device);
    contention.holder.run(move || binder.bind(0));
    for prio in [5, 40, 15, 49, 16, 0, 32] {
        let page = Arc::clone(&page);
        contention.holder.run(move || page.slot(0).take(prio, prio));
        assert_eq!(contention.runs_as(), as_rt(50), "at {prio}");
        let level = &TABLE[usize::from(prio)];
        let expected = (level.policy.number() as i32, level.nice, level.rt_priority);
        assert_eq!(own_parameters(tid), expected, "at {prio}");
    }
    let (holder, _) = contention.end();
    assert_eq!(own_parameters(holder.tid()), (libc::SCHED_OTHER, 0, 0));
    assert_eq!(device.prio(holder.tid()), Some(32));
}

#[test]
fn a_granted_thread_lends_what_it_has_without_the_grant() {
    let device = Device::open();
    let waiter = granted_worker(&device);
    Attr::rr(3).apply(waiter.tid());
    set_as_user(waiter.tid(), URGENT);
    Contention::with(waiter, || (), -1 - 3).end();
}

#[test]
fn granted_threads_pass_on_what_they_are_lent() {
    let device = Device::open();
    let (first, first_lock) = granted_holder(&device);
    let contention = Contention::with(first, || (), ORDINARY);
    eventually("it waits", || contention.mutex.has_waiter());
    let (second, second_lock) = granted_holder(&device);
    let second_waits = wait_for(&second, &first_lock, || ());
    eventually("it waits", || first_lock.has_waiter());
    assert_eq!(contention.runs_as(), ORDINARY, "no grant is lent");

    let waiting = [(5, &first_lock), (7, &second_lock)].map(|(real_time, lock)| {
        let urgent = Worker::spawn();
        Attr::rr(real_time).apply(urgent.tid());
        let waiting = wait_for(&urgent, lock, || ());
        let lent = -1 - i64::from(real_time);
        eventually("it is passed on", || contention.runs_as() == lent);
        (urgent, waiting)
    });

    let (_holder, first) = contention.end();
    first.run(move || first_lock.unlock());
    second_waits.wait();
    second.run(move || second_lock.unlock());
    for (_urgent, waiting) in waiting {
        waiting.wait();
    }
}
