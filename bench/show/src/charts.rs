// SPDX-License-Identifier: GPL-2.0

//! The plots of costs.

use anyhow::Result;
use go_sched_bench_data::Change;
use go_sched_bench_data::Growth;
use go_sched_bench_data::Interface;
use go_sched_bench_data::Path;
use go_sched_bench_data::Setup;
use plotters::style::RGBColor;
use strum::VariantArray;

use crate::figures::setup_title;
use crate::figures::Figures;
use crate::figures::Measured;
use crate::figures::PATH_BASELINE;
use crate::format;
use crate::goals::path_limit;
use crate::plot::hidden;
use crate::plot::span;
use crate::plot::Axis;
use crate::plot::Content;
use crate::plot::Curve;
use crate::plot::Dot;
use crate::plot::Panel;
use crate::plot::Plot;
use crate::plot::BLUE;
use crate::plot::GREEN;
use crate::plot::GREY;
use crate::plot::ORANGE;
use crate::plot::SKY;
use crate::statistics::compare;
use crate::statistics::percent;
use crate::statistics::Summary;

pub(crate) fn dot(summary: &Summary, color: RGBColor, text: String) -> Dot {
    Dot {
        value: summary.median,
        spread: summary.min..summary.max,
        color,
        text,
    }
}

/// Draws how much more each path costs than on the unpatched kernel: a panel for each
/// setup.
pub(crate) fn paths(figures: &Figures) -> Result<Plot> {
    let mut panels = Vec::new();
    for &setup in Setup::VARIANTS {
        let mut rows = Vec::new();
        let (mut low, mut high) = (0.0_f64, path_limit(setup).unwrap_or(0.01));
        for &operation in Path::VARIANTS {
            let pair = figures
                .path(operation, setup)
                .zip(figures.path(operation, PATH_BASELINE));
            let Some((figure, baseline)) = pair.filter(|_| setup != PATH_BASELINE) else {
                continue;
            };
            let distinct = compare(&figure.summary, &baseline.summary).distinct;
            let whole = baseline.summary.median;
            let over = |value: f64| percent(value - whole, whole);
            let summary = Summary {
                median: over(figure.summary.median),
                min: over(figure.summary.min),
                max: over(figure.summary.max),
                ..figure.summary
            };
            low = low.min(summary.min);
            high = high.max(summary.max);
            let text = format::percent(summary.median);
            let text = if distinct {
                text
            } else {
                "none seen".to_owned()
            };
            let dot = dot(&summary, if distinct { BLUE } else { GREY }, text);
            rows.push((operation.to_string(), vec![Some(dot)]));
        }
        if rows.is_empty() {
            continue;
        }
        let goal = path_limit(setup);
        let title = match goal {
            Some(goal) => format!("{} (goal: +{goal}%)", setup_title(setup)),
            None => setup_title(setup).to_owned(),
        };
        panels.push(Panel {
            title,
            x: Axis {
                // Room for words to the right.
                range: low - (high - low) * 0.05..high + (high - low) * 0.5,
                logarithmic: false,
                label: |tick| format!("{}%", format::round(tick)),
            },
            content: Content::Dots {
                series: vec![("more than unpatched".to_owned(), BLUE)],
                rows,
                goal,
            },
            legend: false,
        });
    }
    let caption = "What each operation costs more than on the unpatched kernel; each panel has a \
                   scale of its own. Lines: from the smallest repeat to the largest. Grey: the \
                   repeats of one kernel differ by more than the two kernels do. Dashes: the goal.";
    Plot::new(
        "More than on the unpatched kernel",
        caption.to_owned(),
        &panels,
    )
}

/// Draws the cost of one change by each interface.
pub(crate) fn changes(figures: &Figures) -> Result<Plot> {
    let colors = [SKY, BLUE, ORANGE];
    let mut all: Vec<&Measured> = Vec::new();
    let mut rows = Vec::new();
    for &interface in Interface::VARIANTS {
        let changes = Change::VARIANTS.iter().zip(colors);
        let dots: Vec<_> = changes
            .map(|(&change, color)| {
                let figure = figures.change(change, interface)?;
                all.push(figure);
                let text = format::number(figure.summary.median);
                Some(dot(&figure.summary, color, text))
            })
            .collect();
        if dots.iter().any(Option::is_some) {
            rows.push((interface.to_string(), dots));
        }
    }
    let panel = all.first().map(|first| Panel {
        title: format!("{} for one change, logarithmic", first.unit()),
        x: Axis {
            range: span(all.iter().map(|figure| figure.summary.median), 1.0),
            logarithmic: true,
            label: format::round,
        },
        content: Content::Dots {
            series: Change::VARIANTS
                .iter()
                .map(Change::to_string)
                .zip(colors)
                .collect(),
            rows,
            goal: None,
        },
        legend: true,
    });
    let panels: Vec<_> = panel.into_iter().collect();
    let caption =
        "What one change of a thread's priority costs its caller, by go_sched and by what \
                   Linux has otherwise. \"Applied\" is the store and the scheduler's work until it \
                   is in force.";
    Plot::new("One change, by each interface", caption.to_owned(), &panels)
}

/// Draws the costs that may depend on the number of managed threads.
pub(crate) fn growth(figures: &Figures) -> Result<Plot> {
    let groups: [(&str, &[Growth]); 4] = [
        ("per thread", &[Growth::Set, Growth::Bind, Growth::Fork]),
        ("pipe round trip", &[Growth::ContextSwitch]),
        (
            "loading the module",
            &[Growth::Register, Growth::Unregister],
        ),
        ("kernel memory per thread", &[Growth::Memory]),
    ];
    let mut panels = Vec::new();
    for (title, operations) in groups {
        let mut unit = "";
        let mut curves = Vec::new();
        for (&operation, ours) in operations.iter().zip([BLUE, ORANGE, GREEN]) {
            for managed in [false, true] {
                let figures = figures.growth(operation, managed);
                let Some((_, first)) = figures.first() else {
                    continue;
                };
                unit = first.unit();
                let point = |(threads, figure): &(u32, &Measured)| {
                    (f64::from(*threads), figure.summary.median)
                };
                let points: Vec<_> = figures.iter().map(point).collect();
                let words = |(threads, value): &(f64, f64)| {
                    format!("{threads} threads: {} {unit}", format::number(*value))
                };
                curves.push(Curve {
                    label: match managed {
                        true => operation.to_string(),
                        false => format!("{operation}, unmanaged"),
                    },
                    color: if managed { ours } else { GREY },
                    marks: points.iter().map(|point| (*point, words(point))).collect(),
                    points,
                });
            }
        }
        if curves.is_empty() {
            continue;
        }
        let points = || curves.iter().flat_map(|curve| &curve.points);
        panels.push(Panel {
            title: format!("{title}, {unit}"),
            x: Axis {
                range: 1.0..points().map(|(x, _)| *x).fold(10.0, f64::max),
                logarithmic: true,
                label: format::round,
            },
            content: Content::Curves {
                y: Axis {
                    // Room for the legend.
                    range: span(points().map(|(_, y)| *y), 10.0),
                    logarithmic: true,
                    label: format::round,
                },
                curves,
            },
            legend: true,
        });
    }
    let caption = format!(
        "Over the number of managed threads; both axes are logarithmic. What is flat does not \
         depend on it.{}",
        hidden(&panels)
    );
    Plot::new("Over the number of managed threads", caption, &panels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::results::Results;
    use crate::server_charts;

    #[test]
    fn all_plots_can_be_drawn_of_something_and_of_nothing() {
        let results = Results::of(&fixture::report()).expect("the report is whole");
        let service = results.service.expect("there is a server");
        for plot in [
            paths(&results.figures),
            changes(&results.figures),
            growth(&results.figures),
            server_charts::percentiles(&service),
            server_charts::before_and_after(&service),
            server_charts::tails(&service),
            server_charts::throughput(&service),
            server_charts::jitter(&service),
        ] {
            let plot = plot.expect("it can be drawn");
            assert!(plot.wide.contains("<title>"), "{}", plot.title);
            assert!(!plot.wide.contains("NaN"), "{}", plot.title);
            let sizes = plot.wide.matches("font-size=").count();
            assert_eq!(
                sizes,
                plot.wide.matches("font-size=\"10.4").count(),
                "{}",
                plot.title
            );
        }
        let nothing = Results::of(&fixture::empty()).expect("there is nothing to read");
        for plot in [paths, changes, growth] {
            assert!(plot(&nothing.figures).is_ok());
        }
    }
}
