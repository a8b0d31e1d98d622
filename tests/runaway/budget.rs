// SPDX-License-Identifier: GPL-2.0

//! The budget of a granted ceiling: the threads that draw on the budget, and what fills
//! the budget. No trick gets a thread more CPU time.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::channel;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::budget::burn;
use common::budget::granted;
use common::budget::granted_worker;
use common::budget::run_away;
use common::budget::sleep_one_nanosecond;
use common::budget::time_above;
use common::budget::BUDGET;
use common::budget::FAR_ABOVE;
use common::budget::HELD;
use common::budget::LONG_SLEEP;
use common::budget::SHARE_PERCENT;
use common::budget::SOME_TICKS;
use common::budget::URGENT;
use common::child::in_child;
use common::device::Device;
use common::device::SELF;
use common::eventually;
use common::module::load;
use common::module::try_load_with;
use common::module::unload;
use common::module::Reconfigured;
use common::module::Reloaded;
use common::pin;
use common::syscall::set_schedprio;
use common::worker::Worker;
use common::CONTESTED_CPU;
use rustix::io::Errno;
use rustix::time::clock_gettime;
use rustix::time::ClockId;

/// A time in which a thread that is not held uses far more than its budget.
const LONG: Duration = Duration::from_secs(6);

/// Has the calling thread take the most urgent priority, and use the CPU.
fn burn_urgently(time: Duration) {
    set_schedprio(SELF, URGENT, 0).expect("it is not above the ceiling");
    burn(time);
}

/// Has a granted worker run `spell` again and again for a while, and checks that the
/// worker gets no more CPU time at its priority than its budget.
#[track_caller]
fn assert_no_more(spell: impl Fn() + Send + 'static) {
    let device = Arc::new(Device::open());
    let worker = granted_worker(&device);
    let opened = Arc::clone(&device);
    let (above, passed) = worker.run(move || {
        pin(CONTESTED_CPU);
        set_schedprio(SELF, URGENT, 0).expect("it is not above the ceiling");
        time_above(&opened, URGENT, LONG, spell)
    });
    // Ticks that came late are in the second budget.
    let allowed = 2 * BUDGET + passed * SHARE_PERCENT / 100;
    assert!(above <= allowed, "{above:?} of {passed:?}, for {allowed:?}");
    assert!(device.stats(worker.tid()).runaways > 0);
}

#[test]
fn a_nanosecond_of_sleep_buys_nothing() {
    for spell in [Duration::ZERO, SOME_TICKS, BUDGET * 3 / 4] {
        assert_no_more(move || {
            burn(spell);
            sleep_one_nanosecond();
        });
    }
}

#[test]
fn to_sleep_just_before_each_tick_buys_nothing() {
    /// The part of the time between two ticks that a thread runs before it sleeps through
    /// the next tick.
    const RUN: Duration = Duration::from_micros(700);
    const SLEEP: Duration = Duration::from_micros(400);

    // It changes on the tick.
    let last_tick = || clock_gettime(ClockId::MonotonicCoarse);
    assert_no_more(move || {
        let tick = last_tick();
        let start = Instant::now();
        while last_tick() == tick && start.elapsed() < RUN {}
        thread::sleep(SLEEP);
    });
}

#[test]
fn a_thread_that_sleeps_enough_is_never_held() {
    /// CPU time little enough for a host that takes the CPU away meanwhile, and in sum
    /// far more than the budget.
    const SPELL: Duration = Duration::from_millis(20);
    const SPELLS: u32 = 100;

    let _reconfigured = Reconfigured::with(c"budget_ms=900 share_percent=100");
    let device = Device::open();
    let worker = granted_worker(&device);
    worker.run(|| {
        set_schedprio(SELF, URGENT, 0).expect("it is not above the ceiling");
        for _ in 0..SPELLS {
            let start = Instant::now();
            burn(SPELL);
            thread::sleep(2 * start.elapsed());
        }
    });
    assert_eq!(device.stats(worker.tid()).runaways, 0);
    assert_eq!(device.get(worker.tid()).applied, Some(URGENT));
}

#[test]
fn sleep_never_fills_a_budget_beyond_its_size() {
    let device = Device::open();
    let worker = granted_worker(&device);
    worker.run(|| {
        thread::sleep(2 * LONG_SLEEP);
        burn_urgently(BUDGET * 2);
    });
    assert_eq!(device.stats(worker.tid()).runaways, 1);
}

#[test]
fn threads_of_a_granted_thread_draw_on_its_budget() {
    let _reconfigured = Reconfigured::with(c"budget_ms=1000 share_percent=0");
    let device = Device::open();
    let worker = granted_worker(&device);
    // Each for itself is far below it.
    let spell = Duration::from_millis(600);
    worker.run(move || burn_urgently(spell));
    assert_eq!(device.stats(worker.tid()).runaways, 0);
    let child = worker.run(Worker::spawn);
    child.run(move || burn_urgently(spell));
    assert_eq!(device.get(child.tid()).applied, Some(HELD));
    assert_eq!(device.stats(child.tid()).runaways, 1);

    // And so no thread of theirs has anything left, nor has the first.
    let grandchild = child.run(Worker::spawn);
    for thread in [&grandchild, &worker] {
        thread.run(|| burn_urgently(SOME_TICKS));
        assert_eq!(device.get(thread.tid()).applied, Some(HELD));
    }
}

#[test]
fn processes_of_a_granted_thread_draw_on_its_budget() {
    let _reconfigured = Reconfigured::with(c"budget_ms=1000 share_percent=0");
    let device = Arc::new(Device::open());
    let worker = granted_worker(&device);
    let opened = Arc::clone(&device);
    let spell = Duration::from_millis(600);
    worker.run(move || {
        in_child(|| burn_urgently(spell));
        in_child(|| {
            burn_urgently(spell);
            assert_eq!(opened.get(SELF).applied, Some(HELD));
            assert_eq!(opened.stats(SELF).runaways, 1);
        });
    });
    worker.run(|| burn_urgently(SOME_TICKS));
    assert_eq!(device.get(worker.tid()).applied, Some(HELD));
}

#[test]
fn each_grant_has_a_budget_of_its_own() {
    let _reconfigured = Reconfigured::with(c"budget_ms=1000 share_percent=0");
    let device = Device::open();
    let workers = [(); 2].map(|()| granted_worker(&device));
    for worker in &workers {
        worker.run(|| burn_urgently(Duration::from_millis(600)));
    }
    for worker in &workers {
        assert_eq!(device.stats(worker.tid()).runaways, 0);
        assert_eq!(device.get(worker.tid()).applied, Some(URGENT));
    }
}

#[test]
fn many_sleepers_fill_a_budget_no_faster_than_one() {
    /// The number of sleepers, more than fill the budget by all of a CPU.
    const SLEEPERS: u32 = 20;

    let device = Arc::new(Device::open());
    let worker = granted_worker(&device);
    let opened = Arc::clone(&device);
    let (above, passed) = worker.run(move || {
        pin(CONTESTED_CPU);
        let sleepers: Vec<_> = (0..SLEEPERS).map(|_| Worker::spawn()).collect();
        let stops: Vec<_> = sleepers
            .iter()
            .map(|sleeper| {
                let (stop, stopped) = channel::<()>();
                drop(sleeper.start(move || {
                    let nap = Duration::from_millis(50);
                    while stopped.recv_timeout(nap) == Err(RecvTimeoutError::Timeout) {}
                }));
                stop
            })
            .collect();
        set_schedprio(SELF, URGENT, 0).expect("it is not above the ceiling");
        let times = time_above(&opened, URGENT, LONG, || {
            burn(Duration::from_millis(5));
            sleep_one_nanosecond();
        });
        drop(stops);
        times
    });
    let allowed = 2 * BUDGET + passed * SHARE_PERCENT / 100;
    assert!(above <= allowed, "{above:?} of {passed:?}, for {allowed:?}");
}

/// Reads a parameter of the module, which nobody may change later.
#[track_caller]
fn parameter(name: &str) -> String {
    let file = format!("/sys/module/go_sched_class/parameters/{name}");
    let metadata = fs::metadata(&file).expect("the module has the parameter");
    let mode = metadata.permissions().mode();
    assert_eq!(mode & 0o777, 0o444, "{name}");
    fs::read_to_string(file).expect("all may read it")
}

#[test]
fn the_budget_is_200_ms_unless_the_module_is_told_another() {
    let budget_ms = || Device::open().try_class_info().unwrap().budget_ms;
    assert_eq!(u128::from(budget_ms()), BUDGET.as_millis());
    assert_eq!(parameter("budget_ms"), "200\n");

    let _reconfigured = Reconfigured::with(c"budget_ms=50");
    assert_eq!(budget_ms(), 50);
    let device = Device::open();
    let worker = granted_worker(&device);
    // Below the budget that the module has otherwise.
    worker.run(|| burn_urgently(BUDGET * 3 / 4));
    assert_eq!(device.stats(worker.tid()).runaways, 1);
}

#[test]
fn a_budget_of_0_is_no_limit() {
    let _reconfigured = Reconfigured::with(c"budget_ms=0");
    let device = Device::open();
    assert_eq!(device.try_class_info().unwrap().budget_ms, 0);
    let worker = granted_worker(&device);
    worker.run(|| burn_urgently(FAR_ABOVE));
    assert_eq!(device.get(worker.tid()).applied, Some(URGENT));
    assert_eq!(device.stats(worker.tid()).runaways, 0);
}

#[test]
fn the_share_is_10_percent_unless_the_module_is_told_another() {
    let share_percent = || Device::open().try_class_info().unwrap().share_percent;
    assert_eq!(share_percent(), SHARE_PERCENT);
    assert_eq!(parameter("share_percent"), "10\n");
    for percent in [0, 1, 99, 100] {
        let parameters = format!("share_percent={percent}");
        let _reconfigured = Reconfigured::with(&CString::new(parameters).unwrap());
        assert_eq!(share_percent(), percent);
    }
}

#[test]
fn a_share_of_0_fills_nothing() {
    let _reconfigured = Reconfigured::with(c"share_percent=0");
    let device = Device::open();
    let spinner = granted(&device, CONTESTED_CPU);
    run_away(&device, [&spinner]);
    for _ in 0..3 {
        spinner.pause();
        thread::sleep(LONG_SLEEP / 2);
        let before = spinner.cpu_time();
        spinner.spin();
        eventually("the thread runs again", || {
            spinner.cpu_time() - before >= SOME_TICKS
        });
        assert_eq!(device.get(spinner.tid()).applied, Some(HELD));
    }
}

#[test]
fn parameters_out_of_range_are_refused() {
    let _reloaded = Reloaded;
    unload();
    for parameters in [
        c"budget_ms=1001",
        c"budget_ms=4294967295",
        c"share_percent=101",
        c"share_percent=4294967295",
        c"budget_ms=0 share_percent=200",
    ] {
        assert_eq!(
            try_load_with(parameters),
            Err(Errno::INVAL),
            "{parameters:?}"
        );
    }
    load();
    assert_eq!(parameter("share_percent"), "10\n");
}
