// SPDX-License-Identifier: GPL-2.0

//! Tests of the verbs of the feature `observe`. Where no BPF program can be loaded, those that take
//! some are skipped.
//!
//! `record` is a real record, of go/internal/traced beside programs that need the CPU as well:
//!
//!     gosched record -o record --go-trace trace.out -- \\
//!         ./traced -small -rounds 3 -pause 3ms -o trace.out
//!
//! The folders of Go's and the program's sources in `go.trace` are replaced by others of the same
//! length, as they tell of one machine.
//!
//! `latencies.csv` is made up: four outliers in the time of the record, one latency of another
//! time, and one line that cannot be read.

#[path = "../common/mod.rs"]
mod common;
mod exporter;
mod tracefs;

use std::env;
use std::fs;
use std::path::Path;

use boon::Compiler;
use boon::Schemas;
use common::LIMIT;
use serde_json::json;
use serde_json::Value;
use snapbox::cmd::Command;

const RECORD: &str = "tests/observe/record";
const LATENCIES: &str = "tests/observe/latencies.csv";

/// Runs gosched, which must succeed; returns what it writes to standard output and to standard
/// error.
fn succeed(arguments: &[&str]) -> (String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_gosched"))
        .args(arguments)
        .timeout(LIMIT)
        .output()
        .expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let (out, error) = (text(done.stdout), text(done.stderr));
    assert!(done.status.success(), "{arguments:?}: {error}");
    (out, error)
}

#[test]
fn the_command_prints_what_is_written_down() {
    trycmd::TestCases::new().case("tests/observe/cmd/*.trycmd");
}

#[test]
fn json_is_as_the_schema_says() {
    // Where nothing is read: it takes an absolute name to compile what has been added.
    const NAME: &str = "file:///schema.json";
    let schema = serde_json::from_str(include_str!("../../schema-observe.json")).expect("JSON");
    let mut compiler = Compiler::new();
    compiler.add_resource(NAME, schema).expect("a new name");
    let mut schemas = Schemas::new();
    for arguments in [
        &["timeline", RECORD][..],
        &["timeline", RECORD, "--states"],
        &["why", "--record", RECORD],
        &["why", "17624", "--record", RECORD],
        &["heat", RECORD],
        &["spikes", RECORD, LATENCIES],
        &["spikes", RECORD, LATENCIES, "--above", "3"],
        &[
            "spikes",
            RECORD,
            LATENCIES,
            "--above",
            "0",
            "--at-least",
            "1",
        ],
    ] {
        let verb = arguments[0];
        let schema = compiler
            .compile(&format!("{NAME}#/properties/{verb}"), &mut schemas)
            .unwrap_or_else(|error| panic!("{verb}: {error}"));
        let (written, _) = succeed(&[arguments, &["--json"]].concat());
        let written: Value = serde_json::from_str(&written).expect("JSON");
        if let Err(error) = schemas.validate(&written, schema) {
            panic!("{arguments:?}: {error}\n{written}");
        }
        let refused = schemas.validate(&json!({}), schema).is_err();
        assert!(refused, "{verb}: the schema takes everything");
    }
}

#[test]
fn heat_maps_are_a_picture_or_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("heat.svg");
    let path_text = path.to_str().expect("text");
    assert_eq!(
        succeed(&["heat", RECORD, "--svg", path_text]),
        Default::default()
    );
    let svg = fs::read_to_string(&path).expect("a picture");
    let picture = roxmltree::Document::parse(&svg).expect("well-formed");
    let root = picture.root_element();
    assert_eq!(root.tag_name().name(), "svg");
    for side in ["width", "height"] {
        let length = root
            .attribute(side)
            .and_then(|side| side.parse::<u32>().ok());
        assert!(
            length.is_some_and(|length| (100..5000).contains(&length)),
            "{side}"
        );
    }

    let (numbers, _) = succeed(&["heat", RECORD, "--json"]);
    let numbers: Value = serde_json::from_str(&numbers).expect("JSON");
    let columns = numbers["times"].as_array().expect("times").len();
    let delays: Vec<u64> = numbers["maps"]
        .as_array()
        .expect("maps")
        .iter()
        .map(|map| {
            let counts = map["counts"].as_array().expect("columns");
            assert_eq!(counts.len(), columns);
            let rows = counts
                .iter()
                .flat_map(|rows| rows.as_array().expect("rows"));
            rows.map(|count| count.as_u64().expect("a number")).sum()
        })
        .collect();
    // As the text has it.
    assert_eq!(delays, [197, 171]);
}

#[test]
fn a_file_for_the_viewer_is_written_and_what_is_missing_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (all, clusters) = (file("all.pftrace"), file("clusters.pftrace"));
    let timeline = succeed(&["timeline", RECORD, "--output", &all]);
    assert_eq!(timeline, Default::default());
    let above = ["--above", "3", "--output", &clusters];
    let (shown, said) = succeed(&[&["spikes", RECORD, LATENCIES][..], &above].concat());
    assert_eq!(shown, "");
    // As the text has it.
    let missing = ["1 lines cannot be read", "1 latencies are not of the time"];
    assert_eq!(said.lines().count(), missing.len(), "{said}");
    assert!(missing.iter().all(|part| said.contains(part)), "{said}");
    let has = |path: &str, text: &[u8]| {
        let bytes = fs::read(Path::new(path)).expect("a file");
        bytes.windows(text.len()).any(|found| found == text)
    };
    assert!(has(&all, b"main.main") && !has(&all, b"latency spikes"));
    assert!(has(&clusters, b"main.main") && has(&clusters, b"latency spikes"));
}

#[test]
fn perfettos_own_bindings_read_the_file() {
    let Some(python) = env::var_os("GO_SCHED_PERFETTO") else {
        eprintln!("SKIPPED: GO_SCHED_PERFETTO names no Python with Perfetto's bindings");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    succeed(&["timeline", RECORD, "--output", file.to_str().expect("text")]);
    let done = Command::new(python)
        .arg("tests/observe/decode.py")
        .arg(file)
        .timeout(LIMIT)
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&done.stderr);
    let found: Value =
        serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let expected = json!({
        "unknown_fields": 0,
        "packets": {"track_descriptor": 28, "ftrace_events": 1, "track_event": 1131},
        "kernel": {"sched_switch": 219, "sched_waking": 134},
        "open_slices": 0,
        "flows": 127,
        "flows_that_end_only": 0,
        "faults": [],
    });
    assert_eq!(found, expected);
}

#[test]
fn a_file_stays_as_it_is_if_another_one_has_no_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    for arguments in [
        &["timeline", RECORD, "--output"][..],
        &["heat", RECORD, "--svg"],
        &["spikes", RECORD, LATENCIES, "--output"],
    ] {
        fs::write(&file, "mine").expect("room");
        let done = Command::new("sh")
            .args(["-c", "ulimit -f 1; exec \"$@\"", "sh"])
            .arg(env!("CARGO_BIN_EXE_gosched"))
            .args(arguments)
            .arg(&file)
            .timeout(LIMIT)
            .output()
            .expect("the command runs");
        let said = String::from_utf8(done.stderr).expect("text");
        assert!(said.contains("File too large"), "{arguments:?}: {said}");
        assert_eq!(done.status.code(), Some(1), "{arguments:?}");
        assert_eq!(fs::read(&file).expect("a file"), b"mine", "{arguments:?}");
        let files = fs::read_dir(folder.path()).expect("a folder");
        assert_eq!(files.count(), 1, "{arguments:?}");
    }
}

#[test]
fn a_program_that_is_not_gos_lacks_no_trace_of_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = folder.path().join("record");
    fs::create_dir(&record).expect("room");
    fs::copy(Path::new(RECORD).join("events"), record.join("events")).expect("room");
    let meta = fs::read_to_string(Path::new(RECORD).join("meta.json")).expect("a record");
    let mut meta: Value = serde_json::from_str(&meta).expect("JSON");
    meta["go"] = Value::Null;
    meta["no_go"] = "it was not built by Go".into();
    fs::write(record.join("meta.json"), meta.to_string()).expect("room");
    let record = record.to_str().expect("text");
    let file = folder.path().join("file");
    let (_, said) = succeed(&["timeline", record, "--output", file.to_str().expect("text")]);
    assert!(said.contains("it was not built by Go"), "{said}");
    assert!(!said.contains("--go-trace"), "{said}");
}

/// Returns whether a message tells that no BPF program can be loaded here.
fn cannot_observe(said: &str) -> bool {
    let lacks = ["CAP_BPF", "has no BTF", "pid namespace"];
    lacks.iter().any(|lacks| said.contains(lacks))
}

/// Ends a process when a test does.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // A process that has ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn events_that_cannot_be_written_are_said_and_are_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut busy = std::process::Command::new("sh");
    busy.args(["-c", "while :; do sleep 0.01; done"]);
    let busy = Ended(busy.spawn().expect("a shell"));
    // Room for meta.json alone.
    let script = "ulimit -f 4; exec \"$@\"";
    let done = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_gosched"), "record"])
        .args(["-t", "2", "-p", &busy.0.id().to_string(), "-o"])
        .arg(folder.path().join("record"))
        .timeout(LIMIT)
        .output()
        .expect("the command runs");
    let said = String::from_utf8(done.stderr).expect("text");
    if cannot_observe(&said) {
        eprintln!("SKIPPED: nothing can be recorded here: {said}");
        return;
    }
    assert!(
        said.contains("the record ends early: File too large"),
        "{said}"
    );
    assert!(!said.contains("--max-size"), "{said}");
    assert_eq!(done.status.code(), Some(1), "{said}");
}
