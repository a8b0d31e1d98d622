// SPDX-License-Identifier: GPL-2.0

//! Heat maps as text.

use std::fmt::Write;

use gosched_observe::heat::classes;
use gosched_observe::heat::total;
use gosched_observe::heat::Bucket;
use gosched_observe::heat::Counts;
use gosched_observe::heat::Heat;
use gosched_observe::heat::Map;
use gosched_observe::heat::Subject;
use gosched_observe::heat::CLASSES;
use ratatui::crossterm::style::Color;
use ratatui::crossterm::style::Stylize;

use super::shades::Shades;
use super::whole;
use super::Shown;
use crate::observe::seconds;
use crate::observe::subject;
use crate::output::printable;

/// What is said where there are no delays.
pub(super) const NOTHING: &str = "No thread became runnable and then had a CPU in that time.";

/// The width of the longest label of a row.
const LABEL: usize = 11;
/// The width of all else in a row but the cells: the label, two bars and a number.
const AROUND: usize = LABEL + 4 + 8;
/// The lines of a map: a blank one, the title, the rows and the axis.
const MAP: usize = CLASSES + 3;
/// The fewest columns: a narrower terminal wraps the lines.
const FEWEST: usize = 10;

/// The shades of cells, and their colours on a terminal that has some.
const SHADES: [(char, Option<Color>); 5] = [
    (' ', None),
    ('░', Some(Color::Blue)),
    ('▒', Some(Color::Green)),
    ('▓', Some(Color::Yellow)),
    ('█', Some(Color::Red)),
];

/// Returns how many columns a terminal of some width has room for.
pub(super) fn columns(width: usize) -> usize {
    width.saturating_sub(AROUND).max(FEWEST)
}

/// Returns what is shown as text, with as many whole maps as so many lines have room for.
pub(super) fn text(shown: &Shown, colours: bool, lines: usize) -> String {
    let heat = &shown.heat;
    let mut text = format!(
        "{}: {}\n",
        printable(&shown.meta.command),
        subject(&shown.meta, heat.duration)
    );
    for sentence in &shown.missing {
        text += &format!("Missing: {}\n", printable(sentence));
    }
    text.push('\n');
    if heat.fullest() == 0 {
        return text + NOTHING + "\n";
    }
    let shades = Shades::new(heat.fullest(), SHADES.len() as u32 - 1);
    text += &format!(
        "Rows: delay from runnable to running. A column: {:.3} s.\nDelays in a cell:",
        seconds(heat.step)
    );
    for (shade, words) in shades.legend() {
        let _ = write!(text, " {} {words} ", run(shade, 1, colours));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    let room = lines.saturating_sub(text.lines().count());
    let all = heat.maps().count();
    let fit = match all * MAP <= room {
        true => all,
        // The last line tells of the others.
        false => room.saturating_sub(1) / MAP,
    };
    for (subject, map) in heat.maps().take(fit) {
        text += &format!("\n{}\n", title(subject, map));
        text += &rows(&whole(map, heat.columns()), shades, colours);
        text += &axis(heat);
    }
    if fit < all {
        text += &format!("(maps that have no room: {})\n", all - fit);
    }
    text
}

/// Says what a map is of, and how many delays it has.
pub(super) fn title(subject: Subject, map: &Map) -> String {
    let delays: u64 = total(map).iter().sum();
    let of = match subject {
        Subject::Threads {
            go_prio: Some(prio),
        } => format!("Threads, Go priority {prio}"),
        Subject::Threads { go_prio: None } => "Threads, no Go priority".to_owned(),
        Subject::Goroutines => "Goroutines, by the Go runtime's trace".to_owned(),
    };
    format!("{of} (delays: {delays})")
}

fn rows(map: &[Counts], shades: Shades, colours: bool) -> String {
    let mut rows = String::new();
    let numbers = total(map);
    let width = numbers.map(|number| number.to_string().len());
    let width = width.into_iter().max().unwrap_or(0);
    for (class, bucket) in classes().iter().enumerate().rev() {
        let cells: Vec<_> = map.iter().map(|counts| shades.of(counts[class])).collect();
        let cells: String = cells
            .chunk_by(|a, b| a == b)
            .map(|same| run(same[0], same.len(), colours))
            .collect();
        let number = numbers[class];
        rows += &format!("{:>LABEL$} |{cells}| {number:>width$}\n", label(bucket));
    }
    rows
}

/// Returns cells of one shade.
fn run(shade: usize, cells: usize, colours: bool) -> String {
    let (glyph, colour) = SHADES[shade.min(SHADES.len() - 1)];
    let glyphs: String = std::iter::repeat_n(glyph, cells).collect();
    match colour.filter(|_| colours) {
        Some(colour) => glyphs.with(colour).to_string(),
        None => glyphs,
    }
}

/// Returns the axis of time.
fn axis(heat: &Heat) -> String {
    let end = format!("{:.3} s", seconds(heat.duration));
    let room = heat.columns().saturating_sub("0 s ".len());
    format!("{:LABEL$}  0 s {end:>room$}\n", "")
}

/// Returns the delays of a row in words.
pub(super) fn label(delays: &Bucket) -> String {
    match (delays.from, delays.to.map(time)) {
        (0, Some((to, unit))) => format!("< {to} {unit}"),
        (from, Some((to, unit))) => match time(from) {
            (from, same) if same == unit => format!("{from}-{to} {unit}"),
            (from, other) => format!("{from} {other}-{to} {unit}"),
        },
        (from, None) => {
            let (from, unit) = time(from);
            format!(">= {from} {unit}")
        }
    }
}

/// Returns a time in a unit of which the bounds of classes are multiples.
fn time(ns: u64) -> (u64, &'static str) {
    match ns {
        1_000_000.. => (ns / 1_000_000, "ms"),
        _ => (ns / 1000, "us"),
    }
}

#[cfg(test)]
mod tests {
    use gosched_observe::directory::Meta;

    use super::*;

    /// Returns two seconds in ten columns, with delays of two Go priorities.
    fn shown() -> Shown {
        let mut meta = Meta::new("6.12.117".to_owned(), "./server\u{1b}[2J -v".to_owned());
        meta.pid = 4711;
        let mut heat = Heat::new(200_000_000, 10);
        for (at, go_prio, class, delays) in [
            (0, None, 0, 1),
            (250_000_000, None, 3, 200),
            (1_999_999_999, None, CLASSES - 1, 17),
            (1_000_000_000, Some(40), 7, 3),
        ] {
            let counts = std::array::from_fn(|of| if of == class { delays } else { 0 });
            heat.add(at, go_prio, &counts);
        }
        heat.set_duration(2_000_000_000);
        Shown {
            meta,
            missing: vec!["something".to_owned()],
            heat,
        }
    }

    #[test]
    fn maps_have_rows_by_delay_and_columns_by_time() {
        let expected = "\
./server?[2J -v: process 4711, on 6.12.117, 2.000 s
Missing: something

Rows: delay from runnable to running. A column: 0.200 s.
Delays in a cell: ░ 1-3  ▒ 4-15  ▓ 16-63  █ 64-200

Threads, Go priority 40 (delays: 3)
  >= 100 ms |          | 0
  30-100 ms |          | 0
   10-30 ms |     ░    | 3
    3-10 ms |          | 0
     1-3 ms |          | 0
300 us-1 ms |          | 0
 100-300 us |          | 0
  30-100 us |          | 0
   10-30 us |          | 0
    < 10 us |          | 0
             0 s 2.000 s

Threads, no Go priority (delays: 218)
  >= 100 ms |         ▓|  17
  30-100 ms |          |   0
   10-30 ms |          |   0
    3-10 ms |          |   0
     1-3 ms |          |   0
300 us-1 ms |          |   0
 100-300 us | █        | 200
  30-100 us |          |   0
   10-30 us |          |   0
    < 10 us |░         |   1
             0 s 2.000 s
";
        assert_eq!(text(&shown(), false, usize::MAX), expected);
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let coloured = text(&shown(), true, usize::MAX);
        assert!(coloured.contains('\u{1b}'));
        let mut plain = String::new();
        let mut parts = coloured.split('\u{1b}');
        plain += parts.next().unwrap_or_default();
        for part in parts {
            let (_, rest) = part.split_once('m').expect("a colour");
            plain += rest;
        }
        assert_eq!(plain, text(&shown(), false, usize::MAX));
    }

    #[test]
    fn lines_of_a_map_fit_into_the_terminal() {
        for width in [33, 40, 80, 200] {
            let mut heat = Heat::new(1, columns(width));
            heat.add(0, None, &[99_999_999; CLASSES]);
            heat.set_duration(width as u64 * 1000);
            let text = text(&Shown { heat, ..shown() }, false, usize::MAX);
            let rows = text.lines().filter(|line| line.contains('|'));
            assert!(rows.clone().count() == CLASSES, "{text}");
            assert!(
                rows.clone().all(|row| row.chars().count() <= width),
                "{text}"
            );
        }
    }

    #[test]
    fn maps_are_shown_as_a_whole_or_counted() {
        let all = text(&shown(), false, usize::MAX);
        let lines = all.lines().count();
        assert_eq!(text(&shown(), false, lines), all);
        for room in 0..lines {
            let text = text(&shown(), false, room);
            let rows = text.lines().filter(|line| line.contains('|')).count();
            let maps = usize::from(room > lines - MAP);
            assert_eq!(rows, maps * CLASSES, "{room}: {text}");
            let counted = format!("\n(maps that have no room: {})\n", 2 - maps);
            assert!(text.ends_with(&counted), "{room}: {text}");
            // The lines above the maps are shown in any case.
            assert!(text.lines().count() <= room.max(6), "{room}: {text}");
        }
    }

    #[test]
    fn what_has_no_delays_says_so() {
        let heat = Heat::new(1, 10);
        let text = text(&Shown { heat, ..shown() }, false, usize::MAX);
        assert!(text.contains("\n\nNo thread became runnable"), "{text}");
    }
}
