// SPDX-License-Identifier: GPL-2.0

//! Delays that the kernel adds up are those that a record has.

use std::hint::spin_loop;
use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use gosched_observe::delay::Counter;
use gosched_observe::event::Event;
use gosched_observe::heat::Counts;
use gosched_observe::layout::GoProgram;
use gosched_observe::layout::LayoutError;
use gosched_observe::record::record;
use gosched_observe::record::Control;
use gosched_observe::record::Target;
use gosched_observe::threads::Threads;
use rustix::process::getpid;
use rustix::thread::sched_getaffinity;
use rustix::thread::sched_setaffinity;
use rustix::thread::CpuSet;

use crate::recorded::LONGEST;

/// Delays take so many that a few more at the beginning and at the end do not count.
const ENOUGH: u64 = 200;

/// Counts delays while they are recorded.
struct Both<'a, 'b> {
    counter: &'a mut Counter<'b>,
    counted: u64,
    events: Vec<Event>,
    began: Instant,
}

impl Control for Both<'_, '_> {
    fn start(&mut self) -> io::Result<()> {
        // What came before is in no record.
        self.counter.read().map_err(io::Error::other).map(drop)
    }

    fn take(&mut self, event: &Event, _bytes: &[u8]) -> io::Result<bool> {
        self.events.push(*event);
        Ok(true)
    }

    fn program(&mut self, _program: Result<GoProgram, LayoutError>) {}

    fn pause(&mut self, pause: Duration) -> io::Result<bool> {
        thread::sleep(pause);
        assert!(self.began.elapsed() < LONGEST, "{} delays", self.counted);
        let new = self.counter.read().map_err(io::Error::other)?;
        self.counted += new.iter().flat_map(|(_, counts)| counts).sum::<u64>();
        Ok(self.counted >= ENOUGH)
    }
}

/// Has this thread run on one CPU alone.
fn pin() {
    let all = sched_getaffinity(None).expect("own thread");
    let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(first.expect("a CPU"));
    sched_setaffinity(None, &one).expect("own thread");
}

#[test]
fn delays_are_counted_as_they_are_recorded() {
    let own = getpid().as_raw_nonzero().get();
    let mut storage = MaybeUninit::uninit();
    let mut counter = Counter::attach(own, &mut storage).expect("it is counted");
    let ends = AtomicBool::new(false);
    let began = Instant::now();
    let mut both = Both {
        counter: &mut counter,
        counted: 0,
        events: Vec::new(),
        began,
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                pin();
                while !ends.load(Ordering::Relaxed) && began.elapsed() < LONGEST {
                    spin_loop();
                }
            });
        }
        let outcome = record(&Target::Process(own), &mut both);
        ends.store(true, Ordering::Relaxed);
        assert_eq!(outcome.expect("it is recorded").lost, 0);
    });
    let threads = Threads::of(&both.events, own, u64::MAX);
    let delays = threads.histories.values().map(|of| of.delays.len() as u64);
    let recorded: u64 = delays.sum();
    let counted = both.counted;
    eprintln!("{counted} delays are counted, {recorded} recorded");
    assert!(counted >= ENOUGH);
    let alike = counted <= 2 * recorded && recorded <= 2 * counted;
    assert!(alike, "{counted} are counted, {recorded} recorded");
    assert_eq!(counter.unkept(), 0);
}

#[test]
fn nothing_is_counted_of_another_process() {
    let mut storage = MaybeUninit::uninit();
    // The kernel gives no process that id.
    let mut counter = Counter::attach(i32::MAX, &mut storage).expect("it is counted");
    thread::sleep(Duration::from_millis(100));
    let counted: Vec<(Option<u8>, Counts)> = counter.read().expect("it is read");
    assert!(counted.is_empty(), "{counted:?}");
}
