// SPDX-License-Identifier: GPL-2.0

//! The plots of the report: what they show. How they are drawn is in the files below.

mod axis;
mod bars;
mod canvas;
mod cost;
mod lines;
mod scale;
mod tails;
mod time;

use anyhow::Result;

use crate::report::Wait;
use crate::results::Results;

/// A plot.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// Of its file, without ".svg".
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) title: &'static str,
    /// How to read it.
    pub(crate) caption: String,
    /// The drawing itself, complete.
    pub(crate) svg: String,
}

/// All plots for which there is something to show.
pub(crate) fn all(results: &Results, waits: &[Wait]) -> Result<Vec<Plot>> {
    let mut plots = Vec::new();
    plots.extend(cost::paths(&results.figures)?);
    plots.extend(cost::changes(&results.figures)?);
    if let Some(service) = &results.service {
        plots.extend(tails::percentiles(service)?);
        plots.extend(tails::quantiles(service)?);
        plots.extend(tails::throughput(service)?);
        plots.extend(tails::jitter(service)?);
    }
    plots.extend(scale::scale(&results.figures)?);
    plots.extend(time::waits(waits)?);
    Ok(plots)
}

#[cfg(test)]
mod tests {
    use super::all;
    use crate::made_up;
    use crate::results::Results;

    #[test]
    fn there_is_a_plot_for_each_chapter() {
        let report = made_up::report();
        let results = Results::of(&report).expect("the report is whole");
        let plots = all(&results, &report.waits).expect("they can be drawn");
        let names: Vec<_> = plots.iter().map(|plot| plot.name).collect();
        assert_eq!(
            names,
            [
                "paths",
                "changes",
                "service-percentiles",
                "service-tails",
                "service-throughput",
                "service-jitter",
                "scale",
                "time"
            ]
        );
        for plot in plots {
            assert!(plot.svg.starts_with("<svg "), "{}", plot.name);
            assert!(plot.svg.trim_end().ends_with("</svg>"), "{}", plot.name);
            assert!(!plot.svg.contains("NaN"), "{}", plot.name);
        }
    }

    #[test]
    fn of_nothing_there_is_no_plot() {
        let report = made_up::empty();
        let results = Results::of(&report).expect("the report is whole");
        let plots = all(&results, &report.waits).expect("there is nothing to draw");
        assert!(plots.is_empty());
    }
}
