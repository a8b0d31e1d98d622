// SPDX-License-Identifier: MIT OR GPL-2.0

//! Traces whose end is missing: what is whole is read, and the rest is told.

use go_sched_gotrace::Error;
use go_sched_gotrace::EventKind;
use go_sched_gotrace::Reader;
use go_sched_gotrace::Trace;

use crate::build::event::*;
use crate::build::proc;
use crate::build::Builder;
use crate::build::Made;
use crate::fixture::read;
use crate::fixture::FIXTURES;

/// A prime number, so that each kind of offset comes up.
const STEP: usize = 31;

#[test]
fn what_is_whole_of_a_cut_trace_is_read() {
    for fixture in &FIXTURES {
        let whole = read(fixture).events;
        let begins = |index: &usize| matches!(whole[*index].kind, EventKind::Generation { .. });
        let mut possible: Vec<_> = (0..whole.len()).filter(begins).collect();
        possible.push(whole.len());
        let mut most = 0;
        for end in (17..fixture.bytes.len()).step_by(STEP) {
            let cut = Trace::parse(&fixture.bytes[..end])
                .unwrap_or_else(|error| panic!("{} to {end}: {error}", fixture.name));
            let count = cut.events.len();
            assert!(
                possible.contains(&count),
                "{} to {end}: {count}",
                fixture.name
            );
            assert!(count >= most && count < whole.len());
            let is_new = count > most;
            most = count;
            let last = |events: &[go_sched_gotrace::Event]| events.last().map(|event| event.time);
            assert_eq!(last(&cut.events), last(&whole[..count]));
            match cut.truncated {
                Some(bytes) => assert!(bytes > 0 && bytes <= end as u64 - 16),
                // Exactly the end of a generation.
                None => assert!(is_new, "{} to {end}", fixture.name),
            }
        }
    }
}

fn two_generations(minor: u32) -> (usize, usize, Vec<u8>) {
    let thread: [Made<'_>; 1] = [(PROC_STATUS, 0, &[0, proc::IDLE])];
    let one = Builder::new(minor).generation(1, &[(7, 100, &thread)]);
    let first = one.bytes.len();
    let two = one.generation(2, &[(7, 200, &thread)]);
    (first, two.bytes.len(), two.bytes)
}

#[test]
fn the_bytes_that_were_not_read_are_counted() {
    for minor in [22, 26] {
        let (first, end, bytes) = two_generations(minor);
        let truncated = |end: usize| {
            let trace = Trace::parse(&bytes[..end]).unwrap_or_else(|error| panic!("{error}"));
            (trace.events.len(), trace.truncated)
        };
        assert_eq!(truncated(end), (4, None), "{minor}");
        assert_eq!(
            truncated(end - 1),
            (2, Some((end - 1 - first) as u64)),
            "{minor}"
        );
        assert_eq!(truncated(first), (2, None), "{minor}");
        assert_eq!(
            truncated(first - 2),
            (0, Some((first - 2 - 16) as u64)),
            "{minor}"
        );
        assert_eq!(truncated(16), (0, None), "{minor}");
    }
}

#[test]
fn a_generation_without_its_strings_is_cut_off_before_go_1_26() {
    let mut builder = Builder::new(22).generation(1, &[]);
    let first = builder.bytes.len();
    builder.batch(2, 7, 200, &[PROC_STATUS, 0, 0, 2]);
    let trace = Trace::parse(&builder.bytes).expect("the first one is whole");
    assert_eq!(trace.events.len(), 1);
    assert_eq!(trace.truncated, Some((builder.bytes.len() - first) as u64));
}

#[test]
fn an_empty_trace_says_so() {
    assert!(matches!(Trace::parse(b""), Err(Error::Empty)));
}

#[test]
fn what_follows_a_trace_does_not_lose_it() {
    for minor in [22, 26] {
        let (_, _, mut bytes) = two_generations(minor);
        bytes.extend(b"no batch");
        let mut reader = Reader::new(&bytes[..]).expect("a header");
        for _ in 0..4 {
            assert!(
                reader.next_event().is_ok_and(|event| event.is_some()),
                "{minor}"
            );
        }
        assert!(
            matches!(reader.next_event(), Err(Error::Broken { .. })),
            "{minor}"
        );
        assert!(reader.next().is_none(), "{minor}");
    }
}
