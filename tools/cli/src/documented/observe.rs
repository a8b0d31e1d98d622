// SPDX-License-Identifier: GPL-2.0

//! Messages of the verbs of the feature `observe`.

use std::io;

use go_sched_tracefs::TracefsError;
use go_sched_tracefs::TRACEFS;
use gosched::error::OpenError;
use gosched_observe::directory::DirectoryError;
use gosched_observe::lag::LagError;
use gosched_observe::latencies::LatenciesError;
use gosched_observe::latencies::Unreadable;
use gosched_observe::record::RecordError;
use gosched_observe::summary::TooMuchTime;
use strum::EnumCount;

use super::check_explained;
use super::check_printed;
use crate::args::ArgumentError;
use crate::args::Exporter;
use crate::args::Listen;
use crate::error::ObserveError;

/// Kind of a block with these messages.
const MESSAGE: &str = "message observe";

/// Returns whether a message is explained. What is not is text of the kernel or of libbpf; a new
/// kind of error does not compile before it is here.
fn is_own(error: &ObserveError) -> bool {
    let of_tracefs = |error: &TracefsError| match error {
        TracefsError::NoTracefs(_) | TracefsError::NotPermitted | TracefsError::NoTracepoint(_) => {
            true
        }
        TracefsError::Os { .. } => false,
    };
    let of_record = |error: &RecordError| match error {
        RecordError::NoBtf | RecordError::NotPermitted | RecordError::Neither { .. } => true,
        RecordError::Tracefs(error) => of_tracefs(error),
        RecordError::Load(_) | RecordError::Read(_) | RecordError::Os(_) => false,
    };
    match error {
        ObserveError::Record(error) | ObserveError::Lag(LagError::Load(error)) => of_record(error),
        ObserveError::Lag(error) => match error {
            LagError::NoEevdf | LagError::NoGroups | LagError::Unknown => true,
            LagError::Load(_) | LagError::Read(_) => false,
        },
        ObserveError::Directory(error) => match error {
            DirectoryError::NoRecord { .. }
            | DirectoryError::NotInPlace { .. }
            | DirectoryError::Version(_)
            | DirectoryError::Endian(_) => true,
            DirectoryError::Os { .. } => false,
        },
        ObserveError::Latencies { error, .. } => match error {
            LatenciesError::Format(_)
            | LatenciesError::Empty { .. }
            | LatenciesError::NoRealtime
            | LatenciesError::Outside { .. }
            | LatenciesError::TooMany => true,
            LatenciesError::Os(_) => false,
        },
        _ => true,
    }
}

/// Returns a message of each kind whose text is not the kernel's.
fn messages() -> Vec<String> {
    let missing = || io::Error::from_raw_os_error(libc::ENOENT);
    let full = || io::Error::from_raw_os_error(libc::ENOSPC);
    let url = || "http://localhost:6060".to_owned();
    let socket = Listen::Path("/run/gosched.sock".into());

    let mut errors = vec![
        ObserveError::PidNamespace,
        ObserveError::Unfinished("gosched-record.1234.unfinished".into()),
        ObserveError::NotRecorded(1234),
        ObserveError::NoGoTrace,
        ObserveError::Timeline(TooMuchTime),
        ObserveError::Process(1234, missing()),
        ObserveError::OtherPidNamespace(1234),
        ObserveError::Listen(socket, io::Error::from_raw_os_error(libc::EADDRINUSE)),
        ObserveError::TooManyProcesses(Exporter::MOST),
        ObserveError::NoPriorities(Box::new(OpenError::NotLoaded.into())),
        ObserveError::NotTaken(io::Error::from_raw_os_error(libc::EMFILE)),
        ObserveError::Temporary(full()),
        ObserveError::Unwritten(full()),
        ObserveError::GoTrace("trace.out".into(), missing()),
        ObserveError::GoTraceUrl,
        ObserveError::GoTraceNotFetched(url(), "it answers 404 Not Found".to_owned()),
        ObserveError::GoTraceCutOff(url(), "timeout: global".to_owned()),
    ];
    // Those of four other types, of which one of each kind is below.
    assert_eq!(errors.len() + 4, ObserveError::COUNT, "one of each kind");
    errors.extend([RecordError::NoBtf, RecordError::NotPermitted].map(ObserveError::from));
    let tracefs = || {
        [
            TracefsError::NoTracefs(TRACEFS),
            TracefsError::NotPermitted,
            TracefsError::NoTracepoint("sched/sched_switch"),
        ]
    };
    errors.extend(tracefs().map(RecordError::from).map(ObserveError::from));
    errors.extend(tracefs().map(|tracefs| {
        let bpf = Box::new(RecordError::NoBtf);
        ObserveError::from(RecordError::Neither { bpf, tracefs })
    }));
    errors
        .extend([LagError::NoEevdf, LagError::NoGroups, LagError::Unknown].map(ObserveError::from));
    let folder = || "gosched-record".into();
    errors.extend(
        [
            DirectoryError::NoRecord {
                path: folder(),
                why: "it does not exist; record first".to_owned(),
            },
            DirectoryError::NotInPlace {
                unfinished: "gosched-record.1234.unfinished".into(),
                path: folder(),
                error: io::Error::from_raw_os_error(libc::EBUSY),
            },
            DirectoryError::Version(folder()),
            DirectoryError::Endian(folder()),
        ]
        .map(ObserveError::from),
    );
    errors.extend(
        [
            LatenciesError::Format(String::new()),
            LatenciesError::Empty { first: None },
            LatenciesError::Empty {
                first: Some(Unreadable {
                    line: 2,
                    why: "a reason".to_owned(),
                }),
            },
            LatenciesError::NoRealtime,
            LatenciesError::Outside {
                count: 120,
                from: 3600.0,
                to: 3604.0,
                end: 4.1,
            },
            LatenciesError::TooMany,
        ]
        .map(|error| ObserveError::Latencies {
            path: "latencies.csv".into(),
            error,
        }),
    );
    assert!(errors.iter().all(is_own));
    let arguments = [
        ArgumentError::NotAPercentage("100".to_owned()),
        ArgumentError::NotMs("5ms".to_owned()),
        ArgumentError::NotAPlace("19273".to_owned()),
        ArgumentError::NotLoopback(([0, 0, 0, 0], 19273).into()),
    ];
    let arguments = arguments.iter().map(ArgumentError::to_string);
    let errors = errors.iter().map(ObserveError::to_string);
    errors.chain(arguments).collect()
}

#[test]
fn the_guide_explains_each_message() {
    check_explained(&messages(), &[MESSAGE]);
}

#[test]
fn the_guide_explains_no_message_that_is_never_printed() {
    check_printed(&messages(), MESSAGE);
}
