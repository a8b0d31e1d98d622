// SPDX-License-Identifier: GPL-2.0

//! Heat maps as a picture.

use std::io;

use gosched_observe::heat::classes;
use gosched_observe::heat::total;
use gosched_observe::heat::Heat;
use gosched_observe::heat::Map;
use gosched_observe::heat::CLASSES;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use plotters::style::text_anchor::Pos;
use plotters::style::text_anchor::VPos;

use super::shades::Shades;
use super::text::label;
use super::text::title;
use super::text::NOTHING;
use super::Shown;
use super::COLUMNS;
use crate::observe::seconds;
use crate::observe::subject;
use crate::output::printable;
use crate::top::cut;

/// Sizes in pixels: of a cell, of what is beside the cells, and of a line of text.
const CELL: (i32, i32) = (6, 15);
const LEFT: i32 = 96;
const RIGHT: i32 = 72;
const LINE: i32 = 20;
const WIDTH: i32 = LEFT + CELL.0 * COLUMNS as i32 + RIGHT;
/// The lines above the maps: three of text, and two for the legend.
const HEAD: i32 = 5 * LINE + LINE / 2;
/// A map with its title and its axis.
const MAP: i32 = LINE + CELL.1 * CLASSES as i32 + 2 * LINE;
/// As plotters has it: a letter is about half as wide.
const FONT: i32 = 16;
/// The letters that a line has room for.
const LETTERS: usize = (WIDTH / 8) as usize;

const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6e);
/// Shades from light to dark, which differ in lightness too.
const SHADES: [RGBColor; 5] = [
    RGBColor(0xff, 0xe0, 0x8a),
    RGBColor(0xfd, 0xb0, 0x4e),
    RGBColor(0xf0, 0x6b, 0x33),
    RGBColor(0xc2, 0x26, 0x38),
    RGBColor(0x66, 0x0b, 0x3b),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

/// Returns what is shown as an SVG file.
pub(super) fn picture(shown: &Shown) -> io::Result<String> {
    let mut svg = String::new();
    draw(&mut svg, shown).map_err(io::Error::other)?;
    Ok(svg)
}

fn draw(svg: &mut String, shown: &Shown) -> Drawn {
    let heat = &shown.heat;
    let height = HEAD + MAP * heat.maps().count().max(1) as i32;
    let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
    let area = SVGBackend::with_string(svg, size).into_drawing_area();
    area.fill(&WHITE)?;
    let command = cut(printable(&shown.meta.command), LETTERS);
    write(&area, command, (8, LINE / 2), HPos::Left, INK)?;
    let subject = cut(subject(&shown.meta, heat.duration), LETTERS);
    write(&area, subject, (8, LINE * 3 / 2), HPos::Left, MUTED)?;
    let what = "Delays from runnable to running, by the time of their end";
    write(&area, what.to_owned(), (8, LINE * 5 / 2), HPos::Left, MUTED)?;
    if heat.fullest() == 0 {
        write(&area, NOTHING.to_owned(), (8, HEAD), HPos::Left, INK)?;
        return area.present();
    }
    let shades = Shades::new(heat.fullest(), SHADES.len() as u32);
    draw_legend(&area, shades)?;
    for (index, (subject, map)) in heat.maps().enumerate() {
        let top = HEAD + MAP * index as i32;
        let title = title(subject, map);
        write(&area, title, (8, top + LINE / 2), HPos::Left, INK)?;
        draw_map(&area, top + LINE, heat, map, shades)?;
    }
    area.present()
}

fn draw_legend(area: &Area<'_>, shades: Shades) -> Drawn {
    let (mut x, mut y) = (LEFT, LINE * 7 / 2);
    write(area, "In a cell:".to_owned(), (8, y), HPos::Left, INK)?;
    for (shade, words) in shades.legend() {
        let width = CELL.1 + 8 * (words.len() as i32 + 1);
        if x + width > WIDTH {
            (x, y) = (LEFT, y + LINE);
        }
        cell(area, (x, y - CELL.1 / 2), (CELL.1, CELL.1), shade)?;
        write(area, words, (x + CELL.1 + 4, y), HPos::Left, INK)?;
        x += width;
    }
    Ok(())
}

fn draw_map(area: &Area<'_>, top: i32, heat: &Heat, map: &Map, shades: Shades) -> Drawn {
    let row = |class: usize| top + CELL.1 * (CLASSES - 1 - class) as i32;
    let width = CELL.0 * heat.columns() as i32;
    for (at, counts) in map.iter().enumerate() {
        for (class, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let corner = (LEFT + CELL.0 * at as i32, row(class));
            cell(area, corner, CELL, shades.of(*count))?;
        }
    }
    for (class, (bucket, number)) in classes().iter().zip(total(map)).enumerate() {
        let y = row(class) + CELL.1 / 2;
        write(area, label(bucket), (LEFT - 6, y), HPos::Right, MUTED)?;
        let right = (WIDTH - 8, y);
        write(area, number.to_string(), right, HPos::Right, MUTED)?;
    }
    let bottom = top + CELL.1 * CLASSES as i32;
    let frame = [(LEFT, top), (LEFT + width, bottom)];
    area.draw(&Rectangle::new(frame, MUTED.stroke_width(1)))?;
    let y = bottom + LINE / 2;
    let end = format!("{:.3} s", seconds(heat.duration));
    write(area, "0 s".to_owned(), (LEFT, y), HPos::Left, MUTED)?;
    write(area, end, (LEFT + width, y), HPos::Right, MUTED)?;
    write(
        area,
        "time".to_owned(),
        (LEFT + width / 2, y),
        HPos::Center,
        MUTED,
    )?;
    write(area, "delay".to_owned(), (8, y), HPos::Left, MUTED)?;
    write(
        area,
        "delays".to_owned(),
        (WIDTH - 8, y),
        HPos::Right,
        MUTED,
    )
}

fn cell(area: &Area<'_>, (x, y): (i32, i32), size: (i32, i32), shade: usize) -> Drawn {
    let Some(colour) = shade.checked_sub(1).and_then(|shade| SHADES.get(shade)) else {
        return Ok(());
    };
    let corners = [(x, y), (x + size.0, y + size.1)];
    area.draw(&Rectangle::new(corners, colour.filled()))
}

fn write(area: &Area<'_>, text: String, at: (i32, i32), side: HPos, colour: RGBColor) -> Drawn {
    let font = ("sans-serif", FONT).into_font().color(&colour);
    let style = font.pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text, at, style))
}

#[cfg(test)]
mod tests {
    use gosched_observe::directory::Meta;

    use super::*;

    fn shown(command: &str, heat: Heat) -> Shown {
        Shown {
            meta: Meta::new("6.12".to_owned(), command.to_owned()),
            missing: Vec::new(),
            heat,
        }
    }

    #[test]
    fn each_cell_with_delays_is_drawn_in_its_shade() {
        let mut heat = Heat::new(1, COLUMNS);
        for (at, delays) in [(0, 1), (1, 1), (5, 1000)] {
            heat.add(at, Some(40), &[delays; CLASSES]);
        }
        let svg = picture(&shown("server", heat)).expect("a picture");
        let cells = |fill: &str| svg.matches(&format!("fill=\"{fill}\"")).count();
        // The legend has one more of each.
        assert_eq!(cells("#FFE08A"), 2 * CLASSES + 1);
        assert_eq!(cells("#660B3B"), CLASSES + 1);
        assert!(svg.contains("Go priority 40"), "{svg}");
    }

    #[test]
    fn a_command_is_text_whatever_is_in_it_and_fits() {
        let command = format!("<script>\u{1b}\u{ffff}{}", "x".repeat(1000));
        let svg = picture(&shown(&command, Heat::new(1, 1))).expect("a picture");
        assert!(svg.contains("&lt;script&gt;??xxx"), "{svg}");
        assert!(!svg.contains(&"x".repeat(LETTERS)), "{svg}");
        assert!(svg.contains(NOTHING), "{svg}");
    }
}
