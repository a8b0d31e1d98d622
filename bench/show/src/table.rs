// SPDX-License-Identifier: GPL-2.0

//! The short table on the terminal.

use std::fmt::Write;

use comfy_table::presets;
use comfy_table::CellAlignment;
use comfy_table::Table;

use crate::format;
use crate::goals::Verdict;
use crate::headline::COLUMNS;
use crate::report::Report;
use crate::results::Results;

/// What is printed at the end of a run.
pub(crate) fn text(report: &Report, results: &Results) -> String {
    let mut text = String::new();
    let extent = if report.quick { "quick, " } else { "" };
    let tree = report.trees();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "\ngo_sched {tree}, {extent}{}, {}\n{}\n",
        report.started,
        format::seconds(report.seconds),
        report.conditions()
    );
    if !results.headlines.is_empty() {
        let _ = writeln!(text, "{}\n", headlines(results, presets::NOTHING));
    }
    let _ = writeln!(text, "goals: {}", results.tally());
    for goal in &results.goals {
        if goal.verdict == Verdict::Missed {
            let _ = writeln!(
                text,
                "  missed: {}: {} ({})",
                goal.what, goal.measured, goal.limit
            );
        }
    }
    for missing in &report.missing {
        let _ = write!(text, "not measured: {}: {}", missing.what, missing.why);
        let command = missing.command.as_ref();
        let _ = match command {
            Some(command) => writeln!(text, "; {command}"),
            None => writeln!(text),
        };
    }
    for boot in &report.boots {
        if let Some(failure) = &boot.failure {
            let _ = writeln!(text, "FAILED: {}: {failure}", boot.command);
        }
    }
    text
}

/// The headlines, in one of comfy-table's styles.
pub(crate) fn headlines(results: &Results, preset: &str) -> String {
    let mut table = Table::new();
    table.load_preset(preset);
    table.set_header(COLUMNS);
    for headline in &results.headlines {
        table.add_row(headline.cells());
    }
    for index in 1..4 {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<_> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::made_up;
    use crate::results::Results;

    #[test]
    fn what_is_missed_or_missing_is_said() {
        let report = made_up::report();
        let results = Results::of(&report).expect("the report is whole");
        let text = text(&report, &results);
        assert!(text.contains("pipe round trip, patched"), "{text}");
        assert!(
            text.contains("missed: pipe round trip: managed, unchanged hint"),
            "{text}"
        );
        assert!(text.contains("not measured: cold make demo"), "{text}");
    }
}
