// SPDX-License-Identifier: GPL-2.0

//! Horizontal bars: one panel or several beside each other, rows with labels.

use anyhow::Result;
use plotters::coord::ranged1d::Ranged;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::canvas::dashes;
use super::canvas::draw;
use super::canvas::legend;
use super::canvas::text;
use super::canvas::text_width;
use super::canvas::Area;
use super::canvas::Entry;
use super::canvas::GRID;
use super::canvas::INK;
use super::canvas::LINE;
use super::canvas::MUTED;
use super::canvas::RED;
use super::canvas::WIDTH;

/// Height of a bar, in pixels, and of the gap between rows.
const BAR: i32 = 13;
const GAP: i32 = 9;

/// One bar.
pub(super) struct Bar {
    /// Where it starts; nothing is the axis's origin.
    pub(super) from: Option<f64>,
    pub(super) to: f64,
    pub(super) color: RGBColor,
    pub(super) opacity: f64,
    /// Smallest and largest repeat.
    pub(super) spread: Option<(f64, f64)>,
    /// Beyond its end, or in a column of its own.
    pub(super) text: String,
}

/// Bars with a label.
pub(super) struct Row {
    pub(super) label: String,
    /// Below each other; or stacked, on one line.
    pub(super) bars: Vec<Bar>,
    pub(super) stacked: bool,
}

impl Row {
    fn lines(&self) -> i32 {
        if self.stacked {
            1
        } else {
            self.bars.len().max(1) as i32
        }
    }

    fn height(&self) -> i32 {
        self.lines() * BAR + GAP
    }
}

/// Rows with an axis.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) axis: Axis,
    pub(super) rows: Vec<Row>,
    /// Where a goal is, and what is written there.
    pub(super) limit: Option<(f64, String)>,
}

impl Panel {
    fn height(&self) -> i32 {
        self.rows.iter().map(Row::height).sum::<i32>() + GAP
    }

    fn head(&self) -> i32 {
        let title = if self.title.is_empty() { 0 } else { TITLE };
        let limit = if self.limit.is_some() { LIMIT } else { 0 };
        title + limit
    }
}

/// Panels and what belongs to all of them.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) panels: Vec<Panel>,
    pub(super) columns: usize,
    /// Whether only the first column has labels, as they are the same in all.
    pub(super) shared_labels: bool,
    /// Whether what is written at the bars stands below each other, to the right.
    pub(super) text_column: bool,
    pub(super) axis_title: String,
    pub(super) legend: Vec<Entry>,
}

/// Width of a column with what is written at the bars.
const TEXT: i32 = 66;
/// Pixels beside and between panels.
const MARGIN: i32 = 14;
/// Above the bars: the panel's title,
const TITLE: i32 = LINE + 4;
/// and what is written at the goal.
const LIMIT: i32 = LINE;
/// Below them: ticks.
const FOOT: i32 = LINE + 10;

impl Chart {
    /// Draws it.
    pub(super) fn svg(&self) -> Result<String> {
        let width = WIDTH as i32;
        let label_width = self
            .panels
            .iter()
            .flat_map(|panel| &panel.rows)
            .map(|row| text_width(&row.label, 13))
            .max()
            .unwrap_or_default()
            + 10;
        let columns = self.columns.max(1) as i32;
        let labels = if self.shared_labels { 1 } else { columns };
        let bars_width = (width - MARGIN * (columns + 1) - labels * label_width) / columns;
        // The same for all, so that they are level.
        let head = self.panels.iter().map(Panel::head).max();
        let head = head.unwrap_or_default() + 4;
        let text_width = if self.text_column { TEXT } else { 0 };
        let heights: Vec<i32> = self
            .panels
            .chunks(self.columns.max(1))
            .map(|row| row.iter().map(Panel::height).max().unwrap_or_default() + head + FOOT)
            .collect();
        let legend_lines = if self.legend.is_empty() {
            0
        } else {
            legend(None, &self.legend, MARGIN, 0, width - 2 * MARGIN)?
        };
        let legend_height = legend_lines * LINE;
        let total = heights.iter().sum::<i32>() + legend_height + LINE + 16;

        draw(total, self.title, |area| {
            legend(Some(area), &self.legend, MARGIN, 14, width - 2 * MARGIN)?;
            let mut top = legend_height + 10;
            for (line, panels) in self.panels.chunks(self.columns.max(1)).enumerate() {
                let mut left = MARGIN;
                for (column, panel) in panels.iter().enumerate() {
                    let labelled = column == 0 || !self.shared_labels;
                    if labelled {
                        left += label_width;
                    }
                    let place = Place {
                        left,
                        top: top + head,
                        head,
                        width: bars_width - text_width,
                        text_column: self.text_column,
                        // Its title stands above the labels as well.
                        title: if labelled && !self.shared_labels {
                            left - label_width
                        } else {
                            left
                        },
                        labelled,
                    };
                    panel.paint(area, &place)?;
                    left += bars_width + MARGIN;
                }
                top += heights[line];
            }
            let style = text(12, MUTED, HPos::Right);
            area.draw_text(&self.axis_title, &style, (width - MARGIN, top + 6))?;
            Ok(())
        })
    }
}

/// Where a panel's bars go, in pixels.
struct Place {
    left: i32,
    top: i32,
    /// Height of what is above the bars.
    head: i32,
    width: i32,
    /// Where the title starts.
    title: i32,
    labelled: bool,
    text_column: bool,
}

impl Panel {
    fn paint(&self, area: &Area<'_>, place: &Place) -> Result<()> {
        let bottom = place.top + self.height();
        let right = place.left + place.width;
        // What is beyond the axis ends at the panel's edge.
        let x = |value: f64| {
            let x = self.axis.map(&value, (place.left, right));
            x.clamp(place.left, right)
        };
        let title = text(15, INK, HPos::Left);
        area.draw_text(
            &self.title,
            &title,
            (place.title, place.top - place.head + 12),
        )?;

        let ticks = self.axis.key_points(0);
        for tick in ticks {
            let x = x(tick);
            area.draw(&PathElement::new([(x, place.top), (x, bottom)], GRID))?;
            let label = self.axis.label(tick);
            let style = text(11, MUTED, HPos::Center);
            area.draw_text(&label, &style, (x, bottom + 10))?;
        }
        let origin = x(self.axis.origin());
        let edge = [(origin, place.top), (origin, bottom)];
        area.draw(&PathElement::new(edge, MUTED))?;

        let mut top = place.top + GAP;
        for row in &self.rows {
            let middle = top + row.lines() * BAR / 2;
            if place.labelled {
                let style = text(13, INK, HPos::Right);
                area.draw_text(&row.label, &style, (place.left - 8, middle))?;
            }
            for (index, bar) in row.bars.iter().enumerate() {
                let line = if row.stacked { 0 } else { index as i32 };
                let top = top + line * BAR;
                let end = bar.paint(area, top, origin, &x)?;
                let text_at = if place.text_column { right } else { end };
                let style = text(11, INK, HPos::Left);
                area.draw_text(&bar.text, &style, (text_at + 5, top + BAR / 2))?;
            }
            top += row.height();
        }
        if let Some((limit, words)) = &self.limit {
            let x = x(*limit);
            dashes(area, (x, place.top - 4), (x, bottom), RED)?;
            // Inside the panel, wherever the goal is.
            let half = text_width(words, 11) / 2;
            let leftmost = place.left + half;
            let middle = x.clamp(leftmost, (right - half).max(leftmost));
            let style = text(11, RED, HPos::Center);
            area.draw_text(words, &style, (middle, place.top - 11))?;
        }
        Ok(())
    }
}

impl Bar {
    /// Returns where it ends, spread included.
    fn paint(&self, area: &Area<'_>, top: i32, origin: i32, x: &dyn Fn(f64) -> i32) -> Result<i32> {
        let from = self.from.map_or(origin, x);
        let to = x(self.to);
        let (left, right) = (from.min(to), from.max(to));
        let fill = self.color.mix(self.opacity).filled();
        // One pixel at least: a bar of nothing is there.
        let corners = [(left, top + 1), (right.max(left + 1), top + BAR - 1)];
        area.draw(&Rectangle::new(corners, fill))?;
        let Some((low, high)) = self.spread else {
            return Ok(right);
        };
        let (low, high) = (x(low), x(high));
        // Of a spread that cannot be seen, only a blot would be.
        if high - low > 3 {
            let middle = top + BAR / 2;
            for [a, b] in [
                [(low, middle), (high, middle)],
                [(low, middle - 3), (low, middle + 3)],
                [(high, middle - 3), (high, middle + 3)],
            ] {
                area.draw(&PathElement::new([a, b], INK))?;
            }
        }
        Ok(right.max(high))
    }
}
