// SPDX-License-Identifier: GPL-2.0

//! What go_sched costs: on the paths of the scheduler, and for a change.

use anyhow::Result;
use go_sched_bench_data::Chapter;

use super::axis::decades;
use super::axis::round;
use super::axis::Axis;
use super::bars::Bar;
use super::bars::Chart;
use super::bars::Panel;
use super::bars::Row;
use super::canvas::Entry;
use super::canvas::BLUE;
use super::canvas::GREEN;
use super::canvas::GREY;
use super::canvas::ORANGE;
use super::canvas::PINK;
use super::canvas::SKY;
use super::Plot;
use crate::figures::state_title;
use crate::figures::Figures;
use crate::figures::STATES;
use crate::format;
use crate::goals::PATH_LIMITS;
use crate::goals::STATES_BASELINE;
use crate::statistics::compare;
use crate::statistics::percent;

/// Per cent over the unpatched kernel: a panel for each state, a row for each operation.
pub(super) fn paths(figures: &Figures) -> Result<Option<Plot>> {
    let operations = figures.operations(Chapter::Path);
    let mut panels = Vec::new();
    for state in STATES.iter().filter(|state| **state != STATES_BASELINE) {
        let mut rows = Vec::new();
        let mut furthest = (0.0_f64, 0.01_f64);
        for operation in &operations {
            let pair = figures
                .find(Chapter::Path, operation, state)
                .zip(figures.find(Chapter::Path, operation, STATES_BASELINE));
            let mut bars = Vec::new();
            if let Some((subject, baseline)) = pair {
                let difference = compare(&subject.summary, &baseline.summary);
                let over =
                    |value: f64| percent(value - baseline.summary.median, baseline.summary.median);
                let spread = (over(subject.summary.min), over(subject.summary.max));
                furthest.0 = furthest.0.min(difference.percent);
                furthest.1 = furthest.1.max(difference.percent);
                bars.push(Bar {
                    from: None,
                    to: difference.percent,
                    color: if difference.seen { BLUE } else { GREY },
                    opacity: 1.0,
                    spread: Some(spread),
                    text: if difference.seen {
                        format::percent(difference.percent)
                    } else {
                        "none seen".to_owned()
                    },
                });
            }
            rows.push(Row {
                label: (*operation).to_owned(),
                bars,
                stacked: false,
            });
        }
        if rows.iter().all(|row| row.bars.is_empty()) {
            continue;
        }
        let limit = PATH_LIMITS.iter().find(|(of, _)| of == state);
        if let Some((_, limit)) = limit {
            furthest.1 = furthest.1.max(*limit);
        }
        let length = furthest.1 - furthest.0;
        // Room for what is written at the longest bar.
        let range = furthest.0 - length * 0.05..furthest.1 + length * 0.25;
        panels.push(Panel {
            title: state_title(state).to_owned(),
            axis: Axis::linear(range, 4, |value| format!("{}%", round(value))),
            rows,
            limit: limit.map(|(_, limit)| (*limit, format!("goal +{limit}%"))),
        });
    }
    if panels.is_empty() {
        return Ok(None);
    }
    let chart = Chart {
        title: "Per cent over the unpatched kernel",
        columns: panels.len().min(3),
        panels,
        shared_labels: true,
        text_column: true,
        axis_title: "over the unpatched kernel; whiskers: smallest and largest repeat".to_owned(),
        legend: Vec::new(),
    };
    Ok(Some(Plot {
        name: "paths",
        title: "More than on the unpatched kernel",
        caption: "What each operation costs more than on the unpatched kernel; each panel has a \
                  scale of its own. Grey: the repeats of one kernel differ by more than the two \
                  kernels do."
            .to_owned(),
        svg: chart.svg()?,
    }))
}

/// Each way of changing a thread's scheduling, on a logarithmic axis.
pub(super) fn changes(figures: &Figures) -> Result<Option<Plot>> {
    let operations = figures.operations(Chapter::Change);
    let all: Vec<_> = figures.chapter(Chapter::Change).collect();
    let Some(first) = all.first() else {
        return Ok(None);
    };
    let colors = [SKY, BLUE, ORANGE, GREEN, PINK];
    let color = |index: usize| colors[index % colors.len()];
    let mut rows = Vec::new();
    for subject in figures.subjects(Chapter::Change) {
        let bars = operations
            .iter()
            .enumerate()
            .filter_map(|(index, operation)| {
                let figure = figures.find(Chapter::Change, operation, subject)?;
                let summary = &figure.summary;
                Some(Bar {
                    from: None,
                    to: summary.median,
                    color: color(index),
                    opacity: 1.0,
                    spread: Some((summary.min, summary.max)),
                    text: format::number(summary.median),
                })
            });
        rows.push(Row {
            label: subject.to_owned(),
            bars: bars.collect(),
            stacked: false,
        });
    }
    let range = decades(all.iter().map(|figure| figure.summary.median));
    let chart = Chart {
        title: "Cost of one change",
        panels: vec![Panel {
            title: String::new(),
            // Room for what is written at the longest bar.
            axis: Axis::logarithmic(range.start..range.end * 3.0, round),
            rows,
            limit: None,
        }],
        columns: 1,
        shared_labels: true,
        text_column: false,
        axis_title: format!("{} for one change, logarithmic", first.unit_name()),
        legend: operations
            .iter()
            .enumerate()
            .map(|(index, operation)| Entry {
                label: (*operation).to_owned(),
                color: color(index),
                opacity: 1.0,
            })
            .collect(),
    };
    Ok(Some(Plot {
        name: "changes",
        title: "One change, by each interface",
        caption: "What one change of a thread's priority costs its caller, by go_sched and by what \
                  Linux has otherwise. \"Applied\" is the store and the scheduler's work until it is \
                  in force. The axis is logarithmic."
            .to_owned(),
        svg: chart.svg()?,
    }))
}
