// SPDX-License-Identifier: GPL-2.0

//! Lines over two axes: several panels beside and below each other.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::canvas::draw;
use super::canvas::legend;
use super::canvas::text;
use super::canvas::Area;
use super::canvas::Entry;
use super::canvas::GRID;
use super::canvas::INK;
use super::canvas::LINE;
use super::canvas::MUTED;
use super::canvas::WIDTH;

/// Height of a panel, in pixels, with its title and ticks.
const HEIGHT: i32 = 300;

/// One line.
pub(super) struct Line {
    pub(super) color: RGBColor,
    /// In pixels.
    pub(super) width: u32,
    pub(super) points: Vec<(f64, f64)>,
    /// Whether each point is a measurement of its own, and shows.
    pub(super) dots: bool,
}

/// Lines over the same axes.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) x_title: &'static str,
    pub(super) lines: Vec<Line>,
    /// What the lines are, if that is this panel's business alone.
    pub(super) legend: Vec<Entry>,
}

/// Panels, two beside each other, and what their colours stand for.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) panels: Vec<Panel>,
    pub(super) legend: Vec<Entry>,
}

impl Chart {
    /// Draws it.
    pub(super) fn svg(&self) -> Result<String> {
        let width = WIDTH as i32;
        let columns = if self.panels.len() == 1 { 1 } else { 2 };
        let rows = self.panels.len().div_ceil(columns) as i32;
        let legend_lines = if self.legend.is_empty() {
            0
        } else {
            legend(None, &self.legend, 14, 0, width - 28)?
        };
        let top = legend_lines * LINE + 10;
        draw(top + rows * HEIGHT, self.title, |area| {
            legend(Some(area), &self.legend, 14, 14, width - 28)?;
            let (_, below) = area.split_vertically(top);
            let cells = below.split_evenly((rows.unsigned_abs() as usize, columns));
            for (panel, cell) in self.panels.iter().zip(&cells) {
                panel.paint(cell)?;
            }
            Ok(())
        })
    }
}

impl Panel {
    fn paint(&self, area: &Area<'_>) -> Result<()> {
        let (width, _) = area.dim_in_pixel();
        area.draw_text(&self.title, &text(15, INK, HPos::Left), (14, 12))?;
        let lines = legend(None, &self.legend, 14, 0, width as i32 - 28)?;
        let lines = if self.legend.is_empty() { 0 } else { lines };
        legend(Some(area), &self.legend, 14, 32, width as i32 - 28)?;

        let mut chart = ChartBuilder::on(area)
            .margin_top(28 + lines * LINE)
            .margin_right(24)
            .margin_left(8)
            .margin_bottom(6)
            .set_label_area_size(LabelAreaPosition::Left, 64)
            .set_label_area_size(LabelAreaPosition::Bottom, 38)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        let ticks = text(11, MUTED, HPos::Center);
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(MUTED)
            .x_labels(20)
            .y_labels(20)
            .label_style(("sans-serif", 11).into_font().color(&MUTED))
            .axis_desc_style(ticks)
            .x_desc(self.x_title)
            .draw()?;
        for line in &self.lines {
            let style = line.color.stroke_width(line.width);
            chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
            if line.dots {
                let dots = line.points.iter();
                chart.draw_series(dots.map(|dot| Circle::new(*dot, 3, line.color.filled())))?;
            }
        }
        Ok(())
    }
}
