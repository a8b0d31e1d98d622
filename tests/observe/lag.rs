// SPDX-License-Identifier: GPL-2.0

//! What threads are owed is what the scheduler's own rules say of it.

use std::process;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use gosched::sched::SchedAttr;
use gosched::sched::SchedPolicy;
use gosched_observe::lag::Class;
use gosched_observe::lag::ExtThreads;
use gosched_observe::lag::Queue;
use gosched_observe::lag::Sample;
use gosched_observe::lag::Sampler;
use gosched_observe::lag::State;
use gosched_observe::lag::Storage;
use rustix::thread::gettid;
use rustix::thread::sched_setaffinity;
use rustix::thread::CpuSet;

/// As many looks are enough to see both threads run and wait.
const LOOKS: usize = 50;
/// They take no longer, however slow the emulator is.
const LONGEST: Duration = Duration::from_secs(120);
/// The weights of nice 0 and nice 10.
const WEIGHTS: u64 = 1024 + 110;

/// Ends threads, also when a test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs threads on the first CPU, each with attributes of its own, while `test` looks at them.
fn with_threads<const N: usize>(
    threads: [(SchedAttr, fn()); N],
    test: impl FnOnce(&mut dyn FnMut() -> [Sample; N]),
) {
    let stopped = AtomicBool::new(false);
    let mut storage = Storage::uninit();
    let mut sampler = Sampler::load(&mut storage).expect("a kernel with EEVDF and BTF");
    thread::scope(|scope| {
        let _stop = Stop(&stopped);
        let tids = threads.map(|(attr, step)| {
            let (say, tid) = channel();
            let stopped = &stopped;
            scope.spawn(move || {
                let mut first = CpuSet::new();
                first.set(0);
                sched_setaffinity(None, &first).expect("the first CPU");
                attr.apply(0).expect("root may do so");
                say.send(gettid().as_raw_nonzero().get()).expect("it waits");
                while !stopped.load(Ordering::Relaxed) {
                    step();
                }
            });
            tid.recv().expect("it runs")
        });
        let pid = i32::try_from(process::id()).expect("a pid");
        let mut look = || {
            thread::sleep(Duration::from_millis(7));
            let samples = sampler.sample(pid).expect("it is read");
            tids.map(|tid| {
                let of_thread = samples.iter().find(|sample| sample.tid == tid);
                *of_thread.expect("it lives")
            })
        };
        test(&mut look);
    });
}

fn nice(nice: i32) -> SchedAttr {
    let mut attr = SchedAttr::new(SchedPolicy::OTHER);
    attr.nice = nice;
    attr
}

fn spin() {
    std::hint::spin_loop();
}

fn sleep() {
    thread::sleep(Duration::from_millis(1));
}

#[test]
fn what_one_thread_is_owed_the_other_has_had() {
    with_threads([(nice(0), spin as fn()), (nice(10), spin)], |look| {
        let ends = Instant::now() + LONGEST;
        let first = look();
        let mut last = first;
        let (mut pairs, mut balanced) = (0, 0);
        while pairs < LOOKS {
            assert!(Instant::now() < ends, "{pairs} looks at two threads alone");
            let samples = look();
            // Other threads may be in the queue as well.
            let queues = samples
                .each_ref()
                .map(|sample| sample.queue(ExtThreads::None));
            let [Some(of_0), Some(of_10)] = queues else {
                continue;
            };
            if of_0.total_weight() != WEIGHTS || of_10.total_weight() != WEIGHTS {
                continue;
            }
            let lags = [of_0, of_10].map(|queue| queue.lag().expect("it is in the queue"));
            let slice = samples[0].slice(ExtThreads::None).expect("a fair thread");
            pairs += 1;
            // The clock may tick between the reads of the two.
            balanced += usize::from(lags.iter().sum::<i64>().unsigned_abs() <= slice / 10);
            last = samples;
        }
        eprintln!("{balanced} of {pairs} pairs of lags add up to 0");
        assert!(balanced * 10 >= pairs * 9, "{balanced} of {pairs}");
        let [of_0, of_10] = [0, 1].map(|at| last[at].since(&first[at]).expect("time has passed"));
        assert!(of_0.ran > of_10.ran, "{of_0:?} {of_10:?}");
        assert!(of_0.waited < of_10.waited, "{of_0:?} {of_10:?}");
    });
}

#[test]
fn who_sleeps_or_is_real_time_has_no_lag() {
    let mut fifo = SchedAttr::new(SchedPolicy::FIFO);
    fifo.rt_priority = 1;
    with_threads([(nice(0), sleep as fn()), (fifo, sleep)], |look| {
        let mut asleep = 0;
        for _ in 0..LOOKS {
            let [ordinary, real_time] = look();
            assert_eq!(ordinary.class(ExtThreads::None), Class::Fair);
            assert_eq!(real_time.class(ExtThreads::None), Class::RealTime);
            assert_eq!(
                real_time.queue(ExtThreads::None),
                None,
                "{:?}",
                real_time.state(ExtThreads::None)
            );
            assert_eq!(real_time.slice(ExtThreads::None), None);
            if ordinary.state(ExtThreads::None) == State::Asleep {
                asleep += 1;
                assert_eq!(ordinary.queue(ExtThreads::None).and_then(Queue::lag), None);
            }
        }
        assert!(asleep > 0);
    });
}

#[test]
fn a_process_that_is_not_there_has_no_threads() {
    let mut storage = Storage::uninit();
    let mut sampler = Sampler::load(&mut storage).expect("a kernel with EEVDF and BTF");
    assert_eq!(sampler.sample(i32::MAX).expect("it is read").len(), 0);
}
