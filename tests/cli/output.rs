// SPDX-License-Identifier: GPL-2.0

//! Output about many threads. When the output cannot be written, the command still does
//! all its work.

use std::fs;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::process;
use std::process::Command;
use std::process::Stdio;

use common::command::gosched;
use common::command::json;
use common::command::succeeds;
use common::deadline::await_output;
use common::deadline::output_of;
use common::device::Device;
use common::eventually;
use common::trace::mount_tracefs;
use procfs::process::Process;
use rustix::fs::fcntl_setfl;
use rustix::fs::OFlags;
use rustix::io::write;
use rustix::pipe::pipe_with;
use rustix::pipe::PipeFlags;
use rustix::process::kill_process;
use rustix::process::Pid;
use rustix::process::Signal;

use crate::verbs::threaded_process;

/// Threads of the process of a test.
const THREADS: usize = 9;

/// The verbs that change threads, each with the state that the verb leaves.
const VERBS: [(&[&str], Option<u32>, u32); 3] = [
    (&["set", "-a", "8"], Some(8), 32),
    (&["ceiling", "-a", "40"], Some(8), 40),
    (&["clear", "-a"], None, 40),
];

/// Runs each verb with a standard output, on three processes; returns the status and
/// standard error of each.
#[track_caller]
fn change_all(json: bool, stdout: impl Fn() -> Stdio) -> Vec<(Option<i32>, String)> {
    let device = Device::open();
    let processes = [(); 3].map(|()| threaded_process(THREADS));
    let ids = processes
        .each_ref()
        .map(|(child, _)| child.pid().to_string());
    let ids = ids.each_ref().map(String::as_str);
    let form: &[&str] = if json { &["--json"] } else { &[] };
    let run = |(verb, prio, ceiling): (&[&str], Option<u32>, u32)| {
        let mut command = gosched(&[form, verb, &ids].concat());
        let program = command.stdout(stdout()).stderr(Stdio::piped()).spawn();
        let done = await_output(program.expect("the guest has the command"));
        for tid in processes.iter().flat_map(|(_, tids)| tids) {
            assert_eq!(device.prio(*tid), prio, "{verb:?}");
            assert_eq!(device.get(*tid).ceiling, ceiling, "{verb:?}");
        }
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        (done.status.code(), said)
    };
    VERBS.into_iter().map(run).collect()
}

#[test]
fn all_threads_are_changed_when_nobody_reads_what_was_done() {
    for json in [false, true] {
        let ended = change_all(json, || {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
            drop(reader);
            writer.into()
        });
        for end in ended {
            assert_eq!(end, (Some(0), String::new()), "json {json}");
        }
    }
}

#[test]
fn all_threads_are_changed_when_the_disk_is_full_and_missing_lines_are_counted() {
    for json in [false, true] {
        let full = || {
            File::options()
                .write(true)
                .open("/dev/full")
                .expect("it is there")
        };
        for (status, said) in change_all(json, || full().into()) {
            assert_eq!(status, Some(1), "{said}");
            assert!(said.contains("but the work is done: "), "{said}");
            let lines = format!("gosched: {} lines ", 3 * THREADS);
            assert_eq!(said.starts_with(&lines), !json, "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
}

#[test]
fn all_threads_are_changed_when_files_may_not_grow() {
    let device = Device::open();
    let processes = [(); 3].map(|()| threaded_process(THREADS));
    let ids = processes.each_ref().map(|(child, _)| child.pid());
    let ids = ids.map(|pid| pid.to_string()).join(" ");
    let changed = |prio: u32, script: &str| {
        let script = format!("ulimit -f 0; exec gosched set {script}");
        let done = output_of(Command::new("sh").args(["-c", &script]));
        assert_eq!(done.status.code(), Some(1), "{script}");
        for tid in processes.iter().flat_map(|(_, tids)| tids) {
            assert_eq!(device.prio(*tid), Some(prio), "{script}");
        }
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    let said = changed(8, &format!("-a 8 {ids} >/tmp/written"));
    let missing = format!("gosched: {} lines of output are missing", 3 * THREADS);
    assert!(said.starts_with(&missing), "{said}");
    // A message that cannot be written does not end the work either.
    changed(9, &format!("-a 9 4194304 {ids} 2>/tmp/written"));
    fs::remove_file("/tmp/written").expect("it is ours");
}

#[test]
fn a_reader_that_has_seen_enough_does_not_end_the_work() {
    let device = Device::open();
    let (process, tids) = threaded_process(THREADS);
    let script = format!("gosched set -a 8 {} | head -n 1", process.pid());
    let done = output_of(Command::new("sh").args(["-c", &script]));
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    assert!(tids.iter().all(|tid| device.prio(*tid) == Some(8)));
}

/// Returns the ends of a pipe that takes no more.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).expect("a pipe");
    while write(&writer, &[0; 4096]).is_ok() {}
    fcntl_setfl(&writer, OFlags::empty()).expect("a pipe");
    (reader, writer)
}

/// Waits until a program waits for a reader of its standard output.
#[track_caller]
pub(crate) fn await_write_to_stdout(program: &mut process::Child) {
    let process = Process::new(Pid::from_child(program).as_raw_pid()).expect("it runs");
    eventually("it waits for a reader", || {
        assert_eq!(program.try_wait().expect("a child"), None, "it has ended");
        let mut tasks = process.tasks().expect("it runs").flatten();
        tasks.any(|task| {
            let path = format!("/proc/{}/task/{}/syscall", task.pid, task.tid);
            fs::read_to_string(path).is_ok_and(|call| call.starts_with("1 0x1 "))
        })
    });
}

#[test]
fn a_reader_that_does_not_read_does_not_keep_a_verb_from_its_end() {
    mount_tracefs();
    let (process, _) = threaded_process(1);
    let pid = process.pid().to_string();
    for arguments in [
        &["watch", &pid][..],
        &["trace", "gosched", "run", "8", "true"],
    ] {
        let (_reader, writer) = full_pipe();
        let mut command = gosched(arguments);
        command.stdout(writer).stderr(Stdio::piped());
        let mut program = command.spawn().expect("the guest has the command");
        await_write_to_stdout(&mut program);
        kill_process(Pid::from_child(&program), Signal::TERM).expect("it runs");
        let done = await_output(program);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("nobody reads it"), "{arguments:?}: {said}");
    }
}

#[test]
fn too_few_descriptors_are_the_reason_that_is_told() {
    let (process, _) = threaded_process(THREADS);
    let mut done_with = Vec::new();
    for limit in 4..=10 {
        let script = format!(
            "ulimit -n {limit}; exec gosched set -a 10 {}",
            process.pid()
        );
        let done = output_of(Command::new("sh").args(["-c", &script]));
        let said = String::from_utf8_lossy(&done.stderr);
        match done.status.code() {
            Some(0) => done_with.push(limit),
            Some(1) => assert!(
                said.lines().all(|line| line.contains("ulimit -n")),
                "{said}"
            ),
            _ => panic!("{limit}: {said}"),
        }
    }
    // As the guide says.
    assert!(done_with.contains(&10), "{done_with:?}");
}

/// Returns the words of each line.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn all_threads_of_a_process_are_a_table_of_a_row_each() {
    let device = Device::open();
    let (process, tids) = threaded_process(THREADS);
    let id = process.pid().to_string();
    device.set(process.pid(), 20);
    let name = fs::read_to_string(format!("/proc/{id}/comm")).expect("it lives");
    let row_of = |verb: &str| {
        let said = succeeds(&[verb, "-a", &id]);
        let rows = words(&said);
        assert_eq!(rows.len(), 1 + THREADS, "{said}");
        for tid in &tids {
            let tid = tid.to_string();
            assert!(rows.iter().any(|row| row[0] == tid), "{tid}: {said}");
        }
        let row = rows.iter().find(|row| row[0] == id).expect("a row");
        [rows[0].join(" "), row[1..].join(" ")]
    };
    let name = name.trim();
    let headings = "TID COMMAND GO APPLIED CEILING POLICY NICE RT SLICE-MS CHANGE";
    let [first, row] = row_of("get");
    assert_eq!(first, headings);
    let expected = format!("{name} 20 20 32 SCHED_OTHER 12 - ");
    assert!(row.starts_with(&expected), "{row}");
    assert!(row.ends_with(" ioctl"), "{row}");
    let [first, row] = row_of("stats");
    let headings = "TID COMMAND CHANGES CHANGE ABOVE-CEILING PUT-OFF RUNAWAYS";
    assert_eq!(first, headings);
    assert_eq!(row, format!("{name} 1 ioctl 0 0 0"));
}

#[test]
fn what_is_verbose_or_of_one_thread_is_in_words() {
    let (process, _) = threaded_process(THREADS);
    let id = process.pid().to_string();
    for (verb, line) in [("get", "ceiling: 32 (fair)"), ("stats", "changes: 0")] {
        for (form, threads) in [(&["-a", "-v"][..], THREADS), (&["-v"], 1), (&[], 1)] {
            let said = succeeds(&[&[verb], form, &[id.as_str()]].concat());
            let count = said.lines().filter(|said| said.ends_with(line)).count();
            assert_eq!(count, threads, "{verb} {form:?}: {said}");
        }
    }
}

#[test]
fn json_has_the_name_of_each_thread() {
    let (process, _) = threaded_process(THREADS);
    let id = process.pid().to_string();
    let name = fs::read_to_string(format!("/proc/{id}/comm")).expect("it lives");
    for verb in ["get", "stats"] {
        let answer = json(&[verb, "--json", "-a", &id]);
        let threads = answer.as_array().expect("a list");
        assert_eq!(threads.len(), THREADS);
        assert!(threads.iter().all(|thread| thread["name"] == name.trim()));
    }
}
