// SPDX-License-Identifier: GPL-2.0

//! Tests of what a record comes to.

use super::*;
use crate::event::fixture::event;
use crate::event::fixture::thread;
use crate::event::fixture::SLEEPS;
use crate::event::fixture::SWITCH;
use crate::event::fixture::WAKEUP;
use crate::layout::LayoutError;

/// A trace of a flight recorder.
const TRACE: &[u8] = include_bytes!("../../../gotrace/fixtures/go1.26-flight.trace");

fn timeline(from: u64, to: u64) -> Timeline {
    let mut meta = Meta::new("6.12".to_owned(), "server".to_owned());
    (meta.from, meta.to) = (from, to);
    Timeline::of(Record {
        meta,
        events: Vec::new(),
        damaged: 0,
        go_trace: Some(TRACE.to_vec()),
    })
    .expect("a record")
}

/// Returns a record in which threads wait for one that has their CPU, for 30 days.
fn all_wait(threads: i32) -> Result<Timeline, TooMuchTime> {
    const DAYS: u64 = 30 * 24 * 3600 * 1_000_000_000;
    let mut meta = Meta::new("6.12".to_owned(), "server".to_owned());
    (meta.pid, meta.to) = (10, DAYS);
    let (nobody, hog) = (thread(0, 0), thread(7, 7));
    let wakeups = (0..threads).map(|tid| event(WAKEUP, 0, 0, [thread(10, 10 + tid), nobody], 0));
    let ends = event(SWITCH, DAYS, 0, [hog, nobody], SLEEPS);
    Timeline::of(Record {
        meta,
        events: wakeups.chain([ends]).collect(),
        damaged: 0,
        go_trace: None,
    })
}

#[test]
fn a_record_whose_times_cannot_be_added_up_is_refused() {
    assert!(all_wait(8000).is_err());
    let most = all_wait(7000).expect("less than 584 years");
    let waited = most.summary().antagonists[0].waited;
    assert_eq!(most.why(None).waited, waited);
    assert!(waited > u64::MAX / 10 * 9);
}

#[test]
fn goroutines_are_told_of_the_part_that_the_trace_is_of() {
    let traced = Goroutines::of(&Trace::parse(TRACE).expect("a trace")).traced;
    let duration = traced.end - traced.start;
    for (from, to, part) in [
        (traced.start - 1000, traced.end + 10, (1000, duration)),
        (traced.start + 7, traced.end - 1, (0, duration - 8)),
    ] {
        let summary = timeline(from, to).summary();
        let (after, duration) = part;
        assert_eq!(summary.traced, Some(Traced { after, duration }));
        for goroutine in &summary.goroutines {
            let waited: u64 = goroutine.waiting.values().sum();
            let all = goroutine.unknown + goroutine.without_p + goroutine.in_syscall + waited;
            let most = duration * goroutine.count as u64;
            assert!((1..=most).contains(&all), "{goroutine:?}");
        }
    }
}

#[test]
fn a_trace_is_missing_unless_the_program_is_not_gos() {
    for (why, advised) in [
        (None, true),
        (Some(LayoutError::NotGo), false),
        (Some(LayoutError::UnknownThreadPointer), true),
    ] {
        let mut meta = Meta::new("6.12".to_owned(), "server".to_owned());
        meta.no_go = why.map(|why| why.to_string());
        let timeline = Timeline::of(Record {
            meta,
            events: Vec::new(),
            damaged: 0,
            go_trace: None,
        })
        .expect("a record");
        let advises = |sentence: &String| sentence.contains("--go-trace");
        let missing = &timeline.missing;
        assert_eq!(missing.iter().any(advises), advised, "{missing:?}");
    }
}

#[test]
fn a_trace_of_another_time_tells_nothing() {
    let traced = Goroutines::of(&Trace::parse(TRACE).expect("a trace")).traced;
    for (from, to) in [(traced.end, traced.end + 10), (0, traced.start)] {
        let timeline = timeline(from, to);
        let summary = timeline.summary();
        assert!(timeline.goroutines.is_none() && summary.goroutines.is_empty());
        assert!(summary.traced.is_none() && summary.agreement.is_none());
        let said = |sentence: &String| sentence.contains("another time");
        assert!(summary.missing.iter().any(said), "{summary:?}");
    }
}
