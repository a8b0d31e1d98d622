// SPDX-License-Identifier: MIT OR GPL-2.0

//! The order of events of several threads, whatever their clocks say.

use go_sched_gotrace::Error;
use go_sched_gotrace::Event;
use go_sched_gotrace::EventKind;
use go_sched_gotrace::GoId;
use go_sched_gotrace::ProcTransition;
use go_sched_gotrace::Range;
use go_sched_gotrace::ThreadId;
use go_sched_gotrace::Trace;

use crate::build::event::*;
use crate::build::go;
use crate::build::proc;
use crate::build::Builder;
use crate::build::Made;
use crate::build::Thread;
use crate::build::STRING;

fn parse(builder: &Builder) -> Vec<Event> {
    let trace = Trace::parse(&builder.bytes).unwrap_or_else(|error| panic!("{error}"));
    trace.events
}

/// Returns the changes of states, in words.
fn changes(events: &[Event]) -> Vec<String> {
    let change = |event: &Event| match &event.kind {
        EventKind::Goroutine(change) => {
            Some(format!("G{} {} -> {}", change.id, change.from, change.to))
        }
        EventKind::Proc(change) => Some(format!("P{} {} -> {}", change.id, change.from, change.to)),
        _ => None,
    };
    events.iter().filter_map(change).collect()
}

/// Returns the last changes of states, in words.
fn last_changes(events: &[Event], count: usize) -> Vec<String> {
    let all = changes(events);
    all[all.len() - count..].to_vec()
}

#[test]
fn an_event_waits_for_its_cause_even_if_its_clock_is_behind() {
    // Thread 8 starts goroutine 5, which thread 7 unblocks later by its clock.
    let builder = Builder::new(26).generation(
        1,
        &[
            (
                7,
                100,
                &[
                    (PROC_STATUS, 0, &[0, proc::RUNNING]),
                    (GO_STATUS, 0, &[4, 7, go::RUNNING]),
                    (GO_STATUS, 0, &[5, u64::MAX, go::WAITING]),
                    (GO_UNBLOCK, 900, &[5, 1, 0]),
                ],
            ),
            (
                8,
                200,
                &[
                    (PROC_STATUS, 0, &[1, proc::RUNNING]),
                    (GO_START, 0, &[5, 2]),
                ],
            ),
        ],
    );
    let events = parse(&builder);
    assert_eq!(
        last_changes(&events, 2),
        ["G5 Waiting -> Runnable", "G5 Runnable -> Running"]
    );
    let [.., cause, effect] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((cause.time, effect.time), (1000 * 64, 1000 * 64 + 1));
    assert_eq!(cause.goroutine, Some(GoId(4)));
    assert_eq!(effect.thread, Some(ThreadId(8)));
}

#[test]
fn a_p_that_is_taken_tells_from_whom() {
    let builder = Builder::new(22).generation(
        1,
        &[
            (
                7,
                100,
                &[
                    (PROC_STATUS, 0, &[0, proc::RUNNING]),
                    (GO_STATUS, 0, &[4, 7, go::RUNNING]),
                    (GO_SYSCALL_BEGIN, 10, &[1, 0]),
                    (GO_SYSCALL_END_BLOCKED, 1, &[]),
                ],
            ),
            (
                8,
                200,
                &[(PROC_STEAL, 0, &[0, 2, 7]), (PROC_START, 1, &[0, 3])],
            ),
        ],
    );
    let events = parse(&builder);
    assert_eq!(
        last_changes(&events, 4),
        [
            "G4 Running -> Syscall",
            "P0 Running -> Idle",
            "G4 Syscall -> Runnable",
            "P0 Idle -> Running"
        ]
    );
    let stolen = events.iter().find_map(|event| match event.kind {
        EventKind::Proc(ProcTransition {
            stolen_from: Some(from),
            ..
        }) => Some((event.thread, from)),
        _ => None,
    });
    assert_eq!(stolen, Some((Some(ThreadId(8)), ThreadId(7))));
}

#[test]
fn a_p_whose_thread_is_lost_is_idle() {
    let builder = Builder::new(22).generation(
        1,
        &[(
            8,
            100,
            &[
                (PROC_STATUS, 0, &[0, proc::ABANDONED]),
                (PROC_STEAL, 0, &[0, 1, 7]),
                (PROC_START, 1, &[0, 2]),
            ],
        )],
    );
    assert_eq!(
        changes(&parse(&builder)),
        [
            "P0 Undetermined -> Idle",
            "P0 Idle -> Idle",
            "P0 Idle -> Running"
        ]
    );
}

#[test]
fn a_coroutine_is_woken_and_started_by_the_one_that_stops() {
    let builder = Builder::new(23).generation(
        1,
        &[(
            7,
            100,
            &[
                (PROC_STATUS, 0, &[0, proc::RUNNING]),
                (GO_STATUS, 0, &[4, 7, go::RUNNING]),
                (GO_STATUS, 0, &[5, u64::MAX, go::WAITING]),
                (GO_SWITCH, 1, &[5, 1]),
            ],
        )],
    );
    assert_eq!(
        last_changes(&parse(&builder), 3),
        [
            "G5 Waiting -> Runnable",
            "G4 Running -> Waiting",
            "G5 Runnable -> Running"
        ]
    );
}

#[test]
fn the_end_of_a_stop_has_the_reason_of_an_earlier_generation() {
    let status: [Made<'_>; 2] = [
        (PROC_STATUS, 0, &[0, proc::RUNNING]),
        (GO_STATUS, 0, &[4, 7, go::RUNNING]),
    ];
    let first = [&status[..], &[(STW_BEGIN, 1, &[1, 0])]].concat();
    let second = [&status[..], &[(STW_END, 1, &[])]].concat();
    let builder = Builder::new(26)
        .generation(1, &[(7, 100, &first)])
        .generation(2, &[(7, 200, &second)]);
    let events = parse(&builder);
    let expected = Range::StopTheWorld {
        goroutine: Some(GoId(4)),
        reason: Some(STRING.into()),
    };
    let last = &events[events.len() - 1].kind;
    assert!(
        matches!(last, EventKind::RangeEnd(range) if *range == expected),
        "{last:?}"
    );
    assert_eq!(
        changes(&events)[2..],
        ["P0 Running -> Running", "G4 Running -> Running"]
    );
}

#[test]
fn a_trace_in_no_order_is_broken() {
    let builder = Builder::new(26).generation(
        1,
        &[(
            7,
            100,
            &[
                (PROC_STATUS, 0, &[0, proc::RUNNING]),
                (GO_STATUS, 0, &[5, u64::MAX, go::RUNNABLE]),
                (GO_START, 1, &[5, 2]),
            ],
        )],
    );
    let error = Trace::parse(&builder.bytes).expect_err("sequence number 1 is missing");
    assert_eq!(
        error.to_string(),
        "the trace is broken in generation 1: none of the 1 events that are left can be the \
         next one: event 16 of thread 7 at 6464 ns"
    );
}

#[test]
fn an_event_in_a_state_that_it_cannot_have_is_named() {
    for (event, reason) in [
        (
            (GO_BLOCK, 1, &[0, 0][..]),
            "event 20 of a thread without a goroutine",
        ),
        (
            (PROC_STATUS, 1, &[0, proc::IDLE]),
            "P 0 is Idle, and was Running",
        ),
        ((PROC_STATUS, 1, &[1, 9]), "a P has the status 9"),
        ((GO_STATUS, 1, &[1, 7, 0]), "a goroutine has the status 0"),
        ((GO_UNBLOCK, 1, &[5, 1, 77]), "there is no stack 77"),
    ] {
        let builder = Builder::new(26).generation(
            1,
            &[(
                7,
                100,
                &[
                    (PROC_STATUS, 0, &[0, proc::RUNNING]),
                    (GO_STATUS, 0, &[5, u64::MAX, go::WAITING]),
                    event,
                ],
            )],
        );
        match Trace::parse(&builder.bytes) {
            Err(Error::Broken {
                generation: 1,
                reason: found,
            }) => assert_eq!(found, reason),
            other => panic!("{other:?}"),
        }
    }
}

/// Reading takes a time in proportion to the length, also where each thread waits for all
/// others.
#[test]
fn thousands_of_threads_that_wait_end_in_an_error() {
    let first: [Made<'_>; 2] = [
        (PROC_STATUS, 0, &[0, proc::RUNNING]),
        (GO_STATUS, 0, &[5, u64::MAX, go::WAITING]),
    ];
    let unblock: [Made<'_>; 1] = [(GO_UNBLOCK, 0, &[5, 1, 0])];
    let start: [Made<'_>; 1] = [(GO_START, 0, &[5, 9])];
    let mut threads: Vec<Thread<'_>> = vec![(1, 1, &first)];
    threads.extend((2..10_000).map(|thread| (thread, 2, &start[..])));
    threads.push((10_000, 3, &unblock));
    let builder = Builder::new(26).generation(1, &threads);
    assert!(matches!(
        Trace::parse(&builder.bytes),
        Err(Error::Broken { .. })
    ));
}
