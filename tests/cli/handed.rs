// SPDX-License-Identifier: GPL-2.0

//! Ignored signals and closed streams that gosched gets at its start, and keeps or hands
//! on. tools/cli/tests/handed.rs compares more of this with env(1).

use std::fs;
use std::process::Command;

use common::child::Child;
use common::command::output;
use common::trace::mount_tracefs;

/// Runs a shell, which must end with `status`. Returns its standard output.
#[track_caller]
fn shell(script: &str, status: i32) -> String {
    let (stdout, stderr) = output(Command::new("sh").args(["-c", script]), status);
    assert_eq!(stderr, "", "{script}");
    stdout
}

/// Prints the ignored signals, and whether standard input is closed.
const LOOK: &str = "sh -c 'grep SigIgn /proc/$$/status; [ -e /proc/$$/fd/0 ] || echo closed'";

#[test]
fn a_command_that_is_run_or_traced_is_handed_what_gosched_was() {
    mount_tracefs();
    for state in [
        ":",
        "trap '' PIPE",
        "trap '' HUP TERM",
        "trap '' PIPE; exec <&-",
    ] {
        let expected = shell(&format!("{state}; exec {LOOK}"), 0);
        for starter in ["gosched run 20 --", "gosched trace --"] {
            let seen = shell(&format!("{state}; exec {starter} {LOOK}"), 0);
            let seen: Vec<&str> = seen.lines().filter(|line| !line.starts_with('[')).collect();
            assert_eq!(seen, Vec::from_iter(expected.lines()), "{state}; {starter}");
        }
    }
}

#[test]
fn ignored_signals_are_known_without_proc() {
    let child = Child::sleeping(|| ());
    let shell = |script: String, status| {
        let script = format!("umount -l /proc; trap '' HUP PIPE; {script}");
        let mut command = Command::new("unshare");
        output(command.args(["-m", "sh", "-c", &script]), status);
    };
    let kill = "sh -c 'kill -HUP $$; kill -PIPE $$; exit 7'";
    shell(format!("exec gosched run 20 -- {kill}"), 7);
    let script = format!(
        "gosched watch {} >/tmp/seen & until grep -qs found /tmp/seen; do sleep 0.1; done; \
         kill -HUP $!; sleep 0.5; kill -0 $! && kill -TERM $!; wait $!",
        child.pid()
    );
    shell(script, 0);
    fs::remove_file("/tmp/seen").expect("it is ours");
}

#[test]
fn a_signal_that_was_ignored_ends_neither_watch_nor_trace() {
    mount_tracefs();
    let child = Child::sleeping(|| ());
    let watched = child.pid();
    // It must be there for the second signal.
    let script = format!(
        "trap '' HUP; gosched watch {watched} >/tmp/seen & \
         until grep -qs found /tmp/seen; do sleep 0.1; done; \
         kill -HUP $!; sleep 0.5; kill -0 $! && kill -TERM $!; wait $!"
    );
    shell(&script, 0);
    // The command of a trace runs on to its own end.
    let script = "trap '' HUP; \
         gosched trace -- sh -c ': >/tmp/runs; while [ -e /tmp/runs ]; do sleep 0.1; done; exit 7' & \
         until [ -e /tmp/runs ]; do sleep 0.1; done; \
         kill -HUP $!; sleep 0.5; rm /tmp/runs; wait $!";
    shell(script, 7);
    fs::remove_file("/tmp/seen").expect("it is ours");
}
