// SPDX-License-Identifier: GPL-2.0

//! The view on the screen, as chosen by options and keys.

use ratatui::crossterm::event::KeyCode;
use ratatui::crossterm::event::KeyEvent;
use ratatui::crossterm::event::KeyModifiers;
use ratatui::widgets::TableState;

use super::change::Change;
use super::column::sort;
use super::sample::Row;
use super::sample::Sample;
use crate::args::SortKey;
use crate::args::Top;

/// The next step of the loop of the screen.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Redraw,
    Sample,
    Change(Change),
    Quit,
}

/// The part of the screen that keys are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Table,
    Filter,
    /// The help, from this line on.
    Help(u16),
}

/// The choices that decide what the screen shows.
pub(super) struct View {
    pub(super) all: bool,
    pub(super) sort: SortKey,
    pub(super) reversed: bool,
    pub(super) colours: bool,
    /// Part of the names of the threads to show.
    pub(super) filter: String,
    pub(super) mode: Mode,
    /// The result of the last key.
    pub(super) message: Option<String>,
    /// The thread that is selected, see [`Row::id`]. A thread that is not on the screen is not
    /// selected.
    pub(super) selected: Option<(i32, u64)>,
    /// The part of the table that is on the screen.
    pub(super) table: TableState,
    /// Number of threads on the screen.
    pub(super) page: usize,
}

impl View {
    pub(super) fn new(args: &Top, colours: bool) -> Self {
        Self {
            all: args.all,
            sort: args.sort,
            reversed: false,
            colours,
            filter: String::new(),
            mode: Mode::Table,
            message: None,
            selected: None,
            table: TableState::new(),
            page: 0,
        }
    }

    /// Sorts the threads.
    pub(super) fn sort(&self, rows: &mut [Row]) {
        sort(rows, self.sort);
        if self.reversed {
            rows.reverse();
        }
    }

    /// Returns the threads that the filter lets through.
    pub(super) fn shown<'a>(&self, sample: &'a Sample) -> Vec<&'a Row> {
        let part = self.filter.to_lowercase();
        let has_part = |row: &&Row| row.command.to_lowercase().contains(&part);
        sample.rows.iter().filter(has_part).collect()
    }

    /// Handles a key.
    pub(super) fn press(&mut self, key: KeyEvent, sample: &Sample) -> Action {
        self.message = None;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return Action::Quit;
        }
        match self.mode {
            Mode::Table => return self.press_in_table(key.code, sample),
            Mode::Filter => match key.code {
                KeyCode::Enter => self.mode = Mode::Table,
                KeyCode::Esc => {
                    self.mode = Mode::Table;
                    self.filter.clear();
                }
                KeyCode::Backspace => drop(self.filter.pop()),
                KeyCode::Char(c) if !control && !c.is_control() => self.filter.push(c),
                _ => (),
            },
            Mode::Help(line) => {
                let page = self.page as u16;
                self.mode = match key.code {
                    KeyCode::Up => Mode::Help(line.saturating_sub(1)),
                    KeyCode::Down => Mode::Help(line.saturating_add(1)),
                    KeyCode::PageUp => Mode::Help(line.saturating_sub(page)),
                    KeyCode::PageDown => Mode::Help(line.saturating_add(page)),
                    KeyCode::Home => Mode::Help(0),
                    KeyCode::End => Mode::Help(u16::MAX),
                    _ => Mode::Table,
                }
            }
        }
        Action::Redraw
    }

    fn press_in_table(&mut self, key: KeyCode, sample: &Sample) -> Action {
        match key {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Char('a') => {
                self.all = !self.all;
                return Action::Sample;
            }
            KeyCode::Char('+') => return Action::Change(Change::Raise),
            KeyCode::Char('-') => return Action::Change(Change::Lower),
            KeyCode::Char('c') => return Action::Change(Change::Clear),
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                self.reversed = false;
            }
            KeyCode::Char('r') => self.reversed = !self.reversed,
            KeyCode::Char('?') => self.mode = Mode::Help(0),
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Esc => {
                self.filter.clear();
                self.selected = None;
            }
            other => self.select(other, &self.shown(sample)),
        }
        Action::Redraw
    }

    /// Selects another thread. Without a selected thread, the first key selects one that is on
    /// the screen.
    fn select(&mut self, key: KeyCode, rows: &[&Row]) {
        let last = rows.len().saturating_sub(1);
        let selected = rows.iter().position(|row| Some(row.id()) == self.selected);
        let next = match (key, selected) {
            (KeyCode::Home, _) => 0,
            (KeyCode::End, _) => last,
            (KeyCode::Up | KeyCode::Down | KeyCode::PageUp | KeyCode::PageDown, None) => {
                self.table.offset()
            }
            (KeyCode::Up, Some(at)) => at.saturating_sub(1),
            (KeyCode::Down, Some(at)) => at + 1,
            (KeyCode::PageUp, Some(at)) => at.saturating_sub(self.page),
            (KeyCode::PageDown, Some(at)) => at + self.page,
            _ => return,
        };
        self.selected = rows.get(next.min(last)).map(|row| row.id());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::fixture;

    #[test]
    fn keys_do_what_the_help_says() {
        let sample = fixture::sample(vec![fixture::row(1, Some(50))]);
        let mut view = fixture::view();
        let mut press = |code| view.press(KeyEvent::from(code), &sample);
        for (key, action) in [
            ('q', Action::Quit),
            ('s', Action::Redraw),
            ('r', Action::Redraw),
            ('a', Action::Sample),
            ('+', Action::Change(Change::Raise)),
            ('-', Action::Change(Change::Lower)),
            ('c', Action::Change(Change::Clear)),
            ('x', Action::Redraw),
        ] {
            assert_eq!(press(KeyCode::Char(key)), action, "{key}");
        }
        assert_eq!(view.sort, SortKey::Cpu);
        assert!(view.all && view.reversed);
    }

    #[test]
    fn keys_of_a_text_are_no_commands() {
        let sample = fixture::sample(vec![]);
        let mut view = fixture::view();
        for key in "/q+-ca".chars() {
            let action = view.press(KeyEvent::from(KeyCode::Char(key)), &sample);
            assert_eq!(action, Action::Redraw, "{key}");
        }
        assert_eq!(view.filter, "q+-ca");
    }

    #[test]
    fn control_c_always_quits() {
        let sample = fixture::sample(vec![]);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for mode in [Mode::Table, Mode::Filter, Mode::Help(0)] {
            let mut view = fixture::view();
            view.mode = mode;
            assert_eq!(view.press(control_c, &sample), Action::Quit, "{mode:?}");
        }
    }
}
