// SPDX-License-Identifier: GPL-2.0

//! `gosched check` reports whether a sched_ext scheduler is loaded, and whether the
//! scheduler affects Go priorities.

use common::command::described;
use common::command::gosched;
use common::command::output;
use scx::Scheduler;
use serde_json::Value;

/// Runs `gosched check`, which must end with `status`. Returns the finding of a check.
#[track_caller]
fn check(name: &str, status: i32) -> Value {
    let (findings, _) = output(&mut gosched(&["check", "--json"]), status);
    let findings = described("check", &findings);
    let mut findings = findings.as_array().expect("a list").iter();
    let finding = findings.find(|finding| finding["check"] == name);
    finding.expect("a finding of that name").clone()
}

#[test]
fn without_a_scheduler_all_is_well() {
    let finding = check("sched_ext", 0);
    assert_eq!(finding["verdict"], "ok", "{finding}");
    assert!(
        finding["detail"].to_string().contains("no scheduler"),
        "{finding}"
    );
}

#[test]
fn with_a_full_scheduler_the_system_is_not_ready() {
    let _scheduler = Scheduler::full("check");
    let finding = check("sched_ext", 1);
    assert_eq!(finding["verdict"], "warn", "{finding}");
    assert!(
        finding["detail"].to_string().contains("runs all threads"),
        "{finding}"
    );
    let finding = check("hook", 1);
    assert_eq!(finding["verdict"], "fail", "{finding}");
    assert!(
        finding["advice"].to_string().contains("sched_ext"),
        "{finding}"
    );
}

#[test]
fn with_a_partial_scheduler_all_is_well() {
    let _scheduler = Scheduler::partial("check");
    let finding = check("sched_ext", 0);
    assert_eq!(finding["verdict"], "ok", "{finding}");
    assert!(
        finding["detail"].to_string().contains("SCHED_EXT"),
        "{finding}"
    );
}
