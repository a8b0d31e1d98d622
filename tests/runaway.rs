// SPDX-License-Identifier: GPL-2.0

//! The runaway guard: a thread that got into the rt band through a granted ceiling,
//! and uses up its budget of CPU time without sleeping, is out of that band until
//! it sleeps. Whoever is there by privilege or by right is trusted.

use std::fs;
use std::hint::spin_loop;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::attr::Attr;
use common::child::become_user;
use common::child::become_user_in_thread;
use common::child::in_child;
use common::command::described;
use common::device::Device;
use common::device::SELF;
use common::eventually;
use common::hint::HintPage;
use common::module::load;
use common::module::unload;
use common::module::Reconfigured;
use common::module::Reloaded;
use common::spinner::Spinner;
use common::syscall::set_schedprio;
use common::trace::Event;
use common::trace::Trace;
use common::worker::in_thread;
use common::worker::Worker;
use common::StopOnDrop;
use common::CONTESTED_CPU;
use common::USER;
use common::WATCHER_CPU;
use gosched::uapi::GO_SCHED_CAUSE_RUNAWAY;
use nix::sched::sched_yield;
use nix::sys::resource::setrlimit;
use nix::sys::resource::Resource;
use nix::time::clock_gettime;
use nix::time::ClockId;

/// The most urgent priority.
const URGENT: u32 = 63;

/// Where a runaway is held: the highest priority below the rt band.
const HELD: u32 = 47;

/// The budget without a parameter.
const BUDGET: Duration = Duration::from_millis(200);

/// CPU time far above that budget.
const FAR_ABOVE: Duration = Duration::from_secs(2);

/// A spinner of a user whom root trusts with all priorities, and who has given it
/// the most urgent one.
fn trusted(device: &Device, cpu: usize) -> Spinner {
    let spinner = Spinner::paused_after(cpu, || become_user_in_thread(USER));
    let tid = spinner.tid();
    device.ceiling(tid, URGENT as i32);
    set_urgent_as_user(tid);
    spinner
}

/// Gives a thread of a user the most urgent priority, as that user.
fn set_urgent_as_user(tid: i32) {
    in_thread(move || {
        become_user_in_thread(USER);
        set_schedprio(tid, URGENT, 0).expect("it is not above the ceiling");
    });
}

/// A worker of such a user, to give itself that priority.
fn trusted_worker(device: &Device) -> Worker {
    let worker = Worker::spawn();
    worker.run(|| become_user_in_thread(USER));
    device.ceiling(worker.tid(), URGENT as i32);
    worker
}

/// Lets threads run away until all are held, none of them before its budget.
#[track_caller]
fn run_away<const N: usize>(device: &Device, spinners: [&Spinner; N]) {
    let before = spinners.map(Spinner::cpu_time);
    spinners.iter().for_each(|spinner| spinner.spin());
    for (spinner, before) in spinners.iter().zip(before) {
        eventually("the runaway is held", || {
            device.get(spinner.tid()).applied == Some(HELD)
        });
        assert!(spinner.cpu_time() - before >= BUDGET);
        assert_eq!(device.get(spinner.tid()).prio, Some(URGENT));
    }
}

/// Waits until a thread is back at its priority.
#[track_caller]
fn await_back(device: &Device, tid: i32) {
    eventually("the thread is back at its priority", || {
        device.get(tid).applied == Some(URGENT)
    });
}

/// Lets a thread spin far longer than the budget, which must change nothing.
#[track_caller]
fn assert_untouched(device: &Device, spinner: &Spinner) {
    let before = (Attr::of(spinner.tid()), device.get(spinner.tid()));
    let start = spinner.cpu_time();
    spinner.spin();
    eventually("the thread has used far more than the budget", || {
        spinner.cpu_time() - start >= FAR_ABOVE
    });
    let after = (Attr::of(spinner.tid()), device.get(spinner.tid()));
    assert_eq!(after, before);
    assert_eq!(device.stats(spinner.tid()).runaways, 0);
}

/// Uses the CPU for some time of the calling thread's own.
fn burn(time: Duration) {
    let clock = || {
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("its own clock");
        Duration::from(time)
    };
    let start = clock();
    while clock() - start < time {
        spin_loop();
    }
}

#[test]
fn a_runaway_is_held_below_the_rt_band_until_it_sleeps() {
    let device = Device::open();
    let spinner = trusted(&device, CONTESTED_CPU);
    let tid = spinner.tid();
    let trace = Trace::start();
    for run in 1..=3 {
        run_away(&device, [&spinner]);
        let stats = device.stats(tid);
        assert_eq!(stats.runaways, run);
        assert_eq!(stats.last_cause, GO_SCHED_CAUSE_RUNAWAY);
        spinner.pause();
        await_back(&device, tid);
    }
    assert_eq!(device.stats(tid).runaways, 3);

    let change =
        |(old_prio, old_policy): (u32, &str), (new_prio, new_policy): (u32, &str)| Event::Apply {
            pid: tid,
            old_prio: old_prio as i32,
            new_prio: new_prio as i32,
            old_policy: old_policy.to_owned(),
            new_policy: new_policy.to_owned(),
            cause: "runaway".to_owned(),
            goid: 0,
            gstatus: 0,
        };
    let (urgent, held) = ((URGENT, "rr"), (HELD, "other"));
    let run = [change(urgent, held), change(held, urgent)];
    assert_eq!(trace.events_of(tid), [&run[..]; 3].concat());
}

#[test]
fn a_grant_that_outlives_the_module_is_watched_by_the_next() {
    let _loaded = Reloaded;
    let device = Device::open();
    let spinner = trusted(&device, CONTESTED_CPU);
    drop(device);
    unload();
    load();
    // Nobody has bound a slot or granted anything since.
    run_away(&Device::open(), [&spinner]);
}

#[test]
fn a_runaway_by_a_hint_is_held_and_its_slot_says_so() {
    let device = Device::open();
    let worker = trusted_worker(&device);
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
    await_back(&device, worker.tid());
    assert_eq!(page.slot(0).applied(), URGENT as u8);
    assert_eq!(device.stats(worker.tid()).runaways, 1);
}

#[test]
fn to_yield_is_not_to_sleep() {
    let device = Device::open();
    let worker = trusted_worker(&device);
    let over = Arc::new(AtomicBool::new(false));
    let yields = Arc::new(AtomicU64::new(0));
    let stop = StopOnDrop(&over);

    let yielding = worker.start({
        let (over, yields) = (over.clone(), yields.clone());
        move || {
            set_schedprio(SELF, URGENT, 0).unwrap();
            while !over.load(Ordering::Relaxed) {
                sched_yield().unwrap();
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
    await_back(&device, worker.tid());
}

#[test]
fn a_runaway_is_not_freed_by_its_user_but_by_root() {
    let device = Device::open();
    let spinner = trusted(&device, CONTESTED_CPU);
    let tid = spinner.tid();
    run_away(&device, [&spinner]);
    in_thread(move || {
        let device = Device::open();
        become_user_in_thread(USER);
        for prio in [URGENT - 1, URGENT] {
            device.set(tid, prio);
            let record = device.get(tid);
            assert_eq!((record.prio, record.applied), (Some(prio), Some(HELD)));
        }
        device.set(tid, 20);
        assert_eq!(device.get(tid).applied, Some(20));
        device.set(tid, URGENT);
        assert_eq!(device.get(tid).applied, Some(HELD));
    });
    device.set(tid, URGENT);
    assert_eq!(device.get(tid).applied, Some(URGENT));
    assert_eq!(device.stats(tid).runaways, 1);
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
    for granted in [false, true] {
        in_child(|| {
            setrlimit(Resource::RLIMIT_RTPRIO, 16, 16).unwrap();
            let device = Device::open();
            if granted {
                device.ceiling(SELF, URGENT as i32);
            }
            become_user(USER);
            let spinner = Spinner::paused(CONTESTED_CPU);
            device.set(spinner.tid(), URGENT);
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
    set_urgent_as_user(tid);
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
fn a_thread_that_sleeps_before_its_budget_is_used_up_is_never_held() {
    /// Little enough for a host that takes the CPU away meanwhile, and in sum far
    /// more than the budget.
    const SPELL: Duration = Duration::from_millis(20);
    const SPELLS: u32 = 135;

    let _reconfigured = Reconfigured::with(c"budget_ms=900");
    let device = Device::open();
    let worker = trusted_worker(&device);
    worker.run(|| {
        set_schedprio(SELF, URGENT, 0).unwrap();
        for _ in 0..SPELLS {
            burn(SPELL);
            thread::sleep(Duration::from_millis(1));
        }
    });
    assert_eq!(device.stats(worker.tid()).runaways, 0);
    assert_eq!(device.get(worker.tid()).applied, Some(URGENT));
}

#[test]
fn the_budget_is_200_ms_unless_the_module_is_told_another() {
    let budget_ms = || Device::open().try_class_info().unwrap().budget_ms;
    assert_eq!(u128::from(budget_ms()), BUDGET.as_millis());
    let parameter = "/sys/module/go_sched_class/parameters/budget_ms";
    assert_eq!(fs::read_to_string(parameter).unwrap(), "200\n");
    let mode = fs::metadata(parameter).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o444, "it cannot be changed later");

    let _reconfigured = Reconfigured::with(c"budget_ms=50");
    assert_eq!(budget_ms(), 50);
    let device = Device::open();
    let worker = trusted_worker(&device);
    worker.run(|| {
        set_schedprio(SELF, URGENT, 0).unwrap();
        // Below the budget that the module has otherwise.
        burn(BUDGET * 3 / 4);
    });
    assert_eq!(device.stats(worker.tid()).runaways, 1);
}

#[test]
fn a_budget_of_0_is_no_limit() {
    let _reconfigured = Reconfigured::with(c"budget_ms=0");
    let device = Device::open();
    assert_eq!(device.try_class_info().unwrap().budget_ms, 0);
    assert_untouched(&device, &trusted(&device, CONTESTED_CPU));
}

#[test]
fn runaways_on_all_cpus_leave_a_shell_at_priority_30_its_share() {
    in_thread(|| {
        // Who watches must not have to wait for the CPU.
        Attr::fifo(90).reset_on_fork().apply(SELF);
        let device = Device::open();
        let spinners = [WATCHER_CPU, CONTESTED_CPU].map(|cpu| trusted(&device, cpu));
        run_away(&device, spinners.each_ref());
        let before = spinners.each_ref().map(Spinner::cpu_time);

        let shell = Worker::spawn();
        let said = shell.start(|| {
            let script = "gosched get --json $$";
            Command::new("gosched")
                .args(["run", "30", "--", "sh", "-c", script])
                .output()
        });
        let said = said.wait().expect("the guest has the command");
        let said = described("get", &String::from_utf8_lossy(&said.stdout));
        assert_eq!(said[0]["applied"], 30, "{said}");

        // And they have been runaways all the time.
        for (spinner, before) in spinners.iter().zip(before) {
            assert!(spinner.cpu_time() > before);
            assert_eq!(device.get(spinner.tid()).applied, Some(HELD));
            assert_eq!(device.stats(spinner.tid()).runaways, 1);
        }
    });
}
