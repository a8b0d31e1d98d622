// SPDX-License-Identifier: GPL-2.0

//! Tests of what `qemu/run` promises to whoever reads its exit status and its streams.
//! Each test boots guests.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use rustix::fs::Mode;
use rustix::fs::CWD;
use rustix::pipe::pipe_with;
use rustix::pipe::PipeFlags;

const RUN: &str = "./run";

/// Runs `qemu/run` with `options` and the shell command `script`.
fn run(options: &[&str], script: &str, input: &[u8]) -> Output {
    let mut child = Command::new(RUN)
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
fn a_timeout_is_told_to_nobody_who_does_not_read() {
    let (reader, pipe) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    let full = File::create("/dev/full").expect("the device");
    for (stderr, script) in [
        (Stdio::from(full), "sleep 1000"),
        (Stdio::from(pipe), "yes >&2"),
    ] {
        let status = Command::new(RUN)
            .args(["--timeout", "10", "--", "sh", "-c", script])
            .stderr(stderr)
            .status();
        assert_eq!(status.expect("qemu/run").code(), Some(124), "{script}");
    }
    drop(reader);
}

#[test]
fn a_file_that_cannot_be_copied_is_refused() {
    let overlay = tempfile::tempdir().expect("a folder");
    let fifo = overlay.path().join("fifo");
    rustix::fs::mkfifoat(CWD, &fifo, Mode::RUSR).expect("a FIFO");
    let overlay = overlay.path().to_str().expect("UTF-8");
    let output = run(&["--overlay", overlay], "true", b"");
    assert_fails(&output, 125, "fifo: not a regular file");
}

#[test]
fn an_unknown_variant_is_refused_before_anything_is_built() {
    for options in [&["--variant", "other"][..], &["--variant=other"]] {
        let output = run(options, "true", b"");
        assert_fails(&output, 125, "There is no kernel variant \"other\"");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("building"));
    }
}

#[test]
fn a_shared_folder_is_there_and_cannot_be_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a file"), "of the host").expect("room");
    let path = folder.path().to_str().expect("UTF-8");
    let output = run(
        &["--share", "/usr", "--share", path],
        &format!("/usr/bin/env cat '{path}/a file'; echo >{path}/other"),
        b"",
    );
    assert_fails(&output, 1, "Read-only file system");
    assert_eq!(output.stdout, b"of the host");
    assert_eq!(fs::read_dir(path).expect("the folder").count(), 1);
}

#[test]
fn a_folder_that_the_guest_needs_is_not_shared_over() {
    let output = run(&["--share", "/"], "true", b"");
    assert_fails(&output, 125, "the guest has its own /");
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
