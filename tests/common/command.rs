// SPDX-License-Identifier: GPL-2.0

//! The command `gosched`, as tests run it.

use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use boon::Compiler;
use boon::Schemas;
use serde_json::Value;

use crate::deadline::output_of;

/// Returns the command with arguments and an empty standard input.
pub fn gosched(arguments: &[&str]) -> Command {
    let mut command = Command::new("gosched");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command, which must end with `status`. Returns its standard output and
/// standard error.
#[track_caller]
pub fn output(command: &mut Command, status: i32) -> (String, String) {
    let Output {
        status: ended,
        stdout,
        stderr,
    } = output_of(command);
    let [stdout, stderr] =
        [stdout, stderr].map(|text| String::from_utf8(text).expect("the command writes text"));
    assert_eq!(ended.code(), Some(status), "{command:?}: {stderr}");
    (stdout, stderr)
}

/// Runs `gosched`, which must succeed and write no error. Returns its standard output.
#[track_caller]
pub fn succeeds(arguments: &[&str]) -> String {
    let (stdout, stderr) = output(&mut gosched(arguments), 0);
    assert_eq!(stderr, "", "{arguments:?}");
    stdout
}

/// Runs a command, which must fail with `status`. Returns the one line of its error.
#[track_caller]
pub fn fails(command: &mut Command, status: i32) -> String {
    let (stdout, stderr) = output(command, status);
    assert_eq!(stdout, "", "{command:?}");
    assert!(stderr.starts_with("gosched: "), "{command:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{command:?}: {stderr}");
    stderr
}

/// Runs a verb with `--json` among its arguments, which must succeed. Returns its output.
#[track_caller]
pub fn json(arguments: &[&str]) -> Value {
    described(arguments[0], &succeeds(arguments))
}

/// Parses one value that a verb wrote with `--json`, and checks it against its schema.
#[track_caller]
pub fn described(verb: &str, written: &str) -> Value {
    const SCHEMA: &str = include_str!("../../tools/cli/schema.json");
    // Where nothing is read: it takes an absolute name to compile what has been added.
    const NAME: &str = "file:///schema.json";

    let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let mut compiler = Compiler::new();
    compiler
        .add_resource(NAME, schema)
        .expect("its name is new");
    let mut schemas = Schemas::new();
    let schema = compiler
        .compile(&format!("{NAME}#/properties/{verb}"), &mut schemas)
        .expect("a schema of each verb that knows --json");
    let written = serde_json::from_str(written).expect("--json writes JSON");
    if let Err(error) = schemas.validate(&written, schema) {
        panic!("{verb}: {error}\n{written}");
    }
    written
}
