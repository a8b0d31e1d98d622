// SPDX-License-Identifier: GPL-2.0

//! Samples and views for tests.

use clap::Parser;
use gosched::policy::level;
use gosched::policy::GoPrio;
use gosched::sched::Params;
use gosched::sched::SchedPolicy;
use gosched::uapi::go_sched_get;
use gosched::uapi::go_sched_stats;
use gosched::uapi::GO_SCHED_CAUSE_HINT;
use gosched::uapi::GO_SCHED_PRIO_NONE;
use gosched::Stats;
use gosched::Status;

use super::sample::Row;
use super::sample::Sample;
use super::sample::Unread;
use super::view::View;
use crate::args::Args;
use crate::args::Verb;
use crate::check::limits::SchedExt;
use crate::facts::Facts;

/// Returns the view of a screen without options, in colours.
pub(super) fn view() -> View {
    match Args::parse_from(["gosched", "top"]).verb {
        Verb::Top(args) => View::new(&args, true),
        _ => unreachable!("another verb"),
    }
}

pub(super) fn sample(rows: Vec<Row>) -> Sample {
    Sample {
        sched_ext: Ok(Some(SchedExt::Off)),
        autogroup: Ok(false),
        rows,
        unread: Unread::default(),
        #[cfg(feature = "observe")]
        goroutines_unknown: None,
    }
}

/// Returns a thread at nice 0 whose priority is in force.
pub(super) fn row(tid: i32, prio: Option<u32>) -> Row {
    let base = Params {
        policy: SchedPolicy::from_number(0),
        nice: 0,
        rt_priority: 0,
        slice_ns: 0,
    };
    let prio = prio.and_then(GoPrio::new);
    let asked = prio.map_or(GO_SCHED_PRIO_NONE, |prio| prio.get() as i32);
    let current = prio.map_or(base, |prio| {
        let level = level(prio);
        Params {
            policy: level.policy.into(),
            nice: level.nice,
            rt_priority: level.rt_priority,
            slice_ns: level.slice_ns,
        }
    });
    let kernel_priority = if current.policy.is_rt() {
        -1 - i64::from(current.rt_priority)
    } else {
        20 + i64::from(current.nice)
    };
    Row {
        pid: 40,
        tid,
        started: 0,
        command: "worker".to_owned(),
        facts: Facts {
            status: Status::from(go_sched_get {
                prio: asked,
                applied: asked,
                ceiling: 63,
                ceiling_granted: 1,
                slot: -1,
                policy: current.policy.number(),
                nice: current.nice,
                rt_priority: current.rt_priority,
                slice_ns: current.slice_ns,
                ..Default::default()
            }),
            stats: Stats::from(go_sched_stats {
                last_cause: GO_SCHED_CAUSE_HINT,
                applies: 1,
                ..Default::default()
            }),
        },
        hints: None,
        cpu: Some(1),
        cpu_percent: 12.5,
        wait_percent: Some(0.5),
        kernel_priority,
        cgroup: Some("/batch".into()),
        cpu_cgroup: Some("/".into()),
        quota: Ok(None),
        throttled: 0,
        autogroup: None,
        #[cfg(feature = "observe")]
        goroutine: None,
    }
}
