// SPDX-License-Identifier: GPL-2.0

//! The drawing of the screen.

use ratatui::layout::Alignment;
use ratatui::layout::Constraint;
use ratatui::layout::Layout;
use ratatui::layout::Rect;
use ratatui::style::Color;
use ratatui::style::Modifier;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::text::Text;
use ratatui::widgets::Cell;
use ratatui::widgets::Paragraph;
use ratatui::widgets::Row as TableRow;
use ratatui::widgets::Table;
use ratatui::widgets::Wrap;
use ratatui::Frame;

use super::column::marks;
use super::column::COLUMNS;
use super::fit::cut;
use super::fit::fit;
use super::help::help;
use super::sample::Row;
use super::sample::Sample;
use super::summary::summary;
use super::view::Mode;
use super::view::View;

/// The keys for the last line, the most useful first.
const KEYS: [&str; 8] = [
    "? help",
    "q quit",
    "+ - priority",
    "/ filter",
    "c clear",
    "s sort",
    "r reverse",
    "a all",
];
const FILTER_KEYS: [&str; 2] = ["Enter keep", "Esc drop"];
const HELP_KEYS: [&str; 2] = ["q back", "up down scroll"];

impl View {
    pub(super) fn draw(&mut self, frame: &mut Frame<'_>, sample: &Sample) {
        if let Mode::Help(line) = self.mode {
            return self.draw_help(frame, line);
        }
        let rows = self.shown(sample);
        let area = frame.area();
        let note = self.note(rows.len(), sample).map(wrapped);

        // Of few lines the heading and a thread come first, and the summary last, which leaves
        // the threads half of the screen and is shown in whole sentences.
        let mut left = area.height;
        let mut take = |lines: usize| {
            let taken = left.min(lines as u16);
            left -= taken;
            taken
        };
        take(2);
        let note_lines = take(note.as_ref().map_or(0, |note| note.line_count(area.width)));
        let key_lines = take(1);
        let for_threads = rows.len().min(usize::from(area.height / 2));
        let room = usize::from(left).saturating_sub(for_threads.saturating_sub(1));
        let mut above_lines = 0;
        let above: Vec<Line<'_>> = summary(sample)
            .into_iter()
            .map(Line::from)
            .take_while(|line| {
                above_lines += wrapped(line.clone()).line_count(area.width);
                above_lines <= room
            })
            .collect();
        let loud = sample.is_taken_over().then_some(Color::Red);
        let above = wrapped(above).style(self.style(loud));
        let [top, middle, bottom, last] = Layout::vertical([
            Constraint::Length(above.line_count(area.width) as u16),
            Constraint::Fill(1),
            Constraint::Length(note_lines),
            Constraint::Length(key_lines),
        ])
        .areas(area);

        frame.render_widget(above, top);
        self.draw_table(frame, middle, &rows, sample);
        if let Some(note) = note {
            frame.render_widget(note, bottom);
        }
        let keys = match self.mode {
            Mode::Filter => &FILTER_KEYS[..],
            _ => &KEYS,
        };
        frame.render_widget(key_line(keys, last.width), last);
    }

    fn draw_table(&mut self, frame: &mut Frame<'_>, area: Rect, rows: &[&Row], sample: &Sample) {
        let sorted = self.sort.heading();
        let arrow = if self.sort.descends() == self.reversed {
            "▲"
        } else {
            "▼"
        };
        let headings = COLUMNS.each_ref().map(|column| {
            let arrow = if column.heading == sorted { arrow } else { "" };
            format!("{}{arrow}", column.heading)
        });
        let width = |text: &String| Span::raw(text).width();
        let cells = COLUMNS.each_ref().map(|column| {
            let cells = rows.iter().map(|row| width(&(column.cell)(row, sample)));
            cells.max().unwrap_or_default()
        });
        let at = COLUMNS.iter().position(|column| column.heading == sorted);
        let columns = fit(
            &headings.each_ref().map(width),
            &cells,
            at.unwrap_or_default(),
            area.width.into(),
        );

        self.page = area.height.saturating_sub(1).into();
        let selected = rows.iter().position(|row| Some(row.id()) == self.selected);
        let selected = selected.filter(|_| self.page > 0 && !columns.is_empty());
        if selected.is_none() {
            self.selected = None;
        }
        *self.table.selected_mut() = selected;
        let offset = self.table.offset_mut();
        *offset = (*offset).min(rows.len().saturating_sub(self.page));

        let heading = columns
            .keys()
            .map(|&at| aligned(COLUMNS[at].numeric, headings[at].clone()));
        let lines = rows.iter().map(|row| {
            let cells = columns.iter().map(|(&at, &width)| {
                let cell = (COLUMNS[at].cell)(row, sample);
                aligned(COLUMNS[at].numeric, cut(cell, width))
            });
            TableRow::new(cells).style(self.style(colour(&marks(row, sample))))
        });
        let widths = columns
            .values()
            .map(|&width| Constraint::Length(width as u16));
        let table = Table::new(lines, widths)
            .header(TableRow::new(heading).style(Modifier::BOLD))
            .row_highlight_style(Modifier::REVERSED);
        frame.render_stateful_widget(table, area, &mut self.table);
    }

    fn draw_help(&mut self, frame: &mut Frame<'_>, line: u16) {
        let [text, last] =
            Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(frame.area());
        let help = wrapped(help());
        self.page = text.height.into();
        let end = help.line_count(text.width).saturating_sub(self.page);
        let line = line.min(end as u16);
        self.mode = Mode::Help(line);
        frame.render_widget(help.scroll((line, 0)), text);
        frame.render_widget(key_line(&HELP_KEYS, last.width), last);
    }

    /// Returns the text above the keys, if there is one.
    fn note(&self, shown: usize, sample: &Sample) -> Option<String> {
        let Self { filter, .. } = self;
        if self.message.is_some() {
            self.message.clone()
        } else if self.mode == Mode::Filter {
            Some(format!("names with: {filter}_"))
        } else if !filter.is_empty() {
            let threads = sample.rows.len();
            Some(format!(
                "names with \"{filter}\": {shown} of {threads} threads; Esc shows all"
            ))
        } else if sample.rows.is_empty() && !self.all {
            Some("no thread has a Go priority; a shows all threads".to_owned())
        } else {
            None
        }
    }

    fn style(&self, colour: Option<Color>) -> Style {
        match colour {
            Some(colour) if self.colours => Style::new().fg(colour),
            _ => Style::new(),
        }
    }
}

/// Returns the colour for marks: red where a thread does not get what was asked for,
/// yellow where something else is worth knowing.
fn colour(marks: &str) -> Option<Color> {
    if marks.contains(['!', 'P', 'T', 'X']) {
        Some(Color::Red)
    } else if marks.contains(['B', 'C', 'R', 'Q']) {
        Some(Color::Yellow)
    } else {
        None
    }
}

fn aligned(right: bool, text: String) -> Cell<'static> {
    let alignment = if right {
        Alignment::Right
    } else {
        Alignment::Left
    };
    Cell::new(Text::from(text).alignment(alignment))
}

fn wrapped<'a>(text: impl Into<Text<'a>>) -> Paragraph<'a> {
    Paragraph::new(text).wrap(Wrap { trim: false })
}

/// Returns the line of those keys that have room.
fn key_line(keys: &[&str], width: u16) -> Paragraph<'static> {
    let lines = (1..=keys.len()).map(|number| keys[..number].join("  "));
    let fitting = lines.take_while(|line| line.len() <= width.into());
    Paragraph::new(fitting.last().unwrap_or_default())
}
