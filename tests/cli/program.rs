// SPDX-License-Identifier: GPL-2.0

//! What `gosched` tells of programs by their executables: of Go programs, with the overlay of
//! Go's runtime and without, and of others.

use std::fs;
use std::fs::Permissions;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process;
use std::process::Child as Program;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use common::child::become_user;
use common::child::Child;
use common::command::described;
use common::command::gosched;
use common::command::json;
use common::command::output;
use common::command::succeeds;
use common::deadline::await_program;
use common::deadline::TimedReader;
use common::device::Device;
use common::device::PublicDevice;
use common::eventually;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::worker::Worker;
use common::OTHER_USER;
use common::USER;
use go_test_program::OVERLAY;
use go_test_program::PLAIN;
use serde_json::Value;

/// The mode of a program that everybody may read.
const READABLE: u32 = 0o755;
/// The mode of a program that others may run, and not read.
const UNREADABLE: u32 = 0o711;

/// The program go/internal/lowered, which runs until it is dropped.
struct Lowered {
    program: Program,
    /// The thread that has the priority, if there is one.
    tid: i32,
}

impl Lowered {
    fn start(executable: &[u8], mode: u32, arguments: &[&str]) -> Self {
        Self::start_as(0, executable, mode, arguments)
    }

    fn start_as(user: u32, executable: &[u8], mode: u32, arguments: &[&str]) -> Self {
        let path = "/tmp/lowered";
        // One that still runs may not be written to.
        let _ = fs::remove_file(path);
        fs::write(path, executable).expect("/tmp has room");
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("root's own file");
        let mut program = Command::new(path)
            .args(arguments)
            .uid(user)
            .gid(user)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the file is a program");
        let mut line = String::new();
        let stdout = program.stdout.take().expect("a pipe");
        BufReader::new(TimedReader::new(stdout))
            .read_line(&mut line)
            .expect("the program says the id of a thread");
        let tid = line.trim_end().parse().expect("an id");
        Self { program, tid }
    }

    fn pid(&self) -> i32 {
        self.program.id() as i32
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        self.program.kill().expect("it runs");
        await_program(&mut self.program);
    }
}

/// Returns `gosched` as a user runs it.
fn as_user(arguments: &[&str]) -> Command {
    let mut command = gosched(arguments);
    command.uid(USER).gid(USER);
    command
}

/// Returns what `gosched get --json` says of a thread.
#[track_caller]
fn shown(tid: i32) -> Value {
    json(&["get", "--json", &tid.to_string()])[0].clone()
}

/// Returns the line on hints of `gosched get`, without what each line begins with.
#[track_caller]
fn line_on_hints(said: &str, tid: i32) -> Option<&str> {
    let begin = format!("pid {tid}'s hints: ");
    said.lines().find_map(|line| line.strip_prefix(&*begin))
}

/// Returns what `gosched check --json --pid` finds of a process, which root asks.
#[track_caller]
fn check(pid: i32) -> Value {
    let (stdout, _) = output(
        &mut gosched(&["check", "--json", "-p", &pid.to_string()]),
        0,
    );
    finding(&stdout)
}

/// Returns what it finds if a user asks.
#[track_caller]
fn check_as_user(pid: i32) -> Value {
    let (stdout, _) = output(
        &mut as_user(&["check", "--json", "-p", &pid.to_string()]),
        0,
    );
    finding(&stdout)
}

#[track_caller]
fn finding(stdout: &str) -> Value {
    let findings = described("check", stdout);
    let last = findings.as_array().and_then(|all| all.last());
    let last = last.expect("a finding").clone();
    assert_eq!(last["check"], "process", "{findings}");
    last
}

#[track_caller]
fn assert_found(finding: &Value, verdict: &str, parts: &[&str]) {
    assert_eq!(finding["verdict"], verdict, "{finding}");
    let detail = finding["detail"].as_str().expect("text");
    for part in parts {
        assert!(detail.contains(part), "{part}: {finding}");
    }
    assert_eq!(finding["advice"].is_string(), verdict != "ok", "{finding}");
}

#[test]
fn get_tells_whose_hints_a_thread_has() {
    let go = Lowered::start(OVERLAY, READABLE, &["-prio", "8"]);
    // It has none while it runs the scheduler.
    eventually("the thread has the goroutine's priority", || {
        shown(go.tid)["priority"] == 8
    });
    assert_eq!(shown(go.tid)["hints_of"], "goroutine");
    let said = succeeds(&["get", &go.tid.to_string()]);
    assert_eq!(
        line_on_hints(&said, go.tid),
        Some("of the goroutine that it runs")
    );
    let table = succeeds(&["get", "-a", &go.pid().to_string()]);
    assert!(table.contains(" goroutine\n"), "{table}");

    let device = Arc::new(Device::open());
    let page = Arc::new(HintPage::new(&device, 1));
    let worker = HintedWorker::spawn(&device, &page, 0);
    assert_eq!(shown(worker.tid())["hints_of"], "thread");
    let said = succeeds(&["get", &worker.tid().to_string()]);
    assert_eq!(
        line_on_hints(&said, worker.tid()),
        Some("of the thread itself")
    );

    let own = process::id() as i32;
    assert_eq!(shown(own)["hints_of"], Value::Null);
    assert_eq!(
        line_on_hints(&succeeds(&["get", &own.to_string()]), own),
        None
    );
}

#[test]
fn get_does_not_guess_whose_hints_they_are() {
    let _public = PublicDevice::new();
    let go = Lowered::start_as(USER, OVERLAY, UNREADABLE, &["-prio", "8"]);
    let id = go.tid.to_string();
    let (said, _) = output(&mut as_user(&["get", &id]), 0);
    assert_eq!(
        line_on_hints(&said, go.tid),
        Some("unknown whose: its executable may not be read by this user")
    );
    let (stdout, _) = output(&mut as_user(&["get", "--json", &id]), 0);
    let thread = &described("get", &stdout)[0];
    assert_eq!(thread["hints_of"], "unknown");
    assert!(thread["hints_unknown"].is_string(), "{thread}");
    assert_eq!(shown(go.tid)["hints_of"], "goroutine", "root may read it");
}

#[test]
fn top_marks_threads_that_follow_goroutines() {
    const TOP: [&str; 6] = ["top", "--all", "-n", "1", "-i", "0.1"];
    /// What stands in the column MARKS, which the last one follows.
    fn marks(said: &str, tid: i32) -> &str {
        let row = |line: &&str| line.split_whitespace().nth(1) == Some(&tid.to_string());
        let row = said.lines().find(row);
        let row = row.unwrap_or_else(|| panic!("no thread {tid}: {said}"));
        row.split_whitespace().rev().nth(1).expect("marks")
    }

    let _public = PublicDevice::new();
    let go = Lowered::start_as(USER, OVERLAY, UNREADABLE, &["-prio", "8"]);
    let pid = go.pid().to_string();
    let said = succeeds(&[&TOP[..], &["-b", "-p", &pid]].concat());
    assert!(marks(&said, go.tid).contains('G'), "{said}");
    let update = json(&[&TOP[..], &["--json", "-p", &pid]].concat());
    let threads = update["threads"].as_array().expect("a list");
    let bound = |thread: &&Value| thread["hints_of"] == "goroutine";
    assert!(threads.iter().filter(bound).count() > 1, "{update}");

    let (said, _) = output(&mut as_user(&[&TOP[..], &["-b", "-p", &pid]].concat()), 0);
    assert!(marks(&said, go.tid).contains('?'), "{said}");
    assert!(!marks(&said, go.tid).contains('G'), "{said}");

    let own = process::id().to_string();
    let said = succeeds(&[&TOP[..], &["-b", "-p", &own]].concat());
    assert!(!marks(&said, process::id() as i32).contains('G'), "{said}");
}

#[test]
fn check_names_a_go_program_that_waits_for_lowered_threads() {
    let go = Lowered::start(PLAIN, READABLE, &["-prio", "8"]);
    let found = check(go.pid());
    let named = format!("{} (lowered) is a Go program", go.pid());
    let parts = [&*named, "without gosched-overlay", "with 1 of its "];
    assert_found(&found, "warn", &parts);
    assert!(found.to_string().contains("SetGoroutine"), "{found}");
    assert!(found.to_string().contains("unknown how often"), "{found}");
}

#[test]
fn check_finds_nothing_lower_in_a_go_program_that_has_lowered_nothing_or_all() {
    let go = Lowered::start(PLAIN, READABLE, &[]);
    let fine = ["is a Go program, and none of its ", " is below others"];
    assert_found(&check(go.pid()), "ok", &fine);
    // Go's runtime may start one more thread in between.
    let mut found = Value::Null;
    eventually("all threads are lowered", || {
        succeeds(&["set", "-a", "8", &go.pid().to_string()]);
        found = check(go.pid());
        found["verdict"] == "ok"
    });
    assert_found(&found, "ok", &fine);
}

#[test]
fn check_tells_whether_the_threads_of_a_program_follow_its_goroutines() {
    let go = Lowered::start(OVERLAY, READABLE, &["-prio", "8"]);
    let follow = [
        "built with gosched-overlay: ",
        " threads follow their goroutines",
    ];
    assert_found(&check(go.pid()), "ok", &follow);

    // It may not open the device.
    let go = Lowered::start_as(USER, OVERLAY, READABLE, &["-prio", "8"]);
    let none = [
        "built with gosched-overlay, but none of its ",
        "/dev/go_sched",
    ];
    assert_found(&check(go.pid()), "warn", &none);
    // A priority of a thread is none of its goroutine.
    succeeds(&["set", "8", &go.tid.to_string()]);
    let lowered = ["built with gosched-overlay, with 1 of its "];
    assert_found(&check(go.pid()), "warn", &lowered);
}

#[test]
fn check_of_a_program_that_is_not_go_has_nothing_to_say() {
    let mut c = Command::new("sleep").arg("1000").spawn().expect("busybox");
    let found = check(c.id() as i32);
    c.kill().expect("it runs");
    await_program(&mut c);
    assert_found(&found, "ok", &["(sleep) is not a Go program"]);
    // This one has threads that are lowered.
    let worker = Worker::spawn();
    Device::open().set(worker.tid(), 8);
    assert_found(&check(process::id() as i32), "ok", &["is not a Go program"]);
}

#[test]
fn check_of_an_executable_that_it_cannot_read_is_unknown() {
    let _public = PublicDevice::new();
    let go = Lowered::start_as(USER, PLAIN, UNREADABLE, &[]);
    let unknown = ["unknown whether ", "may not be read by this user"];
    assert_found(&check_as_user(go.pid()), "unknown", &unknown);
    assert_found(&check(go.pid()), "ok", &["is a Go program"]);

    let others = Child::sleeping(|| become_user(OTHER_USER));
    assert_found(&check_as_user(others.pid()), "unknown", &unknown);
    assert_found(&check(2), "unknown", &["it has no executable"]);
}

#[test]
fn check_of_a_process_that_does_not_exist_fails() {
    let none = gosched(&["check", "--json", "-p", "4194304"]);
    let (stdout, _) = output(&mut { none }, 1);
    let found = finding(&stdout);
    assert_found(&found, "fail", &["4194304: no such process or thread"]);

    let go = Lowered::start(PLAIN, READABLE, &[]);
    let another = format!("{}:1", go.pid());
    let (stdout, _) = output(&mut gosched(&["check", "--json", "-p", &another]), 1);
    assert_found(&finding(&stdout), "fail", &["has exited"]);
}
