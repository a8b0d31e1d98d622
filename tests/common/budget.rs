// SPDX-License-Identifier: GPL-2.0

//! Threads with a granted ceiling that use up its budget of CPU time.

use std::hint::spin_loop;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use go_sched_policy::LEVELS;
use go_sched_policy::ORDINARY;
use rustix::time::clock_gettime;
use rustix::time::ClockId;

use crate::child::become_user_in_thread;
use crate::device::Device;
use crate::device::SELF;
use crate::eventually;
use crate::spinner::Spinner;
use crate::syscall::set_schedprio;
use crate::worker::in_thread;
use crate::worker::Worker;
use crate::USER;

/// The most urgent priority, up to which the ceiling is granted.
pub const URGENT: u32 = LEVELS - 1;

/// The priority that a runaway is held at: the highest that an ordinary thread owns.
pub const HELD: u32 = ORDINARY;

/// The default of the module parameter `budget_ms`.
pub const BUDGET: Duration = Duration::from_millis(200);

/// The default of the module parameter `share_percent`: the part of the time slept by
/// which the budget fills, in percent.
pub const SHARE_PERCENT: u32 = 10;

/// Duration of a sleep after which the budget is full again, whatever used the budget up.
pub const LONG_SLEEP: Duration = Duration::from_secs(5);

/// CPU time far above the budget.
pub const FAR_ABOVE: Duration = Duration::from_secs(2);

/// CPU time that lasts for one tick at least.
pub const SOME_TICKS: Duration = Duration::from_millis(20);

/// Returns a paused spinner of a user, with a granted ceiling and priority of [`URGENT`].
pub fn granted(device: &Device, cpu: usize) -> Spinner {
    let spinner = Spinner::paused_after(cpu, || become_user_in_thread(USER));
    let tid = spinner.tid();
    device.ceiling(tid, URGENT as i32);
    set_as_user(tid, URGENT);
    spinner
}

/// Returns a worker of a user, with a granted ceiling of [`URGENT`] and no priority.
pub fn granted_worker(device: &Device) -> Worker {
    let worker = Worker::spawn();
    worker.run(|| become_user_in_thread(USER));
    device.ceiling(worker.tid(), URGENT as i32);
    worker
}

/// Gives a thread of a user a priority, as that user.
pub fn set_as_user(tid: i32, prio: u32) {
    in_thread(move || {
        become_user_in_thread(USER);
        set_schedprio(tid, prio, 0).expect("it is not above the ceiling");
    });
}

/// Lets threads run away until all are held. Checks that no thread is held before its
/// budget is used up.
#[track_caller]
pub fn run_away<const N: usize>(device: &Device, spinners: [&Spinner; N]) {
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

/// Returns the CPU time of the calling thread.
pub fn own_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().expect("CPU time is not negative")
}

/// Uses the CPU for some time of the calling thread's own.
pub fn burn(time: Duration) {
    let start = own_time();
    while own_time() - start < time {
        spin_loop();
    }
}

/// Sleeps for as little as can be asked for.
pub fn sleep_one_nanosecond() {
    thread::sleep(Duration::from_nanos(1));
}

/// Has the calling thread run `spell` again and again for `time`. Returns the CPU time
/// that the thread had at `prio`, without the spells in which its priority changed, and
/// the time that passed.
pub fn time_above(
    device: &Device,
    prio: u32,
    time: Duration,
    mut spell: impl FnMut(),
) -> (Duration, Duration) {
    let start = Instant::now();
    let mut above = Duration::ZERO;
    while start.elapsed() < time {
        let (level, before) = (device.get(SELF).applied, own_time());
        spell();
        if level == Some(prio) && device.get(SELF).applied == level {
            above += own_time() - before;
        }
    }
    (above, start.elapsed())
}
