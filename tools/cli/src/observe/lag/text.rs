// SPDX-License-Identifier: GPL-2.0

//! The threads of one look as a table for a terminal.

use super::ledger::Row;
use super::ledger::COLUMNS;
use crate::table::table;

/// Returns whole columns of whole rows that fit into so many characters and lines.
pub(super) fn text(rows: &[Row], width: usize, height: usize) -> String {
    // One line for the headings, and one for the number of rows that have no room.
    let room = height.saturating_sub(2);
    let shown: Vec<_> = rows.iter().take(room).map(Row::cells).collect();
    let mut left = width;
    let fits = COLUMNS
        .iter()
        .enumerate()
        .take_while(|(at, (heading, ..))| {
            let cells = shown.iter().map(|cells| cells[*at].chars().count());
            let widest = cells.chain([heading.len()]).max().unwrap_or_default();
            // A table has a space on either side.
            let after = left.checked_sub(widest + 2);
            left = after.unwrap_or_default();
            after.is_some()
        });
    let columns = fits.count();
    let headings = COLUMNS[..columns]
        .iter()
        .map(|(heading, numeric, _)| (*heading, *numeric));
    let cells = shown.iter().map(|cells| cells[..columns].to_vec());
    let mut text = table(headings, cells);
    if rows.len() > room {
        text += &format!("\n(and {} more)", rows.len() - room);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_terminal_shows_whole_columns_and_rows() {
        let rows = vec![Row::example(); 10];
        let text_80 = text(&rows, 80, 5);
        let lines: Vec<_> = text_80.lines().collect();
        assert_eq!(lines.len(), 5, "{text_80}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80));
        assert!(lines[0].contains("LAG-US") && !lines[0].contains("GROUP "));
        assert_eq!(lines[4], "(and 7 more)");

        let wide = text(&rows, 200, 50);
        assert!(wide.contains("/a.slice/b.service"), "{wide}");
        assert_eq!(wide.lines().count(), 11);
        for (width, height) in [(0, 0), (1, 1), (1, 50), (200, 1)] {
            let small = text(&rows, width, height);
            assert!(small.lines().count() <= height.max(2), "{small}");
        }
    }
}
