// SPDX-License-Identifier: GPL-2.0

//! `gosched record` by tracefs, beside BPF programs and where there are none. The kernel is that of
//! this machine: what it lacks, or the user, skips the tests.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use gosched_observe::directory::Record;
use gosched_observe::event::Event;
use gosched_observe::event::EventKind;
use nix::unistd::gettid;

use crate::common::LIMIT;
use crate::succeed;

/// The lines that the program reads, for each of which it sleeps once.
const LINES: usize = 100;

/// What may come on top: the start of the program, and its end.
const SLACK: usize = LINES / 10;

/// Runs gosched in a mount namespace of its own, in which the first word hides BTF. Lists the
/// instances that are left.
const SCRIPT: &str = r#"
mount -t tracefs tracefs /sys/kernel/tracing && cd /sys/kernel/tracing/instances || exit 125
if [ "$1" = hidden ]; then mount -t tmpfs none /sys/kernel/btf; fi
left=$2
shift 2
"$@"
code=$?
ls >"$left"
exit "$code"
"#;

struct Recorded {
    record: Record,
    said: String,
    timeline: String,
    /// The thread that wakes the program.
    waker: i32,
}

/// Has this thread and what it starts run on one CPU: a wakeup from another one may come by an
/// interrupt there.
fn pin() {
    let status = fs::read_to_string("/proc/thread-self/status").expect("/proc");
    let mut lines = status.lines();
    let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let cpus = list.expect("a list").trim();
    let first = cpus.split([',', '-']).next().expect("a CPU");
    let mut taskset = Command::new("taskset");
    taskset.args(["-p", "-c", first, &gettid().to_string()]);
    let done = taskset.output().expect("taskset(1)");
    assert!(done.status.success(), "{done:?}");
}

/// Waits until the program waits for a line.
fn await_sleep(pid: &str) {
    let ends = Instant::now() + LIMIT;
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    while !stat().contains(") S ") {
        assert!(Instant::now() < ends, "{}", stat());
        thread::sleep(Duration::from_millis(1));
    }
}

/// Records a program that reads lines, or tells why that cannot be.
fn record(btf: &str, options: &[&str]) -> Option<Recorded> {
    pin();
    let folder = tempfile::tempdir().expect("a folder");
    let [record, left] = ["record", "left"].map(|name| folder.path().join(name));
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", SCRIPT, "sh", btf]);
    command.arg(&left).arg(env!("CARGO_BIN_EXE_gosched"));
    command.arg("record").args(options).arg("-o").arg(&record);
    command.args([
        "--",
        "sh",
        "-c",
        "echo $$; while read -r line; do echo; done",
    ]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut gosched = command.stderr(Stdio::piped()).spawn().expect("unshare(1)");
    let mut lines = gosched.stdin.take().expect("a pipe");
    let mut answers = BufReader::new(gosched.stdout.take().expect("a pipe"));
    let mut answer = String::new();
    let mut next = || {
        answer.clear();
        answers.read_line(&mut answer).expect("text");
        answer.trim_end().to_owned()
    };
    let pid = next();
    // There is none if gosched has failed.
    for _ in (0..LINES).take_while(|_| !pid.is_empty()) {
        await_sleep(&pid);
        lines.write_all(b"\n").expect("it reads");
        next();
    }
    drop(lines);
    let done = gosched.wait_with_output().expect("it ends");
    let said = String::from_utf8(done.stderr).expect("text");
    // Not root, or a kernel without tracefs.
    if !record.exists() && (done.status.code() == Some(125) || said.contains("unshare")) {
        eprintln!("SKIPPED: tracefs cannot be mounted here: {said}");
        return None;
    }
    if options.contains(&"bpf") && !done.status.success() {
        eprintln!("SKIPPED: BPF programs cannot be loaded here: {said}");
        return None;
    }
    assert!(done.status.success(), "{said}");
    let left = fs::read_to_string(left).expect("a list");
    let (timeline, _) = succeed(&["timeline", record.to_str().expect("text")]);
    let record = Record::read(&record).expect("a record");
    let own = format!("gosched-{}-", record.meta.recorder);
    assert!(!left.contains(&own), "{left}");
    Some(Recorded {
        record,
        said,
        timeline,
        waker: gettid().as_raw(),
    })
}

impl Recorded {
    fn count(&self, is_counted: impl Fn(&Event) -> bool) -> usize {
        let own = |event: &&Event| event.thread.tgid == self.record.meta.pid;
        let own = self.record.events.iter().filter(own);
        own.filter(|event| is_counted(event)).count()
    }

    /// Fails unless the program slept for each line, and was woken by who wrote it.
    #[track_caller]
    fn check(&self) {
        let wakeup = |event: &Event| event.kind() == EventKind::Wakeup;
        let counts = [
            self.count(|event| event.kind() == EventKind::Switch && event.state & 1 != 0),
            self.count(wakeup),
            self.count(|event| wakeup(event) && event.other.tid == self.waker),
        ];
        for count in counts {
            let expected = LINES..=LINES + SLACK;
            assert!(expected.contains(&count), "{counts:?}: {}", self.said);
        }
        assert_eq!(self.record.damaged, 0);
        let ends = |event: &Event| event.kind() == EventKind::Exit;
        assert_eq!(
            self.count(|event| ends(event) && event.thread.name() == "sh"),
            1
        );
    }
}

#[test]
fn both_tell_the_same_switches_and_wakers() {
    let Some(by_tracefs) = record("shown", &["--backend", "tracefs"]) else {
        return;
    };
    by_tracefs.check();
    let why = "no BPF program was to be used";
    assert!(by_tracefs.said.contains(why), "{}", by_tracefs.said);
    assert!(by_tracefs.timeline.contains(why), "{}", by_tracefs.timeline);
    let Some(by_bpf) = record("shown", &["--backend", "bpf"]) else {
        return;
    };
    by_bpf.check();
    assert_eq!(by_bpf.record.meta.tracefs, None);
}

#[test]
fn without_btf_it_is_tracefs_and_the_record_says_so() {
    let Some(recorded) = record("hidden", &[]) else {
        return;
    };
    recorded.check();
    let why = recorded.record.meta.tracefs.as_deref();
    assert!(why.is_some_and(|why| why.contains("BTF")), "{why:?}");
    for text in [&recorded.said, &recorded.timeline] {
        assert!(text.contains("this kernel has no BTF"), "{text}");
    }
}
