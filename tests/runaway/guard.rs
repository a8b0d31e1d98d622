// SPDX-License-Identifier: GPL-2.0

//! The runaway guard: a thread that has used up the budget of its granted ceiling is held
//! at what the thread owns, until the thread sleeps and there is a budget again. A thread
//! that has its priority by privilege, or owns the priority, is not limited.

use std::fs::File;
use std::hint::spin_loop;
use std::io::Read;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::attr::Attr;
use common::budget::burn;
use common::budget::granted;
use common::budget::granted_worker;
use common::budget::run_away;
use common::budget::set_as_user;
use common::budget::BUDGET;
use common::budget::FAR_ABOVE;
use common::budget::HELD;
use common::budget::LONG_SLEEP;
use common::budget::SOME_TICKS;
use common::budget::URGENT;
use common::child::become_user;
use common::child::become_user_in_thread;
use common::child::become_user_with_ceiling;
use common::child::in_child;
use common::child::set_limit;
use common::command::described;
use common::deadline::output_of;
use common::device::Device;
use common::device::SELF;
use common::eventually;
use common::hint::HintPage;
use common::module::load;
use common::module::unload;
use common::module::Reloaded;
use common::spinner::Spinner;
use common::syscall::set_schedprio;
use common::trace::Trace;
use common::worker::in_thread;
use common::worker::Worker;
use common::StopOnDrop;
use common::CONTESTED_CPU;
use common::USER;
use common::WATCHER_CPU;
use gosched::trace::EventKind;
use gosched::uapi::GO_SCHED_CAUSE_RUNAWAY;
use gosched::uapi::GO_SCHED_PRIO_NONE;
use rustix::process::Resource;
use rustix::thread::sched_yield;

/// Lets a thread spin far longer than the budget, which must change nothing.
#[track_caller]
fn assert_untouched(device: &Device, spinner: &Spinner) {
    let before = (Attr::base_of(spinner.tid()), device.get(spinner.tid()));
    let start = spinner.cpu_time();
    spinner.spin();
    eventually("the thread has used far more than the budget", || {
        spinner.cpu_time() - start >= FAR_ABOVE
    });
    let after = (Attr::base_of(spinner.tid()), device.get(spinner.tid()));
    assert_eq!(after, before);
    assert_eq!(device.stats(spinner.tid()).runaways, 0);
}

/// Has a worker of a user give itself a priority, and run until the worker is held.
#[track_caller]
fn run_away_at(device: &Device, worker: &Worker, prio: u32) {
    worker.run(move || {
        set_schedprio(SELF, prio, 0).expect("it is not above the ceiling");
        burn(FAR_ABOVE);
    });
    let record = device.get(worker.tid());
    assert_eq!((record.prio, record.applied), (Some(prio), Some(HELD)));
}

/// Has a worker sleep until its budget is full, and run until the worker has its priority
/// again. A host that keeps the virtual CPU from running takes ticks away, not CPU time:
/// the budget may be far overdrawn then, and a run without a tick.
#[track_caller]
fn sleep_long_and_run(device: &Device, worker: &Worker, prio: u32) {
    eventually("the priority is in force again", || {
        worker.run(|| {
            thread::sleep(LONG_SLEEP);
            burn(SOME_TICKS);
        });
        device.get(worker.tid()).applied == Some(prio)
    });
}

#[test]
fn a_runaway_is_held_at_what_it_owns_until_it_has_slept() {
    let device = Device::open();
    let worker = granted_worker(&device);
    let tid = worker.tid();
    let trace = Trace::start();
    for run in 1..=3 {
        run_away_at(&device, &worker, URGENT);
        let stats = device.stats(tid);
        assert_eq!(stats.runaways, run);
        assert_eq!(stats.last_cause, GO_SCHED_CAUSE_RUNAWAY);
        sleep_long_and_run(&device, &worker, URGENT);
    }
    assert_eq!(device.stats(tid).runaways, 3);

    let change = |(old_prio, old_policy): (u32, &str), (new_prio, new_policy): (u32, &str)| {
        EventKind::Apply {
            old_priority: Some(old_prio),
            new_priority: Some(new_prio),
            old_policy: old_policy.to_owned(),
            new_policy: new_policy.to_owned(),
            cause: "runaway".to_owned(),
        }
    };
    let (urgent, held) = ((URGENT, "SCHED_RR"), (HELD, "SCHED_OTHER"));
    let run = [change(urgent, held), change(held, urgent)];
    let mut events = trace.events_of(tid);
    events.retain(|event| matches!(event, EventKind::Apply { cause, .. } if cause == "runaway"));
    assert_eq!(events, [&run[..]; 3].concat());
}

#[test]
fn a_fair_priority_of_the_grant_uses_it_up_as_well() {
    let device = Device::open();
    for prio in [HELD + 1, 47] {
        let worker = granted_worker(&device);
        run_away_at(&device, &worker, prio);
        assert_eq!(device.stats(worker.tid()).runaways, 1);
        sleep_long_and_run(&device, &worker, prio);
    }
}

#[test]
fn a_runaway_is_held_at_what_its_base_owns() {
    let device = Device::open();
    for (base, held) in [(Attr::normal(10), 22), (Attr::normal(-3), 35)] {
        let worker = granted_worker(&device);
        base.apply(worker.tid());
        worker.run(|| {
            set_schedprio(SELF, URGENT, 0).expect("it is not above the ceiling");
            burn(FAR_ABOVE);
        });
        assert_eq!(device.get(worker.tid()).applied, Some(held));
    }
}

#[test]
fn a_runaway_inside_the_kernel_falls_to_its_base_and_not_below() {
    /// Random bytes that take far more than the budget to make, in one call.
    const BYTES: usize = 64 << 20;

    let device = Device::open();
    let worker = granted_worker(&device);
    // It owns the idle levels alone.
    Attr::normal(19).apply(worker.tid());
    let trace = Trace::start();
    worker.run(|| {
        let mut random = File::open("/dev/urandom").expect("it is there");
        let mut buffer = vec![1; BYTES];
        set_schedprio(SELF, URGENT, 0).expect("it is not above the ceiling");
        random.read_exact(&mut buffer).expect("it has no end");
    });
    let mut changes = trace.events_of(worker.tid()).into_iter();
    let held =
        changes.find(|event| matches!(event, EventKind::Apply { cause, .. } if cause == "runaway"));
    let expected = EventKind::Apply {
        old_priority: Some(URGENT),
        new_priority: None,
        old_policy: "SCHED_RR".to_owned(),
        new_policy: "SCHED_OTHER".to_owned(),
        cause: "runaway".to_owned(),
    };
    assert_eq!(held, Some(expected));
}

#[test]
fn a_thread_at_what_it_owns_uses_up_nothing() {
    let device = Device::open();
    let worker = granted_worker(&device);
    worker.run(|| {
        for prio in [HELD, 20, 0] {
            set_schedprio(SELF, prio, 0).expect("it is not above the ceiling");
            burn(BUDGET * 2);
        }
        set_schedprio(SELF, URGENT, 0).expect("it is not above the ceiling");
        burn(SOME_TICKS);
    });
    assert_eq!(device.stats(worker.tid()).runaways, 0);
    assert_eq!(device.get(worker.tid()).applied, Some(URGENT));
}

#[test]
fn a_thread_back_from_a_long_sleep_is_at_its_priority_by_its_next() {
    let device = Device::open();
    let worker = granted_worker(&device);
    run_away_at(&device, &worker, URGENT);
    worker.run(|| thread::sleep(LONG_SLEEP));
    worker.run(|| thread::sleep(Duration::from_millis(1)));
    assert_eq!(device.get(worker.tid()).applied, Some(URGENT));
}

#[test]
fn a_request_during_a_sleep_takes_nothing_from_it() {
    let device = Device::open();
    let worker = granted_worker(&device);
    run_away_at(&device, &worker, URGENT);
    let sleeping = worker.start(|| {
        thread::sleep(LONG_SLEEP);
        burn(SOME_TICKS);
    });
    for _ in 0..5 {
        thread::sleep(LONG_SLEEP / 10);
        set_as_user(worker.tid(), URGENT);
    }
    sleeping.wait();
    assert_eq!(device.get(worker.tid()).applied, Some(URGENT));
}

#[test]
fn a_grant_that_outlives_the_module_is_watched_by_the_next() {
    let _loaded = Reloaded;
    let device = Device::open();
    let spinner = granted(&device, CONTESTED_CPU);
    drop(device);
    unload();
    load();
    // Nobody has bound a slot or granted anything since.
    run_away(&Device::open(), [&spinner]);
}

#[test]
fn a_runaway_by_a_hint_is_held_and_its_slot_says_so() {
    let device = Device::open();
    let worker = granted_worker(&device);
    let over = Arc::new(AtomicBool::new(false));
    let stop = StopOnDrop(&over);
    let page = Arc::new(HintPage::new(&device, 1));
    let device = Arc::new(device);

    let burning = worker.start({
        let (device, page, over) = (device.clone(), page.clone(), over.clone());
        move || {
            device.bind(0);
            page.slot(0).take(URGENT as u8, URGENT as u8);
            while !over.load(Ordering::Relaxed) {
                spin_loop();
            }
        }
    });
    eventually("the runaway is held", || {
        page.slot(0).applied() == HELD as u8
    });
    let record = device.get(worker.tid());
    assert_eq!((record.prio, record.applied), (Some(URGENT), Some(HELD)));
    drop(stop);
    burning.wait();
    sleep_long_and_run(&device, &worker, URGENT);
    assert_eq!(page.slot(0).applied(), URGENT as u8);
    assert_eq!(device.stats(worker.tid()).runaways, 1);
}

#[test]
fn to_yield_is_not_to_sleep() {
    let device = Device::open();
    let worker = granted_worker(&device);
    let over = Arc::new(AtomicBool::new(false));
    let yields = Arc::new(AtomicU64::new(0));
    let stop = StopOnDrop(&over);

    let yielding = worker.start({
        let (over, yields) = (over.clone(), yields.clone());
        move || {
            set_schedprio(SELF, URGENT, 0).expect("it is not above the ceiling");
            while !over.load(Ordering::Relaxed) {
                sched_yield();
                yields.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    eventually("the runaway is held", || {
        device.get(worker.tid()).applied == Some(HELD)
    });
    let before = yields.load(Ordering::Relaxed);
    eventually("the runaway goes on", || {
        yields.load(Ordering::Relaxed) >= before + 1000
    });
    assert_eq!(device.get(worker.tid()).applied, Some(HELD));
    assert_eq!(device.stats(worker.tid()).runaways, 1);
    drop(stop);
    yielding.wait();
}

#[test]
fn a_runaway_is_not_freed_by_its_user_but_by_root() {
    let device = Device::open();
    let spinner = granted(&device, CONTESTED_CPU);
    let tid = spinner.tid();
    run_away(&device, [&spinner]);
    in_thread(move || {
        let device = Device::open();
        become_user_in_thread(USER);
        for prio in [HELD + 1, 47, 48, URGENT - 1, URGENT] {
            device.set(tid, prio);
            let record = device.get(tid);
            assert_eq!((record.prio, record.applied), (Some(prio), Some(HELD)));
        }
        for prio in [20, HELD] {
            device.set(tid, prio);
            assert_eq!(device.get(tid).applied, Some(prio));
        }
        device.clear(tid);
        device.set(tid, URGENT);
        assert_eq!(device.get(tid).applied, Some(HELD));
    });
    device.set(tid, URGENT);
    assert_eq!(device.get(tid).applied, Some(URGENT));
    assert_eq!(device.stats(tid).runaways, 1);
}

#[test]
fn a_ceiling_granted_anew_has_a_budget_of_its_own() {
    let device = Device::open();
    let worker = granted_worker(&device);
    run_away_at(&device, &worker, URGENT);
    for ceiling in [GO_SCHED_PRIO_NONE, URGENT as i32] {
        device.ceiling(worker.tid(), ceiling);
    }
    worker.run(|| {
        set_schedprio(SELF, URGENT, 0).expect("it is not above the ceiling");
        thread::sleep(Duration::from_millis(1));
        burn(BUDGET / 4);
    });
    assert_eq!(device.get(worker.tid()).applied, Some(URGENT));

    // To grant what is granted already is to grant it anew.
    run_away_at(&device, &worker, URGENT);
    device.ceiling(worker.tid(), URGENT as i32);
    worker.run(|| {
        thread::sleep(Duration::from_millis(1));
        burn(BUDGET / 4);
    });
    assert_eq!(device.get(worker.tid()).applied, Some(URGENT));
    assert_eq!(device.stats(worker.tid()).runaways, 2);
}

#[test]
fn a_thread_that_root_moved_is_trusted() {
    let device = Device::open();
    let spinner = Spinner::paused_after(CONTESTED_CPU, || become_user_in_thread(USER));
    device.set(spinner.tid(), URGENT);
    assert_untouched(&device, &spinner);
}

#[test]
fn a_thread_that_root_moved_is_trusted_whatever_its_ceiling() {
    let device = Device::open();
    let spinner = Spinner::paused_after(CONTESTED_CPU, || become_user_in_thread(USER));
    device.ceiling(spinner.tid(), URGENT as i32);
    device.set(spinner.tid(), URGENT);
    assert_untouched(&device, &spinner);
}

#[test]
fn a_thread_whose_limits_allow_the_priority_is_trusted() {
    for (granted, prio) in [(false, URGENT), (true, URGENT), (true, 47)] {
        in_child(|| {
            // As getrlimit(2) has it, 20 less a nice value.
            set_limit(Resource::Nice, 40);
            set_limit(Resource::Rtprio, 16);
            let device = Device::open();
            match granted {
                true => become_user_with_ceiling(USER, &device, URGENT),
                false => become_user(USER),
            }
            let spinner = Spinner::paused(CONTESTED_CPU);
            device.set(spinner.tid(), prio);
            assert_untouched(&device, &spinner);
        });
    }
}

#[test]
fn a_thread_whose_base_is_as_urgent_is_trusted() {
    let device = Device::open();
    let spinner = Spinner::paused_after(CONTESTED_CPU, || become_user_in_thread(USER));
    let tid = spinner.tid();
    Attr::rr(16).apply(tid);
    device.ceiling(tid, URGENT as i32);
    set_as_user(tid, URGENT);
    assert_untouched(&device, &spinner);
}

#[test]
fn a_real_time_thread_without_a_priority_is_none_of_the_guards_business() {
    let device = Device::open();
    let spinner = Spinner::paused(CONTESTED_CPU);
    Attr::rr(16).apply(spinner.tid());
    assert_untouched(&device, &spinner);
}

#[test]
fn runaways_on_all_cpus_let_a_shell_run_and_leave_a_spinner_at_priority_30_its_share() {
    /// CPU time in which a share shows.
    const ENOUGH: Duration = Duration::from_millis(500);

    in_thread(|| {
        // The watcher must not have to wait for the CPU.
        Attr::fifo(90).reset_on_fork().apply(SELF);
        let device = Device::open();
        let spinners = [WATCHER_CPU, CONTESTED_CPU].map(|cpu| granted(&device, cpu));
        run_away(&device, spinners.each_ref());
        let before = spinners.each_ref().map(Spinner::cpu_time);

        let shell = Worker::spawn();
        let said = shell.start(|| {
            let script = "gosched get --json $$";
            output_of(Command::new("gosched").args(["run", "30", "--", "sh", "-c", script]))
        });
        let said = said.wait();
        let said = described("get", &String::from_utf8_lossy(&said.stdout));
        assert_eq!(said[0]["applied"], 30, "{said}");

        // By weight, a thread at nice 2 has 0.64 of what one at nice 0 has.
        let spinner = Spinner::paused(CONTESTED_CPU);
        device.set(spinner.tid(), 30);
        let runaway = &spinners[1];
        let start = runaway.cpu_time();
        spinner.spin();
        eventually("the spinner has a third of what the runaway has", || {
            let [had, runaway] = [spinner.cpu_time(), runaway.cpu_time() - start];
            had >= ENOUGH && 3 * had >= runaway
        });

        // And they have been runaways all the time.
        for (spinner, before) in spinners.iter().zip(before) {
            assert!(spinner.cpu_time() > before);
            assert_eq!(device.get(spinner.tid()).applied, Some(HELD));
            assert_eq!(device.stats(spinner.tid()).runaways, 1);
        }
    });
}
