// SPDX-License-Identifier: GPL-2.0

//! The command `gosched`, as tests run it.

use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;

/// The command with arguments, and nothing to read.
pub fn gosched(arguments: &[&str]) -> Command {
    let mut command = Command::new("gosched");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the command, which must end with `status`; returns what it wrote to
/// standard output and standard error.
#[track_caller]
pub fn output(command: &mut Command, status: i32) -> (String, String) {
    let Output {
        status: ended,
        stdout,
        stderr,
    } = command.output().expect("the guest has the command");
    let [stdout, stderr] =
        [stdout, stderr].map(|text| String::from_utf8(text).expect("the command writes text"));
    assert_eq!(ended.code(), Some(status), "{command:?}: {stderr}");
    (stdout, stderr)
}

/// Runs the command where that must succeed, without complaint.
#[track_caller]
pub fn succeeds(arguments: &[&str]) -> String {
    let (stdout, stderr) = output(&mut gosched(arguments), 0);
    assert_eq!(stderr, "", "{arguments:?}");
    stdout
}

/// Runs the command where that must fail, which it must say in one sentence.
#[track_caller]
pub fn fails(command: &mut Command, status: i32) -> String {
    let (stdout, stderr) = output(command, status);
    assert_eq!(stdout, "", "{command:?}");
    assert!(stderr.starts_with("gosched: "), "{command:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{command:?}: {stderr}");
    stderr
}

/// Runs the command with `--json` among its arguments, which must succeed.
#[track_caller]
pub fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&succeeds(arguments)).expect("--json writes JSON")
}
