// SPDX-License-Identifier: GPL-2.0

//! The cost of a granted ceiling to others. An ordinary thread shares a CPU with a user's
//! threads that try to evade the budget of their ceiling. The ordinary thread keeps
//! nearly the share that it has beside the same threads without a granted ceiling, which
//! ask for what they own. Threads that ask for nothing would be another load, because a
//! call requeues its thread.

use std::fs::File;
use std::hint::spin_loop;
use std::io::Read;
use std::mem::forget;
use std::os::fd::AsRawFd;
use std::sync::mpsc::channel;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::budget::burn;
use common::budget::sleep_one_nanosecond;
use common::budget::BUDGET;
use common::budget::HELD;
use common::budget::URGENT;
use common::child::become_user;
use common::child::become_user_with_ceiling;
use common::child::in_child;
use common::child::Child;
use common::deadline::receive;
use common::device::Device;
use common::device::SELF;
use common::pi_mutex::PiMutex;
use common::pin;
use common::spinner::Spinner;
use common::syscall::set_schedprio;
use common::worker::in_thread;
use common::CONTESTED_CPU;
use common::USER;
use common::WATCHER_CPU;
use gosched::uapi::GO_SCHED_INHERIT;

/// The part of its share that the ordinary thread keeps at least, in percent.
const KEPT: u32 = 85;

/// The number of attempts.
const ATTEMPTS: u32 = 3;

/// The time after which the first budget has been used up.
const WARM_UP: Duration = Duration::from_secs(2);

/// The time for which the CPU time is measured.
const LONG: Duration = Duration::from_secs(5);

/// CPU time below the budget.
const SPELL: Duration = Duration::from_millis(150);

/// CPU time below a tick, which comes each millisecond.
const BELOW_A_TICK: Duration = Duration::from_micros(600);

/// A load on a CPU, which never ends. The argument is the highest priority to take.
type Load = fn(u32);

/// Has the calling thread take a priority that the thread owns or was granted.
fn take(prio: u32, flags: u32) {
    set_schedprio(SELF, prio, flags).expect("it is not above the ceiling");
}

fn spin() -> ! {
    loop {
        spin_loop();
    }
}

/// Returns the share of one CPU, in thousandths, that an ordinary thread has beside a
/// load of a user, which has been granted `prio` unless users own it.
fn share_beside(load: Load, prio: u32) -> u32 {
    let _loaded = Child::sleeping(|| {
        pin(CONTESTED_CPU);
        if prio > HELD {
            become_user_with_ceiling(USER, &Device::open(), prio);
        } else {
            become_user(USER);
        }
        forget(thread::spawn(move || load(prio)));
    });
    let spinner = Spinner::spinning(CONTESTED_CPU);
    thread::sleep(WARM_UP);
    let (before, start) = (spinner.cpu_time(), Instant::now());
    thread::sleep(LONG);
    let (used, passed) = (spinner.cpu_time() - before, start.elapsed());
    (used.as_micros() * 1000 / passed.as_micros()) as u32
}

/// Asserts that the neighbour of a load with `prio` keeps its part of what it has beside
/// that load at what users own.
#[track_caller]
fn assert_kept_beside(load: Load, prio: u32) {
    // A busy host takes time from whoever has the CPU: then another attempt shows it.
    let kept = (0..ATTEMPTS).any(|_| {
        let (without, with) = in_thread(move || {
            pin(WATCHER_CPU);
            (share_beside(load, HELD), share_beside(load, prio))
        });
        println!("{with} of 1000, and {without} beside what users own");
        with >= without * KEPT / 100
    });
    assert!(kept, "the neighbour has lost its share in each attempt");
}

#[track_caller]
fn assert_kept(load: Load) {
    assert_kept_beside(load, URGENT);
}

#[test]
fn a_thread_that_never_sleeps_leaves_its_neighbour_its_cpu() {
    assert_kept(|prio| {
        take(prio, 0);
        spin();
    });
}

#[test]
fn a_lowered_thread_that_lives_in_the_kernel_leaves_its_neighbour_what_its_base_does() {
    let load = |prio| {
        take(prio, 0);
        let mut zeros = File::open("/dev/zero").expect("it is there");
        let mut buffer = vec![0; 1 << 20];
        loop {
            zeros.read_exact(&mut buffer).expect("it has no end");
        }
    };
    assert_kept_beside(load, 8);
}

#[test]
fn a_thread_that_sleeps_a_nanosecond_leaves_its_neighbour_its_cpu() {
    assert_kept(|prio| {
        take(prio, 0);
        loop {
            burn(SPELL);
            sleep_one_nanosecond();
        }
    });
}

#[test]
fn a_thread_that_sleeps_a_millisecond_leaves_its_neighbour_its_cpu() {
    assert_kept(|prio| {
        take(prio, 0);
        loop {
            burn(SPELL);
            thread::sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn processes_that_end_within_the_budget_leave_their_neighbour_its_cpu() {
    assert_kept(|prio| {
        take(prio, GO_SCHED_INHERIT);
        loop {
            in_child(|| burn(BUDGET / 2));
        }
    });
}

#[test]
fn a_helper_at_a_fair_priority_leaves_its_neighbour_its_cpu() {
    assert_kept(|prio| {
        thread::spawn(move || {
            take(prio.min(47), 0);
            spin();
        });
        take(prio, 0);
        loop {
            burn(SPELL);
            thread::sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn a_sleeper_beside_it_leaves_the_neighbour_of_a_spinner_its_cpu() {
    assert_kept(|prio| {
        thread::spawn(|| loop {
            thread::sleep(Duration::from_millis(50));
        });
        take(prio, 0);
        loop {
            burn(Duration::from_millis(5));
            sleep_one_nanosecond();
        }
    });
}

#[test]
fn threads_that_take_turns_leave_their_neighbour_its_cpu() {
    assert_kept(|prio| {
        take(prio, GO_SCHED_INHERIT);
        loop {
            in_thread(|| burn(BUDGET / 4));
        }
    });
}

#[test]
fn a_thread_that_steps_down_before_each_tick_leaves_its_neighbour_its_cpu() {
    assert_kept(|prio| loop {
        take(prio, 0);
        burn(BELOW_A_TICK);
        take(HELD, 0);
        burn(BELOW_A_TICK);
    });
}

#[test]
fn children_that_live_less_than_a_tick_leave_their_neighbour_its_cpu() {
    assert_kept(|prio| loop {
        let child = thread::spawn(move || {
            take(prio, 0);
            burn(BELOW_A_TICK);
        });
        // Without a deadline, as this is a part of what is measured, and killed at its end.
        child.join().expect("the child ends");
    });
}

#[test]
fn a_long_system_call_leaves_the_neighbour_its_cpu() {
    const BLOCK: usize = 1 << 20;
    const BLOCKS: usize = 1024;
    assert_kept(|prio| {
        let random = File::open("/dev/urandom").expect("the guest has it");
        let mut block = vec![0; BLOCK];
        let blocks = vec![
            libc::iovec {
                iov_base: block.as_mut_ptr().cast(),
                iov_len: BLOCK,
            };
            BLOCKS
        ];
        take(prio, 0);
        loop {
            // By libc, as rustix takes slices, which may not be of the same memory.
            // SAFETY: Each of the blocks is the one that lives across the call.
            unsafe { libc::readv(random.as_raw_fd(), blocks.as_ptr(), BLOCKS as i32) };
        }
    });
}

#[test]
fn who_has_a_mutex_that_a_granted_thread_waits_for_leaves_its_neighbour_its_cpu() {
    assert_kept(|prio| {
        let mutex = PiMutex::new();
        let (locked, is_locked) = channel();
        let owner = Arc::clone(&mutex);
        thread::spawn(move || {
            owner.lock();
            locked.send(()).expect("a listener");
            spin();
        });
        receive(&is_locked);
        take(prio, 0);
        mutex.lock();
    });
}
