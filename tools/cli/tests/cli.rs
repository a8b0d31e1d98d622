// SPDX-License-Identifier: GPL-2.0

//! Tests of what the command prints where no kernel is asked.

mod common;

use std::collections::BTreeMap;
use std::fs;

use boon::Compiler;
use boon::Schemas;
use common::LIMIT;
use serde_json::Value;
use snapbox::cmd::Command;

#[test]
fn the_command_prints_what_is_written_down() {
    let cases = trycmd::TestCases::new();
    cases.case("tests/cmd/*.trycmd");
    if cfg!(feature = "observe") {
        // tests/observe has one of all verbs.
        cases.skip("tests/cmd/overview.trycmd");
    }
}

#[test]
fn every_verb_has_a_manual_page_that_says_how_it_ends() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let done = Command::new(env!("CARGO_BIN_EXE_gosched"))
        .arg("man")
        .arg(dir.path().join("man1"))
        .timeout(LIMIT)
        .output()
        .expect("the command runs");
    assert!(done.status.success());

    let pages: BTreeMap<String, String> = fs::read_dir(dir.path().join("man1"))
        .expect("the folder is made")
        .map(|page| page.expect("readable"))
        .map(|page| {
            let name = page.file_name().into_string().expect("text");
            (name, fs::read_to_string(page.path()).expect("text"))
        })
        .collect();
    let whole = &pages["gosched.1"];
    let help = Command::new(env!("CARGO_BIN_EXE_gosched"))
        .arg("--help")
        .timeout(LIMIT)
        .output()
        .expect("the command runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let verbs = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .map_while(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help");
    let mut count = 0;
    for verb in verbs {
        let page = &pages[&format!("gosched-{verb}.1")];
        for section in ["SYNOPSIS", "OPTIONS", "\"EXIT STATUS\"", "\"SEE ALSO\""] {
            let heading = format!(".SH {section}\n");
            assert!(page.contains(&heading), "{verb}: {section}");
        }
        assert!(whole.contains(&format!("gosched\\-{verb}(1)")), "{verb}");
        count += 1;
    }
    assert_eq!(pages.len(), count + 1, "one page for each, and one for all");
}

#[test]
fn the_schema_of_the_json_is_the_one_that_is_committed() {
    let written = Command::new(env!("CARGO_BIN_EXE_gosched"))
        .arg("schema")
        .timeout(LIMIT)
        .output()
        .expect("the command runs");
    let committed = if cfg!(feature = "observe") {
        include_str!("../schema-observe.json")
    } else {
        include_str!("../schema.json")
    };
    // A change of it is one for all who read the JSON.
    assert_eq!(
        String::from_utf8(written.stdout).expect("text"),
        committed,
        "if that is meant, run the command that $comment has"
    );
}

#[test]
fn what_is_written_without_a_kernel_is_as_the_schema_says() {
    let json = |arguments: &[&str]| -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_gosched"))
            .args(arguments)
            .timeout(LIMIT)
            .output()
            .expect("the command runs");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    };
    // Where nothing is read: it takes an absolute name to compile what has been added.
    const NAME: &str = "file:///schema.json";
    let mut compiler = Compiler::new();
    let schema = json(&["schema"]);
    compiler.add_resource(NAME, schema).expect("a new name");
    let mut schemas = Schemas::new();
    for verb in ["map", "check"] {
        let schema = compiler
            .compile(&format!("{NAME}#/properties/{verb}"), &mut schemas)
            .unwrap_or_else(|error| panic!("{verb}: {error}"));
        let written = json(&[verb, "--json"]);
        assert!(written.as_array().is_some_and(|lines| !lines.is_empty()));
        if let Err(error) = schemas.validate(&written, schema) {
            panic!("{verb}: {error}\n{written}");
        }
        let wrong = serde_json::json!([{}]);
        let refused = schemas.validate(&wrong, schema).is_err();
        assert!(refused, "{verb}: the schema takes everything");
    }
}
