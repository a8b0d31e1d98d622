// SPDX-License-Identifier: GPL-2.0

//! `gosched check` tells that a sched_ext scheduler is loaded, and whether that
//! matters.

use std::process::Command;

use common::command::described;
use scx::Scheduler;
use serde_json::Value;

/// Runs `gosched check`; returns its exit status and one of its findings.
fn check(name: &str) -> (Option<i32>, Value) {
    let output = Command::new("gosched")
        .args(["check", "--json"])
        .output()
        .expect("the guest has the command");
    let findings = described("check", &String::from_utf8_lossy(&output.stdout));
    let finding = findings
        .as_array()
        .expect("a list")
        .iter()
        .find(|finding| finding["check"] == name)
        .unwrap_or_else(|| panic!("no finding about {name}"));
    (output.status.code(), finding.clone())
}

#[test]
fn without_a_scheduler_all_is_well() {
    let (status, finding) = check("sched_ext");
    assert_eq!(status, Some(0));
    assert_eq!(finding["verdict"], "ok", "{finding}");
    assert!(
        finding["detail"].to_string().contains("no scheduler"),
        "{finding}"
    );
}

#[test]
fn with_a_full_scheduler_the_system_is_not_ready() {
    let _scheduler = Scheduler::full("check");
    let (status, finding) = check("sched_ext");
    assert_eq!(status, Some(1));
    assert_eq!(finding["verdict"], "warn", "{finding}");
    assert!(
        finding["detail"].to_string().contains("runs all threads"),
        "{finding}"
    );
    let (_, finding) = check("hook");
    assert_eq!(finding["verdict"], "fail", "{finding}");
    assert!(
        finding["advice"].to_string().contains("sched_ext"),
        "{finding}"
    );
}

#[test]
fn with_a_partial_scheduler_all_is_well() {
    let _scheduler = Scheduler::partial("check");
    let (status, finding) = check("sched_ext");
    assert_eq!(status, Some(0));
    assert_eq!(finding["verdict"], "ok", "{finding}");
    assert!(
        finding["detail"].to_string().contains("SCHED_EXT"),
        "{finding}"
    );
}
