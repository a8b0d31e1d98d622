// SPDX-License-Identifier: GPL-2.0

//! The columns of the table.

use std::cmp::Ordering;
use std::path::Path;

use clap::ValueEnum;

use super::sample::Row;
use super::sample::Sample;
use crate::args::SortKey;
use crate::output::printable;
use crate::program::HintsOf;
use crate::table::or_dash;

/// One column of the table.
pub(super) struct Column {
    pub(super) heading: &'static str,
    /// True if the cells are numbers, which are aligned to the right.
    pub(super) numeric: bool,
    /// True if a cell may be cut: a cut name still tells something, a cut number something else.
    pub(super) is_name: bool,
    /// Place in the order of usefulness; the column of rank 0 is the last to go where there
    /// is no room for all.
    pub(super) rank: u8,
    /// Returns the text for a thread.
    pub(super) cell: fn(&Row, &Sample) -> String,
}

/// Number of the columns.
const COUNT: usize = if cfg!(feature = "observe") { 19 } else { 16 };

pub(super) const COLUMNS: [Column; COUNT] = [
    number("PID", 9, |row, _| row.pid.to_string()),
    number("TID", 0, |row, _| row.tid.to_string()),
    name("COMMAND", 2, |row, _| printable(&row.command)),
    number("GO", 1, |row, _| {
        or_dash(row.facts.status.prio.map(|prio| prio.get()))
    }),
    number("APPLIED", 4, |row, _| {
        or_dash(row.facts.status.applied.map(|prio| prio.get()))
    }),
    number("CEILING", 8, |row, _| {
        row.facts.status.ceiling.prio.get().to_string()
    }),
    text("POLICY", 6, |row, _| {
        let policy = row.facts.status.current.policy.to_string();
        policy.trim_start_matches("SCHED_").to_owned()
    }),
    number("NICE", 12, |row, _| {
        let current = &row.facts.status.current;
        or_dash(current.policy.is_fair().then_some(current.nice))
    }),
    number("RT", 11, |row, _| {
        let current = &row.facts.status.current;
        or_dash(current.policy.is_rt().then_some(current.rt_priority))
    }),
    number("SLICE-MS", 13, |row, _| {
        let slice_ns = row.facts.status.current.slice_ns;
        or_dash((slice_ns != 0).then(|| format!("{:.3}", slice_ns as f64 / 1e6)))
    }),
    number("CPU", 10, |row, _| or_dash(row.cpu)),
    number("%CPU", 3, |row, _| format!("{:.1}", row.cpu_percent)),
    number("%WAIT", 7, |row, _| {
        or_dash(row.wait_percent.map(|percent| format!("{percent:.1}")))
    }),
    text("CHANGE", 14, |row, _| or_dash(row.facts.stats.last_cause)),
    text("MARKS", 5, marks),
    #[cfg(feature = "observe")]
    number("G", 16, |row, _| {
        or_dash(row.goroutine.map(|goroutine| goroutine.id))
    }),
    #[cfg(feature = "observe")]
    text("GSTATE", 17, |row, _| {
        or_dash(
            row.goroutine
                .map(|goroutine| goroutine.state.unwrap_or("?")),
        )
    }),
    #[cfg(feature = "observe")]
    number("P", 18, |row, _| {
        or_dash(row.goroutine.and_then(|goroutine| goroutine.p))
    }),
    name("GROUP", 15, |row, _| {
        let group = row.autogroup.as_deref().map(Path::new);
        match group.or(row.cpu_cgroup.as_deref()) {
            Some(group) => printable(&group.to_string_lossy()),
            None if row.quota.is_err() => "?".to_owned(),
            None => "-".to_owned(),
        }
    }),
];

const fn text(heading: &'static str, rank: u8, cell: fn(&Row, &Sample) -> String) -> Column {
    Column {
        heading,
        numeric: false,
        is_name: false,
        rank,
        cell,
    }
}

const fn name(heading: &'static str, rank: u8, cell: fn(&Row, &Sample) -> String) -> Column {
    Column {
        is_name: true,
        ..text(heading, rank, cell)
    }
}

const fn number(heading: &'static str, rank: u8, cell: fn(&Row, &Sample) -> String) -> Column {
    Column {
        numeric: true,
        ..text(heading, rank, cell)
    }
}

/// Returns the marks of a thread, which say the same as the colours. The help explains them.
pub(super) fn marks(row: &Row, sample: &Sample) -> String {
    let stats = &row.facts.stats;
    let marks: String = [
        ('!', row.is_pending()),
        ('G', row.has_hints(HintsOf::Goroutine)),
        ('K', row.facts.status.kernel_work),
        ('P', row.has_policy_mismatch()),
        ('B', row.is_boosted()),
        ('C', stats.clamps > 0),
        ('R', stats.runaways > 0),
        ('Q', row.is_limited()),
        ('T', row.throttled > 0),
        ('X', sample.is_taken_over()),
        ('?', row.quota.is_err() || row.has_hints(HintsOf::Unknown)),
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

    /// Returns the heading of the column that is sorted by this key.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Priority => "APPLIED",
            Self::Cpu => "%CPU",
            Self::Wait => "%WAIT",
            Self::Tid => "TID",
            Self::Command => "COMMAND",
        }
    }

    /// Returns whether the highest value comes first.
    pub(super) fn descends(self) -> bool {
        !matches!(self, Self::Tid | Self::Command)
    }

    /// Compares two threads by this key, and then by their ids.
    fn compare(self, a: &Row, b: &Row) -> Ordering {
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

/// Sorts threads by `key`.
pub(super) fn sort(rows: &mut [Row], key: SortKey) {
    rows.sort_by(|a, b| key.compare(a, b));
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::check::limits::SchedExt;
    use crate::program::Hints;
    use crate::top::fixture;
    use crate::top::help::help;

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
        for mark in "!GKPBCRQTX?".chars() {
            assert!(help().contains(&format!("\n  {mark}  ")), "{mark}");
        }
    }

    #[test]
    fn a_thread_of_goroutines_has_a_mark_and_one_that_may_be_has_another() {
        let mut row = fixture::row(42, Some(50));
        for (of, expected) in [
            (HintsOf::Goroutine, "G"),
            (HintsOf::Thread, "-"),
            (HintsOf::Unknown, "?"),
        ] {
            row.hints = Some(Hints { of, unknown: None });
            assert_eq!(marks(&row, &fixture::sample(vec![])), expected);
        }
    }

    #[test]
    fn the_help_explains_each_column() {
        let help = help();
        let (columns, _) = help
            .split_once("Columns:")
            .and_then(|(_, rest)| rest.split_once("Marks:"))
            .expect("sections");
        for column in &COLUMNS {
            assert!(columns.contains(column.heading), "{}", column.heading);
        }
    }

    #[test]
    fn each_order_has_a_column() {
        for key in SortKey::value_variants() {
            let found = COLUMNS.iter().any(|column| column.heading == key.heading());
            assert!(found, "{key:?}");
        }
    }

    #[test]
    fn no_two_columns_are_as_useful() {
        let mut ranks = COLUMNS.map(|column| usize::from(column.rank));
        ranks.sort();
        assert!(ranks.into_iter().eq(0..COLUMNS.len()));
    }

    #[test]
    fn a_name_does_not_move_the_cursor() {
        let mut row = fixture::row(42, Some(50));
        let name = "/a\u{1b}[2Jb\u{9b}\n".to_owned();
        row.cpu_cgroup = Some(name.clone().into());
        row.command = name;
        for column in COLUMNS.iter().filter(|column| column.is_name) {
            let cell = (column.cell)(&row, &fixture::sample(vec![]));
            assert_eq!(cell, "/a?[2Jb??", "{}", column.heading);
        }
    }

    #[test]
    fn a_group_is_told_if_it_is_known() {
        let mut row = fixture::row(42, Some(50));
        let group = COLUMNS.iter().find(|column| column.heading == "GROUP");
        let cell = group.expect("a column").cell;
        row.cpu_cgroup = Some(OsStr::from_bytes(b"/caf\xe9").into());
        assert_eq!(cell(&row, &fixture::sample(vec![])), "/caf\u{fffd}");
        row.cpu_cgroup = None;
        assert_eq!(cell(&row, &fixture::sample(vec![])), "-");
        row.quota = Err(std::io::ErrorKind::PermissionDenied.into());
        assert_eq!(cell(&row, &fixture::sample(vec![])), "?");
    }

    #[cfg(feature = "observe")]
    #[test]
    fn a_goroutine_is_told_as_far_as_it_is_known() {
        use crate::observe::goroutines::Goroutine;

        let cells = |goroutine| {
            let mut row = fixture::row(42, Some(50));
            row.goroutine = goroutine;
            ["G", "GSTATE", "P"].map(|heading| {
                let column = COLUMNS.iter().find(|column| column.heading == heading);
                (column.expect("a column").cell)(&row, &fixture::sample(vec![]))
            })
        };
        let goroutine = |state, p| Some(Goroutine { id: 24, state, p });
        assert_eq!(cells(None), ["-", "-", "-"]);
        assert_eq!(
            cells(goroutine(Some("syscall"), None)),
            ["24", "syscall", "-"]
        );
        assert_eq!(cells(goroutine(None, Some(0))), ["24", "?", "0"]);
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
