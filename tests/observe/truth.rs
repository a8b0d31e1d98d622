// SPDX-License-Identifier: GPL-2.0

//! The goroutine and the P that are read at the kernel's switch are those that the thread has.

use std::collections::HashMap;
use std::fs;

use go_sched_gotrace::Trace;
use go_sched_observe_tests::MARKED;
use go_sched_observe_tests::TRACED;
use gosched_observe::agreement::Agreement;
use gosched_observe::directory::Meta;
use gosched_observe::directory::Record;
use gosched_observe::event::EventKind;
use gosched_observe::summary::Timeline;

use crate::recorded::attach;
use crate::recorded::install;
use crate::recorded::run;
use crate::recorded::Recorded;

/// The number of nanosleep(2) on this architecture.
pub(crate) const NANOSLEEP: i32 = 35;

#[test]
fn goroutines_and_ps_are_those_of_the_runtimes_own_trace() {
    // Go before 1.22 writes no trace that is read.
    assert!(!TRACED.is_empty(), "no newer Go: use make test-bpf");
    for program in TRACED {
        let folder = tempfile::tempdir().expect("a folder");
        let path = install(&folder, program.executable);
        let trace = folder.path().join("trace");
        let recorded = run(
            &path,
            &["-o", trace.to_str().expect("UTF-8"), "-rounds", "5"],
        );
        assert!(recorded.succeeded, "{program:?}");
        assert_eq!(recorded.outcome.lost, 0);
        let trace = Trace::parse(&fs::read(trace).expect("the trace")).expect("a trace");
        let agreement = Agreement::of(&recorded.events, recorded.outcome.target, &trace);
        eprintln!("{}: {agreement:?}", program.name);
        let Agreement {
            switches,
            equal,
            between,
        } = agreement;
        assert!(switches >= 100, "{}: {agreement:?}", program.name);
        // How often a thread is switched away between an event and what that is about, is up to
        // the emulator and its load.
        let agree = (equal + between) * 100 >= switches * 99 && equal * 100 >= switches * 90;
        assert!(agree, "{}: {agreement:?}", program.name);
    }
}

#[test]
fn goroutines_are_told_of_the_seconds_that_a_flight_recorder_has_kept() {
    let mut tried = 0;
    for program in TRACED
        .iter()
        .filter(|program| program.has_flight_recorder())
    {
        let folder = tempfile::tempdir().expect("a folder");
        let path = install(&folder, program.executable);
        let trace = folder.path().join("trace");
        // A generation of a trace takes a second, and the recorder keeps one or two.
        let work = ["-flight", "-rounds", "20", "-pause", "200ms", "-small"];
        let to = ["-o", trace.to_str().expect("UTF-8")];
        let recorded = run(&path, &[&work[..], &to].concat());
        assert!(recorded.succeeded, "{program:?}");
        let mut meta = Meta::new(String::new(), String::new());
        meta.pid = recorded.outcome.target;
        let times = recorded.events.iter().map(|event| event.time);
        meta.from = times.clone().min().expect("events");
        meta.to = times.max().expect("events");
        let summary = Timeline::of(Record {
            meta,
            events: recorded.events,
            damaged: 0,
            go_trace: Some(fs::read(trace).expect("the trace")),
        })
        .expect("a record")
        .summary();
        let part = summary.traced.expect("it is of the record's time");
        eprintln!("{}: {part:?} of {}", program.name, summary.duration);
        assert!(part.after > 0 && part.after + part.duration <= summary.duration);
        let main = summary
            .goroutines
            .iter()
            .find(|goroutine| {
                goroutine.function == "runtime.main" || goroutine.function == "main.main"
            })
            .unwrap_or_else(|| panic!("{}: {summary:?}", program.name));
        let all = main.on_cpu
            + main.without_p
            + main.without_cpu
            + main.throttled
            + main.thread_asleep
            + main.unknown
            + main.in_syscall
            + main.waiting.values().sum::<u64>();
        assert_eq!((main.count, all), (1, part.duration), "{main:?}");
        tried += 1;
    }
    assert!(tried > 0, "no newer Go: use make test-bpf");
}

/// Returns the goroutine of each thread that a program says.
pub(crate) fn marks(lines: impl Iterator<Item = impl AsRef<str>>) -> HashMap<i32, u64> {
    let marks: HashMap<i32, u64> = lines
        .map(|line| {
            let (tid, goroutine) = line.as_ref().split_once(' ').expect("two numbers");
            (
                tid.parse().expect("a number"),
                goroutine.parse().expect("a number"),
            )
        })
        .collect();
    assert_eq!(marks.len(), 4, "{marks:?}");
    marks
}

/// Asserts that each thread sleeps with the goroutine that the program says of it.
fn assert_marks(recorded: &Recorded, name: &str) {
    assert!(recorded.succeeded, "{name}");
    let marks = marks(recorded.output.lines());
    let mut sleeps = 0;
    for event in &recorded.events {
        if event.kind() != EventKind::Switch || event.syscall != NANOSLEEP {
            continue;
        }
        let Some(goroutine) = marks.get(&event.thread.tid) else {
            continue;
        };
        // The runtime's scheduler sleeps in the same system call, between two goroutines.
        if event.goroutine.scheduling != 0 {
            continue;
        }
        sleeps += 1;
        assert_eq!(event.goroutine.known, 1, "{name}: {event:?}");
        assert_eq!(event.goroutine.id, *goroutine, "{name}: {event:?}");
    }
    eprintln!("{name}: {sleeps} sleeps");
    // Four goroutines sleep 50 times.
    assert!(sleeps >= 150, "{name}: {sleeps} sleeps");
}

#[test]
fn goroutines_are_those_that_a_program_says() {
    for program in MARKED {
        let folder = tempfile::tempdir().expect("a folder");
        let path = install(&folder, program.executable);
        assert_marks(&run(&path, &[]), program.name);
    }
}

#[test]
fn a_program_that_runs_already_is_recorded_with_its_goroutines() {
    for program in MARKED {
        let folder = tempfile::tempdir().expect("a folder");
        let path = install(&folder, program.executable);
        assert_marks(&attach(&path, &["-wait"]), program.name);
    }
}
