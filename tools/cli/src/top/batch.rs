// SPDX-License-Identifier: GPL-2.0

//! The table as plain text or JSON, for pipes.

use std::io;
use std::io::Write;

use comfy_table::presets::NOTHING;
use comfy_table::CellAlignment;
use comfy_table::Table;
use schemars::JsonSchema;
use serde::Serialize;

use super::column::COLUMNS;
use super::sample::Row;
use super::sample::Sample;
use super::summary;
use crate::check::limits::SchedExt;
use crate::facts::ThreadJson;
use crate::stats::StatsJson;

/// Writes one sample as text, with an empty line after it.
pub(super) fn write(out: &mut dyn Write, sample: &Sample) -> io::Result<()> {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(COLUMNS.iter().map(|column| column.heading));
    for (column, of) in table.column_iter_mut().zip(&COLUMNS) {
        if of.numeric {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for row in &sample.rows {
        table.add_row(COLUMNS.iter().map(|column| (column.cell)(row, sample)));
    }
    for line in summary(sample) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "{}\n", table.trim_fmt())
}

/// One line of `gosched top --batch --json`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TopJson {
    /// Which threads a sched_ext scheduler runs; null where the kernel knows none.
    sched_ext: Option<SchedExt>,
    /// Whether sessions compete before threads do.
    autogroup: bool,
    threads: Vec<TopThreadJson>,
}

/// One thread.
#[derive(Serialize, JsonSchema)]
struct TopThreadJson {
    /// The process that it is of.
    pid: i32,
    command: String,
    #[serde(flatten)]
    thread: ThreadJson,
    stats: StatsJson,
    /// The CPU it runs on, or ran on last.
    cpu: Option<i32>,
    /// CPU time since the last line, of one CPU.
    cpu_percent: f64,
    /// How much of the time since the last line it waited for a CPU, null if the kernel
    /// does not measure that.
    wait_percent: Option<f64>,
    /// As in /proc/PID/stat: 20 and the nice value, or -1 less the rt priority.
    kernel_priority: i64,
    /// Whether it runs above its policy, as it holds a lock that a more urgent
    /// thread waits for.
    boosted: bool,
    /// Whether the policy in force is not what the priority in force maps to.
    off_the_map: bool,
    /// The control group, from the root of its hierarchy.
    cgroup: Option<String>,
    /// That group, or the nearest above it that has the controller cpu: where it
    /// competes.
    competes_in: Option<String>,
    /// The tightest limit of the control group and those above it.
    quota: Option<QuotaJson>,
    /// The group of its session, where that counts.
    autogroup: Option<String>,
}

/// A limit of CPU time.
#[derive(Serialize, JsonSchema)]
struct QuotaJson {
    /// The directory of the group that has it.
    cgroup: String,
    /// How many CPUs' worth of time it allows.
    cpus: f64,
    /// How many periods it ended early since the group was made.
    throttled: u64,
    /// How many since the last line.
    throttled_now: u64,
}

impl TopJson {
    pub(super) fn new(sample: &Sample) -> Self {
        Self {
            sched_ext: sample.sched_ext,
            autogroup: sample.autogroup,
            threads: sample.rows.iter().map(TopThreadJson::new).collect(),
        }
    }
}

impl TopThreadJson {
    fn new(row: &Row) -> Self {
        Self {
            pid: row.pid,
            command: row.command.clone(),
            thread: ThreadJson::new(row.tid, &row.facts),
            stats: StatsJson::new(row.tid, &row.facts.stats),
            cpu: row.cpu,
            cpu_percent: row.cpu_percent,
            wait_percent: row.wait_percent,
            kernel_priority: row.kernel_priority,
            boosted: row.is_boosted(),
            off_the_map: row.is_off_the_map(),
            cgroup: row.cgroup.clone(),
            competes_in: row.competes_in.clone(),
            quota: row.quota.as_ref().map(|quota| QuotaJson {
                cgroup: quota.cgroup.display().to_string(),
                cpus: quota.cpus,
                throttled: quota.throttled,
                throttled_now: row.throttled,
            }),
            autogroup: row.autogroup.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::made_up;

    #[test]
    fn the_table_is_plain_text_in_columns() {
        let rows = vec![made_up::row(42, Some(50)), made_up::row(7, None)];
        let mut out = Vec::new();
        write(&mut out, &made_up::sample(rows)).expect("a vector takes all");
        let out = String::from_utf8(out).expect("text");
        assert!(!out.contains('\u{1b}'), "{out}");
        let lines: Vec<Vec<&str>> = out
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[1].len(), COLUMNS.len(), "{out}");
        assert_eq!(
            lines[2],
            [
                "40", "42", "worker", "50", "50", "63", "SCHED_RR", "-", "3", "-", "1", "12.5",
                "0.5", "hint", "-", "/"
            ]
        );
        assert_eq!(lines[3][3..5], ["-", "-"]);
    }

    #[test]
    fn a_wait_that_is_not_measured_is_a_dash() {
        let mut row = made_up::row(42, Some(50));
        row.wait_percent = None;
        let mut out = Vec::new();
        write(&mut out, &made_up::sample(vec![row])).expect("a vector takes all");
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
