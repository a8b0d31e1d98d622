// SPDX-License-Identifier: GPL-2.0

//! What all plots have in common: colours, text, the page they are drawn on.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use plotters::style::text_anchor::Pos;
use plotters::style::text_anchor::VPos;

/// What is drawn on.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Width of all plots, in pixels: what a page has room for.
pub(super) const WIDTH: u32 = 960;
/// Height of a line of text.
pub(super) const LINE: i32 = 18;

/// Each of these has a counterpart for dark pages below.
pub(super) const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
pub(super) const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
pub(super) const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6e);
pub(super) const GRID: RGBColor = RGBColor(0xe3, 0xe6, 0xea);

/// Colours that differ for most people who do not see all of them, and on light and
/// dark pages: after Okabe and Ito.
pub(super) const BLUE: RGBColor = RGBColor(0x1f, 0x78, 0xc1);
pub(super) const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
pub(super) const ORANGE: RGBColor = RGBColor(0xe6, 0x9f, 0x00);
pub(super) const RED: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
pub(super) const PINK: RGBColor = RGBColor(0xcc, 0x79, 0xa7);
pub(super) const SKY: RGBColor = RGBColor(0x56, 0xb4, 0xe9);
pub(super) const BROWN: RGBColor = RGBColor(0x96, 0x70, 0x3c);
pub(super) const GREY: RGBColor = RGBColor(0x8b, 0x94, 0x9e);

/// Presentation attributes give way to any style sheet.
const STYLE: &str = "\
<style>.go-sched-plot{max-width:100%;height:auto}\
@media (prefers-color-scheme:dark){\
.go-sched-plot [fill=\"#FFFFFF\"]{fill:#0d1117}\
.go-sched-plot [fill=\"#1F2328\"]{fill:#e6edf3}\
.go-sched-plot [stroke=\"#1F2328\"]{stroke:#e6edf3}\
.go-sched-plot [fill=\"#59636E\"]{fill:#9198a1}\
.go-sched-plot [stroke=\"#59636E\"]{stroke:#9198a1}\
.go-sched-plot [stroke=\"#E3E6EA\"]{stroke:#2a313a}\
}</style>";

/// Text of a size and colour, placed by its left end, middle or right end.
pub(super) fn text(size: i32, color: RGBColor, at: HPos) -> TextStyle<'static> {
    ("sans-serif", size)
        .into_font()
        .color(&color)
        .pos(Pos::new(at, VPos::Center))
}

/// Draws a plot of [`WIDTH`] and this height. `title` is for those who cannot see it.
pub(super) fn draw(
    height: i32,
    title: &str,
    paint: impl FnOnce(&Area<'_>) -> Result<()>,
) -> Result<String> {
    let height = height.max(1).unsigned_abs();
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&PAPER)?;
        paint(&area)?;
        area.present()?;
    }
    let start = format!(
        "<svg class=\"go-sched-plot\" role=\"img\" aria-label=\"{}\" ",
        title.replace('&', "&amp;").replace('"', "&quot;")
    );
    let svg = svg.replacen("<svg ", &start, 1);
    // The style goes behind the end of the first tag.
    Ok(svg.replacen(">\n", &format!(">\n{STYLE}\n"), 1))
}

/// What a colour stands for.
pub(super) struct Entry {
    pub(super) label: String,
    pub(super) color: RGBColor,
    pub(super) opacity: f64,
}

/// A legend in lines of `width` pixels, the first one centred on `top`; returns
/// the number of lines it takes. Without an area it is only measured.
pub(super) fn legend(
    area: Option<&Area<'_>>,
    entries: &[Entry],
    left: i32,
    top: i32,
    width: i32,
) -> Result<i32> {
    let (mut x, mut lines) = (left, 1);
    for entry in entries {
        let length = 22 + text_width(&entry.label, 13) + 18;
        if x > left && x + length > left + width {
            x = left;
            lines += 1;
        }
        if let Some(area) = area {
            let y = top + (lines - 1) * LINE;
            let color = entry.color.mix(entry.opacity).filled();
            area.draw(&Rectangle::new([(x, y - 5), (x + 16, y + 5)], color))?;
            let style = text(13, INK, HPos::Left);
            area.draw_text(&entry.label, &style, (x + 22, y))?;
        }
        x += length;
    }
    Ok(lines)
}

/// About how wide a text is, in pixels: the reader's font is not known here.
pub(super) fn text_width(text: &str, size: i32) -> i32 {
    text.chars().count() as i32 * size * 58 / 100
}

/// A line of dashes between two points of the area.
pub(super) fn dashes(
    area: &Area<'_>,
    from: (i32, i32),
    to: (i32, i32),
    color: RGBColor,
) -> Result<()> {
    let line = DashedPathElement::new([from, to], 5, 4, color.stroke_width(2));
    area.draw(&line)?;
    Ok(())
}
