// SPDX-License-Identifier: GPL-2.0

//! The plots of the server under load.

use anyhow::Result;
use go_sched_bench_data::Alternative;
use go_sched_bench_data::Scenario;
use plotters::style::RGBColor;
use strum::VariantArray;

use crate::charts::dot;
use crate::format;
use crate::plot::hidden;
use crate::plot::span;
use crate::plot::Axis;
use crate::plot::Content;
use crate::plot::Curve;
use crate::plot::Dot;
use crate::plot::Panel;
use crate::plot::Plot;
use crate::plot::BLUE;
use crate::plot::BROWN;
use crate::plot::GREEN;
use crate::plot::GREY;
use crate::plot::ORANGE;
use crate::plot::PINK;
use crate::plot::RED;
use crate::plot::SKY;
use crate::service::Cell;
use crate::service::Quantile;
use crate::service::ServiceResults;
use crate::statistics::percent;
use crate::statistics::Summary;

fn color(alternative: Alternative) -> RGBColor {
    match alternative {
        Alternative::Nothing => GREY,
        Alternative::Nice => ORANGE,
        Alternative::Batch => PINK,
        Alternative::Idle => SKY,
        Alternative::RoundRobin => RED,
        Alternative::Uclamp => BROWN,
        Alternative::GoSchedIoctl => BLUE,
        Alternative::GoSchedHint => GREEN,
    }
}

/// Draws the whole distribution of a server's latency over how rare it is.
pub(crate) fn percentiles(service: &ServiceResults) -> Result<Plot> {
    let most = service.cells.iter().map(|cell| cell.latency.len()).max();
    // Up to the decade that still holds a few requests.
    let end = 10_f64.powf((most.unwrap_or_default().max(10) as f64).log10().ceil());
    let points = || service.cells.iter().flat_map(curve);
    let y = Axis {
        range: span(points().map(|(_, latency)| latency), 1.0),
        logarithmic: true,
        label: format::microseconds_round,
    };
    let panel = |(index, scenario)| Panel {
        title: format!("{scenario}"),
        x: Axis {
            range: 1.0..end,
            logarithmic: true,
            label: rarity,
        },
        content: Content::Curves {
            y: y.clone(),
            curves: service
                .scenario(scenario)
                .map(|cell| Curve {
                    label: cell.alternative.to_string(),
                    color: color(cell.alternative),
                    points: curve(cell),
                    marks: marks(cell),
                })
                .collect(),
        },
        legend: index == 0,
    };
    let panels: Vec<_> = service.scenarios().enumerate().map(panel).collect();
    let caption = format!(
        "From the time a request was due to its answer, over the share of the requests that are \
         faster; both axes are logarithmic, all repeats together ({}). Lower is better; to the \
         right are the rarest.{}",
        service.method.label(),
        hidden(&panels)
    );
    Plot::new("Latency of a server, by percentile", caption, &panels)
}

/// Returns rarity, 1 / (1 - quantile), and latency in microseconds, up to the rarest
/// request.
fn curve(cell: &Cell) -> Vec<(f64, f64)> {
    let count = cell.latency.len() as f64;
    let steps = (count.max(1.0).log10() * 24.0).floor() as i32;
    let point = |step: i32| {
        let rarity = 10_f64.powf(f64::from(step) / 24.0);
        let latency = cell.latency.value_at_quantile(1.0 - 1.0 / rarity);
        (rarity, (latency as f64).max(1.0))
    };
    (0..=steps).map(point).collect()
}

fn marks(cell: &Cell) -> Vec<((f64, f64), String)> {
    let mark = |quantile: &Quantile| {
        let value = cell.quantile(*quantile)?.median;
        let words = format!("{quantile}: {}", format::microseconds(value));
        Some(((1.0 / (1.0 - quantile.share()), value), words))
    };
    Quantile::VARIANTS.iter().filter_map(mark).collect()
}

/// Returns the share of faster requests: 1 is 0%, 10 is 90%, 100 is 99% and so on.
fn rarity(rarity: f64) -> String {
    let nines = rarity.log10().round();
    let digits = (nines - 2.0).max(0.0) as usize;
    format!("{:.digits$}%", (1.0 - 1.0 / rarity) * 100.0)
}

/// Returns a panel of dots for each scenario, and a row for each alternative.
fn dots(
    service: &ServiceResults,
    x: &Axis,
    goal: Option<f64>,
    series: &[(&str, RGBColor)],
    of: impl Fn(&Cell) -> Vec<Option<Dot>>,
) -> Vec<Panel> {
    let row = |cell: &Cell| (cell.alternative.to_string(), of(cell));
    let panel = |scenario| Panel {
        title: format!("{scenario}"),
        x: x.clone(),
        content: Content::Dots {
            series: series
                .iter()
                .map(|(name, color)| ((*name).to_owned(), *color))
                .collect(),
            rows: service.scenario(scenario).map(row).collect(),
            goal,
        },
        legend: series.len() > 1,
    };
    service.scenarios().map(panel).collect()
}

/// Draws p99 and p99.9 of a server's latency.
pub(crate) fn tails(service: &ServiceResults) -> Result<Plot> {
    let series = [(Quantile::P99, SKY), (Quantile::P999, BLUE)];
    let all = series.iter().flat_map(|(quantile, _)| {
        let of = |cell: &Cell| cell.quantile(*quantile).map(|found| found.median);
        service.cells.iter().filter_map(of)
    });
    let x = Axis {
        range: span(all, 1.0),
        logarithmic: true,
        label: format::microseconds_round,
    };
    let panels = dots(
        service,
        &x,
        None,
        &[("p99", SKY), ("p99.9", BLUE)],
        |cell| {
            series
                .iter()
                .map(|(quantile, color)| {
                    let found = cell.quantile(*quantile)?;
                    Some(dot(found, *color, format::microseconds(found.median)))
                })
                .collect()
        },
    );
    let caption =
        "p99 and p99.9 of each alternative, logarithmic; lower is better. Lines: from the \
                   smallest of the repeats' own to the largest. Where p99.9 is missing there were \
                   too few requests for it, or too many were not answered.";
    Plot::new("Tail latency of a server", caption.to_owned(), &panels)
}

/// Draws p99 of a server's latency with nothing done and with go_sched: a row for each
/// scenario.
pub(crate) fn before_and_after(service: &ServiceResults) -> Result<Plot> {
    let alternatives = [
        Alternative::Nothing,
        Alternative::GoSchedIoctl,
        Alternative::GoSchedHint,
    ];
    let p99 = |scenario, alternative| {
        let cell = service.find(scenario, alternative)?;
        Some((alternative, cell.quantile(Quantile::P99)?))
    };
    let row = |scenario: Scenario| {
        let dots = alternatives.map(|alternative| {
            let (alternative, found) = p99(scenario, alternative)?;
            let text = format::microseconds(found.median);
            Some(dot(found, color(alternative), text))
        });
        (scenario.to_string(), dots.into())
    };
    let all = service.scenarios().flat_map(|scenario| {
        alternatives.map(|alternative| Some(p99(scenario, alternative)?.1.median))
    });
    let panel = Panel {
        title: "p99 of a request, logarithmic".to_owned(),
        x: Axis {
            range: span(all.flatten(), 1.0),
            logarithmic: true,
            label: format::microseconds_round,
        },
        content: Content::Dots {
            series: alternatives
                .map(|alternative| (alternative.to_string(), color(alternative)))
                .to_vec(),
            rows: service.scenarios().map(row).collect(),
            goal: None,
        },
        legend: true,
    };
    let caption = "p99 with nothing done and with go_sched; lower is better.";
    Plot::new("p99 of a server", caption.to_owned(), &[panel])
}

/// Draws the work of both sides, in per cent of that with nothing done.
pub(crate) fn throughput(service: &ServiceResults) -> Result<Plot> {
    let x = Axis {
        range: 0.0..110.0,
        logarithmic: false,
        label: |tick| format!("{tick:.0}%"),
    };
    let series = [("both sides", BLUE), ("requests", SKY)];
    let panels = dots(service, &x, Some(95.0), &series, |cell| {
        let nothing = service.find(cell.scenario, Alternative::Nothing);
        [(&cell.total_rate, BLUE), (&cell.request_rate, SKY)]
            .map(|(rate, color)| {
                let whole = nothing?.total_rate.median;
                let summary = Summary {
                    median: percent(rate.median, whole),
                    min: percent(rate.min, whole),
                    max: percent(rate.max, whole),
                    ..*rate
                };
                Some(dot(&summary, color, format!("{:.0}%", summary.median)))
            })
            .into()
    });
    let caption =
        "Units of work of the requests, and of the requests and what competes with them, \
                   which are of the same kind; in per cent of the work that is done in all when \
                   nothing is done about it. Dashes: the goal, 95% of both.";
    Plot::new("Throughput of both sides", caption.to_owned(), &panels)
}

/// Draws how evenly a timing loop runs.
pub(crate) fn jitter(service: &ServiceResults) -> Result<Plot> {
    let x = Axis {
        range: span(
            service.cells.iter().map(|cell| cell.jitter_percent.median),
            1.0,
        ),
        logarithmic: true,
        label: |tick| format!("{}%", format::round(tick)),
    };
    let panels = dots(service, &x, None, &[("jitter", BLUE)], |cell| {
        let summary = &cell.jitter_percent;
        let text = format!("{}%", format::number(summary.median));
        vec![Some(dot(summary, color(cell.alternative), text))]
    });
    let caption =
        "Standard deviation of the periods of a thread that sleeps until the next 10 ms, \
                   in per cent of these 10 ms, logarithmic; lower is better.";
    Plot::new(
        "Jitter of a timing loop in the server",
        caption.to_owned(),
        &panels,
    )
}

#[cfg(test)]
mod tests {
    use super::rarity;

    #[test]
    fn each_decade_is_one_nine_more() {
        let words: Vec<_> = [1.0, 10.0, 100.0, 1000.0, 1e4].map(rarity).to_vec();
        assert_eq!(words, ["0%", "90%", "99%", "99.9%", "99.99%"]);
    }
}
