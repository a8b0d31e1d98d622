// SPDX-License-Identifier: GPL-2.0

//! What depends on the number of managed threads.

use anyhow::Result;
use go_sched_bench_data::Chapter;

use super::axis::decades;
use super::axis::round;
use super::axis::Axis;
use super::canvas::Entry;
use super::canvas::BLUE;
use super::canvas::BROWN;
use super::canvas::GREEN;
use super::canvas::GREY;
use super::canvas::ORANGE;
use super::canvas::PINK;
use super::canvas::RED;
use super::canvas::SKY;
use super::lines::Chart;
use super::lines::Line;
use super::lines::Panel;
use super::Plot;
use crate::figures::Figures;

/// The operations that share axes, and what these show.
const PANELS: &[(&str, &[&str])] = &[
    ("Per thread", &["SET", "BIND", "fork"]),
    (
        "Pipe round trip beside sleeping threads",
        &["context switch"],
    ),
    (
        "Loading and unloading the module",
        &["register", "unregister"],
    ),
    ("Kernel memory per managed thread, bytes", &["memory"]),
];

/// Logarithmic lines over the number of threads.
pub(super) fn scale(figures: &Figures) -> Result<Option<Plot>> {
    let known: Vec<&str> = PANELS.iter().flat_map(|(_, all)| *all).copied().collect();
    let operations = figures.operations(Chapter::Scale);
    let others: Vec<&str> = operations
        .iter()
        .copied()
        .filter(|operation| !known.contains(operation))
        .collect();
    let mut panels = Vec::new();
    for (title, operations) in PANELS
        .iter()
        .copied()
        .chain([("Others", others.as_slice())])
    {
        panels.extend(panel(figures, title, operations));
    }
    if panels.is_empty() {
        return Ok(None);
    }
    let chart = Chart {
        title: "Cost over the number of managed threads",
        panels,
        legend: Vec::new(),
    };
    Ok(Some(Plot {
        name: "scale",
        title: "Over the number of managed threads",
        caption: "Over the number of managed threads, logarithmic; upwards too where a panel does \
                  not start at 0. What is flat does not depend on it."
            .to_owned(),
        svg: chart.svg()?,
    }))
}

fn panel(figures: &Figures, title: &str, operations: &[&str]) -> Option<Panel> {
    let colors = [BLUE, ORANGE, GREEN, PINK, SKY, RED, BROWN];
    let mut lines = Vec::new();
    let mut legend = Vec::new();
    let mut unit = None;
    for (index, operation) in operations.iter().enumerate() {
        for subject in figures.subjects(Chapter::Scale) {
            let series = figures.series(operation, subject);
            let Some((_, first)) = series.first() else {
                continue;
            };
            unit.get_or_insert(first.unit_name());
            let ours = subject == "go_sched";
            let color = if ours || operations.len() > 1 && index > 0 && subject != "unmanaged" {
                colors[index % colors.len()]
            } else {
                GREY
            };
            lines.push(Line {
                color,
                width: if ours { 3 } else { 2 },
                points: series
                    .iter()
                    .map(|(threads, figure)| (f64::from(*threads), figure.summary.median))
                    .collect(),
                dots: true,
            });
            legend.push(Entry {
                label: if ours {
                    (*operation).to_owned()
                } else {
                    format!("{operation}, {subject}")
                },
                color,
                opacity: 1.0,
            });
        }
    }
    let unit = unit?;
    let points = || lines.iter().flat_map(|line| &line.points);
    // The same in all panels.
    let threads = figures.chapter(Chapter::Scale);
    let x = decades(threads.filter_map(|figure| figure.threads.map(f64::from)));
    let y = vertical(points().map(|(_, y)| *y));
    Some(Panel {
        title: if title.contains(unit) {
            title.to_owned()
        } else {
            format!("{title}, {unit}")
        },
        x: Axis::logarithmic(x, round),
        y,
        x_title: "managed threads",
        lines,
        legend,
    })
}

/// What is flat shows best over an axis that starts at 0.
fn vertical(values: impl Iterator<Item = f64> + Clone) -> Axis {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.clone().fold(0.0, f64::max);
    if high > 0.0 && high < 3.0 * low {
        Axis::linear(0.0..high * 1.25, 5, round)
    } else {
        Axis::logarithmic(decades(values), round)
    }
}
