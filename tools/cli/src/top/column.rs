// SPDX-License-Identifier: GPL-2.0

//! The columns of the table.

use std::cmp::Ordering;
use std::path::Path;

use clap::ValueEnum;

use super::sample::Row;
use super::sample::Sample;
use crate::args::SortKey;
use crate::output::printable;
use crate::table::or_dash;

/// The meaning of the marks, which say the same as the colours.
pub(super) const LEGEND: &str = "MARKS: ! the priority asked for is not in force  P policy not that of the \
priority  B boosted by a lock  C a hint was above the ceiling  R ran away  Q a quota applies  T throttled just now  \
X a sched_ext scheduler runs it  ? quota unknown";

/// One column of the table.
pub(super) struct Column {
    pub(super) heading: &'static str,
    /// Whether the cells are numbers, which are aligned to the right.
    pub(super) numeric: bool,
    /// Returns the text for a thread.
    pub(super) cell: fn(&Row, &Sample) -> String,
}

pub(super) const COLUMNS: [Column; 16] = [
    number("PID", |row, _| row.pid.to_string()),
    number("TID", |row, _| row.tid.to_string()),
    text("COMMAND", |row, _| row.command.clone()),
    number("GO", |row, _| {
        or_dash(row.facts.status.prio.map(|prio| prio.get()))
    }),
    number("APPLIED", |row, _| {
        or_dash(row.facts.status.applied.map(|prio| prio.get()))
    }),
    number("CEILING", |row, _| {
        row.facts.status.ceiling.prio.get().to_string()
    }),
    text("POLICY", |row, _| {
        row.facts.status.current.policy.to_string()
    }),
    number("NICE", |row, _| {
        let current = &row.facts.status.current;
        or_dash(current.policy.is_fair().then_some(current.nice))
    }),
    number("RT", |row, _| {
        let current = &row.facts.status.current;
        or_dash(current.policy.is_rt().then_some(current.rt_priority))
    }),
    number("SLICE-MS", |row, _| {
        let slice_ns = row.facts.status.current.slice_ns;
        or_dash((slice_ns != 0).then(|| format!("{:.3}", slice_ns as f64 / 1e6)))
    }),
    number("CPU", |row, _| or_dash(row.cpu)),
    number("%CPU", |row, _| format!("{:.1}", row.cpu_percent)),
    number("%WAIT", |row, _| {
        or_dash(row.wait_percent.map(|percent| format!("{percent:.1}")))
    }),
    text("CHANGE", |row, _| or_dash(row.facts.stats.last_cause)),
    text("MARKS", marks),
    text("GROUP", |row, _| {
        let group = row.autogroup.as_deref().map(Path::new);
        match group.or(row.cpu_cgroup.as_deref()) {
            Some(group) => printable(&group.to_string_lossy()),
            None if row.quota.is_err() => "?".to_owned(),
            None => "-".to_owned(),
        }
    }),
];

const fn text(heading: &'static str, cell: fn(&Row, &Sample) -> String) -> Column {
    Column {
        heading,
        numeric: false,
        cell,
    }
}

const fn number(heading: &'static str, cell: fn(&Row, &Sample) -> String) -> Column {
    Column {
        heading,
        numeric: true,
        cell,
    }
}

/// Returns the marks of a thread, see [`LEGEND`].
pub(super) fn marks(row: &Row, sample: &Sample) -> String {
    let stats = &row.facts.stats;
    let marks: String = [
        ('!', row.is_pending()),
        ('P', row.has_policy_mismatch()),
        ('B', row.is_boosted()),
        ('C', stats.clamps > 0),
        ('R', stats.runaways > 0),
        ('Q', row.is_limited()),
        ('T', row.throttled > 0),
        ('X', sample.is_taken_over()),
        ('?', row.quota.is_err()),
    ]
    .into_iter()
    .filter_map(|(mark, set)| set.then_some(mark))
    .collect();
    if marks.is_empty() {
        "-".to_owned()
    } else {
        marks
    }
}

impl SortKey {
    /// Returns the next key; the first key follows the last one.
    pub(super) fn next(self) -> Self {
        let keys = Self::value_variants();
        let next = keys.iter().skip_while(|key| **key != self).nth(1);
        next.copied().unwrap_or(keys[0])
    }

    /// Compares two threads by this key, and then by their ids.
    pub(super) fn compare(self, a: &Row, b: &Row) -> Ordering {
        let applied = |row: &Row| row.facts.status.applied;
        match self {
            Self::Priority => applied(b).cmp(&applied(a)),
            Self::Cpu => b.cpu_percent.total_cmp(&a.cpu_percent),
            Self::Wait => {
                let waited = |row: &Row| row.wait_percent.unwrap_or_default();
                waited(b).total_cmp(&waited(a))
            }
            Self::Tid => Ordering::Equal,
            Self::Command => a.command.cmp(&b.command),
        }
        .then(a.tid.cmp(&b.tid))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::check::limits::SchedExt;
    use crate::top::fixture;

    #[test]
    fn each_thing_worth_knowing_has_a_mark() {
        let mut sample = fixture::sample(vec![]);
        let mut row = fixture::row(42, Some(50));
        assert_eq!(marks(&row, &sample), "-");
        row.facts.status.applied = gosched::policy::GoPrio::new(47);
        row.kernel_priority = -20;
        row.facts.stats.clamps = 1;
        row.facts.stats.runaways = 1;
        row.throttled = 3;
        sample.sched_ext = Ok(Some(SchedExt::Full));
        row.quota = Err(std::io::ErrorKind::PermissionDenied.into());
        assert_eq!(marks(&row, &sample), "!PBCRTX?");
        for mark in "!PBCRQTX?".chars() {
            let meaning = format!(" {mark} ");
            assert!(LEGEND.contains(&meaning), "{mark}");
        }
    }

    #[test]
    fn the_name_of_a_group_does_not_move_the_cursor() {
        let mut row = fixture::row(42, Some(50));
        row.cpu_cgroup = Some("/a\u{1b}[2Jb".into());
        let group = COLUMNS.iter().find(|column| column.heading == "GROUP");
        let cell = group.expect("a column").cell;
        assert_eq!(cell(&row, &fixture::sample(vec![])), "/a?[2Jb");
        row.cpu_cgroup = Some(OsStr::from_bytes(b"/caf\xe9").into());
        assert_eq!(cell(&row, &fixture::sample(vec![])), "/caf\u{fffd}");
        row.cpu_cgroup = None;
        assert_eq!(cell(&row, &fixture::sample(vec![])), "-");
        row.quota = Err(std::io::ErrorKind::PermissionDenied.into());
        assert_eq!(cell(&row, &fixture::sample(vec![])), "?");
    }

    #[test]
    fn sorting_goes_round_all_keys() {
        let mut key = SortKey::Priority;
        for _ in SortKey::value_variants() {
            key = key.next();
        }
        assert_eq!(key, SortKey::Priority);
    }

    #[test]
    fn the_most_urgent_thread_comes_first() {
        let mut rows = [
            fixture::row(1, None),
            fixture::row(2, Some(8)),
            fixture::row(4, Some(50)),
            fixture::row(3, Some(50)),
        ];
        rows.sort_by(|a, b| SortKey::Priority.compare(a, b));
        assert_eq!(rows.map(|row| row.tid), [3, 4, 2, 1]);
    }
}
