// SPDX-License-Identifier: GPL-2.0

//! What go_sched buys a server: latency, throughput, jitter.

use anyhow::Result;
use plotters::style::RGBColor;

use super::axis::decades;
use super::axis::round;
use super::axis::Axis;
use super::bars;
use super::bars::Bar;
use super::bars::Row;
use super::canvas::Entry;
use super::canvas::BLUE;
use super::canvas::BROWN;
use super::canvas::GREEN;
use super::canvas::GREY;
use super::canvas::ORANGE;
use super::canvas::PINK;
use super::canvas::RED;
use super::canvas::SKY;
use super::lines;
use super::Plot;
use crate::format;
use crate::service::Cell;
use crate::service::Chapter;
use crate::service::NOTHING;
use crate::service::OURS;
use crate::statistics::percent;

fn color(alternative: &str) -> RGBColor {
    match alternative {
        NOTHING => GREY,
        "nice" => ORANGE,
        "SCHED_BATCH" => PINK,
        "SCHED_IDLE" => SKY,
        "chrt -r" => RED,
        "go_sched ioctl" => BLUE,
        "go_sched hint" => GREEN,
        _ => BROWN,
    }
}

fn legend(chapter: &Chapter) -> Vec<Entry> {
    let entry = |alternative: &str| Entry {
        label: alternative.to_owned(),
        color: color(alternative),
        opacity: 1.0,
    };
    chapter.alternatives().into_iter().map(entry).collect()
}

/// A panel for each scenario, two beside each other.
fn panels<Panel>(chapter: &Chapter, panel: impl Fn(&str, Vec<&Cell>) -> Panel) -> Vec<Panel> {
    let of = |scenario| panel(scenario, chapter.scenario(scenario).collect());
    chapter.scenarios().into_iter().map(of).collect()
}

/// The whole distribution: latency over how rare it is.
pub(super) fn percentiles(chapter: &Chapter) -> Result<Option<Plot>> {
    let most = chapter.cells.iter().map(|cell| cell.latency.len()).max();
    let rarest = most.unwrap_or_default() as f64;
    if rarest < 10.0 {
        return Ok(None);
    }
    // Up to the decade that still holds a few requests.
    let end = 10_f64.powf(rarest.log10().ceil());
    let all = chapter.cells.iter().flat_map(curve);
    let range = decades(all.map(|(_, latency)| latency));
    let panels = panels(chapter, |scenario, cells| lines::Panel {
        title: scenario.to_owned(),
        x: Axis::logarithmic(1.0..end, rarity),
        y: Axis::logarithmic(range.clone(), format::microseconds_round),
        x_title: "share of the requests that are faster",
        lines: cells
            .into_iter()
            .map(|cell| lines::Line {
                color: color(&cell.alternative),
                width: if OURS.contains(&cell.alternative.as_str()) {
                    3
                } else {
                    2
                },
                points: curve(cell),
                dots: false,
            })
            .collect(),
        legend: Vec::new(),
    });
    let chart = lines::Chart {
        title: "Latency by percentile",
        panels,
        legend: legend(chapter),
    };
    Ok(Some(Plot {
        name: "service-percentiles",
        title: "Latency of a server, by percentile",
        caption: format!(
            "From the time a request was due to its answer; both axes are logarithmic, all repeats \
             together ({}). Lower is better; to the right are the rarest.",
            chapter.method.label()
        ),
        svg: chart.svg()?,
    }))
}

/// Rarity, 1 / (1 - quantile), and latency in microseconds, up to the rarest request.
fn curve(cell: &Cell) -> Vec<(f64, f64)> {
    let count = cell.latency.len() as f64;
    let steps = (count.max(1.0).log10() * 24.0).floor() as i32;
    let point = |step: i32| {
        let rarity = 10_f64.powf(f64::from(step) / 24.0);
        let latency = cell.latency.value_at_quantile(1.0 - 1.0 / rarity);
        (rarity, (latency as f64).max(1.0))
    };
    if cell.latency.is_empty() {
        Vec::new()
    } else {
        (0..=steps).map(point).collect()
    }
}

/// 1 is 0%, 10 is 90%, 100 is 99% and so on.
fn rarity(rarity: f64) -> String {
    let nines = rarity.log10().round();
    let digits = (nines - 2.0).max(0.0) as usize;
    format!("{:.digits$}%", (1.0 - 1.0 / rarity) * 100.0)
}

/// p99 and p99.9.
pub(super) fn quantiles(chapter: &Chapter) -> Result<Option<Plot>> {
    let names = [("p99", 0.5), ("p99.9", 1.0)];
    let quantile = |cell: &Cell, name: &str| cell.quantile(name).map(|found| found.value);
    let all = || {
        let of = |cell| {
            names
                .iter()
                .filter_map(move |(name, _)| quantile(cell, name))
        };
        chapter.cells.iter().flat_map(of)
    };
    if all().next().is_none() {
        return Ok(None);
    }
    let range = decades(all());
    let panels = panels(chapter, |scenario, cells| bars::Panel {
        title: scenario.to_owned(),
        axis: Axis::logarithmic(range.start..range.end * 4.0, format::microseconds_round),
        rows: cells
            .into_iter()
            .map(|cell| Row {
                label: cell.alternative.clone(),
                bars: names
                    .iter()
                    .filter_map(|(name, opacity)| {
                        let found = cell.quantile(name)?;
                        Some(Bar {
                            from: None,
                            to: found.value,
                            color: color(&cell.alternative),
                            opacity: *opacity,
                            spread: Some((found.repeats.min, found.repeats.max)),
                            text: format::microseconds(found.value),
                        })
                    })
                    .collect(),
                stacked: false,
            })
            .collect(),
        limit: None,
    });
    let chart = bars::Chart {
        title: "p99 and p99.9 of the latency",
        panels,
        columns: 2,
        shared_labels: false,
        text_column: false,
        axis_title: format!("logarithmic, {}", chapter.method.label()),
        legend: names
            .iter()
            .map(|(name, opacity)| Entry {
                label: (*name).to_owned(),
                color: GREY,
                opacity: *opacity,
            })
            .collect(),
    };
    Ok(Some(Plot {
        name: "service-tails",
        title: "Tail latency of a server",
        caption: "p99 (pale) and p99.9 of each alternative. Whiskers: the smallest and largest of \
                  the repeats' own. Where p99.9 is missing there were too few requests for it, or \
                  too many were not answered."
            .to_owned(),
        svg: chart.svg()?,
    }))
}

/// Work of both sides, in per cent of what is done in all when nothing is done about it.
pub(super) fn throughput(chapter: &Chapter) -> Result<Option<Plot>> {
    let panels = panels(chapter, |scenario, cells| {
        let whole = chapter
            .find(scenario, NOTHING)
            .map_or(0.0, |cell| cell.total_rate.median);
        bars::Panel {
            title: scenario.to_owned(),
            axis: Axis::linear(0.0..130.0, 6, |value| format!("{value:.0}%")),
            rows: cells
                .into_iter()
                .filter(|_| whole > 0.0)
                .map(|cell| {
                    let requests = percent(cell.request_rate.median, whole);
                    let total = percent(cell.total_rate.median, whole);
                    let part = |from, to, color, text| Bar {
                        from: Some(from),
                        to,
                        color,
                        opacity: 1.0,
                        spread: None,
                        text,
                    };
                    Row {
                        label: cell.alternative.clone(),
                        bars: vec![
                            part(0.0, requests, BLUE, String::new()),
                            part(requests, total, GREY, format!("{total:.0}%")),
                        ],
                        stacked: true,
                    }
                })
                .collect(),
            limit: Some((95.0, "goal 95%".to_owned())),
        }
    });
    let entry = |label: &str, color| Entry {
        label: label.to_owned(),
        color,
        opacity: 1.0,
    };
    let chart = bars::Chart {
        title: "Throughput of both sides",
        panels,
        columns: 2,
        shared_labels: false,
        text_column: false,
        axis_title: "of the work that is done in all when nothing is done about it".to_owned(),
        legend: vec![entry("requests", BLUE), entry("competition", GREY)],
    };
    Ok(Some(Plot {
        name: "service-throughput",
        title: "Throughput of both sides",
        caption: "Units of work of the requests and of what competes with them, which are of the \
                  same kind."
            .to_owned(),
        svg: chart.svg()?,
    }))
}

/// How evenly a timing loop runs.
pub(super) fn jitter(chapter: &Chapter) -> Result<Option<Plot>> {
    let range = decades(chapter.cells.iter().map(|cell| cell.jitter_percent.median));
    let panels = panels(chapter, |scenario, cells| bars::Panel {
        title: scenario.to_owned(),
        axis: Axis::logarithmic(range.start..range.end * 4.0, |value| {
            format!("{}%", round(value))
        }),
        rows: cells
            .into_iter()
            .map(|cell| Row {
                label: cell.alternative.clone(),
                bars: vec![Bar {
                    from: None,
                    to: cell.jitter_percent.median,
                    color: color(&cell.alternative),
                    opacity: 1.0,
                    spread: Some((cell.jitter_percent.min, cell.jitter_percent.max)),
                    text: format!("{}%", format::number(cell.jitter_percent.median)),
                }],
                stacked: false,
            })
            .collect(),
        limit: None,
    });
    let chart = bars::Chart {
        title: "Jitter of a timing loop",
        panels,
        columns: 2,
        shared_labels: false,
        text_column: false,
        axis_title: "of the loop's 10 ms, logarithmic".to_owned(),
        legend: Vec::new(),
    };
    Ok(Some(Plot {
        name: "service-jitter",
        title: "Jitter of a timing loop in the server",
        caption: "Standard deviation of the periods of a thread that sleeps until the next 10 ms."
            .to_owned(),
        svg: chart.svg()?,
    }))
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
