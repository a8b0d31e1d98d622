// SPDX-License-Identifier: GPL-2.0

//! How long people wait.

use anyhow::Result;

use super::axis::decades;
use super::axis::Axis;
use super::bars::Bar;
use super::bars::Chart;
use super::bars::Panel;
use super::bars::Row;
use super::canvas::BLUE;
use super::Plot;
use crate::format;
use crate::report::Wait;
use crate::statistics::Summary;

/// A bar for each wait, on a logarithmic axis.
pub(super) fn waits(waits: &[Wait]) -> Result<Option<Plot>> {
    let summaries: Vec<_> = waits
        .iter()
        .filter_map(|wait| Some((wait, Summary::of(&wait.repeats)?)))
        .collect();
    if summaries.is_empty() {
        return Ok(None);
    }
    let range = decades(summaries.iter().map(|(_, summary)| summary.median));
    let row = |(wait, summary): &(&Wait, Summary)| Row {
        label: wait.what.clone(),
        bars: vec![Bar {
            from: None,
            to: summary.median,
            color: BLUE,
            opacity: 1.0,
            spread: Some((summary.min, summary.max)),
            text: format::seconds(summary.median),
        }],
        stacked: false,
    };
    let chart = Chart {
        title: "Time to result",
        panels: vec![Panel {
            title: String::new(),
            axis: Axis::logarithmic(range.start..range.end * 3.0, format::seconds_round),
            rows: summaries.iter().map(row).collect(),
            limit: None,
        }],
        columns: 1,
        shared_labels: true,
        text_column: false,
        axis_title: "wall clock of this machine, logarithmic".to_owned(),
        legend: Vec::new(),
    };
    Ok(Some(Plot {
        name: "time",
        title: "What people wait for",
        caption: "Wall clock of the machine that ran the measurements, which may have had other \
                  things to do."
            .to_owned(),
        svg: chart.svg()?,
    }))
}
