// SPDX-License-Identifier: GPL-2.0

//! `gosched` where a part of the system cannot be read or is not the host's: `/proc`,
//! `/sys`, control groups and the node of the device.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Child as Program;
use std::process::Command;
use std::process::Stdio;

use common::cgroup::pass_on;
use common::cgroup::Cgroup;
use common::cgroup::ROOT;
use common::child::in_child;
use common::child::unshare;
use common::child::Child;
use common::command::described;
use common::command::gosched;
use common::command::output;
use common::deadline::await_program;
use common::deadline::output_of;
use common::device::Device;
use common::device::PublicDevice;
use common::eventually;
use common::module;
use common::state::assert_unchanged;
use common::trace::mount_tracefs;
use common::trace::TRACEFS;
use procfs::process::all_processes;
use rustix::process::kill_process;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::thread::UnshareFlags;
use serde_json::Value;

/// Arguments of an update in JSON; the ids of processes may follow.
const TOP: &str = "gosched top --json --all -n 1 -i 0.1";

/// Returns a shell that runs a script with its own mounts.
fn with_mounts(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]);
    command
}

/// Runs a script with its own mounts. Returns the script's output and errors.
fn said(script: &str) -> String {
    let output = output_of(&mut with_mounts(script));
    [output.stdout, output.stderr]
        .map(|text| String::from_utf8(text).expect("text"))
        .concat()
}

/// Returns the findings of `gosched check --json` in a script with its own mounts.
fn findings(script: &str) -> Value {
    let output = output_of(&mut with_mounts(script));
    described("check", &String::from_utf8(output.stdout).expect("text"))
}

/// Returns the finding of a check.
#[track_caller]
fn finding<'a>(findings: &'a Value, check: &str) -> &'a Value {
    let all = findings.as_array().expect("a list");
    let found = all.iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("no finding {check}: {findings}"))
}

/// Returns the update that a script with its own mounts writes.
fn update(script: &str) -> Value {
    let (stdout, _) = output(&mut with_mounts(script), 0);
    described("top", &stdout)
}

/// Returns the entry of a thread in an update.
#[track_caller]
fn thread(update: &Value, tid: i32) -> &Value {
    let threads = update["threads"].as_array().expect("a list");
    let found = threads.iter().find(|thread| thread["tid"] == tid);
    found.unwrap_or_else(|| panic!("no thread {tid}: {update}"))
}

#[test]
fn a_proc_of_another_pid_namespace_is_refused_where_it_is_needed() {
    let device = Device::open();
    for verb in ["set -a 20 1", "top -b -n 1", "watch -a 1", "get -a 1"] {
        let script = format!("unshare -p -f gosched {verb}; echo status $?");
        let said = said(&script);
        assert!(
            said.contains("/proc is that of another pid namespace"),
            "{said}"
        );
        assert!(said.contains("status 1\n"), "{said}");
    }
    let script = "unshare -p -f sh -c 'gosched set 20 1; gosched get 1'";
    assert!(said(script).contains("pid 1's new Go priority: 20"));
    assert_eq!(device.prio(1), None, "that of this namespace");
    let threads = described("get", &said("unshare -p -f gosched get --json 1"));
    let name = &threads[0]["name"];
    assert!(name.is_null(), "that of another process: {name}");
    let script = "unshare -p -f --mount-proc sh -c 'gosched set -a 20 1; true'";
    assert!(said(script).contains("pid 1's new Go priority: 20"));
}

#[test]
fn a_proc_that_is_not_there_is_no_missing_process() {
    let child = Child::sleeping(|| ());
    let pid = child.pid();
    let said = |verb: &str| said(&format!("umount -l /proc; gosched {verb}"));
    for verb in [format!("set -a 20 {pid}"), "top -b -n 1".to_owned()] {
        let said = said(&verb);
        assert!(said.contains("there is no /proc"), "{said}");
    }
    let said = said(&format!("set 20 {pid}"));
    assert!(said.contains("new Go priority: 20"), "{said}");
}

#[test]
fn a_process_that_proc_hides_is_no_missing_process() {
    let _public = PublicDevice::new();
    let child = Child::sleeping(|| ());
    let pid = child.pid();
    for mode in [1, 2] {
        let said = said(&format!(
            "mount -t proc -o hidepid={mode} proc /proc; su user -c 'gosched get -a {pid}'"
        ));
        assert!(said.contains("/proc hides the processes"), "{mode}: {said}");
        let script = format!("mount -t proc -o hidepid={mode} proc /proc; su user -c '{TOP}'");
        let unknown = update(&script)["unknown"].to_string();
        assert!(
            unknown.contains("are not shown: /proc hides"),
            "{mode}: {unknown}"
        );
    }
}

#[test]
fn check_does_not_conclude_from_what_it_cannot_read() {
    let subset = "mount -t proc -o subset=pid proc /proc";
    let without_sys = findings(&format!("{subset}; umount -l /sys; gosched check --json"));
    for check in ["module", "sched_ext", "autogroup", "rt"] {
        let finding = finding(&without_sys, check);
        assert_eq!(finding["verdict"], "unknown", "{finding}");
        assert!(finding["advice"].is_string(), "{finding}");
    }
    let with_sys = findings(&format!("{subset}; gosched check --json"));
    assert_eq!(finding(&with_sys, "module")["verdict"], "ok");
    assert_eq!(finding(&with_sys, "autogroup")["verdict"], "unknown");
    let text = said(&format!("{subset}; gosched check; echo status $?"));
    assert!(text.contains("\n?     autogroup  unknown"), "{text}");
    assert!(
        text.contains("status 0\n"),
        "what is unknown is no failure: {text}"
    );

    let update = update(&format!("{subset}; umount -l /sys; {TOP} -p $$"));
    assert_eq!(update["autogroup"], Value::Null);
    let unknown = update["unknown"].to_string();
    for what in ["sched_ext is unknown", "autogroup is unknown"] {
        assert!(unknown.contains(what), "{unknown}");
    }
}

#[test]
fn top_shows_more_processes_than_it_may_have_descriptors() {
    let children: Vec<Child> = (0..40).map(|_| Child::sleeping(|| ())).collect();
    let update = update(&format!("ulimit -n 24; {TOP}"));
    for child in &children {
        thread(&update, child.pid());
    }
    assert_eq!(
        update["unknown"].as_array().map(Vec::len),
        Some(0),
        "{update}"
    );

    let said = said(&format!("ulimit -n 7; {TOP}"));
    assert!(said.contains("ulimit -n"), "{said}");
}

#[test]
fn names_of_groups_and_mount_points_are_any_bytes() {
    let group = Cgroup::new(OsStr::from_bytes(b"caf\xe9: x"), "");
    // Dropped before the group.
    let child = Child::sleeping(|| ());
    group.add(child.pid() as u32);
    let place = Path::new("/tmp").join(OsStr::from_bytes(b"pok\xe9mon"));
    fs::create_dir_all(&place).expect("/tmp is writable");

    let script = format!("mount -t tmpfs '' /tmp/pok*mon; {TOP} -p {}", child.pid());
    let update = update(&script);
    let shown = thread(&update, child.pid());
    assert_eq!(shown["cgroup"], "/caf\u{fffd}: x");
    assert_eq!(shown["quota_unknown"], Value::Null, "{shown}");
}

#[test]
fn a_quota_of_version_1_is_found() {
    const V1: &str = "/tmp/cgroup-v1";
    // What other tests have left to the groups of version 2.
    pass_on(Path::new(ROOT), "-cpu").expect("no group has the controller");
    fs::create_dir_all(format!("{V1}/cpu")).expect("/tmp is writable");
    // The kernel keeps a hierarchy that is unmounted before its last group is gone, which
    // rmdir(1) does not wait for.
    let script = format!(
        "cd {V1} && mount -t cgroup -o cpu none cpu && mkdir cpu/q && \
         echo 100000 >cpu/q/cpu.cfs_period_us && echo 20000 >cpu/q/cpu.cfs_quota_us && \
         echo $$ >cpu/q/cgroup.procs && gosched check --json; {TOP} -p $$ >{V1}/top; \
         echo $$ >cpu/cgroup.procs; rmdir cpu/q; \
         until grep -Eq '^cpu[[:space:]]+[0-9]+[[:space:]]+1[[:space:]]' /proc/cgroups; do \
         sleep 0.1; done; umount cpu"
    );
    let findings = findings(&script);
    let quota = finding(&findings, "quota");
    assert_eq!(quota["verdict"], "warn", "{quota}");
    let detail = quota["detail"].as_str().expect("text");
    assert!(detail.contains("cpu/q allows 20% of one CPU"), "{detail}");
    let advice = quota["advice"].as_str().expect("text");
    assert!(advice.contains("write \"-1\" to "), "{advice}");

    let top = fs::read_to_string(format!("{V1}/top")).expect("an update");
    let top = described("top", &top);
    let shown = &top["threads"][0];
    assert_eq!(shown["cgroup"], "/q", "{shown}");
    assert_eq!(shown["cpu_cgroup"], "/q", "{shown}");
    assert_eq!(shown["quota"]["cpus"], 0.2, "{shown}");
    eventually("version 2 has the controller again", || {
        pass_on(Path::new(ROOT), "+cpu").is_ok()
    });
}

#[test]
fn a_group_of_another_cgroup_namespace_has_an_unknown_quota() {
    let [own, other] = ["own", "other"].map(|name| Cgroup::new(name, "+cpu"));
    let child = Child::sleeping(|| ());
    other.add(child.pid() as u32);
    in_child(|| {
        own.add(std::process::id());
        unshare(UnshareFlags::NEWCGROUP);
        let update = update(&format!("{TOP} -p {}", child.pid()));
        let shown = thread(&update, child.pid());
        assert_eq!(shown["quota"], Value::Null);
        assert!(shown["quota_unknown"].is_string(), "{shown}");
        assert_eq!(shown["cpu_cgroup"], Value::Null);
        let findings = findings("gosched check --json");
        assert_ne!(finding(&findings, "quota")["verdict"], "warn", "{findings}");
    });
    drop(child);
}

#[test]
fn each_node_that_is_not_the_device_has_its_sentence_and_one_failure() {
    let device = Device::open();
    for (node, sentence, failed) in [
        (
            "mknod /tmp/node c 511 7",
            "is a node of no device",
            "device",
        ),
        ("mknod /tmp/node b 511 7", "is not the device", "device"),
        ("mknod /tmp/node c 1 3", "is not the device", "device"),
        ("mkdir /tmp/node", "is not the device", "device"),
        (
            "mount -t tmpfs -o nodev none /tmp; cp -a /dev/go_sched /tmp/node",
            "mounted nodev",
            "access",
        ),
    ] {
        let bind = format!(
            "rm -rf /tmp/node; {node}; {}",
            if node.starts_with("mkdir") {
                "mount -t tmpfs none /dev; mkdir /dev/go_sched"
            } else {
                "mount --bind /tmp/node /dev/go_sched"
            }
        );
        assert_unchanged(&device, 1, || {
            let said = said(&format!("{bind}; gosched set 20 1; echo status $?"));
            assert!(said.contains(sentence), "{node}: {said}");
            assert!(said.contains("status 1\n"), "{node}: {said}");
        });
        let findings = findings(&format!("{bind}; gosched check --json"));
        let all = findings.as_array().expect("a list");
        let failures: Vec<&Value> = all
            .iter()
            .filter(|finding| finding["verdict"] == "fail")
            .collect();
        assert_eq!(failures.len(), 1, "{node}: {findings}");
        assert_eq!(failures[0]["check"], failed, "{node}: {findings}");
        assert!(failures[0]["advice"].is_string(), "{node}: {findings}");
        let backend = finding(&findings, "backend");
        let detail = backend["detail"].as_str().expect("text");
        assert!(detail.contains("go_set_schedprio(2)"), "{detail}");
    }
}

#[test]
fn check_names_the_backend_and_the_limit_that_it_lacks() {
    let backend = |script: &str| {
        let findings = findings(script);
        let detail = finding(&findings, "backend")["detail"]
            .as_str()
            .map(str::to_owned);
        detail.expect("text")
    };
    assert_eq!(
        backend("gosched check --json"),
        "programs get /dev/go_sched"
    );
    let _loaded = module::Reloaded;
    module::unload();
    let by_limit = |limit| format!("ulimit -e {limit}; exec su user -c 'gosched check --json'");
    let kept = backend(&by_limit(0));
    assert!(kept.contains("sched_setattr(2)"), "{kept}");
    assert!(kept.contains("RLIMIT_NICE is 0, and it takes 20"), "{kept}");
    let back = backend(&by_limit(20));
    assert!(back.contains("may come back, RLIMIT_NICE is 20"), "{back}");
}

/// Returns the names of the trace buffers of the command.
fn instances() -> Vec<String> {
    let all = fs::read_dir(format!("{TRACEFS}/instances")).expect("tracefs");
    all.map(|instance| instance.expect("readable").file_name())
        .map(|name| name.into_string().expect("text"))
        .filter(|name| name.starts_with("gosched-"))
        .collect()
}

/// Starts `gosched trace` as process 1 of a namespace of its own, beside `others`.
/// Returns once the new tracer has its trace buffer.
fn tracer_in_namespace(others: usize) -> Program {
    let program = Command::new("unshare")
        .args(["-p", "-f", "--mount-proc", "gosched", "trace"])
        .stdout(Stdio::null())
        .spawn()
        .expect("the guest has the command");
    eventually("it traces", || instances().len() > others);
    program
}

/// Kills a tracer without a chance to clean up. `unshare` waits for the tracer.
fn kill_tracer(mut unshare: Program) {
    let parent = unshare.id() as i32;
    let mut stats = all_processes().expect("/proc").flatten();
    let tracer = stats.find(|process| process.stat().is_ok_and(|stat| stat.ppid == parent));
    let tracer = Pid::from_raw(tracer.expect("the tracer").pid).expect("it is positive");
    kill_process(tracer, Signal::KILL).expect("it runs");
    await_program(&mut unshare);
}

#[test]
fn trace_buffers_of_the_dead_are_removed_and_those_of_the_living_are_not() {
    mount_tracefs();
    let mine = format!("{TRACEFS}/instances/gosched-mine");
    fs::create_dir(&mine).expect("a name of one's own");
    // Both are process 1.
    let first = tracer_in_namespace(1);
    let second = tracer_in_namespace(2);
    kill_tracer(first);
    assert_eq!(instances().len(), 3, "nobody removes it yet");
    output(&mut gosched(&["trace", "--", "true"]), 0);
    let left = instances();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.contains(&"gosched-mine".to_owned()), "{left:?}");
    kill_tracer(second);
    output(&mut gosched(&["trace", "--", "true"]), 0);
    assert_eq!(instances(), ["gosched-mine"]);
    fs::remove_dir(&mine).expect("it is ours");
}

#[test]
fn trace_follows_nothing_by_ids_that_the_kernel_does_not_use() {
    mount_tracefs();
    for what in ["-- true", "-p 1"] {
        let said = said(&format!(
            "unshare -p -f --mount-proc gosched trace {what}; echo status $?"
        ));
        assert!(
            said.contains("the ids of the first pid namespace"),
            "{said}"
        );
        assert!(said.contains("status 1\n"), "{said}");
    }
    assert_eq!(instances(), [""; 0]);
}
