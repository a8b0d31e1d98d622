// SPDX-License-Identifier: GPL-2.0

//! What is no Go program, or changes while it is recorded, is recorded all the same.

use std::path::Path;

use gosched_observe::event::EventKind;
use gosched_observe::layout::LayoutError;
use gosched_observe::threads::Threads;

use crate::recorded::run;

#[test]
fn a_program_that_is_not_gos_is_recorded_without_goroutines() {
    let recorded = run(Path::new("/bin/sh"), &["-c", "sleep 0.1; exit 0"]);
    assert!(recorded.succeeded);
    assert!(
        matches!(recorded.programs.last(), Some(Err(LayoutError::NotGo))),
        "{:?}",
        recorded.programs
    );
    let target = recorded.outcome.target;
    assert!(recorded
        .events
        .iter()
        .all(|event| event.goroutine.known == 0));
    let end = recorded.events.last().expect("events").time;
    let threads = Threads::of(&recorded.events, target, end);
    assert!(threads.histories.contains_key(&target), "{threads:?}");
}

#[test]
fn a_program_that_executes_another_one_is_recorded_to_its_end() {
    let recorded = run(Path::new("/bin/sh"), &["-c", "exec sleep 0.1"]);
    assert!(recorded.succeeded);
    let executes = |event: &&gosched_observe::event::Event| event.kind() == EventKind::Exec;
    assert_eq!(recorded.events.iter().filter(executes).count(), 2);
    let target = recorded.outcome.target;
    let ends = recorded
        .events
        .iter()
        .any(|event| event.kind() == EventKind::Exit && event.thread.tid == target);
    assert!(ends);
}
