// SPDX-License-Identifier: GPL-2.0

//! Tests of the screen: what a terminal shows after it was drawn.

use gosched::cgroup::Quota;
use gosched::error::RequestError;
use gosched::policy::GoPrio;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::KeyCode;
use ratatui::crossterm::event::KeyEvent;
use ratatui::crossterm::style::force_color_output;
use ratatui::layout::Rect;
use ratatui::Terminal;
use ratatui::TerminalOptions;
use ratatui::Viewport;
use snapbox::assert_data_eq;
use snapbox::file;

use super::column::COLUMNS;
use super::fixture;
use super::fixture::view;
use super::sample::Sample;
use super::view::Mode;
use super::view::View;
use crate::args::SortKey;
use crate::error::Error;
#[cfg(feature = "observe")]
use crate::observe::goroutines::Goroutine;

/// A terminal that understands what is drawn.
struct Screen(vt100::Parser);

impl Screen {
    fn draw(view: &mut View, sample: &Sample, columns: u16, lines: u16) -> Self {
        // Whatever NO_COLOR says to whoever runs the test.
        force_color_output(true);
        let mut out = Vec::new();
        let viewport = Viewport::Fixed(Rect::new(0, 0, columns, lines));
        let backend = CrosstermBackend::new(&mut out);
        let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport })
            .expect("a terminal of any size");
        terminal
            .draw(|frame| view.draw(frame, sample))
            .expect("a vector takes all");
        drop(terminal);
        let mut parser = vt100::Parser::new(lines.max(1), columns.max(2), 0);
        parser.process(&out);
        Self(parser)
    }

    fn lines(&self) -> Vec<String> {
        let (_, columns) = self.0.screen().size();
        let rows = self.0.screen().rows(0, columns);
        rows.map(|row| row.trim_end().to_owned()).collect()
    }

    fn text(&self) -> String {
        self.lines().join("\n") + "\n"
    }

    /// Returns the lines that are drawn as selected.
    fn selected(&self) -> Vec<String> {
        let is_inverse = |at: &usize| {
            let cell = self.0.screen().cell(*at as u16, 0);
            cell.is_some_and(vt100::Cell::inverse)
        };
        let lines = self.lines();
        (0..lines.len())
            .filter(is_inverse)
            .map(|at| lines[at].clone())
            .collect()
    }

    fn foreground(&self, line: u16, column: u16) -> vt100::Color {
        let cell = self.0.screen().cell(line, column);
        cell.expect("a cell").fgcolor()
    }
}

fn press(view: &mut View, sample: &Sample, keys: impl IntoIterator<Item = KeyCode>) {
    for key in keys {
        view.press(KeyEvent::from(key), sample);
    }
}

fn typed(view: &mut View, sample: &Sample, keys: &str) {
    press(view, sample, keys.chars().map(KeyCode::Char));
}

/// Returns threads of all bands, with names and states of many kinds.
fn threads() -> Sample {
    let rows = [
        (4711, "server", Some(52)),
        (4712, "http-worker-012", Some(32)),
        (4713, "日本語のスレ", Some(24)),
        (4714, "é\u{1b}]0;x\u{7}\u{1b}[2J", Some(20)),
        (4715, "two words", Some(8)),
        (
            1048576,
            "kworker/u17:3-events_freezable_pwr_efficient",
            None,
        ),
    ];
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|(tid, name, prio)| {
            let mut row = fixture::row(tid, prio);
            row.command = name.to_owned();
            row.cpu_percent = f64::from(tid % 10) * 12.375;
            row.cpu_cgroup = Some(format!("/system.slice/server-{tid}.service").into());
            row
        })
        .collect();
    rows[0].facts.status.applied = GoPrio::new(32);
    #[cfg(feature = "observe")]
    for (row, state, p) in [(0, Some("running"), Some(3)), (1, None, None)] {
        let id = 4_000_000 + row as u64;
        rows[row].goroutine = Some(Goroutine { id, state, p });
    }
    rows[1].quota = Ok(Some(Quota {
        group: "/sys/fs/cgroup/system.slice/server.service".into(),
        file: "cpu.max",
        lifted: "max",
        cpus: 2.5,
        throttled: 16873,
    }));
    let mut sample = fixture::sample(rows);
    view().sort(&mut sample.rows);
    sample
}

#[test]
fn a_screen_shows_what_has_room() {
    let mut view = view();
    let mut drawn = |columns, lines| Screen::draw(&mut view, &threads(), columns, lines).text();
    assert_data_eq!(drawn(40, 12), file!["screens/40x12.txt"]);
    assert_data_eq!(drawn(80, 24), file!["screens/80x24.txt"]);
    #[cfg(feature = "observe")]
    assert_data_eq!(drawn(200, 60), file!["screens/observe-200x60.txt"]);
    #[cfg(not(feature = "observe"))]
    assert_data_eq!(drawn(200, 60), file!["screens/200x60.txt"]);
    assert_data_eq!(drawn(10, 3), file!["screens/10x3.txt"]);
}

#[test]
fn the_help_has_room_on_any_screen() {
    let (mut view, sample) = (view(), threads());
    typed(&mut view, &sample, "?");
    let help = Screen::draw(&mut view, &sample, 80, 24).text();
    assert_data_eq!(help, file!["screens/help-80x24.txt"]);
    for (columns, lines) in [(80, 24), (40, 12), (10, 3)] {
        press(&mut view, &sample, [KeyCode::End]);
        let end = Screen::draw(&mut view, &sample, columns, lines).lines();
        assert!(end[end.len() - 2].ends_with("needed."), "{end:?}");
        press(&mut view, &sample, [KeyCode::PageUp, KeyCode::Home]);
        let start = Screen::draw(&mut view, &sample, columns, lines).lines();
        assert_eq!(start[0], "Keys:");
    }
    typed(&mut view, &sample, "q");
    assert_eq!(view.mode, Mode::Table);
}

#[test]
fn no_cell_is_cut_but_a_name_that_says_so() {
    let sample = threads();
    let words = |names_alone: bool| -> Vec<String> {
        COLUMNS
            .iter()
            .filter(|column| column.is_name || !names_alone)
            .flat_map(|column| {
                let cells = sample.rows.iter().map(|row| (column.cell)(row, &sample));
                cells.chain([column.heading.to_owned()])
            })
            .flat_map(|cell| cell.split(' ').map(str::to_owned).collect::<Vec<_>>())
            .collect()
    };
    let (whole, names) = (words(false), words(true));
    for columns in 2..200 {
        let lines = Screen::draw(&mut view(), &sample, columns, 40).lines();
        let Some(heading) = lines.iter().position(|line| line.contains("APPLIED▼")) else {
            assert!(columns < 19, "the sorted column is shown at {columns}");
            continue;
        };
        for line in &lines[heading..=heading + sample.rows.len()] {
            for word in line.split_whitespace() {
                let expected = match word.strip_suffix('+') {
                    Some(cut) => names.iter().any(|name| name.starts_with(cut)),
                    None => whole.iter().any(|cell| cell == word.trim_end_matches('▼')),
                };
                assert!(expected, "{word} at {columns}: {lines:?}");
            }
        }
    }
}

#[test]
fn screens_of_any_size_and_their_changes_are_drawn() {
    let many = threads();
    let mut view = view();
    for sample in [&many, &fixture::sample(vec![])] {
        for keys in ["", "/日", "?"] {
            typed(&mut view, sample, keys);
            for columns in (0..24).chain([200, 1]) {
                for lines in (0..12).chain([200, 1]) {
                    press(&mut view, sample, [KeyCode::End]);
                    view.message = Some("x".repeat(100));
                    Screen::draw(&mut view, sample, columns, lines);
                }
            }
            press(&mut view, sample, [KeyCode::Esc, KeyCode::Esc]);
        }
    }
}

#[test]
fn a_name_reaches_the_terminal_as_text() {
    let screen = Screen::draw(&mut view(), &threads(), 80, 24);
    let text = screen.text();
    assert!(text.contains(" é?]0;x??[2J "), "{text}");
    assert_eq!(screen.0.screen().title(), "");
    assert_eq!(screen.0.screen().errors(), 0);

    let (mut view, sample) = (view(), threads());
    typed(&mut view, &sample, "/\u{9b}2J\u{1b}");
    let text = Screen::draw(&mut view, &sample, 80, 24).text();
    assert!(text.contains("names with: 2J_"), "{text}");
}

#[test]
fn the_sorted_column_and_its_direction_are_shown() {
    let (mut view, sample) = (view(), threads());
    for (key, down, up) in [
        (SortKey::Priority, "APPLIED▼", "APPLIED▲"),
        (SortKey::Cpu, "%CPU▼", "%CPU▲"),
        (SortKey::Wait, "%WAIT▼", "%WAIT▲"),
        (SortKey::Tid, "TID▲", "TID▼"),
        (SortKey::Command, "COMMAND▲", "COMMAND▼"),
    ] {
        assert_eq!(view.sort, key);
        for heading in [down, up] {
            for (columns, lines) in [(200, 60), (40, 12), (20, 2)] {
                let text = Screen::draw(&mut view, &sample, columns, lines).text();
                assert!(text.contains(heading), "{text}");
                assert_eq!(text.matches(['▼', '▲']).count(), 1, "{text}");
            }
            typed(&mut view, &sample, "r");
        }
        typed(&mut view, &sample, "s");
    }
}

#[test]
fn what_is_not_in_force_is_red_unless_colours_are_off() {
    let red = vt100::Color::Idx(1);
    for (colours, expected) in [(true, red), (false, vt100::Color::Default)] {
        let mut view = view();
        view.colours = colours;
        let screen = Screen::draw(&mut view, &threads(), 80, 24);
        let lines = screen.lines();
        let line_of = |tid: &str| lines.iter().position(|line| line.contains(tid));
        let foreground = |tid| screen.foreground(line_of(tid).expect("a thread") as u16, 5);
        assert_eq!(foreground("4711"), expected);
        assert_eq!(foreground("4715"), vt100::Color::Default);
    }
}

#[test]
fn the_selected_thread_is_followed_until_it_is_gone() {
    let (mut view, mut sample) = (view(), threads());
    let selected = |view: &mut View, sample: &mut Sample| {
        view.sort(&mut sample.rows);
        Screen::draw(view, sample, 80, 24).selected()
    };
    assert_eq!(selected(&mut view, &mut sample), [""; 0], "none at first");
    press(&mut view, &sample, [KeyCode::Down, KeyCode::Down]);
    let lines = selected(&mut view, &mut sample);
    assert!(lines.len() == 1 && lines[0].contains(" 4712 "), "{lines:?}");
    typed(&mut view, &sample, "ssr");
    let lines = selected(&mut view, &mut sample);
    assert!(lines.len() == 1 && lines[0].contains(" 4712 "), "{lines:?}");

    // Another thread has its id.
    let mut later = threads();
    for row in later.rows.iter_mut().filter(|row| row.tid == 4712) {
        row.started = 1;
    }
    assert_eq!(selected(&mut view, &mut later), [""; 0]);
    assert_eq!(selected(&mut view, &mut sample), [""; 0], "for good");
    assert_eq!(view.selected, None);
}

#[test]
fn a_thread_that_is_not_on_the_screen_is_not_selected() {
    let (mut view, sample) = (view(), threads());
    for (keys, columns, lines) in [("/4", 80, 24), ("", 80, 1), ("", 3, 24)] {
        Screen::draw(&mut view, &sample, 80, 24);
        press(&mut view, &sample, [KeyCode::Home]);
        assert!(view.selected.is_some());
        typed(&mut view, &sample, keys);
        Screen::draw(&mut view, &sample, columns, lines);
        assert_eq!(view.selected, None, "{keys} {columns} {lines}");
        press(&mut view, &sample, [KeyCode::Esc]);
    }
}

#[test]
fn a_filter_shows_threads_by_name() {
    let (mut view, sample) = (view(), threads());
    typed(&mut view, &sample, "/WORKx");
    press(&mut view, &sample, [KeyCode::Backspace]);
    let text = Screen::draw(&mut view, &sample, 80, 24).text();
    assert!(
        text.contains("names with: WORK_\nEnter keep  Esc drop"),
        "{text}"
    );
    assert!(
        text.contains("http-worker-012") && !text.contains("server "),
        "{text}"
    );
    press(&mut view, &sample, [KeyCode::Enter]);
    let text = Screen::draw(&mut view, &sample, 80, 24).text();
    assert!(
        text.contains("names with \"WORK\": 2 of 6 threads;"),
        "{text}"
    );
    press(&mut view, &sample, [KeyCode::Esc]);
    let text = Screen::draw(&mut view, &sample, 80, 24).text();
    assert!(
        text.contains("server") && !text.contains("names with"),
        "{text}"
    );
}

#[test]
fn any_thread_of_thousands_can_be_selected() {
    let mut view = view();
    let rows = (1..=5000).map(|tid| fixture::row(tid, Some(50)));
    let mut sample = fixture::sample(rows.collect());
    let selected = |view: &mut View, sample: &Sample, key| {
        press(view, sample, [key]);
        let lines = Screen::draw(view, sample, 40, 12).selected();
        let mut words = lines.first().into_iter().flat_map(|line| line.split(' '));
        words.find(|word| !word.is_empty()).map(str::to_owned)
    };
    for (key, tid) in [
        (KeyCode::End, "5000"),
        (KeyCode::Down, "5000"),
        (KeyCode::Up, "4999"),
        (KeyCode::PageUp, "4991"),
        (KeyCode::Home, "1"),
        (KeyCode::Up, "1"),
        (KeyCode::PageDown, "9"),
        (KeyCode::Down, "10"),
    ] {
        let found = selected(&mut view, &sample, key);
        assert_eq!(found.as_deref(), Some(tid), "{key:?}");
    }
    selected(&mut view, &sample, KeyCode::End);
    sample.rows.truncate(20);
    let lines = Screen::draw(&mut view, &sample, 40, 12).lines();
    let ids = lines[3..11]
        .iter()
        .map(|line| line.split_whitespace().next());
    let ids: Vec<&str> = ids.flatten().collect();
    let expected = ["13", "14", "15", "16", "17", "18", "19", "20"];
    assert_eq!(ids, expected, "the screen stays full");
}

#[test]
fn no_threads_are_told_with_what_to_do() {
    let mut view = view();
    let text = Screen::draw(&mut view, &fixture::sample(vec![]), 40, 12).text();
    let told = "no thread has a Go priority; a shows all\nthreads";
    assert!(text.contains(told), "{text}");
}

#[test]
fn a_reason_is_shown_as_a_whole_until_the_next_key() {
    let (mut view, sample) = (view(), threads());
    let [prio, ceiling] = [52, 50].map(|prio| GoPrio::new(prio).expect("a priority"));
    let error = Error::of_thread(4711, RequestError::AboveCeiling { prio, ceiling });
    view.message = Some(error.to_string());
    for (columns, lines) in [(200, 60), (80, 24), (40, 12)] {
        let text = Screen::draw(&mut view, &sample, columns, lines).text();
        let words: Vec<&str> = text.split_whitespace().collect();
        let error = error.to_string();
        let expected: Vec<&str> = error.split_whitespace().collect();
        let found = words.windows(expected.len()).any(|part| part == expected);
        assert!(found, "{text}");
        assert!(text.contains("? help"), "{text}");
    }
    press(&mut view, &sample, [KeyCode::Down]);
    assert_eq!(view.message, None);
}
