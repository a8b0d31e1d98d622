// SPDX-License-Identifier: MIT OR GPL-2.0

//! Versions that are not known, older and newer.

use go_sched_gotrace::Error;
use go_sched_gotrace::Trace;

use crate::build::event::*;
use crate::build::go;
use crate::build::proc;
use crate::build::Builder;

#[test]
fn an_older_format_is_refused_by_name() {
    let error = Trace::parse(b"go 1.21 trace\0\0\0 and so on").expect_err("an older format");
    assert!(matches!(error, Error::Old { minor: 21 }));
    assert_eq!(
        error.to_string(),
        "the trace has the format of Go 1.21: those of Go 1.22 to 1.27 are read"
    );
}

#[test]
fn a_newer_version_is_read_if_it_has_no_new_events() {
    let builder = Builder::new(31).generation(
        1,
        &[(
            7,
            100,
            &[
                (PROC_STATUS, 0, &[0, proc::RUNNING]),
                (GO_STATUS, 0, &[4, 7, go::RUNNING]),
            ],
        )],
    );
    let trace = Trace::parse(&builder.bytes).expect("all events are known");
    assert_eq!(trace.minor_version, 31);
    assert_eq!(trace.events.len(), 3);
}

#[test]
fn a_new_event_is_named() {
    let builder = Builder::new(31).generation(1, &[(7, 100, &[(53, 0, &[])])]);
    let error = Trace::parse(&builder.bytes).expect_err("event 53 is not known");
    assert!(matches!(
        error,
        Error::UnknownEvent {
            event: 53,
            minor: 31
        }
    ));
    assert!(
        error
            .to_string()
            .contains("format of Go 1.31, has an event 53"),
        "{error}"
    );
}
