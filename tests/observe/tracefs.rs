// SPDX-License-Identifier: GPL-2.0

//! What tracefs tells of a program is what BPF programs tell, and it tells that without them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::trace::mount_tracefs;
use go_sched_observe_tests::MARKED;
use gosched::Device;
use gosched_observe::event::Event;
use gosched_observe::event::EventKind;
use gosched_observe::layout::GoProgram;
use gosched_observe::layout::LayoutError;
use gosched_observe::record::record;
use gosched_observe::record::Backend;
use gosched_observe::record::Control;
use gosched_observe::record::Outcome;
use gosched_observe::record::Target;

use crate::delays::prioritise;
use crate::recorded::install;
use crate::recorded::LONGEST;

/// Events of one kind that only one of both may have seen: they start one after the other.
const FEW: usize = 20;

/// Where the kernel's types are, without which no BPF program is loaded.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// A program whose standard input ends when all of its recorders have started.
struct Program {
    child: Mutex<Child>,
    to_start: AtomicUsize,
    began: Instant,
}

impl Program {
    fn start(command: &mut Command, recorders: usize) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        Self {
            child: Mutex::new(command.spawn().expect("it can be run")),
            to_start: AtomicUsize::new(recorders),
            began: Instant::now(),
        }
    }

    fn pid(&self) -> i32 {
        let child = self.child.lock().expect("no panic");
        i32::try_from(child.id()).expect("a pid")
    }

    fn record(&self, backend: Option<Backend>) -> (Vec<Event>, Outcome) {
        let mut recorder = Recorder {
            program: self,
            events: Vec::new(),
        };
        let target = Target::Process(self.pid());
        let outcome = record(&target, backend, &mut recorder).expect("it is recorded");
        let pid = self.pid();
        recorder.events.retain(|event| event.thread.tgid == pid);
        (recorder.events, outcome)
    }
}

struct Recorder<'a> {
    program: &'a Program,
    events: Vec<Event>,
}

impl Control for Recorder<'_> {
    fn start(&mut self) -> io::Result<()> {
        self.program.to_start.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    fn take(&mut self, event: &Event, _bytes: &[u8]) -> io::Result<bool> {
        self.events.push(*event);
        Ok(true)
    }

    fn program(&mut self, _program: Result<GoProgram, LayoutError>) {}

    fn pause(&mut self, pause: Duration) -> io::Result<bool> {
        thread::sleep(pause);
        assert!(self.program.began.elapsed() < LONGEST, "it has not ended");
        let mut child = self.program.child.lock().expect("no panic");
        if self.program.to_start.load(Ordering::Relaxed) == 0 {
            drop(child.stdin.take());
        }
        Ok(child.try_wait()?.is_some())
    }
}

/// Counts events by what makes them the same.
fn count<K: Ord>(events: &[Event], of: impl Fn(&Event) -> Option<K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for key in events.iter().filter_map(of) {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[track_caller]
fn assert_alike<K: Ord + std::fmt::Debug>(sides: [&[Event]; 2], of: impl Fn(&Event) -> Option<K>) {
    let [bpf, tracefs] = sides.map(|events| count(events, &of));
    for key in bpf.keys().chain(tracefs.keys()) {
        let [told, expected] = [&tracefs, &bpf].map(|counts| counts.get(key).copied().unwrap_or(0));
        let differ = told.abs_diff(expected);
        assert!(
            differ <= FEW + expected / 20,
            "{key:?}: {tracefs:?}, {bpf:?}"
        );
    }
}

#[test]
fn tracefs_tells_the_switches_and_wakers_that_bpf_programs_tell() {
    if !Path::new(BTF).exists() {
        eprintln!("SKIPPED: this kernel has no BTF");
        return;
    }
    mount_tracefs();
    let marked = MARKED.last().expect("a program");
    let folder = tempfile::tempdir().expect("a folder");
    let path = install(&folder, marked.executable);
    let program = Program::start(Command::new(path).arg("-wait"), 2);
    let [bpf, tracefs] = thread::scope(|scope| {
        let start = |backend| {
            let program = &program;
            scope.spawn(move || program.record(Some(backend)))
        };
        let both = [Backend::Bpf, Backend::Tracefs].map(start);
        both.map(|side| side.join().expect("it is recorded"))
    });
    assert_eq!([bpf.1.lost, tracefs.1.lost], [0, 0]);
    assert!(bpf.1.tracefs.is_none() && tracefs.1.tracefs.is_some());
    // The program does not sleep all of the time in which only one of both records.
    let start = |events: &[Event]| events.iter().map(|event| event.time).min();
    let both_record = start(&bpf.0).max(start(&tracefs.0)).expect("events");
    let [bpf_events, tracefs_events] = [&bpf.0, &tracefs.0].map(|events| -> Vec<Event> {
        let common = events.iter().filter(|event| event.time >= both_record);
        common.copied().collect()
    });
    let sides = [&bpf_events[..], &tracefs_events];
    eprintln!("{} events, and {} by tracefs", bpf.0.len(), tracefs.0.len());
    assert!(bpf.0.len() >= 10 * FEW, "{}", bpf.0.len());
    assert_alike(sides, |event| {
        let asleep = event.state & 3 != 0;
        Some((event.thread.tid, event.kind() as u8, asleep))
    });
    let pid = program.pid();
    let [by_bpf, by_tracefs] = sides.map(|events| {
        count(events, |event| {
            let own = event.kind() == EventKind::Wakeup && event.other.tgid == pid;
            own.then_some((event.other.tid, event.thread.tid))
        })
    });
    // BPF programs put down to a thread what an interrupt does during its system call, too.
    for (wakeup, times) in &by_tracefs {
        let expected = by_bpf.get(wakeup).copied().unwrap_or(0);
        assert!(
            *times <= expected + FEW + expected / 20,
            "{wakeup:?}: {by_tracefs:?}, {by_bpf:?}"
        );
    }
    let [all, named] = [&by_bpf, &by_tracefs].map(|counts| counts.values().sum::<usize>());
    assert!(named * 2 >= all, "{by_tracefs:?}, {by_bpf:?}");
    for events in sides {
        assert!(events.iter().any(|event| event.kind() == EventKind::Exit));
    }
}

#[test]
fn tracefs_takes_the_place_of_bpf_programs_where_there_is_no_btf() {
    mount_tracefs();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "read -r line; i=0; while [ $i -lt 20 ]; do sleep 0.01; i=$((i+1)); done",
    ]);
    let program = Program::start(&mut command, 1);
    prioritise(program.pid());
    let (events, outcome) = program.record(None);
    assert_eq!(outcome.lost, 0);
    assert_eq!(outcome.tracefs.is_none(), Path::new(BTF).exists());
    if let Some(fallback) = outcome.tracefs {
        assert!(fallback.why.contains("BTF"), "{}", fallback.why);
        assert!(fallback.not_removed.is_none());
    }
    let wakeups = events
        .iter()
        .filter(|event| event.kind() == EventKind::Wakeup);
    assert!(wakeups.count() >= 20);
    // It has had the priority since before.
    if Path::new(Device::PATH).exists() {
        let priorities: Vec<i8> = events.iter().map(|event| event.thread.go_prio).collect();
        assert!(priorities.contains(&40), "{priorities:?}");
    }
}
