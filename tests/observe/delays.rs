// SPDX-License-Identifier: GPL-2.0

//! Delays that the kernel adds up are those that a record has.

use std::collections::BTreeMap;
use std::hint::spin_loop;
use std::io;
use std::io::Write;
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use gosched::policy::GoPrio;
use gosched::Children;
use gosched::Device;
use gosched_observe::delay::Counter;
use gosched_observe::event::Event;
use gosched_observe::heat::Counts;
use gosched_observe::heat::BOUNDS;
use gosched_observe::heat::CLASSES;
use gosched_observe::layout::GoProgram;
use gosched_observe::layout::LayoutError;
use gosched_observe::record::record;
use gosched_observe::record::Backend;
use gosched_observe::record::Control;
use gosched_observe::record::Target;
use gosched_observe::threads::Threads;
use rustix::process::getpid;
use rustix::process::Pid;
use rustix::thread::sched_getaffinity;
use rustix::thread::sched_setaffinity;
use rustix::thread::CpuSet;

use crate::recorded::LONGEST;

/// The lines that the program reads, after each of which it waits for a CPU.
const LINES: u64 = 200;

/// The waits that only one of the two may see: the first one and the last one.
const ENDS: u64 = 2;

/// The delays that may be in another class than in the record without being near its bound: the
/// machine may stop the emulator between the two programs that see an event.
const STOPS: u64 = LINES / 20;

/// A program whose delays are counted while they are recorded.
struct Both<'a, 'b> {
    counter: &'a mut Counter<'b>,
    program: &'a mut Child,
    lines: u64,
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

    fn pause(&mut self, _pause: Duration) -> io::Result<bool> {
        assert!(self.began.elapsed() < LONGEST, "{} lines", self.lines);
        thread::sleep(Duration::from_millis(1));
        if self.lines < LINES {
            let to = self.program.stdin.as_mut().expect("a pipe");
            to.write_all(b"\n")?;
            self.lines += 1;
            return Ok(false);
        }
        // The program ends, and nothing is missed after its end.
        drop(self.program.stdin.take());
        Ok(self.program.try_wait()?.is_some())
    }
}

/// Has a thread run on one CPU alone.
fn pin(thread: Option<Pid>) {
    let all = sched_getaffinity(None).expect("own thread");
    let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(first.expect("a CPU"));
    sched_setaffinity(thread, &one).expect("it lives");
}

/// Gives a thread a Go priority, if the kernel has some.
pub(crate) fn prioritise(tid: i32) {
    if Path::new(Device::PATH).exists() {
        let device = Device::open().expect("root may do so");
        let prio = GoPrio::new(40).expect("a priority");
        let set = device.set(gosched::Target::Tid(tid), prio, Children::StartAtBase);
        set.expect("root may do so");
    }
}

fn total(counts: &Counts) -> u64 {
    counts.iter().sum()
}

#[test]
fn delays_are_counted_as_they_are_recorded() {
    let mut program = Command::new("sh")
        .args(["-c", "while read -r line; do :; done"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell");
    let pid = i32::try_from(program.id()).expect("a pid");
    pin(Pid::from_raw(pid));
    prioritise(pid);
    let mut storage = MaybeUninit::uninit();
    let mut counter = Counter::attach(pid, &mut storage).expect("it is counted");
    let ends = AtomicBool::new(false);
    let began = Instant::now();
    let mut both = Both {
        counter: &mut counter,
        program: &mut program,
        lines: 0,
        events: Vec::new(),
        began,
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            // The program waits for this thread, for as long as the scheduler wants.
            pin(None);
            while !ends.load(Ordering::Relaxed) && began.elapsed() < LONGEST {
                spin_loop();
            }
        });
        let outcome = record(&Target::Process(pid), Some(Backend::Bpf), &mut both);
        ends.store(true, Ordering::Relaxed);
        assert_eq!(outcome.expect("it is recorded").lost, 0);
    });
    let threads = Threads::of(&both.events, pid, u64::MAX);
    let mut recorded: BTreeMap<Option<u8>, Vec<u64>> = BTreeMap::new();
    for delay in threads.histories.values().flat_map(|of| &of.delays) {
        recorded.entry(delay.go_prio).or_default().push(delay.takes);
    }
    let counted: BTreeMap<_, _> = counter.read().expect("it is read").into_iter().collect();
    eprintln!("counted: {counted:?}");
    assert!(counted.values().map(total).sum::<u64>() >= LINES / 2);
    if Path::new(Device::PATH).exists() {
        assert!(counted.contains_key(&Some(40)), "{counted:?}");
    }
    for go_prio in counted.keys().chain(recorded.keys()) {
        let counts = counted.get(go_prio).copied().unwrap_or([0; CLASSES]);
        let delays = recorded.get(go_prio).map_or(&[][..], Vec::as_slice);
        let differ = total(&counts).abs_diff(delays.len() as u64);
        assert!(differ <= ENDS, "{go_prio:?}: {counts:?}, {delays:?}");
        for (class, bound) in (1..).zip(BOUNDS) {
            // The two programs see an event one after the other.
            let at_least =
                |least: u64| delays.iter().filter(|takes| **takes >= least).count() as u64;
            let long: u64 = counts[class..].iter().sum();
            let (few, many) = (at_least(bound / 4 * 5), at_least(bound / 4 * 3));
            assert!(
                (few.saturating_sub(STOPS)..=many + STOPS).contains(&long),
                "{go_prio:?}, {bound} ns: {counts:?}, {delays:?}"
            );
        }
    }
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

/// Sleeps so often that delays are counted, if any are.
fn sleep_often() {
    for _ in 0..50 {
        thread::sleep(Duration::from_millis(1));
    }
}

fn count(counter: &Counter<'_>) -> u64 {
    let totals = counter.totals().expect("it is read");
    totals.iter().flat_map(|(_, delays)| delays.counts).sum()
}

#[test]
fn what_was_counted_stays_while_nothing_is_counted() {
    let own = getpid().as_raw_nonzero().get();
    let mut storage = MaybeUninit::uninit();
    let mut counter = Counter::load(own, &mut storage).expect("it is loaded");
    sleep_often();
    assert_eq!(count(&counter), 0);
    let mut before = 0;
    for _ in 0..3 {
        counter.resume().expect("it is counted");
        sleep_often();
        counter.pause();
        // The kernel may still be at a switch.
        thread::sleep(Duration::from_millis(100));
        let after = count(&counter);
        assert!(after > before, "{before} and then {after}");
        sleep_often();
        assert_eq!(count(&counter), after, "nothing is counted");
        before = after;
    }
    let totals = counter.totals().expect("it is read");
    assert!(totals.iter().any(|(_, delays)| delays.sum > 0));
}
