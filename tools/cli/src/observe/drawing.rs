// SPDX-License-Identifier: GPL-2.0

//! A text on a terminal that is drawn anew again and again.

use ratatui::crossterm::cursor::MoveToPreviousLine;
use ratatui::crossterm::queue;
use ratatui::crossterm::terminal::Clear;
use ratatui::crossterm::terminal::ClearType;
use ratatui::crossterm::terminal::DisableLineWrap;
use ratatui::crossterm::terminal::EnableLineWrap;
use ratatui::layout::Rect;

use crate::output::print;
use crate::output::OutputError;
use crate::terminal::area;

/// The text that is on the terminal.
#[derive(Default)]
pub(super) struct Drawing {
    area: Rect,
    lines: u16,
}

impl Drawing {
    /// Shows a text in place of the last one, above the line of the cursor. `text` is given the
    /// columns and the lines that have room; more lines are left out.
    ///
    /// The terminal keeps no mode: nothing is to be restored when gosched is stopped or killed.
    pub(super) fn show(
        &mut self,
        text: impl FnOnce(usize, usize) -> String,
    ) -> Result<(), OutputError> {
        let area = area();
        let before = match area == self.area {
            true => self.lines,
            // The terminal may have wrapped the lines.
            false => 0,
        };
        let room = area.height.saturating_sub(1).into();
        let text = text(area.width.into(), room);
        let lines = text.lines().take(room);
        self.lines = u16::try_from(lines.clone().count()).unwrap_or(u16::MAX);
        self.area = area;
        print(|out| {
            if before > 0 {
                queue!(out, MoveToPreviousLine(before))?;
            }
            queue!(out, DisableLineWrap)?;
            for line in lines {
                queue!(out, Clear(ClearType::UntilNewLine))?;
                out.extend_from_slice(line.as_bytes());
                out.push(b'\n');
            }
            queue!(out, EnableLineWrap, Clear(ClearType::FromCursorDown))
        })
    }

    /// Takes the text away.
    pub(super) fn clear(&mut self) -> Result<(), OutputError> {
        self.show(|_, _| String::new())
    }
}
