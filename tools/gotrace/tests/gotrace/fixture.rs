// SPDX-License-Identifier: MIT OR GPL-2.0

//! Traces of Go programs: of `go/internal/traced`, made by `fixtures/regenerate`.

use std::collections::HashMap;
use std::collections::HashSet;

use go_sched_gotrace::Event;
use go_sched_gotrace::EventKind;
use go_sched_gotrace::GoState;
use go_sched_gotrace::ProcState;
use go_sched_gotrace::Range;
use go_sched_gotrace::Trace;

/// A trace, its name, and the version in its header.
pub(crate) struct Fixture {
    pub(crate) name: &'static str,
    pub(crate) bytes: &'static [u8],
    pub(crate) minor: u32,
}

macro_rules! fixture {
    ($name:literal, $minor:literal) => {
        Fixture {
            name: $name,
            bytes: include_bytes!(concat!("../../fixtures/", $name, ".trace")),
            minor: $minor,
        }
    };
}

pub(crate) const FIXTURES: [Fixture; 6] = [
    fixture!("go1.22", 22),
    fixture!("go1.23", 23),
    fixture!("go1.25", 25),
    fixture!("go1.26", 26),
    fixture!("go1.25-flight", 25),
    fixture!("go1.26-flight", 26),
];

pub(crate) fn read(fixture: &Fixture) -> Trace {
    Trace::parse(fixture.bytes).unwrap_or_else(|error| panic!("{}: {error}", fixture.name))
}

/// Returns the fixtures that are no flight recorder's.
fn from_the_start() -> impl Iterator<Item = &'static Fixture> {
    FIXTURES
        .iter()
        .filter(|fixture| !fixture.name.contains("flight"))
}

fn has(trace: &Trace, test: impl Fn(&Event) -> bool) -> bool {
    trace.events.iter().any(test)
}

#[test]
fn all_are_whole() {
    for fixture in &FIXTURES {
        let trace = read(fixture);
        assert_eq!(trace.minor_version, fixture.minor, "{}", fixture.name);
        assert_eq!(trace.truncated, None, "{}", fixture.name);
    }
}

#[test]
fn times_never_go_back() {
    for fixture in &FIXTURES {
        let trace = read(fixture);
        assert!(
            trace.events.is_sorted_by(|a, b| a.time < b.time),
            "{}",
            fixture.name
        );
    }
}

#[test]
fn generations_are_told_with_their_clocks() {
    for fixture in from_the_start() {
        let trace = read(fixture);
        let mut numbers = Vec::new();
        for event in &trace.events {
            let EventKind::Generation { number, clock } = event.kind else {
                continue;
            };
            numbers.push(number);
            assert_eq!(clock.is_some(), fixture.minor >= 25, "{}", fixture.name);
            if let Some(clock) = clock {
                let apart = clock.trace.abs_diff(clock.monotonic);
                assert!(apart < 1_000_000_000, "{}: {apart} ns", fixture.name);
                assert!(
                    clock.wall_seconds > 1_700_000_000 && clock.wall_nanoseconds < 1_000_000_000
                );
            }
        }
        assert_eq!(numbers, [1, 2, 3], "{}", fixture.name);
    }
}

#[test]
fn states_follow_each_other() {
    for fixture in &FIXTURES {
        let trace = read(fixture);
        let (mut goroutines, mut procs) = (HashMap::new(), HashMap::new());
        for event in &trace.events {
            match &event.kind {
                EventKind::Goroutine(change) => {
                    let before = goroutines.insert(change.id, change.to);
                    let first = [GoState::Undetermined, GoState::NotExist];
                    match before {
                        Some(before) => assert_eq!(change.from, before, "{event:?}"),
                        None => assert!(first.contains(&change.from), "{event:?}"),
                    }
                }
                EventKind::Proc(change) => {
                    let before = procs.insert(change.id, change.to);
                    let first = [ProcState::Undetermined, ProcState::NotExist];
                    match before {
                        Some(before) => assert_eq!(change.from, before, "{event:?}"),
                        None => assert!(first.contains(&change.from), "{event:?}"),
                    }
                }
                _ => (),
            }
        }
    }
}

#[test]
fn a_thread_runs_what_it_was_given() {
    for fixture in &FIXTURES {
        let mut runs = HashMap::new();
        for event in &read(fixture).events {
            let EventKind::Goroutine(change) = &event.kind else {
                continue;
            };
            let Some(thread) = event.thread else {
                continue;
            };
            if change.from == GoState::Runnable && change.to == GoState::Running {
                assert_eq!(event.goroutine, None, "{event:?}");
                runs.insert(thread, change.id);
            } else if change.from == GoState::Running && change.from != change.to {
                let expected = *runs.entry(thread).or_insert(change.id);
                assert_eq!(expected, change.id, "{event:?}");
                assert_eq!(event.goroutine, Some(change.id), "{event:?}");
            }
        }
    }
}

#[test]
fn a_new_goroutine_has_the_name_of_its_function() {
    for fixture in &FIXTURES {
        let trace = read(fixture);
        let new: HashSet<_> = trace
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Goroutine(change) if change.from == GoState::NotExist => {
                    change.first_function()
                }
                _ => None,
            })
            .collect();
        assert!(new.contains("main.send"), "{}: {new:?}", fixture.name);
    }
}

#[test]
fn the_main_goroutine_is_told_with_its_function() {
    for fixture in from_the_start() {
        assert!(
            has(&read(fixture), |event| match &event.kind {
                EventKind::Goroutine(change) => change.first_function() == Some("main.main"),
                _ => false,
            }),
            "{}",
            fixture.name
        );
    }
}

#[test]
fn who_wakes_a_goroutine_is_told() {
    for fixture in &FIXTURES {
        let trace = read(fixture);
        let senders: HashSet<_> = trace
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Goroutine(change)
                    if change.from == GoState::NotExist
                        && change.first_function() == Some("main.send") =>
                {
                    Some(change.id)
                }
                _ => None,
            })
            .collect();
        assert!(
            has(&trace, |event| match &event.kind {
                EventKind::Goroutine(change) =>
                    change.to == GoState::Runnable
                        && change.from == GoState::Waiting
                        && event.thread.is_some()
                        && event.proc.is_some()
                        && event
                            .goroutine
                            .is_some_and(|waker| senders.contains(&waker)),
                _ => false,
            }),
            "{}",
            fixture.name
        );
    }
}

#[test]
fn reasons_and_ranges_are_told_by_name() {
    for fixture in from_the_start() {
        let trace = read(fixture);
        let reason = |name: &str| {
            has(&trace, |event| match &event.kind {
                EventKind::Goroutine(change) => change.reason.as_deref() == Some(name),
                _ => false,
            })
        };
        assert!(reason("chan receive"), "{}", fixture.name);
        assert!(reason("sleep"), "{}", fixture.name);
        let stopped = |wanted_end: bool| {
            has(&trace, |event| match (&event.kind, wanted_end) {
                (EventKind::RangeBegin(range), false) | (EventKind::RangeEnd(range), true) => {
                    matches!(range, Range::StopTheWorld { reason: Some(reason), .. }
                        if &**reason == "GOMAXPROCS")
                }
                _ => false,
            })
        };
        assert!(stopped(false) && stopped(true), "{}", fixture.name);
        assert!(
            has(&trace, |event| matches!(
                event.kind,
                EventKind::RangeBegin(Range::Mark)
            )) && has(&trace, |event| matches!(
                event.kind,
                EventKind::RangeEnd(Range::Mark)
            )),
            "{}",
            fixture.name
        );
    }
}

#[test]
fn what_the_program_tells_is_told() {
    for fixture in from_the_start() {
        let trace = read(fixture);
        let name = fixture.name;
        let is = |text: &Option<_>, wanted: &str| {
            text.as_deref().is_some_and(|text: &str| text == wanted)
        };
        assert!(
            has(
                &trace,
                |event| matches!(&event.kind, EventKind::TaskBegin { name, .. } if is(name, "a task"))
            ),
            "{name}"
        );
        assert!(
            has(
                &trace,
                |event| matches!(&event.kind, EventKind::RegionEnd { name, .. } if is(name, "a region"))
            ),
            "{name}"
        );
        assert!(
            has(
                &trace,
                |event| matches!(&event.kind, EventKind::Log { category, message, .. }
                if is(category, "a category") && is(message, "a message"))
            ),
            "{name}"
        );
        assert!(
            has(&trace, |event| matches!(event.kind, EventKind::Procs(4))),
            "{name}"
        );
    }
}
