// SPDX-License-Identifier: GPL-2.0

//! Tests of what `gosched run` hands a command: the same as env(1), which hands on all that
//! it was handed. Where this system has no go_sched, `--try` goes on without.

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::LIMIT;
use snapbox::cmd::Command;

/// Starting states: what a shell does first, and a program that it then starts the others
/// by.
const STATES: [(&str, &str); 14] = [
    (":", ""),
    ("trap '' PIPE", ""),
    ("trap '' HUP INT QUIT TERM", ""),
    ("trap '' USR1 CHLD TSTP", ""),
    ("trap '' XFSZ", ""),
    // Shells do not ignore it.
    (":", "env --ignore-signal=CHLD"),
    ("umask 027", ""),
    ("exec <&-", ""),
    ("exec >&-", ""),
    ("exec 2>&-", ""),
    ("exec <&- >&- 2>&-", ""),
    ("exec 3</dev/null 9>/dev/null", ""),
    (":", "env --block-signal=PIPE --block-signal=USR1"),
    (
        "exec <&-; trap '' PIPE",
        "env --default-signal=INT --block-signal=TERM",
    ),
];

/// Returns what a command sees that `starter` starts: lines of /proc/PID/status, and open
/// descriptors. The command writes to files, as standard output may be closed.
fn seen_by_command_of(starter: &str, (shell, program): (&str, &str)) -> BTreeMap<String, String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    for look in [
        "cp /proc/self/status status",
        "sh -c 'for fd in 0 1 2 3 9; do ! [ -e /proc/$$/fd/$fd ] || : >open$fd; done'",
    ] {
        let script = format!("{shell}; exec {program} {starter} {look}");
        let done = Command::new("sh")
            .args(["-c", &script])
            .current_dir(&directory)
            .timeout(LIMIT)
            .output()
            .expect("a shell");
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{script}: {errors}");
    }
    let status = fs::read_to_string(path("status")).expect("a copy");
    let wanted = ["SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "Umask"];
    let mut seen: BTreeMap<String, String> = status
        .lines()
        .filter_map(|line| line.split_once(":\t"))
        .filter(|(key, _)| wanted.contains(key))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(seen.len(), wanted.len(), "{status}");
    let mut open: Vec<i32> = (0..10).collect();
    open.retain(|fd| path(&format!("open{fd}")).exists());
    seen.insert("open".to_owned(), format!("{open:?}"));
    seen
}

#[test]
fn a_command_is_handed_what_env_hands_on() {
    let run = concat!(env!("CARGO_BIN_EXE_gosched"), " run --try 32 --");
    for state in STATES {
        let expected = seen_by_command_of("env", state);
        assert_eq!(seen_by_command_of(run, state), expected, "{state:?}");
    }
}

#[test]
fn the_states_are_different_ones() {
    let first = seen_by_command_of("env", STATES[0]);
    for state in &STATES[1..] {
        assert_ne!(seen_by_command_of("env", *state), first, "{state:?}");
    }
}

#[test]
fn what_gosched_itself_runs_is_waited_for_where_the_end_of_children_is_ignored() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let units = root.path().join("etc/systemd/system");
    fs::create_dir_all(&units).expect("folders");
    // It takes systemd-analyze to tell the groups of system calls.
    let unit = "[Service]\nExecStart=/bin/true\nSystemCallFilter=@system-service\n";
    fs::write(units.join("db.service"), unit).expect("a unit");
    let done = Command::new("env")
        .args(["--ignore-signal=CHLD", env!("CARGO_BIN_EXE_gosched")])
        .args(["systemd", "db", "--prio", "8", "--ceiling", "9", "--root"])
        .arg(root.path())
        .timeout(LIMIT)
        .output()
        .expect("env(1)");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}
