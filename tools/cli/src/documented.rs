// SPDX-License-Identifier: GPL-2.0

//! Test of the guide, docs/: it explains each message of the command, and no other.
//!
//! The guest runs the commands of the guide, and compares what they print. Here are also
//! the messages that no command of the guide can be made to print.

#[cfg(feature = "observe")]
mod observe;

use std::fmt::Display;
use std::fs;
use std::io;

use go_sched_tracefs::NotRemoved;
use go_sched_tracefs::TracefsError;
use go_sched_tracefs::TRACEFS;
use gosched::error::FindError;
use gosched::error::OpenError;
use gosched::error::RequestError;
use gosched::policy::GoPrio;
use pulldown_cmark::CodeBlockKind;
use pulldown_cmark::Event;
use pulldown_cmark::Parser;
use pulldown_cmark::Tag;
use pulldown_cmark::TagEnd;
use snapbox::IntoData;
use strum::EnumCount;

use crate::args::ArgumentError;
use crate::args::CpusError;
use crate::error::Error;
use crate::error::ServiceError;
use crate::error::TraceError;
use crate::error::TraceWarning;

/// Kind of a block with messages that are not printed by a command of the page.
const MESSAGE: &str = "message";
/// Kind of a block with lines of `gosched check`.
const FINDING: &str = "message check";
/// Kind of a block with commands and their output.
const CONSOLE: &str = "console";

/// Returns the messages on the pages of the guide in blocks of one of `kinds`; "[..]"
/// stands for any text.
fn explained(kinds: &[&str]) -> Vec<String> {
    let docs = "../../docs";
    let mut messages = Vec::new();
    for entry in fs::read_dir(docs).expect("the guide") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(path).expect("a page");
        let mut wanted = false;
        for event in Parser::new(&text) {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind))) => {
                    wanted = kinds.contains(&&*kind);
                }
                Event::End(TagEnd::CodeBlock) => wanted = false,
                Event::Text(text) if wanted => messages.extend(
                    text.lines()
                        .filter(|line| line.starts_with("gosched: ") || kinds == [FINDING])
                        .map(str::to_owned),
                ),
                _ => (),
            }
        }
    }
    messages
}

/// Returns whether a line of the guide is this message.
fn matches(line: &str, message: &str) -> bool {
    let (actual, expected) = (message.into_data(), line.into_data());
    let assert = snapbox::Assert::new();
    assert
        .try_eq(None::<&dyn Display>, actual.raw(), expected)
        .is_ok()
}

/// Returns whether the guide has a line of `gosched check`.
pub(crate) fn explains_finding(line: &str) -> bool {
    explained(&[FINDING])
        .iter()
        .any(|finding| matches(finding, line))
}

/// Returns a message of each kind, but for those whose text is the kernel's.
fn messages() -> Vec<String> {
    let missing = || io::Error::from_raw_os_error(libc::ENOENT);
    let refused = || io::Error::from_raw_os_error(libc::EACCES);
    let service = || "db.service".to_owned();
    let prio = |number| GoPrio::new(number).expect("a priority");

    let services = [
        ServiceError::NoAnalyze(missing()),
        ServiceError::Analyze("a reason".to_owned()),
        ServiceError::NoUnit {
            service: service(),
            place: "on this system".to_owned(),
        },
        ServiceError::Root("/srv/none".into(), missing()),
        ServiceError::Unreadable("/etc/systemd/system/db.service".into(), refused()),
        ServiceError::Masked {
            service: service(),
            path: "/etc/systemd/system/db.service".into(),
        },
        ServiceError::Malformed {
            service: service(),
            path: "/etc/systemd/system/db.service".into(),
        },
        ServiceError::BadCommand(service()),
        ServiceError::NoCommand(service()),
        ServiceError::OwnName(service()),
        ServiceError::SeveralCommands(service()),
        ServiceError::NoCapability(service()),
        ServiceError::PrivateUsers(service()),
        ServiceError::OwnRoot {
            service: service(),
            prio: 32,
            ceiling: 50,
        },
        ServiceError::ProgramName("a'b".into()),
        ServiceError::Hidden {
            service: service(),
            setting: "InaccessiblePaths=",
            path: "/opt/bin/gosched".into(),
        },
        ServiceError::NoExec {
            service: service(),
            path: "/usr/bin/gosched".into(),
        },
        ServiceError::SystemCall {
            service: service(),
            call: "capset",
        },
        ServiceError::Behind {
            service: service(),
            path: "/etc/systemd/system/db.service.d/zzz.conf".into(),
            key: "ExecStart".to_owned(),
            name: "zz-gosched.conf",
        },
    ];
    assert_eq!(services.len(), ServiceError::COUNT, "one of each kind");
    let traces = [
        TracefsError::NoTracefs(TRACEFS).into(),
        TracefsError::NotPermitted.into(),
        TraceError::PidNamespace,
        TraceError::NoTracepoints,
        TraceError::Lost,
    ];
    // Two are of one kind, and Os is the kernel's text.
    assert_eq!(traces.len(), TraceError::COUNT, "one of each kind");
    let opens = [
        OpenError::NotLoaded,
        OpenError::StaleNode,
        OpenError::NotPermitted,
        OpenError::Nodev,
        OpenError::Filtered,
        OpenError::NotTheDevice,
        OpenError::NoDescriptors,
        OpenError::VersionMismatch { module: 0 },
        OpenError::VersionMismatch { module: 2 },
    ];
    let requests = [
        RequestError::NoSuchThread,
        RequestError::AboveCeiling {
            prio: prio(50),
            ceiling: prio(32),
        },
        RequestError::NotOwned {
            prio: prio(40),
            ceiling: prio(50),
        },
        RequestError::NotPermitted,
        RequestError::CeilingNotPermitted,
        RequestError::Deadline,
        RequestError::SchedExt,
        RequestError::NoMapping,
        RequestError::UnknownRequest,
        RequestError::UnknownPart,
    ];
    let finds = [
        FindError::NotFound,
        FindError::Recycled,
        FindError::NeverComplete,
        FindError::NoProc,
        FindError::ForeignProc,
        FindError::Hidden,
        FindError::NoDescriptors,
        FindError::NoFiles,
    ];
    let full = || io::Error::from_raw_os_error(libc::ENOSPC).into();
    let arguments = [
        ArgumentError::PrioOutOfRange(64),
        ArgumentError::NotAPrio("high".to_owned()),
        ArgumentError::AboveCeiling {
            prio: prio(50),
            ceiling: prio(32),
        },
        ArgumentError::NotAnInterval("soon".to_owned()),
        ArgumentError::NotANumberOf {
            of: "updates",
            text: "0".to_owned(),
        },
        ArgumentError::NotAProcess("server".to_owned()),
        ArgumentError::NotAName("/etc/db".to_owned()),
        ArgumentError::NotAService("db.socket".to_owned()),
        ArgumentError::NotAQuota("2".to_owned()),
        ArgumentError::NoSuchCpus {
            wanted: "8000".to_owned(),
            present: "0-3".to_owned(),
        },
        ArgumentError::QuotaTooHigh {
            percent: 900_000,
            most: 400,
        },
        ArgumentError::NoJson("run".to_owned()),
    ];
    // The module `observe` has four more.
    assert_eq!(
        arguments.len() + 4 * usize::from(cfg!(feature = "observe")),
        ArgumentError::COUNT,
        "one of each kind"
    );
    let cpus = [
        CpusError::Malformed("two".to_owned()),
        CpusError::Reversed { first: 5, last: 2 },
        CpusError::TooHigh(8192),
    ];
    assert_eq!(cpus.len(), CpusError::COUNT, "one of each kind");
    let warnings = [
        TraceWarning::Lost(12),
        TraceWarning::LostSome,
        TraceWarning::Untraced(Box::new(Error::Output(full()))),
        TraceWarning::Signal(missing()),
        TraceWarning::from(NotRemoved {
            path: "/sys/kernel/tracing/instances/gosched-1".into(),
            error: missing(),
        }),
    ];
    assert_eq!(warnings.len(), TraceWarning::COUNT, "one of each kind");
    let mut errors = vec![
        Error::NoTerminal,
        Error::NoGoSched,
        Error::Output(full()),
        Error::Unwritten {
            lines: 9,
            error: full(),
        },
        Error::DumbTerminal,
        Error::of_thread("4711:12", FindError::NoPidfs),
        Error::Write {
            path: "/etc/systemd/system/db.service.d/50-gosched.conf".into(),
            error: missing(),
        },
    ];
    // Those of six other types, of which one of each kind is here, of two with the kernel's text,
    // and with the feature of the type that the module `observe` has.
    assert_eq!(
        errors.len() + 6 + 2 + usize::from(cfg!(feature = "observe")),
        Error::COUNT,
        "one of each kind"
    );
    errors.extend(arguments.map(Error::from));
    // Only what needs root for it advises that.
    let circle = io::Error::from_raw_os_error(libc::ELOOP);
    errors.push(ServiceError::Unreadable("/etc/systemd/system".into(), circle).into());
    errors.extend(services.map(Error::from));
    errors.extend(traces.map(Error::from));
    errors.extend(opens.map(Error::from));
    errors.extend(requests.map(|error| Error::of_thread(4711, error)));
    errors.extend(finds.map(|error| Error::of_thread(4711, error)));
    let errors = errors.iter().map(Error::to_string);
    let others = cpus.iter().map(CpusError::to_string);
    let warnings = warnings.iter().map(TraceWarning::to_string);
    errors.chain(others).chain(warnings).collect()
}

/// Fails unless blocks of one of `kinds` explain each message.
fn check_explained(messages: &[String], kinds: &[&str]) {
    let lines = explained(kinds);
    for message in messages {
        let message = format!("gosched: {message}");
        // The numbers of what a console shows are others.
        let general = message.replace("pid 4711:", "pid [..]:");
        let found = lines
            .iter()
            .any(|line| matches(line, &message) || matches(&general, line));
        assert!(found, "no page explains: {message}");
    }
}

/// Fails if a block of a kind explains what is none of the messages.
fn check_printed(messages: &[String], kind: &str) {
    for line in explained(&[kind]) {
        let printed = messages
            .iter()
            .any(|message| matches(&line, &format!("gosched: {message}")));
        assert!(printed, "a page explains what is never printed: {line}");
    }
}

#[test]
fn the_guide_explains_each_message() {
    check_explained(&messages(), &[MESSAGE, CONSOLE]);
}

#[test]
fn the_guide_explains_no_message_that_is_never_printed() {
    check_printed(&messages(), MESSAGE);
}
