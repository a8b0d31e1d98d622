// SPDX-License-Identifier: GPL-2.0

//! The choice of columns for a screen: columns go as a whole, and only names are cut.

use std::collections::BTreeMap;

use ratatui::style::Style;
use ratatui::text::Span;

use super::column::COLUMNS;

/// Width that a name has before other columns have any. All but a few kernel threads have names
/// of at most 15 bytes.
const NAME_WIDTH: usize = 15;

/// Returns the indexes of the columns that have room, with their widths. `headings` and `cells`
/// are the widths of the headings and of the widest cells, and `sorted` is the column that
/// threads are sorted by: only the id and the priority of a thread are as useful.
pub(super) fn fit(
    headings: &[usize],
    cells: &[usize],
    sorted: usize,
    room: usize,
) -> BTreeMap<usize, usize> {
    let mut by_use: Vec<usize> = (0..COLUMNS.len()).collect();
    by_use.sort_by_key(|&at| {
        let rank = COLUMNS[at].rank;
        (rank.min(if at == sorted { 2 } else { rank }), at != sorted)
    });

    let whole = |at: usize| headings[at].max(cells[at]);
    let mut widths = BTreeMap::new();
    let mut left = room;
    for at in by_use {
        let blank = usize::from(!widths.is_empty());
        let room = left.saturating_sub(blank);
        let width = if COLUMNS[at].is_name {
            whole(at).min(NAME_WIDTH).min(room).max(headings[at])
        } else {
            whole(at)
        };
        // A less useful column is not shown in its place, even if it is narrower.
        if width > room {
            break;
        }
        left = room - width;
        widths.insert(at, width);
    }
    for (&at, width) in &mut widths {
        let more = left.min(whole(at) - *width);
        *width += more;
        left -= more;
    }
    widths
}

/// Returns `text` in at most `width` cells of the screen; a "+" at the end tells that it is cut.
pub(crate) fn cut(text: String, width: usize) -> String {
    let span = Span::raw(&text);
    if span.width() <= width {
        return text;
    }
    let mut kept = String::new();
    for grapheme in span.styled_graphemes(Style::new()) {
        if Span::raw(kept.as_str()).width() + Span::raw(grapheme.symbol).width() >= width {
            break;
        }
        kept.push_str(grapheme.symbol);
    }
    kept + "+"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Width of all cells but those of names.
    const CELL: usize = 9;
    const TID: usize = 1;
    const COMMAND: usize = 2;
    const GO: usize = 3;
    const GROUP: usize = COLUMNS.len() - 1;

    fn fitted(sorted: usize, room: usize) -> BTreeMap<usize, usize> {
        let headings = COLUMNS.each_ref().map(|column| column.heading.len());
        let cells = COLUMNS
            .each_ref()
            .map(|column| if column.is_name { 40 } else { CELL });
        fit(&headings, &cells, sorted, room)
    }

    #[test]
    fn no_room_is_used_twice_and_no_number_is_cut() {
        for room in 0..400 {
            let widths = fitted(TID, room);
            let blanks = widths.len().saturating_sub(1);
            assert!(widths.values().sum::<usize>() + blanks <= room, "{room}");
            for (at, width) in widths {
                assert!(COLUMNS[at].is_name || width == CELL, "{room}: {at}");
                assert!(width >= COLUMNS[at].heading.len(), "{room}: {at}");
            }
        }
    }

    #[test]
    fn the_least_useful_columns_go_first() {
        let mut shown = COLUMNS.len();
        for room in (0..400).rev() {
            let widths = fitted(TID, room);
            assert!(widths.len() <= shown, "{room}");
            shown = widths.len();
            let expected = |at: &usize| usize::from(COLUMNS[*at].rank) < shown;
            assert!(widths.keys().all(expected), "{room}: {widths:?}");
        }
        assert_eq!(shown, 0);
    }

    #[test]
    fn the_sorted_column_goes_after_all_but_id_and_priority() {
        let shown = |room| fitted(GROUP, room).into_keys().collect::<Vec<_>>();
        assert_eq!(shown(3 * CELL + 2), [TID, GO, GROUP]);
        assert_eq!(shown(2 * CELL + 1), [TID, GO]);
    }

    #[test]
    fn a_name_takes_what_no_other_column_needs() {
        let names = |room| {
            let widths = fitted(TID, room);
            [COMMAND, GROUP].map(|at| widths.get(&at).copied())
        };
        assert_eq!(names(CELL * 2 + 2 + 6), [None, None]);
        assert_eq!(names(CELL * 2 + 2 + 7), [Some(7), None]);
        assert_eq!(names(400), [Some(40), Some(40)]);
        let numbers = (COLUMNS.len() - 2) * CELL + COLUMNS.len() - 1;
        assert_eq!(names(numbers + 15 + 15), [Some(15), Some(15)]);
        assert_eq!(names(numbers + 15 + 16), [Some(16), Some(15)]);
        assert_eq!(names(numbers + 40 + 16), [Some(40), Some(16)]);
        assert_eq!(
            fitted(TID, CELL * 2 + 1)
                .keys()
                .copied()
                .collect::<Vec<_>>(),
            [TID, GO]
        );
    }

    #[test]
    fn what_is_cut_says_so() {
        let cut = |text: &str, width| cut(text.to_owned(), width);
        assert_eq!(cut("worker", 6), "worker");
        assert_eq!(cut("worker-12", 8), "worker-+");
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本+");
        assert_eq!(cut("日本語", 4), "日+");
        assert_eq!(cut("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}+");
    }
}
