// SPDX-License-Identifier: GPL-2.0

//! `SCHED_IDLE`, the policy of the lowest priorities: such a thread gets the CPU time
//! that nobody else wants, and its small share in the long run.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::budget::burn;
use common::device::Device;
use common::eventually;
use common::pin;
use common::spinner::Spinner;
use common::trace::AnyEvent;
use common::trace::Trace;
use common::worker::in_thread;
use common::worker::Pending;
use common::worker::Worker;
use common::CONTESTED_CPU;
use common::DEADLINE;
use common::WATCHER_CPU;

/// The time that a server works, and then sleeps at least. Two servers now and then leave the
/// CPU free, and now and then one waits for the other.
const SPELL: Duration = Duration::from_micros(500);

/// The part of the time that two servers leave the CPU free at least. Idle threads have
/// whole slices by right beside servers that take all of it.
const FREE: f64 = 0.2;

/// A wait that is longer by so much than those for a free CPU is no mere switch, in seconds. A
/// slice of priority 8 is 700 µs.
const LONG: f64 = 400e-6;

/// The idle task of a CPU.
const SWAPPER: i32 = 0;

/// Time that is traced in one attempt.
const TRACED: Duration = Duration::from_secs(2);

/// Returns the times that servers waited while an idle thread had the CPU, in seconds.
fn wait_times(events: &[AnyEvent], servers: &[i32], idle: &[i32]) -> Vec<f64> {
    let (mut ready, mut wait_times) = (HashSet::new(), Vec::new());
    let (mut idle_runs, mut last, mut wait) = (false, 0.0, 0.0);
    for event in events
        .iter()
        .filter(|event| event.name == "sched_wakeup" || event.cpu == CONTESTED_CPU)
    {
        if idle_runs && !ready.is_empty() {
            wait += event.seconds - last;
        }
        last = event.seconds;
        if let Some(woken) = event.field("pid") {
            ready.extend(Some(woken).filter(|tid| servers.contains(tid)));
        } else if let (Some(prev), Some(next)) = (event.field("prev_pid"), event.field("next_pid"))
        {
            let state: Option<String> = event.field("prev_state");
            let is_ready = state.is_some_and(|state| state.starts_with('R'));
            if servers.contains(&prev) && is_ready {
                ready.insert(prev);
            }
            if ready.remove(&next) && wait > 0.0 {
                wait_times.push(wait);
                wait = 0.0;
            }
            if [prev, next].iter().any(|tid| idle.contains(tid)) {
                idle_runs = idle.contains(&next);
            }
        }
    }
    wait_times
}

/// Returns the part of the time that the idle task had the CPU.
fn free_part(events: &[AnyEvent]) -> f64 {
    let switches = events
        .iter()
        .filter(|event| event.name == "sched_switch" && event.cpu == CONTESTED_CPU);
    let (mut is_free, mut free, mut last, mut start) = (false, 0.0, 0.0, None);
    for switch in switches {
        start = start.or(Some(switch.seconds));
        if is_free {
            free += switch.seconds - last;
        }
        (is_free, last) = (switch.field("next_pid") == Some(SWAPPER), switch.seconds);
    }
    free / (last - start.unwrap_or_default())
}

#[test]
fn an_ordinary_thread_that_wakes_does_not_wait_for_idle_ones() {
    in_thread(|| {
        pin(WATCHER_CPU);
        let device = Device::open();
        let hogs = [(); 2].map(|()| Spinner::paused(CONTESTED_CPU));
        hogs.iter().for_each(|hog| device.set(hog.tid(), 8));
        let servers = [(); 2].map(|()| Worker::spawn());
        let [idle, tids] = [
            hogs.each_ref().map(Spinner::tid),
            servers.each_ref().map(Worker::tid),
        ];

        static STOP: AtomicBool = AtomicBool::new(false);
        // A kernel that checks itself makes the work of a spell longer.
        static SLEEPS: AtomicU32 = AtomicU32::new(1);
        let work = || {
            pin(CONTESTED_CPU);
            while !STOP.load(Ordering::Relaxed) {
                burn(SPELL);
                thread::sleep(SPELL * SLEEPS.load(Ordering::Relaxed));
            }
        };
        let working = servers.each_ref().map(|server| server.start(work));
        let traced = || {
            let trace = Trace::start();
            trace.add("sched/sched_switch");
            trace.add("sched/sched_wakeup");
            thread::sleep(TRACED);
            trace.all_events()
        };
        let waits = |events: &[AnyEvent], idle: &[i32]| {
            let mut waits = wait_times(events, &tids, idle);
            waits.sort_unstable_by(f64::total_cmp);
            waits
        };
        let mut alone = traced();
        while free_part(&alone) < FREE {
            let sleeps = SLEEPS.fetch_add(SLEEPS.load(Ordering::Relaxed), Ordering::Relaxed);
            assert!(sleeps < 64, "two servers leave no CPU time to others");
            alone = traced();
        }
        // Such a kernel takes long to switch, to its idle task's follower too.
        let free = waits(&alone, &[SWAPPER]);
        let usual = free.get(free.len() * 98 / 100).copied();
        let usual = usual.expect("servers wait for the CPU to wake up");
        hogs.iter().for_each(Spinner::spin);
        // A busy host may make anybody wait: then another attempt shows it. Where idle threads
        // get whole slices, 4 to 10 of 100 waits are long in each attempt.
        let attempt = || {
            let waits = waits(&traced(), &idle);
            let long = waits.iter().filter(|wait| **wait > usual + LONG).count();
            println!(
                "{long} of {} waits are long, as {usual} s is usual",
                waits.len()
            );
            waits.len() > 50 && long * 50 <= waits.len()
        };
        let start = Instant::now();
        let mut few = attempt();
        while !few && start.elapsed() < DEADLINE {
            few = attempt();
        }
        STOP.store(true, Ordering::Relaxed);
        working.into_iter().for_each(Pending::wait);
        assert!(few, "servers waited for idle threads");
    });
}

#[test]
fn an_idle_thread_has_its_share_in_the_long_run() {
    in_thread(|| {
        pin(WATCHER_CPU);
        let device = Device::open();
        let ordinary = Spinner::spinning(CONTESTED_CPU);
        let idle = Spinner::spinning(CONTESTED_CPU);
        device.set(idle.tid(), 15);
        let before = [&ordinary, &idle].map(Spinner::cpu_time);
        // Its weight is 14, that of the ordinary one 1024.
        eventually("it has got a hundredth", || {
            let [ordinary, idle] = [&ordinary, &idle].map(Spinner::cpu_time);
            let [ordinary, idle] = [ordinary - before[0], idle - before[1]];
            ordinary > Duration::from_secs(2) && idle * 100 >= ordinary
        });
    });
}
