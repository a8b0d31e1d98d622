// SPDX-License-Identifier: GPL-2.0

//! `gosched run`, where the priority of the command cannot be set.

use std::os::unix::process::CommandExt;

use common::command::fails;
use common::command::gosched;
use common::command::output;
use common::command::succeeds;
use common::device::PublicDevice;
use common::USER;

#[test]
fn run_with_try_runs_the_command_where_the_priority_cannot_be_set() {
    let as_user = |arguments: &[&str]| {
        let mut run = gosched(&[&["run", "--try"], arguments].concat());
        output(run.uid(USER).gid(USER), 7)
    };
    let command = ["--", "sh", "-c", "echo it runs; exit 7"];
    let refused = |arguments: &[&str], why: &str| {
        let (stdout, stderr) = as_user(&[arguments, &command].concat());
        assert_eq!(stdout, "it runs\n");
        assert!(stderr.starts_with("gosched: "), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
        assert!(
            stderr.ends_with("; COMMAND runs without a priority\n"),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    };
    refused(&["24"], "no permission to open");
    let _public = PublicDevice::new();
    refused(&["33"], "above the thread's ceiling");
    refused(&["24", "--ceiling", "50"], "to raise a ceiling");
    assert_eq!(as_user(&[&["24"][..], &command].concat()).1, "");
}

#[test]
fn run_with_try_sets_a_priority_that_can_be_set() {
    let script = "gosched get --json $$";
    let said = succeeds(&["run", "--try", "24", "--", "sh", "-c", script]);
    assert!(said.contains("\"priority\": 24"), "{said}");
}

#[test]
fn run_with_try_refuses_what_is_wrong_on_any_system() {
    for wrong in [&["64"][..], &["50", "--ceiling", "40"]] {
        let arguments = [&["run", "--try"], wrong, &["--", "true"]].concat();
        fails(&mut gosched(&arguments), 125);
    }
    fails(
        &mut gosched(&["run", "--try", "24", "no-such-program"]),
        127,
    );
}
