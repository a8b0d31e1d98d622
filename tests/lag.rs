// SPDX-License-Identifier: GPL-2.0

//! The debt of CPU time that a thread takes to a new level is bounded, whatever changes
//! the thread's level. The debt counts by the weight of the old level, and is two slices
//! of the new level at most.
//!
//! On a kernel with lockdep a debt is over before it can be read. Which kernel runs is known
//! in the guest alone: hence a harness that decides there whether its tests are ignored.

use std::hint::spin_loop;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Instant;

use common::attr::default_slice_ns;
use common::attr::Attr;
use common::budget::own_time;
use common::device::Device;
use common::device::SELF;
use common::eventually;
use common::fair::Fair;
use common::fair::TICK_NS;
use common::hint::be_scheduled;
use common::hint::HintPage;
use common::hint::NONE;
use common::module::Reconfigured;
use common::pi_mutex::PiMutex;
use common::pin;
use common::spinner::Spinner;
use common::syscall::set_schedprio;
use common::worker::in_thread;
use common::worker::Worker;
use common::StopOnDrop;
use common::CONTESTED_CPU;
use common::DEADLINE;
use common::WATCHER_CPU;
use go_sched_policy::Policy;
use go_sched_policy::TABLE;
use gosched::uapi::GO_SCHED_LEVELS;
use libtest_mimic::Arguments;
use libtest_mimic::Trial;
use rustix::thread::gettid;

/// A Go priority, or none: nice 0.
type Level = Option<u32>;

/// The first and last levels to try, for each way.
const PAIRS: [(Level, Level); 7] = [
    (None, Some(47)),
    (Some(0), Some(47)),
    (Some(8), None),
    (Some(16), Some(47)),
    (Some(24), Some(32)),
    (Some(32), Some(40)),
    (URGENT, Some(47)),
];

/// A real-time level: the thread leaves the fair class.
const URGENT: Level = Some(50);

/// The level below which a thread weighs so little that one slice makes a debt worth a
/// test.
const LIGHT: u32 = 32;

/// Real-time priorities of the helper threads, above all levels.
const WAITER: u32 = 80;
const WATCHER: u32 = 90;
const FREEZER: u32 = 91;

/// A way for a thread to move itself to another level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Request,
    SystemCall,
    Hint,
    /// Calls of `sched_setattr(2)`, without go_sched.
    SetAttr,
}

/// The files that a thread needs in order to move itself.
struct Mover {
    way: Way,
    device: Device,
    page: HintPage,
}

impl Mover {
    /// Prepares the calling thread.
    fn new(way: Way) -> Self {
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        if way == Way::Hint {
            device.ceiling(SELF, GO_SCHED_LEVELS as i32 - 1);
            device.bind(0);
        }
        Self { way, device, page }
    }

    fn go(&self, level: Level) {
        match (self.way, level) {
            (Way::Request, Some(prio)) => self.device.set(SELF, prio),
            (Way::Request, None) => self.device.clear(SELF),
            (Way::SystemCall, Some(prio)) => set_schedprio(SELF, prio, 0).expect("root may"),
            (Way::SetAttr, Some(prio)) => as_attr(prio).apply(SELF),
            (Way::SystemCall | Way::SetAttr, None) => Attr::normal(0).apply(SELF),
            (Way::Hint, level) => {
                let wanted = level.map_or(NONE, |prio| prio as u8);
                self.page.slot(0).store(wanted);
                // Not to sleep is the point.
                spin_until("the hint is in force", || {
                    be_scheduled();
                    self.page.slot(0).applied() == wanted
                });
            }
        }
    }
}

/// Returns the attributes for `sched_setattr(2)` that are equivalent to a priority.
fn as_attr(prio: u32) -> Attr {
    let level = &TABLE[prio as usize];
    match level.policy {
        Policy::Idle => Attr::idle(),
        Policy::Normal => Attr::normal(level.nice).slice_ns(level.slice_ns),
        Policy::RoundRobin => Attr::rr(level.rt_priority),
    }
}

/// The slice at a level, in nanoseconds.
fn slice_ns(level: Level) -> i64 {
    let slice_ns = level.map_or(0, |prio| TABLE[prio as usize].slice_ns);
    match slice_ns {
        0 => default_slice_ns() as i64,
        slice_ns => slice_ns as i64,
    }
}

/// The kernel's own priority at a level of the fair band.
fn fair_prio(level: Level) -> i64 {
    120 + level.map_or(0, |prio| i64::from(TABLE[prio as usize].nice))
}

#[track_caller]
fn spin_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "{what}: not so");
    }
}

/// Returns the CPU time of the calling thread, in nanoseconds.
fn own_time_ns() -> i64 {
    own_time().as_nanos() as i64
}

/// Spins until the calling thread has had a quarter of a slice more than its share. The
/// rest of the slice is left to move to another level in.
fn run_into_debt(level: Level, rival: i32) {
    let own = gettid().as_raw_pid();
    let slice_ns = slice_ns(level);
    spin_until("it has run more than its share", || {
        // The kernel counts on the tick, or when it is asked.
        own_time_ns();
        let thread = Fair::of(own);
        thread.ahead_of(&Fair::of(rival)) > thread.virtual_ns(slice_ns) / 4
    });
}

/// Has the calling thread hold a mutex for which a real-time thread waits.
fn be_boosted(waiter: &Worker) -> Arc<PiMutex> {
    let mutex = PiMutex::new();
    mutex.lock();
    let wanted = Arc::clone(&mutex);
    drop(waiter.start(move || {
        wanted.lock();
        wanted.unlock();
    }));
    let own = gettid().as_raw_pid();
    let boost = 99 - i64::from(WAITER);
    spin_until("the thread is boosted", || Fair::of(own).prio <= boost);
    mutex
}

/// One CPU, and the threads that share the CPU with the thread under test.
struct Contest {
    /// A thread that spins all the time: an ordinary thread, or a thread of the first
    /// level of a path.
    rival: Spinner,
    /// A real-time thread that keeps the CPU from both while it spins.
    freezer: Spinner,
    waiter: Arc<Worker>,
}

impl Contest {
    fn new() -> Self {
        let waiter = Worker::spawn();
        waiter.run(|| {
            pin(WATCHER_CPU);
            Attr::fifo(WAITER).apply(SELF);
        });
        Self {
            rival: Spinner::spinning(CONTESTED_CPU),
            freezer: Spinner::paused_after(CONTESTED_CPU, || Attr::fifo(FREEZER).apply(SELF)),
            waiter: Arc::new(waiter),
        }
    }

    /// Has a new thread run up a debt at the first level of a path, and go to the others.
    /// The last level, or the end of a boost there, puts the thread into the queue of its
    /// rival. Checks that the thread is not further ahead of the rival than allowed.
    #[track_caller]
    fn assert_bounded(&self, way: Way, boosted: bool, path: &[Level]) {
        let over = Arc::new(AtomicBool::new(false));
        // CPU time of the thread when it is about to be placed.
        let about = Arc::new(AtomicI64::new(0));
        let worker = Worker::spawn();
        let stop = StopOnDrop(&over);
        // A SCHED_IDLE thread hardly runs beside one that is not, and gets into no debt there;
        // nor does it soon beside a lighter one, each turn of which counts for more.
        let rival = self.rival.tid();
        let idle = path[0].filter(|prio| TABLE[*prio as usize].policy == Policy::Idle);
        match (way, idle) {
            (Way::SetAttr, level) => level.map_or(Attr::normal(0), as_attr).apply(rival),
            (_, Some(prio)) => Device::open().set(rival, prio),
            (_, None) => Device::open().clear(rival),
        }

        let walk = worker.start({
            let (over, about) = (Arc::clone(&over), Arc::clone(&about));
            let waiter = Arc::clone(&self.waiter);
            let path = path.to_vec();
            move || {
                pin(CONTESTED_CPU);
                let mover = Mover::new(way);
                mover.go(path[0]);
                if path[0].is_some_and(|prio| prio < LIGHT) {
                    run_into_debt(path[0], rival);
                }
                let mutex = boosted.then(|| be_boosted(&waiter));
                let (last, between) = path[1..].split_last().expect("a path has an end");
                between.iter().for_each(|level| mover.go(*level));
                match mutex {
                    Some(mutex) => {
                        mover.go(*last);
                        about.store(own_time_ns(), Ordering::Relaxed);
                        mutex.unlock();
                    }
                    None => {
                        about.store(own_time_ns(), Ordering::Relaxed);
                        mover.go(*last);
                    }
                }
                while !over.load(Ordering::Relaxed) {
                    spin_loop();
                }
            }
        });
        eventually("the thread is on its way", || {
            about.load(Ordering::Relaxed) != 0
        });
        let end = path[path.len() - 1];
        spin_until("the thread is at the end", || {
            Fair::of(worker.tid()).prio == fair_prio(end)
        });

        let before = self.freezer.cpu_time();
        self.freezer.spin();
        spin_until("both stand still", || self.freezer.cpu_time() > before);
        let thread = Fair::of(worker.tid());
        let rival = Fair::of(self.rival.tid());
        self.freezer.pause();

        // The lag is measured from the average of the two, by weight.
        let bound = thread.virtual_ns(TICK_NS.max(2 * slice_ns(end)));
        let apart = bound * (rival.weight + thread.weight) / rival.weight;
        // Twice, because they are not read in the very moment of the placement; and what
        // the thread has run since is no debt that it brought.
        let ran = thread.exec_ns - about.load(Ordering::Relaxed);
        let allowed = 2 * apart + thread.virtual_ns(ran);
        let debt = thread.ahead_of(&rival);
        assert!(
            debt <= allowed,
            "{way:?} by {path:?}, boosted: {boosted}: {debt} ns ahead of {allowed} allowed"
        );
        drop(stop);
        walk.wait();
    }
}

/// Tries all paths by `way`: straight, and by other levels.
fn assert_all_bounded(way: Way, boosted: bool) {
    in_thread(move || {
        pin(WATCHER_CPU);
        // Waiting for its turn would let the debts become less.
        Attr::fifo(WATCHER).reset_on_fork().apply(SELF);
        // Found out now, and not while debts are made.
        default_slice_ns();
        let contest = Contest::new();
        for (from, to) in PAIRS {
            contest.assert_bounded(way, boosted, &[from, to]);
            contest.assert_bounded(way, boosted, &[from, URGENT, to]);
            // Under a boost the thread gets there without waiting for its turn.
            if boosted {
                contest.assert_bounded(way, boosted, &[from, Some(0), to]);
            }
        }
    });
}

/// The ways, the names of their tests, straight and under a boost.
const TESTS: [(Way, &str, &str); 4] = [
    (
        Way::Request,
        "no_request_leaves_a_debt_beyond_the_new_bound",
        "no_request_during_a_boost_leaves_a_debt_beyond_the_new_bound",
    ),
    (
        Way::SystemCall,
        "no_system_call_leaves_a_debt_beyond_the_new_bound",
        "no_system_call_during_a_boost_leaves_a_debt_beyond_the_new_bound",
    ),
    (
        Way::Hint,
        "no_hint_leaves_a_debt_beyond_the_new_bound",
        "no_hint_during_a_boost_leaves_a_debt_beyond_the_new_bound",
    ),
    (
        Way::SetAttr,
        "no_sched_setattr_leaves_a_debt_beyond_the_new_bound",
        "no_sched_setattr_during_a_boost_leaves_a_debt_beyond_the_new_bound",
    ),
];

/// The file of the lock checker, which slows the debug kernel down so much that a debt is
/// over before it is read.
const SLOW: &str = "/proc/lockdep";

fn main() -> ExitCode {
    let slow = Path::new(SLOW).exists();
    if slow {
        eprintln!(
            "SKIPPED: with lockdep, there is {SLOW}, reading /proc/PID/sched takes longer than \
             the slice whose debt it would show: this is for a kernel without"
        );
    }
    let mut arguments = Arguments::from_args();
    // Each needs a quiet CPU.
    arguments.test_threads = Some(1);
    let trials = TESTS.into_iter().flat_map(|(way, straight, boosted)| {
        [(straight, false), (boosted, true)].map(|(name, boosted)| {
            let trial = Trial::test(name, move || {
                let _unlimited = (way == Way::Hint).then(Reconfigured::unlimited);
                assert_all_bounded(way, boosted);
                Ok(())
            });
            trial.with_ignored_flag(slow)
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
