// SPDX-License-Identifier: GPL-2.0

//! `gosched get`, `set`, `clear`, `ceiling`, `run`, `check` and `map`.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Output;
use std::process::Stdio;
use std::thread;

use common::attr::Attr;
use common::child::become_user;
use common::child::Child;
use common::command::described;
use common::command::fails;
use common::command::gosched;
use common::command::json;
use common::command::output;
use common::command::succeeds;
use common::deadline::await_output;
use common::device::Device;
use common::device::PublicDevice;
use common::device::SELF;
use common::hint::HintPage;
use common::state::assert_unchanged;
use common::syscall::set_schedprio;
use common::worker::Worker;
use common::OTHER_USER;
use common::SAMPLE;
use common::USER;
use gosched::thread::Thread;
use gosched::thread::ThreadId;
use procfs::process::Process;
use serde_json::Value;

/// A number above the largest thread id that the kernel gives out.
const NO_TID: &str = "4194304";

/// Starts a process of some threads. Returns the process and the ids of the threads.
pub(crate) fn threaded_process(threads: usize) -> (Child, Vec<i32>) {
    let process = Child::sleeping(move || {
        for _ in 1..threads {
            thread::spawn(|| loop {
                thread::park();
            });
        }
    });
    let tids: Vec<_> = Process::new(process.pid())
        .and_then(|process| process.tasks())
        .and_then(|tasks| tasks.map(|task| task.map(|task| task.tid)).collect())
        .expect("/proc lists the threads");
    assert_eq!(tids.len(), threads);
    (process, tids)
}

#[test]
fn set_get_and_clear_do_what_they_say() {
    let device = Device::open();
    let child = Child::sleeping(|| ());
    let pid = child.pid();
    let id = pid.to_string();

    for prio in SAMPLE {
        let said = succeeds(&["set", &prio.to_string(), &id]);
        assert!(
            said.starts_with(&format!("pid {id}'s new Go priority: {prio} (")),
            "{said}"
        );
        assert_eq!(device.prio(pid), Some(prio));
        let said = succeeds(&["get", &id]);
        assert!(
            said.starts_with(&format!("pid {id}'s current Go priority: {prio} (")),
            "{said}"
        );
    }
    let said = succeeds(&["clear", &id]);
    assert_eq!(said, format!("pid {id}'s new Go priority: none\n"));
    assert_eq!(device.prio(pid), None);
}

#[test]
fn get_in_json_is_what_the_kernel_answers() {
    let device = Device::open();
    let child = Child::sleeping(|| Attr::batch(3).apply(SELF));
    let pid = child.pid();
    device.set_inherited(pid, 60);

    let answer = json(&["get", "--json", &pid.to_string()]);
    let thread = &answer[0];
    assert_eq!(thread["tid"], pid);
    assert_eq!(thread["priority"], 60);
    assert_eq!(thread["band"], "rt");
    assert_eq!(thread["applied"], 60);
    assert_eq!(thread["inherit"], true);
    assert_eq!(thread["ceiling"], 29);
    assert_eq!(thread["ceiling_granted"], false);
    assert_eq!(thread["slot"], Value::Null);
    assert_eq!(thread["last_change"], "ioctl");
    assert_eq!(thread["current"]["policy"], "SCHED_RR");
    assert_eq!(thread["current"]["rt_priority"], 13);
    assert_eq!(thread["base"]["policy"], "SCHED_BATCH");
    assert_eq!(thread["base"]["nice"], 3);

    device.clear(pid);
    let answer = json(&["get", "--json", &pid.to_string()]);
    assert_eq!(answer[0]["priority"], Value::Null);
    assert_eq!(answer[0]["applied"], Value::Null);
}

#[test]
fn get_tells_the_slot_of_a_bound_thread() {
    let worker = Worker::spawn();
    worker.run(|| {
        let device = Device::open();
        let page = HintPage::new(&device, 8);
        device.bind(7);
        page.slot(7).take(20, 20);
    });
    let answer = json(&["get", "--json", &worker.tid().to_string()]);
    assert_eq!(answer[0]["priority"], 20);
    assert_eq!(answer[0]["slot"], 7);
    assert_eq!(answer[0]["last_change"], "hint");
}

#[test]
fn get_tells_in_words_what_is_in_force_and_why() {
    let worker = Worker::spawn();
    let id = worker.tid().to_string();
    let said = succeeds(&["get", &id]);
    assert!(said.contains(&format!("pid {id}'s ceiling: 32 (fair)\n")));
    assert!(said.contains(&format!("pid {id}'s last change: none\n")));

    set_schedprio(worker.tid(), 40, 0).unwrap();
    let said = succeeds(&["get", &id]);
    assert!(said.contains(&format!("pid {id}'s last change: syscall\n")));
    assert!(
        !said.contains("in force"),
        "it is the one asked for: {said}"
    );
}

#[test]
fn ceiling_grants_lowers_and_gives_back() {
    let device = Device::open();
    let child = Child::sleeping(|| ());
    let pid = child.pid();
    let id = pid.to_string();
    let ceiling = || (device.get(pid).ceiling, device.get(pid).ceiling_granted);

    let said = succeeds(&["ceiling", "63", &id]);
    assert_eq!(said, format!("pid {id}'s new ceiling: 63 (rt), set\n"));
    assert_eq!(ceiling(), (63, true));
    let said = succeeds(&["get", &id]);
    assert!(said.contains(&format!("pid {id}'s ceiling: 63 (rt), set\n")));
    succeeds(&["ceiling", "5", &id]);
    assert_eq!(ceiling(), (5, true));
    let said = succeeds(&["ceiling", "none", &id]);
    assert_eq!(said, format!("pid {id}'s new ceiling: 32 (fair)\n"));
    assert_eq!(ceiling(), (32, false));
}

#[test]
fn set_with_inherit_sets_the_flag_and_without_it_clears_it() {
    let device = Device::open();
    let child = Child::sleeping(|| ());
    let id = child.pid().to_string();
    succeeds(&["set", "--inherit", "20", &id]);
    assert!(device.get(child.pid()).inherit);
    succeeds(&["set", "20", &id]);
    assert!(!device.get(child.pid()).inherit);
}

#[test]
fn only_with_all_tasks_every_thread_of_a_process_is_meant() {
    let device = Device::open();
    let (process, tids) = threaded_process(4);
    let id = process.pid().to_string();
    let prios = || tids.iter().map(|tid| device.prio(*tid));

    succeeds(&["set", "20", &id]);
    assert_eq!(prios().filter(|prio| *prio == Some(20)).count(), 1);
    assert_eq!(device.prio(process.pid()), Some(20));
    succeeds(&["set", "-a", "40", &id]);
    assert!(prios().all(|prio| prio == Some(40)));

    let answer = json(&["get", "-a", "--json", &id]);
    let mut answered: Vec<_> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|thread| thread["tid"].as_i64().unwrap() as i32)
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, tids);

    succeeds(&["clear", "-a", &id]);
    assert!(prios().all(|prio| prio.is_none()));

    succeeds(&["ceiling", "-a", "50", &id]);
    assert!(tids.iter().all(|tid| device.get(*tid).ceiling == 50));
}

#[test]
fn a_pid_with_an_inode_never_means_another_process() {
    let device = Device::open();
    let child = Child::sleeping(|| ());
    let pid = child.pid();
    let inode = inode_of(pid);

    succeeds(&["set", "20", &format!("{pid}:{inode}")]);
    assert_eq!(device.prio(pid), Some(20));
    for verb in [
        &["set", "21"][..],
        &["set", "-a", "21"],
        &["clear"],
        &["ceiling", "50"],
        &["get"],
    ] {
        let other = format!("{pid}:{}", inode + 1);
        let arguments = [verb, &[other.as_str()]].concat();
        assert_unchanged(&device, pid, || {
            let said = fails(&mut gosched(&arguments), 1);
            assert!(said.contains("in use again"), "{said}");
        });
    }
}

fn inode_of(pid: i32) -> u64 {
    let id: ThreadId = pid.to_string().parse().expect("a process id");
    let thread = Thread::open(id).expect("the process lives");
    thread.inode().expect("the guest's kernel has pidfs")
}

#[test]
fn run_starts_a_program_at_a_priority_that_all_it_starts_inherits() {
    for script in [
        "gosched get --json $$",
        // Not the shell itself but one that it starts.
        "sh -c 'gosched get --json $$; true'; true",
    ] {
        let said = succeeds(&["run", "50", "--", "sh", "-c", script]);
        let answer = described("get", &said);
        assert_eq!(answer[0]["priority"], 50, "{script}");
        assert_eq!(answer[0]["inherit"], true, "{script}");
        assert_eq!(answer[0]["current"]["rt_priority"], 3, "{script}");
    }
}

#[test]
fn run_passes_on_streams_and_status() {
    let mut child = gosched(&["run", "20", "--", "sh", "-c", "cat; exit 42"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    let Output { status, stdout, .. } = await_output(child);
    assert_eq!(stdout, b"through");
    assert_eq!(status.code(), Some(42));
}

#[test]
fn run_with_a_ceiling_lets_the_program_and_what_it_starts_move_up_to_it() {
    let script = "sh -c 'gosched get --json $$; true'; true";
    let said = succeeds(&["run", "20", "--ceiling", "50", "--", "sh", "-c", script]);
    let answer = described("get", &said);
    assert_eq!(answer[0]["priority"], 20);
    assert_eq!(answer[0]["inherit"], true);
    assert_eq!(answer[0]["ceiling"], 50);
    assert_eq!(answer[0]["ceiling_granted"], true);
}

#[test]
fn run_with_a_ceiling_takes_privilege() {
    let _public = PublicDevice::new();
    let mut run = gosched(&["run", "20", "--ceiling", "50", "--", "true"]);
    let said = fails(run.uid(USER).gid(USER), 125);
    assert!(said.contains("to raise a ceiling"), "{said}");
}

#[test]
fn run_tells_its_own_failures_by_their_status() {
    let said = fails(&mut gosched(&["run", "64", "--", "true"]), 125);
    assert!(said.contains("64"), "{said}");
    let said = fails(&mut gosched(&["run", "20", "--", "/dev/null"]), 126);
    assert!(said.contains("/dev/null"), "{said}");
    let said = fails(&mut gosched(&["run", "20", "--", "no-such-program"]), 127);
    assert!(said.contains("no-such-program"), "{said}");
}

#[test]
fn a_failure_has_status_1_misuse_2_and_both_say_what() {
    let said = fails(&mut gosched(&["set", "64", "1"]), 2);
    assert!(said.contains("64"), "{said}");
    for verb in [
        &["set", "20"][..],
        &["clear"],
        &["ceiling", "50"],
        &["get"],
        &["get", "-a"],
    ] {
        let said = fails(&mut gosched(&[verb, &[NO_TID]].concat()), 1);
        assert!(said.contains(NO_TID), "{said}");
    }
    // A kernel thread.
    let said = fails(&mut gosched(&["set", "20", "2"]), 1);
    assert!(said.contains("not permitted"), "{said}");
}

#[test]
fn one_failure_does_not_keep_the_others_from_their_turn() {
    let device = Device::open();
    let children = [(); 2].map(|()| Child::sleeping(|| ()));
    let [first, last] = children.each_ref().map(|child| child.pid().to_string());
    let (stdout, stderr) = output(&mut gosched(&["set", "20", &first, NO_TID, &last]), 1);
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
    assert!(stderr.contains(NO_TID), "{stderr}");
    for child in &children {
        assert_eq!(device.prio(child.pid()), Some(20));
    }
}

#[test]
fn what_is_done_and_what_fails_is_in_json_too() {
    let child = Child::sleeping(|| ());
    let pid = child.pid();
    let id = pid.to_string();
    for (verb, field, value) in [
        (&["set", "20"][..], "priority", Some(20)),
        (&["ceiling", "50"], "ceiling", Some(50)),
        (&["clear"], "priority", None),
        (&["get"], "priority", None),
        (&["stats"], "applies", Some(2)),
    ] {
        let arguments = [verb, &["--json", &id, NO_TID]].concat();
        let (stdout, stderr) = output(&mut gosched(&arguments), 1);
        let answer = described(verb[0], &stdout);
        assert_eq!(answer[0]["tid"], pid, "{answer}");
        assert_eq!(answer[0][field].as_i64(), value, "{answer}");
        assert_eq!(answer[1]["id"], NO_TID, "{answer}");
        let error = answer[1]["error"].as_str().expect("why it failed");
        assert!(error.contains("no such"), "{answer} {stderr}");
    }
    let levels = json(&["map", "--json"]);
    assert_eq!(levels.as_array().expect("a list").len(), 64);
}

#[test]
fn a_user_is_told_what_he_lacks() {
    let own = Child::sleeping(|| become_user(USER));
    let id = own.pid().to_string();
    let device = Device::open();
    let as_user = |arguments: &[&str]| {
        let mut command = gosched(arguments);
        command.uid(USER).gid(USER);
        command
    };

    assert_unchanged(&device, own.pid(), || {
        let said = fails(&mut as_user(&["set", "20", &id]), 1);
        assert!(
            said.contains("no permission to open /dev/go_sched"),
            "{said}"
        );
        fails(&mut as_user(&["run", "20", "--", "true"]), 125);
        let (stdout, _) = output(&mut as_user(&["check", "--json"]), 1);
        let findings = described("check", &stdout);
        assert!(findings.to_string().contains("\"fail\""), "{findings}");
    });

    let _public = PublicDevice::new();
    output(&mut as_user(&["set", "20", &id]), 0);
    assert_eq!(device.prio(own.pid()), Some(20));
    assert_unchanged(&device, own.pid(), || {
        let said = fails(&mut as_user(&["set", "33", &id]), 1);
        assert!(said.contains("CAP_SYS_NICE"), "{said}");
        assert!(said.contains("ceiling, 32"), "{said}");
        assert!(said.contains("\"gosched ceiling 33 PID\""), "{said}");
        fails(&mut as_user(&["run", "33", "--", "true"]), 125);
        let said = fails(&mut as_user(&["ceiling", "33", &id]), 1);
        assert!(said.contains("CAP_SYS_NICE"), "{said}");
    });
    succeeds(&["ceiling", "33", &id]);
    output(&mut as_user(&["set", "33", &id]), 0);
    assert_eq!(device.prio(own.pid()), Some(33));

    let others = Child::sleeping(|| become_user(OTHER_USER));
    let id = others.pid().to_string();
    let said = fails(&mut as_user(&["set", "20", &id]), 1);
    assert!(said.contains("another user's"), "{said}");
    output(&mut as_user(&["check"]), 0);
}

#[test]
fn a_deadline_thread_is_said_to_be_one() {
    let child = Child::sleeping(|| Attr::deadline().apply(SELF));
    let said = fails(&mut gosched(&["set", "20", &child.pid().to_string()]), 1);
    assert!(said.contains("SCHED_DEADLINE"), "{said}");
}

#[test]
fn check_finds_this_kernel_ready() {
    succeeds(&["check"]);
    let findings = json(&["check", "--json"]);
    for finding in findings.as_array().unwrap() {
        let verdict = finding["verdict"].as_str().unwrap();
        assert!(matches!(verdict, "ok" | "warn"), "{finding}");
        // What is built together fits together.
        if finding["check"] == "mapping" {
            assert_eq!(verdict, "ok", "{finding}");
        }
    }
}
