// SPDX-License-Identifier: GPL-2.0

//! The example in the library's documentation does what its comments say.

use common::trace::Trace;
use common::worker::Worker;
use gosched::trace::EventKind;

#[path = "../../tools/gosched/examples/hint.rs"]
mod source;

#[test]
fn the_example_of_the_library_lowers_and_restores_a_thread() {
    let worker = Worker::spawn();
    let trace = Trace::start();
    worker.run(|| source::main().expect("the example runs"));
    let changes = trace.events_of(worker.tid()).into_iter();
    let changes: Vec<_> = changes
        .map(|event| match event {
            EventKind::Apply {
                old_priority,
                new_priority,
                cause,
                ..
            } => (old_priority, new_priority, cause),
            other => panic!("not by a hint: {other:?}"),
        })
        .collect();
    let hint = || "hint".to_owned();
    assert_eq!(changes, [(None, Some(0), hint()), (Some(0), None, hint())]);
}
