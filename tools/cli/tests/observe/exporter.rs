// SPDX-License-Identifier: GPL-2.0

//! `gosched exporter`, as it is.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::kill;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::common::LIMIT;
use crate::Ended;

/// Starts an exporter of a process; `None` where no BPF program can be loaded.
fn start(process: u32, socket: &Path) -> Option<Ended> {
    let exporter = Command::new(env!("CARGO_BIN_EXE_gosched"))
        .args(["exporter", "-p", &process.to_string(), "--listen"])
        .arg(format!("unix:{}", socket.display()))
        .stderr(Stdio::piped())
        .spawn();
    let mut exporter = Ended(exporter.expect("the command runs"));
    let mut said = BufReader::new(exporter.0.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("metrics are at") {
        line.clear();
        said.read_line(&mut line).expect("text");
        if crate::cannot_observe(&line) {
            eprintln!("SKIPPED: nothing can be counted here: {line}");
            return None;
        }
        assert!(!line.is_empty(), "it ends early");
    }
    // What is said later must not end the exporter by SIGPIPE.
    thread::spawn(move || said.lines().map_while(Result::ok).for_each(drop));
    Some(exporter)
}

/// Asks for the figures; returns the samples by series.
fn scrape(socket: &Path) -> BTreeMap<String, f64> {
    let mut client = UnixStream::connect(socket).expect("it listens");
    client.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let request = "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n";
    client.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').expect("a sample");
        (series.to_owned(), value.parse().expect("a number"))
    };
    samples.map(sample).collect()
}

/// Asks until `judge` is content with the figures.
fn await_figures(socket: &Path, judge: impl Fn(&BTreeMap<String, f64>) -> bool) {
    let ends = Instant::now() + LIMIT;
    loop {
        let samples = scrape(socket);
        if judge(&samples) {
            return;
        }
        assert!(Instant::now() < ends, "{samples:#?}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Returns how many delays were counted.
fn delays(samples: &BTreeMap<String, f64>) -> f64 {
    let counts = samples
        .iter()
        .filter(|(series, _)| series.starts_with("gosched_run_delay_seconds_count{"));
    counts.map(|(_, count)| count).sum()
}

#[test]
fn no_counter_falls_and_no_thread_is_a_label_while_threads_come_and_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("socket");
    let Some(_exporter) = start(std::process::id(), &socket) else {
        return;
    };
    let is_over = AtomicBool::new(false);
    let mut scrapes = vec![scrape(&socket)];
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0_u64.. {
                let name = format!("{number}\"\\\n}}\u{1b}");
                let thread = thread::Builder::new().name(name);
                let sleep = || thread::sleep(Duration::from_millis(1));
                let thread = thread.spawn_scoped(scope, sleep).expect("a thread");
                thread.join().expect("it sleeps");
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        await_figures(&socket, |samples| delays(samples) > 0.0);
        for _ in 0..3 {
            // Until there are new figures.
            thread::sleep(Duration::from_millis(1100));
            scrapes.push(scrape(&socket));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    for pair in scrapes.windows(2) {
        for (series, before) in &pair[0] {
            let is_gauge = ["gosched_up{", "gosched_threads{"]
                .iter()
                .any(|name| series.starts_with(name));
            let now = pair[1].get(series);
            assert!(is_gauge || now >= Some(before), "{series}: {now:?}");
        }
    }
    let last = scrapes.last().expect("some");
    assert!(delays(last) > 0.0, "{last:#?}");
    let labels = last.keys().filter_map(|series| series.split_once('{'));
    for label in labels.flat_map(|(_, labels)| labels.split(',')) {
        let (name, _) = label.split_once('=').expect("a label");
        assert!(["pid", "go_priority", "le"].contains(&name), "{label}");
    }
}

#[test]
fn the_end_of_the_process_is_told_and_a_signal_ends_the_exporter() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("socket");
    let mut busy = Command::new("sh");
    busy.args(["-c", "while :; do sleep 0.01; done"]);
    let mut busy = Ended(busy.spawn().expect("a shell"));
    let Some(killed) = start(busy.0.id(), &socket) else {
        return;
    };
    await_figures(&socket, |samples| delays(samples) > 0.0);
    drop(killed);
    assert!(fs::symlink_metadata(&socket).is_ok(), "it was killed");

    let mut exporter = start(busy.0.id(), &socket).expect("the socket is replaced");
    let up = format!("gosched_up{{pid=\"{}\"}}", busy.0.id());
    await_figures(&socket, |samples| delays(samples) > 0.0);
    assert_eq!(scrape(&socket)[&up], 1.0);
    busy.0.kill().expect("a process");
    busy.0.wait().expect("it ends");
    await_figures(&socket, |samples| samples[&up] == 0.0);
    assert!(delays(&scrape(&socket)) > 0.0, "what was counted stays");

    let pid = Pid::from_raw(exporter.0.id().try_into().expect("an id"));
    kill(pid, Signal::SIGTERM).expect("a process");
    assert!(exporter.0.wait().expect("it ends").success());
    assert!(fs::symlink_metadata(&socket).is_err(), "it is removed");
}
