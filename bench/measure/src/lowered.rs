// SPDX-License-Identifier: GPL-2.0

//! Measures how long others wait for lowered threads, which spend their time in the
//! kernel: a sibling, which needs a lock of the kernel that the lowered threads hold, and
//! a server of another process, which needs the CPU.

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::mem::forget;
use std::panic::resume_unwind;
use std::ptr;
use std::slice;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use common::child::Child;
use common::device::SELF;
use common::syscall::set_schedprio;
use common::StopOnDrop;
use go_sched_bench_data::Statistic;
use go_sched_bench_data::Subject;
use go_sched_bench_data::Waiter;
use go_sched_bench_data::LOWERED;
use rustix::mm::mmap_anonymous;
use rustix::mm::munmap;
use rustix::mm::MapFlags;
use rustix::mm::ProtFlags;
use strum::VariantArray;

use crate::goroutines::busy_process;
use crate::output;
use crate::sample::nanoseconds;

/// Threads that are lowered.
const THREADS: usize = 3;
/// Bytes that a lowered thread maps, touches and unmaps, again and again.
const MAPPED: usize = 256 << 10;
/// Bytes that the waiting sibling maps, touches and unmaps.
const SIBLINGS: usize = 64 << 10;
/// Time from one mapping of the sibling to the next.
const SIBLINGS_PERIOD: Duration = Duration::from_millis(5);
/// Time from one piece of the server's work to the next.
const NEIGHBOURS_PERIOD: Duration = Duration::from_millis(2);
/// Time that the server works for, on a CPU of its own.
const WORK: Duration = Duration::from_micros(200);
/// Time before measuring, in which all threads begin.
const WARM_UP: Duration = Duration::from_millis(300);
const PAGE: usize = 4096;

/// The command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure once and shortly
    #[arg(long)]
    quick: bool,
    /// Measure this waiter only; may be repeated
    #[arg(long)]
    waiter: Vec<Waiter>,
}

/// Measures all levels in turn, so that a change of the machine's mood hits all of them.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (repeats, length) = if arguments.quick {
        (1, Duration::from_secs(1))
    } else {
        (5, Duration::from_secs(8))
    };
    let mut waiters = arguments.waiter.clone();
    if waiters.is_empty() {
        waiters = Waiter::VARIANTS.to_vec();
    }
    let units = units_of(WORK);
    for waiter in waiters {
        let mut repeats_of: Vec<[Vec<f64>; 3]> = LOWERED.map(|_| Default::default()).to_vec();
        for repeat in 0..repeats {
            for (level, of_level) in LOWERED.into_iter().zip(&mut repeats_of) {
                let mut wait_times = match waiter {
                    Waiter::Sibling => beside_siblings(|| take(level), || (), length).0,
                    Waiter::Neighbour => beside_process(level, length, units),
                };
                wait_times.sort_unstable();
                for (&statistic, values) in Statistic::VARIANTS.iter().zip(of_level) {
                    let value = of_sorted(&wait_times, statistic).context("nobody waited")?;
                    eprintln!("{waiter}, {level:?}, repeat {repeat}: {statistic} {value:?}");
                    values.push(nanoseconds(value));
                }
            }
        }
        for (level, of_level) in LOWERED.into_iter().zip(repeats_of) {
            for (&statistic, values) in Statistic::VARIANTS.iter().zip(of_level) {
                let subject = Subject::Lowered {
                    waiter,
                    level,
                    statistic,
                };
                output::figure(subject, values)?;
            }
        }
    }
    Ok(())
}

/// Returns a statistic of the times waited, the shortest of which is the first.
fn of_sorted(wait_times: &[Duration], statistic: Statistic) -> Option<Duration> {
    let count = wait_times.len();
    match statistic {
        Statistic::Mean => {
            let sum: Duration = wait_times.iter().sum();
            sum.checked_div(u32::try_from(count).ok()?)
        }
        Statistic::P99 => wait_times.get(count * 99 / 100).copied(),
        Statistic::P999 => wait_times.get(count * 999 / 1000).copied(),
    }
}

/// Has the calling thread take a priority, if any.
fn take(level: Option<u32>) {
    if let Some(level) = level {
        set_schedprio(SELF, level, 0).expect("everybody may lower himself");
    }
}

/// Maps memory, touches it, and unmaps it.
fn map(length: usize) {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: The kernel places a new, zeroed mapping where no other is, and only this function
    // knows of the mapping until `munmap`.
    unsafe {
        let start = mmap_anonymous(ptr::null_mut(), length, access, MapFlags::PRIVATE);
        let start = start.expect("there is memory");
        let memory = slice::from_raw_parts_mut(start.cast::<u8>(), length);
        memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        munmap(start, length).expect("the mapping is whole");
    }
}

/// Returns the times that a thread waits for its memory, beside siblings that map memory
/// all the time, and beside another process that keeps the CPUs busy; and how often the siblings
/// mapped memory meanwhile. `lower` runs first on the siblings, and `raise` on the thread.
pub(crate) fn beside_siblings(
    lower: impl Fn() + Sync,
    raise: impl Fn() + Sync,
    length: Duration,
) -> (Vec<Duration>, u64) {
    let _busy = busy_process(|| ());
    let over = AtomicBool::new(false);
    let maps = AtomicU64::new(0);
    thread::scope(|scope| {
        let _stop = StopOnDrop(&over);
        for _ in 0..THREADS {
            scope.spawn(|| {
                lower();
                while !over.load(Ordering::Relaxed) {
                    map(MAPPED);
                    maps.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(WARM_UP);
        let before = maps.load(Ordering::Relaxed);
        let waiter = scope.spawn(|| {
            raise();
            let end = Instant::now() + length;
            let mut wait_times = Vec::new();
            while Instant::now() < end {
                thread::sleep(SIBLINGS_PERIOD);
                let start = Instant::now();
                map(SIBLINGS);
                wait_times.push(start.elapsed());
            }
            wait_times
        });
        let wait_times = waiter.join().unwrap_or_else(|panic| resume_unwind(panic));
        (wait_times, maps.load(Ordering::Relaxed) - before)
    })
}

/// Returns how late the work of a server is done, beside another process whose threads map
/// memory and read all the time.
fn beside_process(level: Option<u32>, length: Duration, units: u64) -> Vec<Duration> {
    let _lowered = Child::sleeping(|| {
        for _ in 0..THREADS {
            forget(thread::spawn(move || {
                take(level);
                let mut zeros = File::open("/dev/zero").expect("it is there");
                let mut buffer = vec![0; MAPPED];
                loop {
                    map(MAPPED);
                    zeros.read_exact(&mut buffer).expect("it has no end");
                }
            }));
        }
    });
    thread::sleep(WARM_UP);
    let mut due = Instant::now();
    let end = due + length;
    let mut wait_times = Vec::new();
    while due < end {
        due += NEIGHBOURS_PERIOD;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        work(units);
        let wait = due.elapsed();
        wait_times.push(wait);
        // What was due meanwhile is not due any more, or one wait would be many.
        if wait > NEIGHBOURS_PERIOD {
            due = Instant::now();
        }
    }
    wait_times
}

fn work(units: u64) {
    (0..units).for_each(|unit| {
        black_box(unit);
    });
}

/// Returns the units of work that take `time` where no other thread wants the CPU.
fn units_of(time: Duration) -> u64 {
    const MANY: u64 = 1_000_000;

    let start = Instant::now();
    work(MANY);
    let many = start.elapsed().as_nanos().max(1);
    (u128::from(MANY) * time.as_nanos() / many) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_the_sorted_waits() {
        let wait_times: Vec<_> = (1..=1000).map(Duration::from_micros).collect();
        let of = |statistic| of_sorted(&wait_times, statistic).expect("there are times");
        assert_eq!(of(Statistic::Mean), Duration::from_nanos(500_500));
        assert_eq!(of(Statistic::P99), Duration::from_micros(991));
        assert_eq!(of(Statistic::P999), Duration::from_micros(1000));
        assert_eq!(of_sorted(&[], Statistic::P99), None);
    }
}
