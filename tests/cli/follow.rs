// SPDX-License-Identifier: GPL-2.0

//! `gosched watch`, `trace`, `stats`, `completions` and `man`.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Lines;
use std::os::unix::process::CommandExt;
use std::process::Child as Program;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use common::child::Child;
use common::command::described;
use common::command::fails;
use common::command::gosched;
use common::command::output;
use common::command::succeeds;
use common::deadline::await_output;
use common::deadline::await_program;
use common::deadline::output_of;
use common::deadline::scope;
use common::deadline::TimedReader;
use common::device::Device;
use common::eventually;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::trace::mount_tracefs;
use common::trace::TRACEFS;
use common::worker::Worker;
use common::StopOnDrop;
use common::USER;
use rustix::process::kill_process;
use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;

/// A command that runs.
struct Running {
    program: Program,
    lines: Lines<BufReader<TimedReader<ChildStdout>>>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut gosched(arguments))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut program = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the guest has the command");
        let stdout = program.stdout.take().expect("a pipe");
        Self {
            program,
            lines: BufReader::new(TimedReader::new(stdout)).lines(),
        }
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let line = self.lines.next().expect("a line more");
        line.expect("the command writes text")
    }

    #[track_caller]
    fn event(&mut self) -> Value {
        described("watch", &self.line())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.program), signal).expect("it runs");
    }

    /// Waits for the command to end with `status`. Returns the lines that were not read
    /// yet, and standard error.
    #[track_caller]
    fn end(self, status: i32) -> (Vec<String>, String) {
        let lines = self.lines.map(|line| line.expect("text")).collect();
        let Output {
            status: ended,
            stderr,
            ..
        } = await_output(self.program);
        let stderr = String::from_utf8(stderr).expect("text");
        assert_eq!(ended.code(), Some(status), "{stderr}");
        (lines, stderr)
    }
}

#[test]
fn watch_tells_each_change_until_the_thread_has_ended() {
    let device = Device::open();
    let child = Child::sleeping(|| ());
    let pid = child.pid();
    let mut watch = Running::start(&["watch", "--json", "-i", "0.01", &pid.to_string()]);
    let first = watch.event();
    assert_eq!(first["event"], "found");
    assert_eq!(first["tid"], pid);
    assert_eq!(first["priority"], Value::Null);

    device.set(pid, 50);
    let set = watch.event();
    assert_eq!(set["event"], "changed");
    assert_eq!(set["priority"], 50);
    assert_eq!(set["current"]["policy"], "SCHED_RR");
    assert_eq!(set["last_change"], "ioctl");
    assert!(set["seconds"].as_f64() > first["seconds"].as_f64());

    device.ceiling(pid, 60);
    assert_eq!(watch.event()["ceiling"], 60);

    drop(child);
    let end = watch.event();
    assert_eq!(end["event"], "ended");
    assert_eq!(end["tid"], pid);
    assert_eq!(watch.end(0), (vec![], String::new()));
}

#[test]
fn watch_ends_with_a_signal_and_finds_new_threads() {
    let device = Device::open();
    let first = Worker::spawn();
    let own = std::process::id().to_string();
    let mut watch = Running::start(&["watch", "-a", "-i", "0.01", &own]);
    let found = |tid| format!(" pid {tid} found: Go priority none; ceiling 32 (fair); SCHED_OTHER");
    while !watch.line().contains(&found(first.tid())) {}
    let second = Worker::spawn();
    while !watch.line().contains(&found(second.tid())) {}
    device.set(second.tid(), 20);
    let changed = format!(
        " pid {} changed: Go priority 20 (fair); ceiling 32 (fair); SCHED_OTHER, nice 12",
        second.tid()
    );
    while !watch.line().contains(&changed) {}
    watch.signal(Signal::INT);
    assert_eq!(watch.end(0).1, "");
}

#[test]
fn watch_ends_with_a_signal_however_long_its_interval_is() {
    let child = Child::sleeping(|| ());
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut watch = Running::start(&["watch", "-i", "3600", &child.pid().to_string()]);
        assert!(watch.line().contains(" found: "));
        watch.signal(signal);
        assert_eq!(watch.end(0), (vec![], String::new()));
    }
}

/// Watches the threads of this process, with a limit on open files as `ulimit` takes it:
/// "-Sn" sets the soft limit, "-n" the hard one too.
fn watch_with_few_descriptors(limit: &str) -> Running {
    let pid = std::process::id();
    let script = format!("ulimit {limit} && exec gosched watch -a -i 0.01 {pid}");
    Running::spawn(Command::new("sh").args(["-c", &script]))
}

#[test]
fn watch_finds_new_threads_beside_as_many_as_it_has_descriptors_for() {
    let _many: Vec<Worker> = (0..80).map(|_| Worker::spawn()).collect();
    for limit in ["-Sn 32", "-n 128"] {
        let mut watch = watch_with_few_descriptors(limit);
        for _ in 0..80 {
            assert!(watch.line().contains(" found: "), "{limit}");
        }
        let new = Worker::spawn();
        let found = format!(" pid {} found: ", new.tid());
        while !watch.line().contains(&found) {}
        watch.signal(Signal::INT);
        assert_eq!(watch.end(0).1, "", "{limit}");
    }
}

#[test]
fn watch_says_when_it_has_no_descriptor_for_a_new_thread() {
    let watch = watch_with_few_descriptors("-n 64");
    // Of threads that there are at its start it says so as well, and watches the others.
    let call = format!("/proc/{}/syscall", watch.program.id());
    let ppoll = format!("{} ", libc::SYS_ppoll);
    eventually("it waits for the next look", || {
        fs::read_to_string(&call).is_ok_and(|call| call.starts_with(&ppoll))
    });
    let _many: Vec<Worker> = (0..80).map(|_| Worker::spawn()).collect();
    let said = watch.end(1).1;
    assert!(said.contains("\"ulimit -n\""), "{said}");
}

#[test]
fn watch_says_what_it_did_not_find() {
    let said = fails(&mut gosched(&["watch", "4194304"]), 1);
    assert!(
        said.contains("4194304: no such process or thread"),
        "{said}"
    );
}

/// Returns the number of trace buffers of the command.
fn instances() -> usize {
    let instances = fs::read_dir(format!("{TRACEFS}/instances")).expect("tracefs");
    instances
        .filter(|instance| {
            let name = instance.as_ref().expect("readable").file_name();
            name.to_string_lossy().starts_with("gosched-")
        })
        .count()
}

#[test]
fn trace_shows_what_happens_to_a_command_and_what_it_starts_alone() {
    mount_tracefs();
    let other = Worker::spawn();
    let script = format!(
        "gosched set 40 $$; gosched set 30 {}; sh -c 'gosched run 20 -- true'; exit 7",
        other.tid()
    );
    let (stdout, stderr) = output(&mut gosched(&["trace", "--", "sh", "-c", &script]), 7);
    assert_eq!(stderr, "");
    assert_eq!(instances(), 0);
    let events: Vec<&str> = stdout
        .lines()
        .filter_map(|line| line.split_once(" pid ")?.1.split_once(": "))
        .map(|(_, event)| event)
        .filter(|event| event.starts_with("apply"))
        .collect();
    assert_eq!(
        events,
        [
            "apply none SCHED_OTHER -> 40 SCHED_OTHER, ioctl",
            "apply none SCHED_OTHER -> 20 SCHED_OTHER, ioctl",
        ],
        "{stdout}"
    );
    assert!(stdout.contains(": set 40 by pid "), "{stdout}");
}

/// Starts `gosched trace`. Returns once events are recorded.
fn tracing(arguments: &[&str]) -> Running {
    mount_tracefs();
    let trace = Running::start(&[&["trace"], arguments].concat());
    let instance = format!("{TRACEFS}/instances/gosched-{}-0", trace.program.id());
    eventually("it records", || {
        let enabled = fs::read_to_string(format!("{instance}/events/go_sched/enable"));
        enabled.is_ok_and(|enabled| enabled.trim() == "1")
    });
    trace
}

#[test]
fn trace_in_json_has_names_for_what_the_kernel_has_numbers_for() {
    let device = Arc::new(Device::open());
    let page = Arc::new(HintPage::new(&device, 1));
    let worker = HintedWorker::spawn(&device, &page, 0);
    let own = std::process::id().to_string();
    let mut trace = tracing(&["--json", "-p", &own]);
    device.set(worker.tid(), 50);
    worker.take(64, 50);
    worker.take(60, 32);
    trace.signal(Signal::TERM);
    let events: Vec<Value> = std::iter::from_fn(|| trace.lines.next())
        .map(|line| described("trace", &line.expect("text")))
        .filter(|event: &Value| event["tid"] == worker.tid())
        .collect();
    assert_eq!(trace.end(0).1, "");
    assert_eq!(instances(), 0);

    let of = |name: &str| -> Vec<&Value> {
        let of_name = events.iter().filter(|event| event["event"] == name);
        of_name.collect()
    };
    assert_eq!(of("set")[0]["priority"], 50);
    assert_eq!(of("set")[0]["cause"], "ioctl");
    let [first, last] = of("apply")[..] else {
        panic!("two changes: {events:?}");
    };
    assert_eq!(first["old_priority"], Value::Null);
    assert_eq!(first["new_priority"], 50);
    assert_eq!(first["old_policy"], "SCHED_OTHER");
    assert_eq!(first["new_policy"], "SCHED_RR");
    assert_eq!(last["cause"], "hint");
    assert_eq!(last["new_priority"], 32);
    let rejected = of("reject");
    assert_eq!(rejected[0]["priority"], 64);
    assert_eq!(rejected[0]["reason"], "priority");
    assert_eq!(rejected[0]["errno"], libc::EINVAL);
}

#[test]
fn trace_passes_signals_on_and_goes_on_until_the_command_has_ended() {
    let script = "trap 'gosched set 20 $$; exit 7' TERM; gosched set 40 $$; \
                  while :; do sleep 1; done";
    let mut trace = tracing(&["--", "sh", "-c", script]);
    while !trace.line().contains("-> 40 SCHED_OTHER") {}
    trace.signal(Signal::TERM);
    let (lines, stderr) = trace.end(7);
    let lowered = lines.iter().any(|line| line.contains("-> 20 SCHED_OTHER"));
    assert!(lowered, "{lines:?}");
    assert_eq!(stderr, "");
    assert_eq!(instances(), 0);
}

#[test]
fn trace_without_a_reader_waits_for_the_command() {
    const END: &str = "/tmp/gosched-trace-end";
    let script =
        format!("exec >/dev/null; while ! [ -e {END} ]; do gosched set 40 $$; done; exit 7");
    let Running { mut program, lines } = tracing(&["--", "sh", "-c", &script]);
    drop(lines);
    eventually("it no longer records", || instances() == 0);
    assert_eq!(program.try_wait().expect("it is ours"), None);
    fs::write(END, "").expect("a new file");
    let ended = await_output(program);
    assert_eq!(ended.status.code(), Some(7));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    fs::remove_file(END).expect("it is ours");
}

#[test]
fn trace_ends_with_a_signal_while_events_never_end() {
    let device = Device::open();
    let worker = Worker::spawn();
    let stop = AtomicBool::new(false);
    scope(|scope| {
        let _stop = StopOnDrop(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                device.set(worker.tid(), 20);
                device.set(worker.tid(), 30);
            }
        });
        let mut trace = tracing(&[]);
        trace.line();
        trace.signal(Signal::INT);
        trace
            .lines
            .by_ref()
            .for_each(|line| drop(line.expect("text")));
        // Some may have been lost.
        let ended = await_program(&mut trace.program);
        assert!(matches!(ended.code(), Some(0 | 1)), "{ended}");
        assert_eq!(instances(), 0);
    });
}

#[test]
fn trace_is_loud_about_events_it_lost() {
    let device = Device::open();
    let worker = Worker::spawn();
    let trace = tracing(&["--buffer-kb", "4"]);
    // Meanwhile nobody reads.
    trace.signal(Signal::STOP);
    for _ in 0..5000 {
        device.set(worker.tid(), 20);
        device.set(worker.tid(), 30);
    }
    trace.signal(Signal::CONT);
    trace.signal(Signal::INT);
    let (lines, stderr) = trace.end(1);
    assert!(!lines.is_empty(), "{stderr}");
    assert!(stderr.contains("LOST "), "{stderr}");
    assert!(stderr.contains("--buffer-kb"), "{stderr}");
}

#[test]
fn trace_takes_root_and_a_command_that_is_there() {
    mount_tracefs();
    let said = fails(gosched(&["trace"]).uid(USER).gid(USER), 1);
    assert!(said.contains("no permission to trace"), "{said}");
    let said = fails(&mut gosched(&["trace", "no-such-program"]), 127);
    assert!(said.contains("no-such-program"), "{said}");
    let said = fails(&mut gosched(&["trace", "-p", "4194304"]), 1);
    assert!(said.contains("no such process"), "{said}");
    assert_eq!(instances(), 0);
}

#[test]
fn completions_and_manual_are_written_where_they_are_asked_for() {
    assert!(succeeds(&["completions", "bash"]).contains("complete -F _gosched"));
    let dir = "/tmp/gosched-man";
    assert_eq!(succeeds(&["man", dir]), "");
    let page = fs::read_to_string(format!("{dir}/gosched-run.1")).expect("a page");
    assert!(page.contains("COMMAND was not found"), "{page}");
    fs::remove_dir_all(dir).expect("it is ours");
}

#[test]
fn stats_counts_changes_from_the_first_one_on() {
    let device = Device::open();
    let child = Child::sleeping(|| ());
    let id = child.pid().to_string();
    let said = succeeds(&["stats", &id]);
    assert!(said.contains(&format!("pid {id}'s changes: 0\n")), "{said}");
    assert!(
        said.contains(&format!("pid {id}'s last change: none\n")),
        "{said}"
    );
    device.set(child.pid(), 20);
    device.set(child.pid(), 50);
    let said = succeeds(&["stats", &id]);
    assert!(said.contains(&format!("pid {id}'s changes: 2\n")), "{said}");
    assert!(
        said.contains(&format!("pid {id}'s last change: ioctl\n")),
        "{said}"
    );
}

#[test]
fn a_shell_pipeline_that_ends_early_is_no_failure() {
    let script = "gosched map | head -n 1; gosched completions bash | true";
    let ended = output_of(Command::new("sh").args(["-c", script]));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}
