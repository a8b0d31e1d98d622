// SPDX-License-Identifier: GPL-2.0

//! Draws plots: panels of dots or of curves, each plot once for wide screens and once for
//! narrow ones. All letters have one size; what a dot stands for shows on hover.

use std::ops::Range;

use anyhow::Result;
use maud::html;
use plotters::chart::SeriesLabelPosition;
use plotters::coord::ranged1d::AsRangedCoord;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use plotters::style::text_anchor::Pos;
use plotters::style::text_anchor::VPos;

/// Widths of the two drawings, in pixels: for a page with its margins on a screen, and on
/// a telephone of 390 pixels.
const WIDE: u32 = 720;
const NARROW: u32 = 358;
/// Size of all letters, in pixels, and about the width of one: the reader's font is not
/// known here.
const FONT: i32 = 13;
const LETTER: f64 = 7.2;
/// Height of a line with dots.
const LANE: u32 = 16;
/// Height of a panel with curves.
const CURVES: u32 = 320;
/// Height of a panel's title and axis.
const FRAME: u32 = 58;

const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6e);
const GRID: RGBColor = RGBColor(0xe3, 0xe6, 0xea);

/// Colours that differ for most people who do not see all of them, and on light and
/// dark pages: after Okabe and Ito.
pub(crate) const BLUE: RGBColor = RGBColor(0x1f, 0x78, 0xc1);
pub(crate) const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
pub(crate) const ORANGE: RGBColor = RGBColor(0xe6, 0x9f, 0x00);
pub(crate) const RED: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
pub(crate) const PINK: RGBColor = RGBColor(0xcc, 0x79, 0xa7);
pub(crate) const SKY: RGBColor = RGBColor(0x56, 0xb4, 0xe9);
pub(crate) const BROWN: RGBColor = RGBColor(0x96, 0x70, 0x3c);
pub(crate) const GREY: RGBColor = RGBColor(0x8b, 0x94, 0x9e);

/// Presentation attributes, which give way to any style sheet.
const STYLE: &str = "\
<style>@media (prefers-color-scheme:dark){\
[fill=\"#FFFFFF\"]{fill:#0d1117}[fill=\"#1F2328\"]{fill:#e6edf3}[fill=\"#59636E\"]{fill:#9198a1}\
[stroke=\"#59636E\"]{stroke:#9198a1}[stroke=\"#E3E6EA\"]{stroke:#2a313a}}</style>";

/// A plot, drawn twice.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    /// An explanation of the plot.
    pub(crate) caption: String,
    pub(crate) wide: String,
    pub(crate) narrow: String,
}

impl Plot {
    /// Draws panels. A plot without panels is empty.
    pub(crate) fn new(title: &'static str, caption: String, panels: &[Panel]) -> Result<Self> {
        Ok(Self {
            title,
            caption,
            wide: draw(title, panels, WIDE)?,
            narrow: draw(title, panels, NARROW)?,
        })
    }
}

/// Words for a tick of an axis.
pub(crate) type Label = fn(f64) -> String;

/// A part of a plot, with axes of its own.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) content: Content,
    /// True if the panel has a legend.
    pub(crate) legend: bool,
}

/// A linear or logarithmic axis.
#[derive(Clone)]
pub(crate) struct Axis {
    pub(crate) range: Range<f64>,
    pub(crate) logarithmic: bool,
    pub(crate) label: Label,
}

impl Axis {
    /// Returns the place of a value, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let Range { start, end } = self.range;
        if self.logarithmic {
            (value / start).ln() / (end / start).ln()
        } else {
            (value - start) / (end - start)
        }
    }
}

/// The content of a panel.
pub(crate) enum Content {
    /// Lines with a dot for each series below each other, so that none hides another.
    Dots {
        series: Vec<(String, RGBColor)>,
        rows: Vec<(String, Vec<Option<Dot>>)>,
        /// The value of a goal.
        goal: Option<f64>,
    },
    /// Curves over a logarithmic axis.
    Curves { y: Axis, curves: Vec<Curve> },
}

/// A value with its smallest and largest repeat.
pub(crate) struct Dot {
    pub(crate) value: f64,
    pub(crate) spread: Range<f64>,
    pub(crate) color: RGBColor,
    /// The value in words.
    pub(crate) text: String,
}

/// A curve, and the points of it that are marked, with their values in words.
pub(crate) struct Curve {
    pub(crate) label: String,
    pub(crate) color: RGBColor,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) marks: Vec<((f64, f64), String)>,
}

/// Returns a logarithmic range with room around all values above 0, so that a power of
/// ten is in it, and `headroom` times as much above them.
pub(crate) fn span(values: impl Iterator<Item = f64>, headroom: f64) -> Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for value in values.filter(|value| *value > 0.0) {
        low = low.min(value);
        high = high.max(value);
    }
    if low > high {
        return 1.0..10.0;
    }
    low / 3.2..high * 3.2 * headroom
}

/// Returns a sentence about curves that hardly show, as a later one covers them: nine of
/// ten points are within 10 per cent, which is about the width of a line.
pub(crate) fn hidden(panels: &[Panel]) -> String {
    let mut text = String::new();
    for panel in panels {
        let Content::Curves { curves, .. } = &panel.content else {
            continue;
        };
        for (index, below) in curves.iter().enumerate() {
            let covers = |above: &&Curve| {
                let pairs = below.points.iter().zip(&above.points);
                let near = pairs.filter(|(a, b)| a.0 == b.0 && (a.1 / b.1 - 1.0).abs() < 0.1);
                near.count() * 10 >= below.points.len() * 9
            };
            if let Some(above) = curves[index + 1..].iter().find(covers) {
                let (title, below, above) = (&panel.title, &below.label, &above.label);
                text += &format!(" {title}: {below} lies under {above}.");
            }
        }
    }
    text
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(title: &str, panels: &[Panel], width: u32) -> Result<String> {
    if panels.is_empty() {
        return Ok(String::new());
    }
    let columns = if width == WIDE && panels.len() > 1 {
        2
    } else {
        1
    };
    let rows = panels.len().div_ceil(columns);
    let height = panels.iter().map(Panel::height).max().unwrap_or_default();
    let mut svg = String::new();
    let mut titles = Vec::new();
    {
        let size = (width, height * rows as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        for (panel, part) in panels.iter().zip(area.split_evenly((rows, columns))) {
            panel.paint(&part, &mut titles)?;
        }
        area.present()?;
    }
    let label = html! { svg role="img" aria-label=(title) {} }.into_string();
    let label = label.trim_end_matches("></svg>");
    let svg = svg.replacen("<svg", label, 1);
    // The style goes behind the end of the first tag.
    let svg = svg.replacen(">\n", &format!(">{STYLE}\n"), 1);
    with_titles(&svg, &titles)
}

/// Gives each circle a title, which is what shows on hover.
fn with_titles(svg: &str, titles: &[String]) -> Result<String> {
    let mut circles = svg.split("<circle ");
    let mut text = circles.next().unwrap_or_default().to_owned();
    let circles: Vec<_> = circles.collect();
    anyhow::ensure!(circles.len() == titles.len(), "a dot is not drawn");
    for (circle, title) in circles.iter().zip(titles) {
        let title = html! { title { (title) } }.into_string();
        text += "<circle ";
        text += &circle.replacen("/>", &format!(">{title}</circle>"), 1);
    }
    Ok(text)
}

fn text(color: RGBColor, at: HPos) -> TextStyle<'static> {
    let font = ("sans-serif", FONT).into_font().color(&color);
    font.pos(Pos::new(at, VPos::Center))
}

/// Draws a legend of series in a chart, whatever its axes are.
macro_rules! legend {
    ($chart:expr, $series:expr) => {{
        for (label, color) in $series {
            let square =
                move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], color.filled());
            $chart
                .draw_series(std::iter::empty::<Rectangle<(f64, f64)>>())?
                .label(label)
                .legend(square);
        }
        $chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .margin(4)
            .legend_area_size(20)
            .label_font(("sans-serif", FONT).into_font().color(&INK))
            .draw()?;
    }};
}

impl Panel {
    fn height(&self) -> u32 {
        match &self.content {
            Content::Dots { series, rows, .. } => {
                let row = series.len() as u32 * LANE + LANE / 2;
                FRAME + (rows.len() as u32 + u32::from(self.legend)) * row
            }
            Content::Curves { .. } => CURVES,
        }
    }

    fn paint(&self, area: &Area<'_>, titles: &mut Vec<String>) -> Result<()> {
        let range = self.x.range.clone();
        if self.x.logarithmic {
            self.paint_over(area, range.log_scale(), titles)
        } else {
            self.paint_over(area, range, titles)
        }
    }

    fn label_width(&self) -> f64 {
        match &self.content {
            Content::Dots { rows, .. } => longest(rows.iter().map(|(name, _)| name.as_str())) + 8.0,
            Content::Curves { .. } => 62.0,
        }
    }

    fn paint_over<X>(&self, area: &Area<'_>, x: X, titles: &mut Vec<String>) -> Result<()>
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
    {
        let mut builder = ChartBuilder::on(area);
        builder
            .caption(&self.title, ("sans-serif", FONT).into_font().color(&INK))
            .margin(6)
            .margin_right(26)
            .x_label_area_size(24)
            .y_label_area_size(self.label_width() as u32);
        let start = self.x.range.start;
        let ticks = area.dim_in_pixel().0 as usize / 80;
        match &self.content {
            Content::Dots { series, rows, goal } => {
                let count = rows.len() as f64;
                // The first row is at the top.
                // A legend takes a row of its own above.
                let top = if self.legend { -1.0 } else { 0.0 };
                let mut chart = builder.build_cartesian_2d(x, count..top)?;
                chart
                    .configure_mesh()
                    .disable_y_mesh()
                    .y_labels(0)
                    .bold_line_style(GRID)
                    .light_line_style(TRANSPARENT)
                    .axis_style(MUTED)
                    .label_style(("sans-serif", FONT).into_font().color(&MUTED))
                    .x_labels(ticks)
                    .x_label_formatter(&|x| (self.x.label)(*x))
                    .draw()?;
                if let Some(goal) = goal {
                    let line = [(*goal, top), (*goal, count)];
                    chart.draw_series(DashedLineSeries::new(line, 4, 4, RED.stroke_width(1)))?;
                }
                for (row, (name, dots)) in rows.iter().enumerate() {
                    let middle = (start, row as f64 + 0.5);
                    let name_style = text(INK, HPos::Right);
                    chart.draw_series([
                        EmptyElement::at(middle) + Text::new(name.clone(), (-8, 0), name_style)
                    ])?;
                    for (lane, dot) in dots.iter().enumerate() {
                        let Some(dot) = dot else {
                            continue;
                        };
                        let lane_height = 1.0 / (dots.len() as f64 + 0.5);
                        let y = row as f64 + (lane as f64 + 0.75) * lane_height;
                        let whisker = vec![(dot.spread.start, y), (dot.spread.end, y)];
                        chart.draw_series([PathElement::new(whisker, dot.color)])?;
                        let circle = Circle::new((dot.value, y), 4, dot.color.filled());
                        chart.draw_series([circle])?;
                        // The words are behind the line, where there is room.
                        let (left, right) = (dot.spread.start, dot.spread.end);
                        let (at, by, side) = if self.x.place(right) < 0.7 {
                            (right, 9, HPos::Left)
                        } else {
                            (left, -9, HPos::Right)
                        };
                        chart.draw_series([EmptyElement::at((at, y))
                            + Text::new(dot.text.clone(), (by, 0), text(INK, side))])?;
                        titles.push(format!("{name}, {}: {}", series[lane].0, dot.text));
                    }
                }
                if self.legend {
                    legend!(chart, series.iter().cloned());
                }
            }
            Content::Curves { y, curves } => {
                let mut chart = builder.build_cartesian_2d(x, y.range.clone().log_scale())?;
                chart
                    .configure_mesh()
                    .bold_line_style(GRID)
                    .light_line_style(TRANSPARENT)
                    .axis_style(MUTED)
                    .label_style(("sans-serif", FONT).into_font().color(&MUTED))
                    .x_labels(ticks)
                    .y_labels(8)
                    .x_label_formatter(&|x| (self.x.label)(*x))
                    .y_label_formatter(&|value| (y.label)(*value))
                    .draw()?;
                for curve in curves {
                    let style = curve.color.stroke_width(2);
                    chart.draw_series(LineSeries::new(curve.points.iter().copied(), style))?;
                    for (mark, words) in &curve.marks {
                        chart.draw_series([Circle::new(*mark, 4, curve.color.filled())])?;
                        titles.push(format!("{}, {words}", curve.label));
                    }
                }
                if self.legend {
                    let series = curves
                        .iter()
                        .map(|curve| (curve.label.clone(), curve.color));
                    legend!(chart, series);
                }
            }
        }
        Ok(())
    }
}

/// Returns about how wide the longest of some words is, in pixels.
fn longest<'a>(words: impl Iterator<Item = &'a str>) -> f64 {
    let longest = words.map(|word| word.chars().count()).max();
    longest.unwrap_or_default() as f64 * LETTER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_room_around_its_values() {
        assert_eq!(span([10.0, 0.0, 1000.0].into_iter(), 2.0), 3.125..6400.0);
        assert_eq!(span([].into_iter(), 2.0), 1.0..10.0);
    }

    fn panel(curves: Vec<Curve>) -> Panel {
        let axis = Axis {
            range: 1.0..10.0,
            logarithmic: true,
            label: |tick| tick.to_string(),
        };
        Panel {
            title: "panel".to_owned(),
            x: axis.clone(),
            content: Content::Curves { y: axis, curves },
            legend: false,
        }
    }

    fn curve(label: &str, y: f64) -> Curve {
        Curve {
            label: label.to_owned(),
            color: BLUE,
            points: vec![(1.0, y), (2.0, y)],
            marks: vec![((2.0, y), "<high>".to_owned())],
        }
    }

    #[test]
    fn a_curve_under_another_is_said() {
        let panels = [panel(vec![
            curve("a", 5.0),
            curve("b", 7.0),
            curve("c", 5.01),
        ])];
        assert_eq!(hidden(&panels), " panel: a lies under c.");
    }

    #[test]
    fn a_dot_says_its_value_on_hover() {
        let plot = Plot::new("title", String::new(), &[panel(vec![curve("a", 5.0)])]);
        let plot = plot.expect("it can be drawn");
        for svg in [plot.wide, plot.narrow] {
            assert!(
                svg.contains("<title>a, &lt;high&gt;</title></circle>"),
                "{svg}"
            );
            assert!(
                svg.starts_with("<svg role=\"img\" aria-label=\"title\" "),
                "{svg}"
            );
        }
    }
}
