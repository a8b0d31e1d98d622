// SPDX-License-Identifier: GPL-2.0

//! Tests of how output and messages are written, where no kernel is asked.

mod common;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use boon::Compiler;
use boon::Schemas;
use common::LIMIT;
use serde_json::Value;
use wait_timeout::ChildExt;

fn gosched(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gosched"));
    command.args(arguments);
    command
}

/// Runs a command to its end; returns what it writes to a standard error that is a pipe.
fn output_of(command: &mut Command) -> Output {
    let mut child = command.stdin(Stdio::null()).spawn().expect("it runs");
    if child.wait_timeout(LIMIT).expect("its end").is_none() {
        child.kill().expect("it is a child");
        panic!("{command:?} does not end");
    }
    child.wait_with_output().expect("its output")
}

/// Runs gosched; returns what it writes to standard error, a text for each `write(2)`.
fn messages(arguments: &[&str]) -> Vec<String> {
    let (ours, theirs) = UnixDatagram::pair().expect("sockets");
    let mut command = gosched(arguments);
    output_of(command.stdout(Stdio::null()).stderr(OwnedFd::from(theirs)));
    ours.set_nonblocking(true).expect("it is a socket");
    let mut buffer = [0; 4096];
    std::iter::from_fn(|| match ours.recv(&mut buffer) {
        Ok(length) if length > 0 => Some(String::from_utf8_lossy(&buffer[..length]).into_owned()),
        _ => None,
    })
    .collect()
}

#[test]
fn a_message_is_one_write_and_begins_with_the_name_of_the_command() {
    for wrong in [
        &["get", "0"][..],
        &["get"],
        &["raise", "1"],
        &["run", "8", "no-such-program"],
        &["systemd", "db", "--prio", "50", "--ceiling", "32"],
        &["top", "--sort", "age"],
    ] {
        let [message] = &messages(wrong)[..] else {
            panic!("{wrong:?}: {:?}", messages(wrong));
        };
        assert!(message.starts_with("gosched: "), "{wrong:?}: {message}");
        assert!(message.ends_with('\n'), "{wrong:?}: {message}");
    }
}

#[test]
fn the_help_for_want_of_a_verb_is_one_write() {
    let [help] = &messages(&[])[..] else {
        panic!("{:?}", messages(&[]));
    };
    assert!(help.contains("Usage: gosched"), "{help}");
}

#[test]
fn with_json_an_error_is_json_as_the_schema_says() {
    // Where nothing is read: it takes an absolute name to compile what has been added.
    const NAME: &str = "file:///schema.json";
    let schema = serde_json::from_str(include_str!("../schema.json")).expect("JSON");
    let mut compiler = Compiler::new();
    compiler.add_resource(NAME, schema).expect("a new name");
    let mut schemas = Schemas::new();
    let error = compiler
        .compile(&format!("{NAME}#/properties/error"), &mut schemas)
        .expect("a schema of errors");
    for (wrong, word) in [
        (&["--json", "get", "0"][..], "'0' is not"),
        (&["get", "--json"], "<PID>..."),
        (&["raise", "--json"], "raise"),
        (&["top", "--json", "-p", "4194304"], "4194304"),
    ] {
        for message in messages(wrong) {
            let value: Value = serde_json::from_str(&message).expect(&message);
            schemas.validate(&value, error).expect("as the schema says");
            let text = value["error"].as_str().expect("text");
            assert!(text.contains(word), "{wrong:?}: {text}");
        }
        assert_eq!(messages(wrong).len(), 1, "{wrong:?}");
    }
    // A verb that writes no JSON, and an argument of its command.
    for wrong in [
        &["run", "--json", "8", "true"][..],
        &["run", "64", "--", "x", "--json"],
    ] {
        let message = messages(wrong).concat();
        assert!(message.starts_with("gosched: "), "{wrong:?}: {message}");
    }
}

#[test]
fn what_cannot_be_written_is_a_failure_unless_nobody_reads_it() {
    for (arguments, status) in [
        (&["--help"][..], 1),
        (&["--version"], 1),
        // Status 1 would be that of a command.
        (&["run", "--help"], 125),
        (&["map"], 1),
        (&["map", "--json"], 1),
        (&["check"], 1),
        (&["schema"], 1),
        (&["completions", "bash"], 1),
    ] {
        let full = File::options().write(true).open("/dev/full");
        let mut command = gosched(arguments);
        command.stdout(full.expect("a device of Linux"));
        let done = output_of(command.stderr(Stdio::piped()));
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains("No space left on device"), "{said}");

        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "ulimit -f 0; file=$0; exec \"$@\" >$file"])
            .args([file.path(), env!("CARGO_BIN_EXE_gosched").as_ref()])
            .args(arguments);
        let done = output_of(shell.stderr(Stdio::piped()));
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains("File too large"), "{said}");

        let (reader, writer) = UnixStream::pair().expect("sockets");
        drop(reader);
        let mut command = gosched(arguments);
        command.stdout(OwnedFd::from(writer));
        let done = output_of(command.stderr(Stdio::piped()));
        assert_eq!(done.stderr, b"", "{arguments:?}");
        assert_eq!(done.status.code(), Some(0), "{arguments:?}");

        let mut command = Command::new("sh");
        let script = "exec \"$0\" \"$@\" >&-";
        command.args(["-c", script, env!("CARGO_BIN_EXE_gosched")]);
        let done = output_of(command.args(arguments).stderr(Stdio::piped()));
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains("Bad file descriptor"), "{said}");
    }
}
