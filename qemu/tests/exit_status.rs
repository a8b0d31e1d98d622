// SPDX-License-Identifier: GPL-2.0

//! What `qemu/run` promises to whoever reads its exit status and its streams.
//! Each test boots guests.

use std::io::Write;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

/// Runs `qemu/run` with `options` and the shell command `script`.
fn run(options: &[&str], script: &str, input: &[u8]) -> Output {
    let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/run"))
        .args(options)
        .args(["--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("qemu/run");
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(input).expect("input");
    drop(stdin);
    child.wait_with_output().expect("qemu/run")
}

fn assert_fails(output: &Output, status: i32, words: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.contains(words), "{stderr}");
}

#[test]
fn streams_and_status_are_the_commands_own() {
    let input: Vec<u8> = (0..=u8::MAX).cycle().take(1 << 20).collect();
    let output = run(&[], "echo complaint >&2; cat; exit 7", &input);
    assert_eq!(output.status.code(), Some(7));
    assert!(output.stdout == input, "stdin did not come back whole");
    assert!(String::from_utf8_lossy(&output.stderr).ends_with("complaint\n"));
}

#[test]
fn a_signal_is_told_as_by_a_shell() {
    assert_eq!(run(&[], "kill -KILL $$", b"").status.code(), Some(137));
}

#[test]
fn a_report_in_the_kernel_log_fails_a_command_that_succeeds() {
    let output = run(&[], "echo 'WARNING: made up' >/dev/kmsg", b"");
    assert_fails(&output, 123, "WARNING: made up");
}

#[test]
fn a_panic_is_the_kernels_fault() {
    let output = run(&[], "echo c >/proc/sysrq-trigger", b"");
    assert_fails(&output, 123, "sysrq triggered crash");
}

#[test]
fn a_command_that_does_not_end_is_ended() {
    assert_fails(
        &run(&["--timeout", "10"], "sleep 1000", b""),
        124,
        "timeout",
    );
}

#[test]
fn a_guest_that_goes_away_is_no_success() {
    let output = run(&[], "poweroff -f", b"");
    assert_fails(&output, 125, "without a verdict");
}

#[test]
fn what_the_command_leaves_behind_is_ended_and_does_not_count() {
    let output = run(&[], "(while :; do echo; done) & sleep 1000 & exit 0", b"");
    assert_eq!(output.status.code(), Some(0));
}
