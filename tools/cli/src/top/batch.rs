// SPDX-License-Identifier: GPL-2.0

//! The table as plain text or JSON.

use std::io;
use std::io::Write;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::column::COLUMNS;
use super::sample::Row;
use super::sample::Sample;
use super::summary::summary;
use crate::check::limits::SchedExt;
use crate::facts::ThreadJson;
#[cfg(feature = "observe")]
use crate::observe::goroutines::Goroutine;
use crate::program::HintsJson;
use crate::stats::StatsJson;
use crate::table::table;

/// Writes one sample as text, with an empty line after it.
pub(super) fn write(out: &mut dyn Write, sample: &Sample) -> io::Result<()> {
    let columns = COLUMNS
        .iter()
        .map(|column| (column.heading, column.numeric));
    let rows = sample.rows.iter().map(|row| {
        let cells = COLUMNS.iter().map(|column| (column.cell)(row, sample));
        cells.collect()
    });
    for line in summary(sample) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "{}\n", table(columns, rows))
}

/// One update.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TopJson {
    /// The threads that a sched_ext scheduler runs, null if the kernel has no sched_ext or if
    /// that is unknown.
    sched_ext: Option<SchedExt>,
    /// True if each session is a group to the scheduler, so that priorities below 48 only
    /// order threads within a session; null if that is unknown.
    autogroup: Option<bool>,
    /// Sentences on what could not be read of the system, each with the reason. Sentences
    /// on quotas are with each thread.
    unknown: Vec<String>,
    threads: Vec<TopThreadJson>,
}

/// A thread and the CPU time that it got.
#[derive(Serialize, JsonSchema)]
struct TopThreadJson {
    /// Id of the thread's process.
    pid: i32,
    /// Name of the thread.
    command: String,
    #[serde(flatten)]
    thread: ThreadJson,
    #[serde(flatten)]
    hints: HintsJson,
    stats: StatsJson,
    /// Number of the CPU that the thread runs on, or ran on last.
    cpu: Option<i32>,
    /// CPU time since the last update, in percent of one CPU.
    cpu_percent: f64,
    /// Percentage of the time since the last update that the thread waited for a CPU, null
    /// if the kernel does not measure that.
    wait_percent: Option<f64>,
    /// The field "priority" of /proc/PID/stat: the nice value plus 20 (0 to 39), or for a
    /// real-time thread -1 minus the real-time priority (-2 to -100); lower is more
    /// urgent.
    kernel_priority: i64,
    /// True if the thread is boosted, as it holds a lock that a more urgent thread waits
    /// for.
    boosted: bool,
    /// True if the policy in force is not that of the priority in force.
    policy_mismatch: bool,
    /// Path of the control group below the root of the hierarchy.
    cgroup: Option<String>,
    /// Path of the control group inside which the thread competes for CPU time: that
    /// group, or the nearest above it that has the controller cpu.
    cpu_cgroup: Option<String>,
    /// The lowest CPU limit of the control group and those above it, null without one or if
    /// that is unknown.
    quota: Option<QuotaJson>,
    /// The reason that the limit is unknown, null if it is known.
    quota_unknown: Option<String>,
    /// The autogroup of the thread's session, null where autogroups do not count.
    autogroup: Option<String>,
    /// The goroutine that the thread has, null if it has none or if that cannot be read.
    #[cfg(feature = "observe")]
    #[schemars(skip)]
    goroutine: Option<Goroutine>,
}

/// A limit of CPU time: cpu.max, or cpu.cfs_quota_us of version 1.
#[derive(Serialize, JsonSchema)]
struct QuotaJson {
    /// The directory of the control group that has the limit.
    cgroup: String,
    /// CPU time that the limit allows, in CPUs.
    cpus: f64,
    /// Number of periods in which the group used up its time, since it was made.
    throttled: u64,
    /// Number of such periods since the last update.
    throttled_now: u64,
}

impl TopJson {
    pub(super) fn new(sample: &Sample) -> Self {
        Self {
            sched_ext: sample.sched_ext.as_ref().ok().copied().flatten(),
            autogroup: sample.autogroup.as_ref().ok().copied(),
            unknown: sample.unknown(),
            threads: sample.rows.iter().map(TopThreadJson::new).collect(),
        }
    }
}

impl TopThreadJson {
    fn new(row: &Row) -> Self {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let quota = row.quota.as_ref().ok().and_then(Option::as_ref);
        Self {
            pid: row.pid,
            command: row.command.clone(),
            thread: ThreadJson::new(row.tid, &row.facts),
            hints: HintsJson::new(row.hints.as_ref()),
            stats: StatsJson::new(row.tid, &row.facts.stats),
            cpu: row.cpu,
            cpu_percent: row.cpu_percent,
            wait_percent: row.wait_percent,
            kernel_priority: row.kernel_priority,
            boosted: row.is_boosted(),
            policy_mismatch: row.has_policy_mismatch(),
            cgroup: row.cgroup.as_deref().map(text),
            cpu_cgroup: row.cpu_cgroup.as_deref().map(text),
            quota: quota.map(|quota| QuotaJson {
                cgroup: text(&quota.group),
                cpus: quota.cpus,
                throttled: quota.throttled,
                throttled_now: row.throttled,
            }),
            quota_unknown: row.quota.as_ref().err().map(ToString::to_string),
            autogroup: row.autogroup.clone(),
            #[cfg(feature = "observe")]
            goroutine: row.goroutine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::fixture;

    #[test]
    fn the_table_is_plain_text_in_columns() {
        let rows = vec![fixture::row(42, Some(50)), fixture::row(7, None)];
        let mut out = Vec::new();
        write(&mut out, &fixture::sample(rows)).expect("a vector takes all");
        let out = String::from_utf8(out).expect("text");
        assert!(!out.contains('\u{1b}'), "{out}");
        let lines: Vec<Vec<&str>> = out
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let goroutine = ["-"; COLUMNS.len() - 16];
        assert_eq!(lines[1].len(), COLUMNS.len(), "{out}");
        assert_eq!(
            lines[2],
            [
                &[
                    "40", "42", "worker", "50", "50", "63", "RR", "-", "3", "-", "1", "12.5",
                    "0.5", "hint", "-"
                ],
                &goroutine[..],
                &["/"]
            ]
            .concat()
        );
        assert_eq!(lines[3][3..5], ["-", "-"]);
    }

    #[cfg(feature = "observe")]
    #[test]
    fn a_goroutine_is_a_value_or_null() {
        let mut rows = vec![fixture::row(42, Some(50)), fixture::row(7, None)];
        let (id, state) = (24, Some("waiting"));
        rows[0].goroutine = Some(Goroutine { id, state, p: None });
        let json = serde_json::to_value(TopJson::new(&fixture::sample(rows))).expect("JSON");
        let expected = serde_json::json!({"id": 24, "state": "waiting", "p": null});
        assert_eq!(json["threads"][0]["goroutine"], expected);
        assert_eq!(json["threads"][1].get("goroutine"), Some(&().into()));
    }

    #[test]
    fn a_wait_that_is_not_measured_is_a_dash() {
        let mut row = fixture::row(42, Some(50));
        row.wait_percent = None;
        let mut out = Vec::new();
        write(&mut out, &fixture::sample(vec![row])).expect("a vector takes all");
        let out = String::from_utf8(out).expect("text");
        let cells: Vec<&str> = out
            .lines()
            .nth(2)
            .into_iter()
            .flat_map(str::split_whitespace)
            .collect();
        assert_eq!(cells[11..13], ["12.5", "-"], "{out}");
    }
}
