// SPDX-License-Identifier: GPL-2.0

//! Tables of plain text.

use comfy_table::presets::NOTHING;
use comfy_table::CellAlignment;
use comfy_table::Table;

/// Returns a table of columns that each have a heading, and are numbers or not: numbers
/// are aligned to the right.
pub(crate) fn table(
    columns: impl IntoIterator<Item = (&'static str, bool)>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let (headings, numeric): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(headings);
    for (column, numeric) in table.column_iter_mut().zip(numeric) {
        if numeric {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.add_rows(rows);
    table.trim_fmt()
}

/// Returns a value as a cell, in which a dash stands for none.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
