// SPDX-License-Identifier: GPL-2.0

//! `gosched top` about real threads.

use std::io::BufRead;
use std::io::BufReader;
use std::process;
use std::process::Child as Program;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use common::cgroup::Cgroup;
use common::child::Child;
use common::command::described;
use common::command::gosched;
use common::command::json;
use common::command::output;
use common::command::succeeds;
use common::deadline::await_output;
use common::deadline::await_program;
use common::deadline::TimedReader;
use common::device::Device;
use common::eventually;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::pi_mutex::PiMutex;
use common::worker::Worker;
use serde_json::Value;

/// Seconds between updates: long enough to measure something.
const INTERVAL: &str = "0.2";

/// Returns an update about all threads of a process, in JSON.
#[track_caller]
fn update(pid: i32) -> Value {
    let said = succeeds(&[
        "top",
        "--json",
        "--all",
        "-n",
        "1",
        "-i",
        INTERVAL,
        "-p",
        &pid.to_string(),
    ]);
    assert_eq!(said.lines().count(), 1, "one line for each update: {said}");
    described("top", &said)
}

/// Returns the entry of a thread of this process in an update.
#[track_caller]
fn shown(tid: i32) -> Value {
    thread_of(&update(process::id() as i32), tid).clone()
}

#[track_caller]
fn thread_of(update: &Value, tid: i32) -> &Value {
    let threads = update["threads"].as_array().expect("a list");
    threads
        .iter()
        .find(|thread| thread["tid"] == tid)
        .unwrap_or_else(|| panic!("no thread {tid}: {update}"))
}

/// Returns the cell of a thread in the table, by the heading of its column.
#[track_caller]
fn cell(tid: i32, heading: &str) -> String {
    let own = process::id().to_string();
    let said = succeeds(&["top", "-b", "--all", "-n", "1", "-i", INTERVAL, "-p", &own]);
    assert!(!said.contains('\u{1b}'), "no colours in a pipe: {said}");
    let words =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let headings = said
        .lines()
        .map(words)
        .find(|words| words.first().is_some_and(|word| word == "PID"))
        .unwrap_or_else(|| panic!("no headings: {said}"));
    let of_tid = |words: &Vec<String>| words.get(1) == Some(&tid.to_string());
    let cells = said.lines().map(words).find(of_tid);
    let cells = cells.unwrap_or_else(|| panic!("no thread {tid}: {said}"));
    // The name of a thread may have blanks, so counted from the right.
    let from_right = headings
        .iter()
        .rev()
        .position(|word| word == heading)
        .unwrap_or_else(|| panic!("no column {heading}: {said}"));
    cells[cells.len() - 1 - from_right].clone()
}

#[test]
fn a_thread_is_shown_with_what_was_asked_for_and_what_is_in_force() {
    let device = Device::open();
    let worker = Worker::spawn();
    device.ceiling(worker.tid(), 55);
    device.set(worker.tid(), 50);

    let thread = shown(worker.tid());
    assert_eq!(thread["pid"], process::id());
    assert_eq!(thread["priority"], 50);
    assert_eq!(thread["applied"], 50);
    assert_eq!(thread["ceiling"], 55);
    assert_eq!(thread["current"]["policy"], "SCHED_RR");
    assert_eq!(thread["current"]["rt_priority"], 3);
    assert_eq!(thread["kernel_priority"], -4);
    assert_eq!(thread["boosted"], false);
    assert_eq!(thread["policy_mismatch"], false);
    assert_eq!(thread["last_change"], "ioctl");

    for (heading, expected) in [
        ("GO", "50"),
        ("APPLIED", "50"),
        ("CEILING", "55"),
        ("POLICY", "RR"),
        ("NICE", "-"),
        ("RT", "3"),
        ("SLICE-MS", "-"),
        ("CHANGE", "ioctl"),
        ("MARKS", "-"),
    ] {
        assert_eq!(cell(worker.tid(), heading), expected, "{heading}");
    }
    device.set(worker.tid(), 24);
    assert_eq!(cell(worker.tid(), "NICE"), "8");
    assert_eq!(cell(worker.tid(), "SLICE-MS"), "9.490");
}

#[test]
fn only_with_all_threads_without_a_priority_are_shown() {
    let device = Device::open();
    let [with, without] = [(); 2].map(|()| Child::sleeping(|| ()));
    device.set(with.pid(), 20);
    let tids = |arguments: &[&str]| -> Vec<i64> {
        let update = json(&[&["top", "--json", "-n", "1", "-i", INTERVAL], arguments].concat());
        let threads = update["threads"].as_array().expect("a list");
        threads
            .iter()
            .map(|thread| thread["tid"].as_i64().expect("a number"))
            .collect()
    };
    let [with, without] = [with.pid(), without.pid()].map(i64::from);
    assert_eq!(tids(&[]), [with]);
    let all = tids(&["--all", "--sort", "tid"]);
    assert!(all.contains(&with) && all.contains(&without), "{all:?}");
    assert!(all.is_sorted(), "{all:?}");
    assert_eq!(tids(&["--all", "-p", &without.to_string()]), [without]);
}

#[test]
fn a_boosted_thread_is_marked() {
    let device = Device::open();
    let mutex = PiMutex::new();
    let [holder, waiter] = [(); 2].map(|()| Worker::spawn());
    device.set(holder.tid(), 20);
    device.set(waiter.tid(), 50);
    let held = Arc::clone(&mutex);
    holder.run(move || held.lock());
    assert_eq!(shown(holder.tid())["boosted"], false);

    let wanted = Arc::clone(&mutex);
    let waiting = waiter.start(move || {
        wanted.lock();
        wanted.unlock();
    });
    eventually("the holder is boosted", || {
        shown(holder.tid())["boosted"] == true
    });
    let thread = shown(holder.tid());
    assert_eq!(thread["priority"], 20);
    assert_eq!(thread["kernel_priority"], -4, "that of the waiter");
    assert_eq!(cell(holder.tid(), "MARKS"), "B");

    holder.run(move || mutex.unlock());
    waiting.wait();
    assert_eq!(cell(holder.tid(), "MARKS"), "-");
}

#[test]
fn a_hint_above_the_ceiling_is_marked_and_counted() {
    let device = Arc::new(Device::open());
    let page = Arc::new(HintPage::new(&device, 1));
    let worker = HintedWorker::spawn(&device, &page, 0);
    worker.take(60, 32);
    let thread = shown(worker.tid());
    assert_eq!(thread["priority"], 32, "lowered to the ceiling");
    assert_eq!(thread["stats"]["clamps"], 1);
    assert_eq!(cell(worker.tid(), "MARKS"), "C");

    let id = worker.tid().to_string();
    let said = succeeds(&["stats", &id]);
    assert!(
        said.contains(&format!("pid {id}'s hints above its ceiling: 1\n")),
        "{said}"
    );
    let stats = json(&["stats", "--json", &id]);
    assert_eq!(stats[0]["clamps"], 1);
    assert_eq!(stats[0]["last_change"], "hint");
    assert_eq!(stats[0]["runaways"], 0);
}

/// A control group that allows a tenth of a CPU, and a program in the group that wants a
/// whole CPU.
struct Throttled {
    program: Program,
    group: Cgroup,
}

impl Throttled {
    fn new() -> Self {
        let group = Cgroup::new("top", "+cpu");
        group.set("cpu.max", "10000 100000");
        let program = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .expect("the guest has a shell");
        group.add(program.id());
        Self { program, group }
    }
}

impl Drop for Throttled {
    fn drop(&mut self) {
        self.program.kill().expect("it spins");
        await_program(&mut self.program);
    }
}

#[test]
fn a_thread_that_its_control_group_throttles_is_marked() {
    let device = Device::open();
    let throttled = Throttled::new();
    let pid = throttled.program.id() as i32;
    device.set(pid, 24);
    let mut thread = Value::Null;
    eventually("it is throttled", || {
        thread = thread_of(&update(pid), pid).clone();
        thread["quota"]["throttled_now"].as_u64() > Some(0)
    });
    assert_eq!(thread["cgroup"], "/top");
    assert_eq!(thread["quota"]["cgroup"], "/sys/fs/cgroup/top");
    assert_eq!(thread["quota"]["cpus"], 0.1);

    let id = pid.to_string();
    eventually("it is marked", || {
        let said = succeeds(&["top", "-b", "-n", "1", "-i", INTERVAL, "-p", &id]);
        let quota = "/sys/fs/cgroup/top: cpu.max allows 10% of one CPU; throttled";
        said.contains(quota) && said.contains(" QT ") && said.trim_end().ends_with("/top")
    });
}

#[test]
fn a_thread_competes_in_the_nearest_group_that_has_the_controller() {
    let throttled = Throttled::new();
    let pid = throttled.program.id() as i32;
    // Its parent does not pass the controller on.
    let inner = Cgroup::try_new(throttled.group.path(), "inner", "").expect("a new group");
    inner.add(pid as u32);
    let thread = thread_of(&update(pid), pid).clone();
    let id = pid.to_string();
    let said = succeeds(&["top", "-b", "--all", "-n", "1", "-i", INTERVAL, "-p", &id]);

    throttled.group.add(pid as u32);
    drop(inner);
    assert_eq!(thread["cgroup"], "/top/inner");
    assert_eq!(thread["cpu_cgroup"], "/top");
    assert!(said.trim_end().ends_with(" /top"), "{said}");
}

#[test]
fn a_process_that_is_not_there_is_told() {
    let (stdout, stderr) = output(&mut gosched(&["top", "-b", "-p", "4194304"]), 1);
    assert_eq!(stdout, "");
    assert_eq!(stderr, "gosched: pid 4194304: no such process or thread\n");
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    for arguments in [&["top", "-b"][..], &["top", "--json"]] {
        let mut top = gosched(&[arguments, &["--all", "-i", "0.05"]].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the guest has the command");
        let mut line = String::new();
        let stdout = TimedReader::new(top.stdout.take().expect("a pipe"));
        BufReader::new(stdout).read_line(&mut line).expect("text");
        let ended = await_output(top);
        assert!(ended.status.success(), "{:?}", ended.status);
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    }
}
