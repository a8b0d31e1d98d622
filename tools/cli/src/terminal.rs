// SPDX-License-Identifier: GPL-2.0

//! What the terminal at standard output can show.

use std::env;
use std::io::stdout;

use ratatui::layout::Rect;
use rustix::termios::tcgetwinsize;

/// The size that a terminal is taken to have if it tells none, as a serial line does not.
const USUAL_SIZE: Rect = Rect::new(0, 0, 80, 24);

/// The most columns, and lines, that are drawn. A terminal may claim more than fits in memory.
const MOST: u16 = 1000;

/// Returns whether the terminal cannot move its cursor.
pub(crate) fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Returns the part of the terminal that is drawn.
pub(crate) fn area() -> Rect {
    match tcgetwinsize(stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Rect::new(0, 0, size.ws_col.min(MOST), size.ws_row.min(MOST))
        }
        _ => USUAL_SIZE,
    }
}
