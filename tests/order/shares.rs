// SPDX-License-Identifier: GPL-2.0

//! The order in which threads run, and the ratios of their CPU times.
//!
//! All competitors share one CPU, and the test runs on another. A test compares CPU
//! times until their ratio is clear: on a slow machine it takes longer, and does not fail.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::attr::setpriority;
use common::attr::Attr;
use common::device::Device;
use common::eventually;
use common::pin;
use common::spinner::Spinner;
use common::worker::in_thread;
use common::worker::Pending;
use common::worker::Worker;
use common::CONTESTED_CPU;
use common::DEADLINE;
use common::WATCHER_CPU;

/// A real-time priority above all Go priorities, so that nobody else gets the contested
/// CPU.
const RT_PRIORITY_ABOVE_ALL: u32 = 97;

/// Time between two readings of the CPU times.
const READING_INTERVAL: Duration = Duration::from_millis(20);

/// Readings in a row that must agree: when the host takes a CPU away, the thread on it
/// seems to run on, until the scheduler has made up for that.
const STEADY_READINGS: u32 = 10;

/// The least time that a thread runs: a slice ends with a tick.
const TICK: Duration = Duration::from_millis(1);

/// Runs a test on the CPU that nobody competes for.
fn watch(test: impl FnOnce(&Device) + Send + 'static) {
    in_thread(|| {
        pin(WATCHER_CPU);
        test(&Device::open());
    });
}

/// Returns a paused spinner at a priority.
fn competitor(device: &Device, prio: u32) -> Spinner {
    let spinner = Spinner::paused(CONTESTED_CPU);
    device.set(spinner.tid(), prio);
    spinner
}

/// Runs `start`, which wakes competitors, while no competitor can run: none may get ahead
/// while the others are still to be woken.
fn start_together(start: impl FnOnce()) {
    let blocker = Spinner::paused(CONTESTED_CPU);
    Attr::fifo(RT_PRIORITY_ABOVE_ALL).apply(blocker.tid());
    blocker.spin();
    start();
}

/// Lets the spinners compete until the first has had `enough` CPU time, and `verdict` has
/// accepted what each has had [`STEADY_READINGS`] times in a row.
#[track_caller]
fn compete<const N: usize>(
    spinners: [&Spinner; N],
    enough: Duration,
    verdict: impl Fn([Duration; N]) -> bool,
) {
    start_together(|| spinners.iter().for_each(|spinner| spinner.spin()));
    let before = spinners.map(Spinner::cpu_time);
    let start = Instant::now();
    let mut accepted = 0;
    while accepted < STEADY_READINGS {
        thread::sleep(READING_INTERVAL);
        let mut had = spinners.map(Spinner::cpu_time);
        for (had, before) in had.iter_mut().zip(before) {
            *had -= before;
        }
        accepted = if had[0] >= enough && verdict(had) {
            accepted + 1
        } else {
            0
        };
        assert!(start.elapsed() < DEADLINE, "the CPU went to {had:?}");
    }
}

/// Lets two spinners compete until the upper one has had `ratio` times as much CPU time
/// as the lower one, and the lower one `slices` slices. A thread is off its share by one
/// slice at most, which is little among so many.
#[track_caller]
fn assert_ratio(lower: &Spinner, upper: &Spinner, slices: u32, ratio: f64) {
    let slice = Duration::from_nanos(Attr::of(lower.tid()).0.runtime_ns);
    compete([lower, upper], slices * slice.max(TICK), |[lower, upper]| {
        upper.as_secs_f64() >= ratio * lower.as_secs_f64()
    });
}

/// Lets spinners at two priorities compete, as [`assert_ratio`] does.
#[track_caller]
fn assert_ratio_of(device: &Device, [lower, upper]: [u32; 2], slices: u32, ratio: f64) {
    let [lower, upper] = [lower, upper].map(|prio| competitor(device, prio));
    assert_ratio(&lower, &upper, slices, ratio);
}

#[test]
fn one_thread_of_each_band_runs_before_those_of_the_bands_below() {
    watch(|device| {
        const ENOUGH: Duration = Duration::from_secs(1);
        let [idle, fair, rt] = [10, 32, 50].map(|prio| competitor(device, prio));

        // The kernel keeps 5% for all that is not real-time.
        let rt_first = |[rt, fair, idle]: [Duration; 3]| rt >= 4 * (fair + idle);
        compete([&rt, &fair, &idle], ENOUGH, rt_first);
        rt.pause();
        compete([&fair, &idle], ENOUGH, |[fair, idle]| fair >= 10 * idle);
        fair.pause();
        let before = idle.cpu_time();
        eventually("the idle one runs when the others sleep", || {
            idle.cpu_time() - before >= ENOUGH
        });
        compete([&rt, &fair, &idle], ENOUGH, rt_first);
    });
}

#[test]
fn rt_priorities_run_strictly_one_after_the_other() {
    /// A number of steps that take far longer than to wake a thread.
    const WORK: u32 = 300_000;

    watch(|device| {
        // In no order, so that neither age nor turn can be what decides.
        let prios: Vec<_> = (0..16).map(|i| 48 + i * 7 % 16).collect();
        let workers: Vec<_> = prios
            .iter()
            .map(|prio| {
                let worker = Worker::spawn();
                worker.run(|| pin(CONTESTED_CPU));
                device.set(worker.tid(), *prio);
                worker
            })
            .collect();

        let finished = Arc::new(Mutex::new(Vec::new()));
        let mut results = Vec::new();
        start_together(|| {
            for (worker, prio) in workers.iter().zip(prios) {
                let finished = Arc::clone(&finished);
                results.push(worker.start(move || {
                    for i in 0..WORK {
                        black_box(i);
                    }
                    finished.lock().unwrap().push(prio);
                }));
            }
        });
        results.into_iter().for_each(Pending::wait);
        let finished = finished.lock().unwrap();
        assert!(finished.iter().copied().eq((48..64).rev()), "{finished:?}");
    });
}

#[test]
fn each_fair_priority_gets_more_than_the_one_below() {
    watch(|device| {
        for lower in 16..47 {
            // Neighbours are a factor of 1.25 apart.
            assert_ratio_of(device, [lower, lower + 1], 30, 1.12);
        }
    });
}

#[test]
fn the_ends_of_the_fair_band_are_more_than_a_hundredfold_apart() {
    watch(|device| {
        const ENOUGH: Duration = Duration::from_secs(3);
        let [lower, upper] = [16, 47].map(|prio| competitor(device, prio));
        compete([&upper, &lower], ENOUGH, |[upper, lower]| {
            upper >= 100 * lower
        });
    });
}

#[test]
fn each_idle_priority_gets_more_than_the_one_below() {
    watch(|device| {
        for lower in 0..15 {
            // Neighbours are a factor of 1.14 apart.
            assert_ratio_of(device, [lower, lower + 1], 200, 1.07);
        }
    });
}

#[test]
fn the_ends_of_the_idle_band_are_more_than_fourfold_apart() {
    watch(|device| assert_ratio_of(device, [0, 15], 50, 4.0));
}

#[test]
fn the_lowest_fair_priority_gets_more_than_the_highest_idle_one() {
    watch(|device| assert_ratio_of(device, [15, 16], 50, 1.5));
}

#[test]
fn the_highest_idle_priority_gets_less_than_nice_19() {
    watch(|device| {
        let idle = competitor(device, 15);
        let nice_19 = Spinner::paused(CONTESTED_CPU);
        setpriority(nice_19.tid(), 19).unwrap();
        // The weights are a factor of 1.04 apart.
        assert_ratio(&idle, &nice_19, 800, 1.02);
    });
}

#[test]
fn the_highest_idle_priority_gets_more_than_plain_sched_idle() {
    watch(|device| {
        let idle = Spinner::paused(CONTESTED_CPU);
        Attr::idle().apply(idle.tid());
        assert_ratio(&idle, &competitor(device, 15), 50, 3.0);
    });
}

#[test]
fn a_new_priority_counts_for_a_running_and_for_a_queued_thread() {
    watch(|device| {
        const ENOUGH: Duration = Duration::from_millis(300);
        let (one, other) = (competitor(device, 60), competitor(device, 32));
        compete([&one, &other], ENOUGH, |[one, other]| one >= 4 * other);
        // The one that runs is lowered,
        device.set(one.tid(), 10);
        compete([&other, &one], ENOUGH, |[other, one]| other >= 10 * one);
        // the one that waits is raised,
        device.set(one.tid(), 63);
        compete([&one, &other], ENOUGH, |[one, other]| one >= 4 * other);
        // and the one that waits is raised above the one that runs.
        device.set(other.tid(), 63);
        device.set(one.tid(), 62);
        compete([&other, &one], ENOUGH, |[other, one]| other >= 4 * one);
    });
}

#[test]
fn a_cleared_thread_shares_as_it_did_before() {
    watch(|device| {
        let (one, other) = (competitor(device, 60), Spinner::paused(CONTESTED_CPU));
        compete([&one, &other], Duration::from_millis(300), |[one, other]| {
            one >= 4 * other
        });
        device.clear(one.tid());
        let slices = Duration::from_secs(1);
        compete([&one, &other], slices, |[one, other]| {
            let ratio = one.as_secs_f64() / other.as_secs_f64();
            (0.8..1.25).contains(&ratio)
        });
    });
}
