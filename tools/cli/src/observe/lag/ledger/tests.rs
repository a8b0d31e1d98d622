// SPDX-License-Identifier: GPL-2.0

//! Tests of the ledger.

use super::*;

#[test]
fn threads_that_have_ended_make_room_the_least_busy_ones_first() {
    let id = |tid: i32| (tid, 0);
    let all = || (1..=10).map(|tid| (id(tid), tid.unsigned_abs().into()));
    let left = |present: &[i32], most: usize| {
        let mut entries: HashMap<Id, u64> = all().collect();
        let present = present.iter().copied().map(id).collect();
        let forgotten = make_room(&mut entries, &present, most, |busy| *busy);
        assert_eq!(entries.len() + forgotten, 10);
        let mut left: Vec<_> = entries.into_keys().map(|(tid, _)| tid).collect();
        left.sort_unstable();
        left
    };
    assert_eq!(left(&[1, 11, 12], 12), Vec::from_iter(1..=10));
    assert_eq!(left(&[1, 11, 12], 10), [1, 4, 5, 6, 7, 8, 9, 10]);
    // Who lives is never forgotten.
    assert_eq!(left(&[1, 2, 3, 11], 2), [1, 2, 3]);
}

#[test]
fn threads_that_are_missing_are_counted() {
    assert_eq!(missing(0, 0), [""; 0]);
    assert!(missing(7, 0)[0].starts_with("7 threads that had ended"));
    assert_eq!(missing(7, 3).len(), 2);
}

#[test]
fn a_line_has_all_columns_below_their_headings() {
    let row = Row::example();
    let cells = row.cells();
    let text = line(cells.iter().map(String::as_str));
    let heading = line(COLUMNS.iter().map(|(heading, ..)| *heading));
    assert_eq!(
        [heading, text].join("\n"),
        "    TID THREAD          STATE    %CPU %WAIT   LAG-US ELIG  DUE-MS SLICE-MS GROUP-US CPU CLASS    GROUP\n\
         1234567 kworker?[31m    waiting  12.5     -    -1250 no      20.5      3.0        - 127 fair     /a.slice/b.service"
    );
}

#[test]
fn a_share_of_no_time_is_none() {
    assert_eq!(share(0, 0), None);
    assert_eq!(share(1, 4), Some(25.0));
    assert_eq!(percent(None), "-");
}
