// SPDX-License-Identifier: GPL-2.0

//! The table on a terminal.

use std::env;
use std::io;
use std::time::Duration;
use std::time::Instant;

use ratatui::crossterm::event;
use ratatui::crossterm::event::Event;
use ratatui::crossterm::event::KeyCode;
use ratatui::crossterm::event::KeyEvent;
use ratatui::crossterm::event::KeyEventKind;
use ratatui::crossterm::event::KeyModifiers;
use ratatui::layout::Alignment;
use ratatui::layout::Constraint;
use ratatui::layout::Layout;
use ratatui::style::Color;
use ratatui::style::Modifier;
use ratatui::style::Style;
use ratatui::text::Text;
use ratatui::widgets::Cell;
use ratatui::widgets::Paragraph;
use ratatui::widgets::Row as TableRow;
use ratatui::widgets::Table;
use ratatui::widgets::TableState;
use ratatui::widgets::Wrap;
use ratatui::DefaultTerminal;
use ratatui::Frame;

use super::column::marks;
use super::column::COLUMNS;
use super::column::LEGEND;
use super::sample::Row;
use super::sample::Sample;
use super::sample::Sampler;
use super::sorted;
use super::summary;
use crate::args::SortKey;
use crate::args::Top;
use crate::error::Error;
use crate::interrupt::Interrupt;

/// The longest time until a signal is seen.
const LOOK_EVERY: Duration = Duration::from_millis(100);

const KEYS: &str = "q quit  a all threads  s sort by another  up, down, home, end move";

/// The terminal. Dropping the screen restores the terminal; ratatui does so after a panic.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    interrupt: Interrupt,
    interval: Duration,
    updates_left: Option<u32>,
    view: View,
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

impl Screen {
    pub(super) fn new(args: &Top, interrupt: Interrupt) -> io::Result<Self> {
        Ok(Self {
            terminal: ratatui::try_init()?,
            interrupt,
            interval: args.interval.0,
            updates_left: args.iterations.map(std::num::NonZeroU32::get),
            view: View {
                all: args.all,
                sort: args.sort,
                // See no-color.org.
                colours: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
                table: TableState::new().with_selected(0),
            },
        })
    }

    /// Shows samples until the user quits, or the last update is shown.
    pub(super) fn show(&mut self, sampler: &mut Sampler) -> Result<(), Error> {
        let mut sample = sampler.sample(self.view.all)?;
        let mut due = Instant::now() + self.interval;
        loop {
            sample = sorted(sample, self.view.sort);
            self.terminal.draw(|frame| self.view.draw(frame, &sample))?;
            match self.wait(due)? {
                Action::Quit => return Ok(()),
                Action::Redraw => continue,
                Action::Sample => (),
            }
            if let Some(left) = &mut self.updates_left {
                *left -= 1;
                if *left == 0 {
                    return Ok(());
                }
            }
            sample = sampler.sample(self.view.all)?;
            due = Instant::now() + self.interval;
        }
    }

    /// Waits for a key, a signal, or the time of the next sample.
    fn wait(&mut self, due: Instant) -> io::Result<Action> {
        loop {
            if self.interrupt.wait(Duration::ZERO)?.is_some() {
                return Ok(Action::Quit);
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Action::Sample);
            }
            if !event::poll(left.min(LOOK_EVERY))? {
                continue;
            }
            return Ok(match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => self.view.press(key),
                _ => Action::Redraw,
            });
        }
    }
}

/// The next step of the loop of the screen.
#[derive(Debug, PartialEq)]
enum Action {
    Redraw,
    Sample,
    Quit,
}

/// What is shown, as chosen by options and keys.
struct View {
    all: bool,
    sort: SortKey,
    colours: bool,
    table: TableState,
}

impl View {
    /// Handles a key.
    fn press(&mut self, key: KeyEvent) -> Action {
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Action::Quit,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Action::Quit
            }
            KeyCode::Char('a') => {
                self.all = !self.all;
                return Action::Sample;
            }
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Up => self.table.select_previous(),
            KeyCode::Down => self.table.select_next(),
            KeyCode::Home => self.table.select_first(),
            KeyCode::End => self.table.select_last(),
            _ => (),
        }
        Action::Redraw
    }

    fn draw(&mut self, frame: &mut Frame<'_>, sample: &Sample) {
        let above = summary(sample);
        let [top, middle, legend, bottom] = Layout::vertical([
            Constraint::Length(above.len() as u16),
            Constraint::Min(2),
            Constraint::Length(2),
            Constraint::Length(1),
        ])
        .areas(frame.area());

        let loud = sample.is_taken_over().then_some(Color::Red);
        frame.render_widget(
            Paragraph::new(above.join("\n")).style(self.style(loud)),
            top,
        );
        let lines = sample.rows.iter().map(|row| self.table_row(row, sample));
        let heading = COLUMNS
            .iter()
            .map(|column| aligned(column.numeric, column.heading.to_owned()));
        let table = Table::new(lines, widths(sample))
            .header(TableRow::new(heading).style(Modifier::BOLD))
            .row_highlight_style(Modifier::REVERSED);
        frame.render_stateful_widget(table, middle, &mut self.table);
        frame.render_widget(Paragraph::new(LEGEND).wrap(Wrap::default()), legend);
        let sort = format!("{KEYS}; sorted by {:?}", self.sort).to_lowercase();
        frame.render_widget(Paragraph::new(sort), bottom);
    }

    fn table_row(&self, row: &Row, sample: &Sample) -> TableRow<'static> {
        let cells = COLUMNS
            .iter()
            .map(|column| aligned(column.numeric, (column.cell)(row, sample)));
        TableRow::new(cells).style(self.style(colour(&marks(row, sample))))
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

/// Returns the widths of the columns: each is as wide as its widest cell.
fn widths(sample: &Sample) -> Vec<Constraint> {
    COLUMNS
        .iter()
        .map(|column| {
            let cells = sample.rows.iter().map(|row| (column.cell)(row, sample));
            let width = cells
                .map(|cell| Text::from(cell).width())
                .chain([column.heading.len()])
                .max();
            Constraint::Length(width.unwrap_or_default() as u16)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;
    use ratatui::buffer::Buffer;
    use ratatui::Terminal;

    use super::*;
    use crate::top::fixture;

    fn view(colours: bool) -> View {
        View {
            all: false,
            sort: SortKey::Priority,
            colours,
            table: TableState::new(),
        }
    }

    fn drawn(view: &mut View, sample: &Sample) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(130, 12)).expect("a terminal");
        terminal
            .draw(|frame| view.draw(frame, sample))
            .expect("a backend that never fails");
        terminal.backend().buffer().clone()
    }

    /// Returns the lines on the screen, without colours.
    fn text(buffer: &Buffer) -> Vec<String> {
        let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        cells
            .chunks(buffer.area.width.into())
            .map(|line| line.concat().trim_end().to_owned())
            .collect()
    }

    /// Returns a thread whose priority is in force, and one whose priority is not.
    fn two_threads() -> Sample {
        let mut pending = fixture::row(43, Some(50));
        pending.facts.status.applied = gosched::policy::GoPrio::new(47);
        fixture::sample(vec![fixture::row(42, Some(50)), pending])
    }

    #[test]
    fn the_screen_shows_what_the_table_has_and_what_the_marks_mean() {
        let shown = text(&drawn(&mut view(true), &two_threads()));
        assert_eq!(
            shown[0],
            "2 threads, 2 with a Go priority; sched_ext off; autogroup off"
        );
        let words: Vec<&str> = shown[2].split_whitespace().collect();
        assert_eq!(words[..6], ["40", "42", "worker", "50", "50", "63"]);
        let words: Vec<&str> = shown[3].split_whitespace().collect();
        assert_eq!(words[..6], ["40", "43", "worker", "50", "47", "63"]);
        assert_eq!(words[14], "!P", "{words:?}");
        assert!(shown[9].starts_with("MARKS: ! "), "{shown:?}");
        assert!(shown[11].ends_with("sorted by priority"), "{shown:?}");
    }

    #[test]
    fn what_is_not_in_force_is_red_unless_colours_are_off() {
        for (colours, expected) in [(true, Color::Red), (false, Color::Reset)] {
            let buffer = drawn(&mut view(colours), &two_threads());
            assert_eq!(buffer[(12, 2)].fg, Color::Reset);
            assert_eq!(buffer[(12, 3)].fg, expected);
        }
    }

    #[test]
    fn keys_do_what_the_last_line_says() {
        let mut view = view(true);
        let mut press = |code| view.press(KeyEvent::from(code));
        assert_eq!(press(KeyCode::Char('q')), Action::Quit);
        assert_eq!(press(KeyCode::Char('s')), Action::Redraw);
        assert_eq!(press(KeyCode::Char('a')), Action::Sample);
        assert_eq!(press(KeyCode::Char('c')), Action::Redraw);
        assert_eq!(view.sort, SortKey::Cpu);
        assert!(view.all);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.press(control_c), Action::Quit);
    }
}
