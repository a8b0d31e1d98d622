// SPDX-License-Identifier: GPL-2.0

//! The order of threads after a store to the hint page: a thread that lowers itself makes
//! way, and a thread that raises itself is not overtaken.
//!
//! The hinted thread and its competitor share one CPU. The order of events decides a
//! test: of messages between the threads, and of events that the kernel traces.

use std::fs::File;
use std::hint::spin_loop;
use std::io::Read;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;
use std::thread::Thread;
use std::time::Duration;
use std::time::Instant;

use common::attr::Attr;
use common::device::Device;
use common::eventually;
use common::fair_server::NoFairServer;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::pin;
use common::spinner::Spinner;
use common::trace::AnyEvent;
use common::trace::Trace;
use common::worker::in_thread;
use common::worker::Worker;
use common::CONTESTED_CPU;
use common::DEADLINE;
use common::WATCHER_CPU;
use go_sched_policy::ORDINARY;
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::clock_gettime;
use rustix::time::ClockId;
use rustix::time::Timespec;

/// A priority above the ordinary level.
const HIGH: u8 = 50;

/// A priority below the ordinary level.
const LOW: u8 = 10;

/// Ticks that a lowered thread may run for before the other thread gets the CPU, in half
/// of the rounds: one until the store is seen, and one of a system call or a slice.
const TICKS_MEDIAN: u32 = 2;

/// The most such ticks of any round: the host may take a CPU away for some.
const TICKS_MAX: u32 = 30;

/// The activity of the hinted thread while the thread keeps its CPU.
#[derive(Clone, Copy, Debug)]
enum Busy {
    InUserMode,
    InKernelMode,
}

/// Work of a busy thread. To make the work may sleep, so the work is made before a round
/// starts.
struct Work {
    busy: Busy,
    zeroes: File,
    buffer: Vec<u8>,
}

impl Work {
    fn new(busy: Busy) -> Self {
        Self {
            busy,
            zeroes: File::open("/dev/zero").expect("the guest has /dev/zero"),
            // Not zeroes, which would be memory that is not there yet.
            buffer: vec![1; 64 << 10],
        }
    }

    /// Keeps the CPU busy until `condition` holds.
    fn until(&mut self, condition: impl Fn() -> bool) {
        let (zeroes, buffer) = (&mut self.zeroes, &mut self.buffer);
        match self.busy {
            Busy::InUserMode => repeat_until(condition, spin_loop),
            Busy::InKernelMode => repeat_until(condition, || {
                zeroes.read_exact(buffer).expect("there are zeroes");
            }),
        }
    }
}

fn repeat_until(condition: impl Fn() -> bool, mut work: impl FnMut()) {
    /// The number of looks between two readings of the clock: large enough to stay in
    /// user mode where `work` does.
    const LOOKS_PER_CLOCK: u32 = 10_000;
    let start = Instant::now();
    loop {
        for _ in 0..LOOKS_PER_CLOCK {
            if condition() {
                return;
            }
            work();
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?}");
    }
}

/// A number that grows from round to round.
#[derive(Debug, Default)]
struct Round(AtomicU32);

impl Round {
    fn reach(&self, round: u32) {
        self.0.store(round, Ordering::SeqCst);
    }

    fn is_reached(&self, round: u32) -> bool {
        self.0.load(Ordering::SeqCst) >= round
    }

    /// Sleeps until another thread reaches the round and wakes this one.
    fn await_parked(&self, round: u32) {
        let start = Instant::now();
        while !self.is_reached(round) {
            assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?}");
            thread::park_timeout(DEADLINE);
        }
    }
}

/// A thread on the contested CPU that may have any priority and be bound.
fn hinted() -> HintedWorker {
    let hinted = HintedWorker::free();
    // In its base, so that nothing limits how long it may run up there.
    Attr::rr(16).apply(hinted.tid());
    hinted.worker().run(|| pin(CONTESTED_CPU));
    hinted
}

/// A thread on the contested CPU at a priority.
fn competitor(prio: u32) -> Worker {
    let worker = Worker::spawn();
    worker.run(|| pin(CONTESTED_CPU));
    Device::open().set(worker.tid(), prio);
    worker
}

/// Runs a test on the CPU that nobody competes for.
fn watch(test: impl FnOnce() + Send + 'static) {
    in_thread(|| {
        pin(WATCHER_CPU);
        let _no_fair_server = NoFairServer::switch_off();
        test();
    });
}

fn thread_of(worker: &Worker) -> Thread {
    worker.run(thread::current)
}

/// Counts the rounds in which the calling thread, woken, runs before `other` has gone on.
fn count_overtakes(rounds: u32, [woken, gone_on, done]: [&Round; 3], other: &Thread) -> usize {
    let overtakes = |round| {
        woken.await_parked(round);
        let overtakes = !gone_on.is_reached(round);
        done.reach(round);
        other.unpark();
        overtakes
    };
    (1..=rounds).filter(|round| overtakes(*round)).count()
}

/// Has a thread raise itself and then wake an ordinary thread, over and over. Checks that
/// the ordinary thread always runs after the first thread has gone on.
fn assert_raise_lets_nobody_through(busy: Busy) {
    const ROUNDS: u32 = 500;
    let (hinted, competitor) = (hinted(), competitor(ORDINARY));
    let threads = [thread_of(hinted.worker()), thread_of(&competitor)];
    let rounds = Arc::new([(); 3].map(|()| Round::default()));

    let page = Arc::clone(hinted.page());
    let running = hinted.worker().start({
        let ([_, competitor], rounds) = (threads.clone(), Arc::clone(&rounds));
        move || {
            let [woken, gone_on, done] = &*rounds;
            let mut work = Work::new(busy);
            for round in 1..=ROUNDS {
                page.slot(0).take(LOW, LOW);
                page.slot(0).store(HIGH);
                woken.reach(round);
                competitor.unpark();
                let ticks = AtomicU32::new(0);
                work.until(|| ticks.fetch_add(1, Ordering::Relaxed) == 10);
                gone_on.reach(round);
                done.await_parked(round);
            }
        }
    });
    let overtaken = competitor.start(move || {
        let [woken, gone_on, done] = &*rounds;
        count_overtakes(ROUNDS, [woken, gone_on, done], &threads[0])
    });
    assert_eq!(overtaken.wait(), 0, "of {ROUNDS} times");
    running.wait();
}

#[test]
fn a_thread_that_raises_itself_in_user_mode_is_not_overtaken() {
    watch(|| assert_raise_lets_nobody_through(Busy::InUserMode));
}

#[test]
fn a_thread_that_raises_itself_in_kernel_mode_is_not_overtaken() {
    watch(|| assert_raise_lets_nobody_through(Busy::InKernelMode));
}

/// Has a third thread raise the hinted one and then wake the competitor, over and over.
/// Checks that the competitor always runs after the hinted thread has gone on.
///
/// The competitor is woken once the hinted thread has seen the raise, and so has run with
/// the raise in its slot. The kernel reads the slot of a running thread alone: if another
/// thread had the CPU when the raise came, the competitor would be right to run first.
fn assert_being_raised_lets_nobody_through(busy: Busy) {
    const ROUNDS: u32 = 200;
    let (hinted, competitor) = (hinted(), competitor(u32::from(HIGH) - 1));
    let threads = [thread_of(hinted.worker()), thread_of(&competitor)];
    let rounds = Arc::new([(); 6].map(|()| Round::default()));

    let page = Arc::clone(hinted.page());
    let running = hinted.worker().start({
        let rounds = Arc::clone(&rounds);
        move || {
            let [ready, raised, _, released, gone_on, done] = &*rounds;
            let mut work = Work::new(busy);
            for round in 1..=ROUNDS {
                page.slot(0).take(HIGH - 2, HIGH - 2);
                ready.reach(round);
                work.until(|| page.slot(0).wanted() == HIGH);
                raised.reach(round);
                work.until(|| released.is_reached(round));
                gone_on.reach(round);
                done.await_parked(round);
            }
        }
    });
    let overtaken = competitor.start({
        let ([hinted, _], rounds) = (threads.clone(), Arc::clone(&rounds));
        move || {
            let [_, _, woken, _, gone_on, done] = &*rounds;
            count_overtakes(ROUNDS, [woken, gone_on, done], &hinted)
        }
    });
    let [ready, raised, woken, released, ..] = &*rounds;
    for round in 1..=ROUNDS {
        eventually("the round starts", || ready.is_reached(round));
        hinted.slot().store(HIGH);
        // Without sleep, in which a tick would see the raise before the wakeup does.
        repeat_until(|| raised.is_reached(round), spin_loop);
        woken.reach(round);
        threads[1].unpark();
        released.reach(round);
    }
    assert_eq!(overtaken.wait(), 0, "of {ROUNDS} times");
    running.wait();
}

#[test]
fn a_thread_that_is_raised_in_user_mode_is_not_overtaken() {
    watch(|| assert_being_raised_lets_nobody_through(Busy::InUserMode));
}

#[test]
fn a_thread_that_is_raised_in_kernel_mode_is_not_overtaken() {
    watch(|| assert_being_raised_lets_nobody_through(Busy::InKernelMode));
}

/// Starts to record the threads that run on the contested CPU, and the timer interrupts
/// of the CPU.
fn trace() -> Trace {
    let trace = Trace::start();
    trace.add("sched/sched_wakeup");
    trace.add("sched/sched_switch");
    trace.add("irq_vectors/local_timer_entry");
    trace
}

/// An event on the contested CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CpuEvent {
    /// The competitor has become ready.
    Woke,
    /// A timer interrupt.
    Tick,
    /// The hinted thread is at another priority.
    Applied,
    /// The competitor gets the CPU.
    Runs,
    /// Another thread gets the CPU.
    OtherRuns,
}

/// Returns the events on the contested CPU, in the order of time.
fn cpu_events(trace: &Trace, hinted: i32, competitor: i32) -> Vec<CpuEvent> {
    let kind = |event: &AnyEvent| match event.name.as_str() {
        "local_timer_entry" => Some(CpuEvent::Tick),
        "sched_wakeup" if event.field("pid") == Some(competitor) => Some(CpuEvent::Woke),
        "go_sched_apply" if event.field("pid") == Some(hinted) => Some(CpuEvent::Applied),
        "sched_switch" if event.field("next_pid") == Some(competitor) => Some(CpuEvent::Runs),
        "sched_switch" => Some(CpuEvent::OtherRuns),
        _ => None,
    };
    let events = trace.all_events();
    let on_cpu = events.iter().filter(|event| event.cpu == CONTESTED_CPU);
    on_cpu.filter_map(kind).collect()
}

#[test]
fn a_competitor_that_wakes_need_not_wait_for_the_tick() {
    const ROUNDS: u32 = 200;
    /// The time from the store to the wakeup: long enough for the store, and mostly short
    /// enough for no tick in between.
    const BEFORE_WAKEUP_NS: u64 = 200_000;
    const SLEEP_NS: u64 = 3_300_000;

    fn now_ns() -> u64 {
        let now = Duration::try_from(clock_gettime(ClockId::Monotonic));
        now.expect("after boot").as_nanos() as u64
    }

    watch(|| {
        let (hinted, competitor) = (hinted(), competitor(ORDINARY));
        let trace = trace();
        let wakeups = Arc::new([const { AtomicU64::new(0) }; ROUNDS as usize]);
        let awake = Arc::new(Round::default());

        let page = Arc::clone(hinted.page());
        let running = hinted.worker().start({
            let (wakeups, awake) = (Arc::clone(&wakeups), Arc::clone(&awake));
            move || {
                let mut work = Work::new(Busy::InUserMode);
                for (round, wakeup) in (1..).zip(wakeups.iter()) {
                    page.slot(0).take(LOW, LOW);
                    // It goes to sleep before this one gets to run.
                    work.until(|| wakeup.load(Ordering::SeqCst) > 0);
                    page.slot(0).take(HIGH, HIGH);
                    let wakeup = wakeup.load(Ordering::SeqCst);
                    work.until(|| now_ns() + BEFORE_WAKEUP_NS >= wakeup);
                    page.slot(0).store(LOW);
                    work.until(|| awake.is_reached(round));
                }
            }
        });
        let tid = competitor.tid();
        competitor.run(move || {
            for (round, wakeup) in (1..).zip(wakeups.iter()) {
                let at = now_ns() + SLEEP_NS;
                wakeup.store(at, Ordering::SeqCst);
                let at = Timespec::try_from(Duration::from_nanos(at)).expect("soon");
                clock_nanosleep_absolute(ClockId::Monotonic, &at).expect("nobody signals");
                awake.reach(round);
            }
        });
        running.wait();

        let events = cpu_events(&trace, hinted.tid(), tid);
        let at_once = [CpuEvent::Woke, CpuEvent::Applied, CpuEvent::Runs];
        let times = events.windows(3).filter(|three| **three == at_once).count();
        println!("{times} of {ROUNDS} wakeups found the store that no tick had seen");
        // At times a tick comes first, or the emulator is late with the store. If it
        // were always a tick that sees the store, there would be one in between.
        assert!(times >= ROUNDS as usize / 8, "{times} of {ROUNDS}");
    });
}

/// Has a thread lower itself below a waiting thread, over and over. Checks the number of
/// ticks until the waiting thread runs.
fn assert_lowered_thread_makes_way(busy: Busy, low: u8, waiting: u32) {
    const ROUNDS: u32 = 50;
    let (hinted, competitor) = (hinted(), competitor(waiting));
    let competitor_thread = thread_of(&competitor);
    let trace = trace();
    let rounds = Arc::new([(); 2].map(|()| Round::default()));

    let page = Arc::clone(hinted.page());
    let running = hinted.worker().start({
        let rounds = Arc::clone(&rounds);
        move || {
            let [woken, ran] = &*rounds;
            let mut work = Work::new(busy);
            for round in 1..=ROUNDS {
                page.slot(0).take(HIGH, HIGH);
                // The other one is asleep when this one is back.
                thread::sleep(Duration::from_millis(2));
                woken.reach(round);
                competitor_thread.unpark();
                page.slot(0).store(low);
                work.until(|| ran.is_reached(round));
            }
        }
    });
    competitor.run(move || {
        let [woken, ran] = &*rounds;
        for round in 1..=ROUNDS {
            woken.await_parked(round);
            ran.reach(round);
        }
    });
    running.wait();

    let mut counts = Vec::new();
    let mut ticks = None;
    for event in cpu_events(&trace, hinted.tid(), competitor.tid()) {
        match event {
            CpuEvent::Woke => ticks = Some(0),
            CpuEvent::Tick => ticks = ticks.map(|ticks| ticks + 1),
            CpuEvent::Runs => counts.extend(ticks.take()),
            CpuEvent::Applied | CpuEvent::OtherRuns => (),
        }
    }
    counts.sort_unstable();
    println!("{busy:?}, {waiting} waiting for {low}: ticks {counts:?}");
    assert!(counts.len() >= ROUNDS as usize / 2, "{counts:?}");
    assert!(counts[counts.len() / 2] <= TICKS_MEDIAN, "{counts:?}");
    assert!(counts.last() <= Some(&TICKS_MAX), "{counts:?}");
}

#[test]
fn a_lowered_thread_mostly_makes_way_for_an_ordinary_one_within_two_ticks() {
    watch(|| assert_lowered_thread_makes_way(Busy::InUserMode, LOW, ORDINARY));
}

#[test]
fn a_lowered_thread_mostly_makes_way_inside_the_rt_band_within_two_ticks() {
    watch(|| assert_lowered_thread_makes_way(Busy::InUserMode, HIGH - 2, u32::from(HIGH) - 1));
}

#[test]
fn a_lowered_thread_that_calls_the_kernel_all_the_time_mostly_makes_way_within_two_ticks() {
    watch(|| assert_lowered_thread_makes_way(Busy::InKernelMode, LOW, ORDINARY));
}

#[test]
fn shares_follow_the_hints() {
    const ENOUGH: Duration = Duration::from_millis(200);
    watch(|| {
        let device = Arc::new(Device::open());
        let page = HintPage::new(&device, 2);
        let spinners = [0, 1].map(|slot| {
            let device = Arc::clone(&device);
            Spinner::paused_after(CONTESTED_CPU, move || device.bind(slot))
        });
        for spinner in &spinners {
            // In its base, so that nothing limits how long it may run up there.
            Attr::normal(-15).apply(spinner.tid());
            spinner.spin();
        }
        for (upper, lower) in [(0, 1), (1, 0), (0, 1)] {
            page.slot(upper).store(40);
            page.slot(lower as u32).store(20);
            let [upper, lower] = [upper as usize, lower].map(|i| &spinners[i]);
            eventually("both hints are in force", || {
                [upper, lower].map(|spinner| device.get(spinner.tid()).applied)
                    == [Some(40), Some(20)]
            });
            let before = [upper, lower].map(Spinner::cpu_time);
            eventually("the upper one gets most of the CPU", || {
                let had = [upper.cpu_time() - before[0], lower.cpu_time() - before[1]];
                had[0] >= ENOUGH && had[0] >= 10 * had[1]
            });
        }
    });
}
