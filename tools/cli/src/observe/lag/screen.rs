// SPDX-License-Identifier: GPL-2.0

//! The threads on a terminal, drawn anew at each look.

use std::io;
use std::io::stdout;
use std::io::Write;

use ratatui::crossterm::cursor::Hide;
use ratatui::crossterm::cursor::MoveTo;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::queue;
use ratatui::crossterm::style::Print;
use ratatui::crossterm::terminal;
use ratatui::crossterm::terminal::Clear;
use ratatui::crossterm::terminal::ClearType;
use ratatui::crossterm::terminal::DisableLineWrap;
use ratatui::crossterm::terminal::EnableLineWrap;
use ratatui::crossterm::terminal::EnterAlternateScreen;
use ratatui::crossterm::terminal::LeaveAlternateScreen;

use super::ledger::Row;
use super::ledger::COLUMNS;
use crate::table::table;

/// The size that a terminal is taken to have if it tells none, as a serial line does not.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// A screen of its own, which is left when this is dropped.
pub(super) struct Screen(());

impl Screen {
    pub(super) fn new() -> io::Result<Self> {
        // A line that is too long is cut, and takes no second one.
        execute!(stdout(), EnterAlternateScreen, DisableLineWrap, Hide)?;
        Ok(Self(()))
    }

    /// Draws as many threads and columns as there is room for; the first ones matter most.
    pub(super) fn show(&mut self, rows: &[Row]) -> io::Result<()> {
        let mut size = terminal::size().unwrap_or_default();
        if size.0 == 0 || size.1 == 0 {
            size = USUAL_SIZE;
        }
        let mut out = Vec::new();
        queue!(out, MoveTo(0, 0))?;
        for (at, line) in text(rows, size).lines().enumerate() {
            let end = if at == 0 { "" } else { "\r\n" };
            queue!(out, Print(end), Print(line), Clear(ClearType::UntilNewLine))?;
        }
        queue!(out, Clear(ClearType::FromCursorDown))?;
        let mut stdout = stdout().lock();
        stdout.write_all(&out)?;
        stdout.flush()
    }
}

/// Returns whole columns of whole rows that fit into so many characters and lines.
fn text(rows: &[Row], (width, height): (u16, u16)) -> String {
    // One for the headings, and one for what there is no room for.
    let room = usize::from(height).saturating_sub(2);
    let shown: Vec<_> = rows.iter().take(room).map(Row::cells).collect();
    let mut left = usize::from(width);
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

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to tell of a terminal that has gone.
        let _ = execute!(stdout(), Show, EnableLineWrap, LeaveAlternateScreen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_terminal_shows_whole_columns_and_rows() {
        let rows = vec![Row::example(); 10];
        let text_80 = text(&rows, (80, 5));
        let lines: Vec<_> = text_80.lines().collect();
        assert_eq!(lines.len(), 5, "{text_80}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80));
        assert!(lines[0].contains("LAG-US") && !lines[0].contains("GROUP "));
        assert_eq!(lines[4], "(and 7 more)");

        let wide = text(&rows, (200, 50));
        assert!(wide.contains("/a.slice/b.service"), "{wide}");
        assert_eq!(wide.lines().count(), 11);
        for (width, height) in [(0, 0), (1, 1), (1, 50), (200, 1)] {
            let small = text(&rows, (width, height));
            assert!(
                small.lines().count() <= usize::from(height).max(2),
                "{small}"
            );
        }
    }
}
