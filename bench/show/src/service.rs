// SPDX-License-Identifier: GPL-2.0

//! The chapter about a server: repeats put together, quantiles and throughput.

use anyhow::Context;
use anyhow::Result;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use go_sched_bench_data::Record;
use go_sched_bench_data::Service;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::figures::unique;
use crate::report::Method;
use crate::report::Part;
use crate::report::Report;
use crate::statistics::compare;
use crate::statistics::Difference;
use crate::statistics::Summary;

/// What everything is compared with.
pub(crate) const NOTHING: &str = "nothing";
/// How go_sched takes part.
pub(crate) const OURS: &[&str] = &["go_sched ioctl", "go_sched hint"];
/// The quantiles that are reported, as the reader knows them.
pub(crate) const QUANTILES: &[(&str, f64)] =
    &[("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
/// Requests that are beyond a quantile at least, of all repeats together: with fewer
/// there is no quantile. p99.9 takes 5000 requests.
pub(crate) const BEYOND: f64 = 5.0;

/// A quantile of the latency, in microseconds. A request that was not answered is later
/// than all others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Quantile {
    /// Of all repeats together.
    pub(crate) value: f64,
    /// Of the repeats' own.
    pub(crate) repeats: Summary,
}

impl Quantile {
    /// With the spread of the repeats around what all of them say together.
    pub(crate) fn summary(&self) -> Summary {
        Summary {
            median: self.value,
            ..self.repeats
        }
    }
}

/// What one alternative did about one scenario, all repeats together.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cell {
    pub(crate) scenario: String,
    pub(crate) alternative: String,
    /// Requests answered, in all repeats.
    pub(crate) requests: u64,
    /// Requests not answered, in all repeats.
    pub(crate) failures: u64,
    /// Of the latency, in the order of [`QUANTILES`]; too few requests have none.
    pub(crate) quantiles: Vec<Option<Quantile>>,
    /// Units of work of the requests, per second.
    pub(crate) request_rate: Summary,
    /// Units of work of the competition, per second.
    pub(crate) background_rate: Summary,
    /// Both together.
    pub(crate) total_rate: Summary,
    /// Standard deviation of the timing loop's periods, in per cent of its 10 ms.
    pub(crate) jitter_percent: Summary,
    /// Deviation of the timing loop's periods, p99, in microseconds.
    pub(crate) jitter_p99_us: f64,
    /// Latency of all repeats, in microseconds.
    #[serde(skip)]
    pub(crate) latency: Histogram<u64>,
}

impl Cell {
    /// One of [`QUANTILES`], by its name.
    pub(crate) fn quantile(&self, name: &str) -> Option<&Quantile> {
        let index = QUANTILES.iter().position(|(known, _)| *known == name)?;
        self.quantiles.get(index)?.as_ref()
    }
}

/// The whole chapter.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Chapter {
    pub(crate) method: Method,
    pub(crate) cells: Vec<Cell>,
}

impl Chapter {
    /// What the report has of it; nothing if that boot is missing or broken.
    pub(crate) fn of(report: &Report) -> Result<Option<Self>> {
        let Some(boot) = report.boot(Part::Service) else {
            return Ok(None);
        };
        let runs: Vec<_> = boot
            .records
            .iter()
            .filter_map(|record| match record {
                Record::Service(service) => Some(service),
                Record::Kernel(_) | Record::Figure(_) => None,
            })
            .collect();
        let mut cells = Vec::new();
        for scenario in unique(runs.iter().map(|run| run.scenario.as_str())) {
            let of_scenario = || runs.iter().filter(move |run| run.scenario == scenario);
            for alternative in unique(of_scenario().map(|run| run.alternative.as_str())) {
                let repeats: Vec<&Service> = of_scenario()
                    .copied()
                    .filter(|run| run.alternative == alternative)
                    .collect();
                let cell = cell(scenario, alternative, &repeats)
                    .with_context(|| format!("{scenario}, {alternative}"))?;
                cells.push(cell);
            }
        }
        Ok((!cells.is_empty()).then_some(Self {
            method: boot.method,
            cells,
        }))
    }

    /// The scenarios, in the order in which they ran.
    pub(crate) fn scenarios(&self) -> Vec<&str> {
        unique(self.cells.iter().map(|cell| cell.scenario.as_str()))
    }

    /// The alternatives, likewise.
    pub(crate) fn alternatives(&self) -> Vec<&str> {
        unique(self.cells.iter().map(|cell| cell.alternative.as_str()))
    }

    /// What was tried against one scenario.
    pub(crate) fn scenario<'a>(&'a self, scenario: &'a str) -> impl Iterator<Item = &'a Cell> {
        self.cells
            .iter()
            .filter(move |cell| cell.scenario == scenario)
    }

    /// One cell.
    pub(crate) fn find(&self, scenario: &str, alternative: &str) -> Option<&Cell> {
        self.cells
            .iter()
            .find(|cell| cell.scenario == scenario && cell.alternative == alternative)
    }

    /// A quantile against that of doing nothing.
    pub(crate) fn against_nothing(&self, cell: &Cell, quantile: &str) -> Option<Difference> {
        let baseline = self.find(&cell.scenario, NOTHING)?.quantile(quantile)?;
        Some(compare(
            &cell.quantile(quantile)?.summary(),
            &baseline.summary(),
        ))
    }
}

fn cell(scenario: &str, alternative: &str, repeats: &[&Service]) -> Result<Cell> {
    let latencies = repeats
        .iter()
        .map(|run| histogram(&run.latency_us).context("latency"))
        .collect::<Result<Vec<_>>>()?;
    let jitters = repeats
        .iter()
        .map(|run| histogram(&run.jitter_us).context("jitter"))
        .collect::<Result<Vec<_>>>()?;
    let latency = merge(&latencies)?;
    let rate = |units: &dyn Fn(&Service) -> u64| {
        let rates: Vec<_> = repeats
            .iter()
            .map(|run| units(run) as f64 / run.seconds)
            .collect();
        Summary::of(&rates).context("a run took no time")
    };
    let jitter: Vec<_> = repeats.iter().map(|run| run.jitter_percent).collect();
    Ok(Cell {
        scenario: scenario.to_owned(),
        alternative: alternative.to_owned(),
        requests: repeats.iter().map(|run| run.requests).sum(),
        failures: repeats.iter().map(|run| run.failures).sum(),
        quantiles: QUANTILES
            .iter()
            .map(|(_, quantile)| quantile_of(*quantile, &latency, &latencies, repeats))
            .collect(),
        request_rate: rate(&|run| run.request_units)?,
        background_rate: rate(&|run| run.background_units)?,
        total_rate: rate(&|run| run.request_units + run.background_units)?,
        jitter_percent: Summary::of(&jitter).context("jitter that is no number")?,
        jitter_p99_us: merge(&jitters)?.value_at_quantile(0.99) as f64,
        latency,
    })
}

fn quantile_of(
    quantile: f64,
    merged: &Histogram<u64>,
    histograms: &[Histogram<u64>],
    repeats: &[&Service],
) -> Option<Quantile> {
    let failures = repeats.iter().map(|run| run.failures).sum();
    // Rounded, as 1 - 0.999 is not quite 0.001.
    let all = (merged.len() + failures) as f64;
    if (all * (1.0 - quantile)).round() < BEYOND {
        return None;
    }
    let own = histograms
        .iter()
        .zip(repeats)
        .map(|(histogram, run)| value_at(quantile, histogram, run.failures))
        .collect::<Option<Vec<_>>>()?;
    Some(Quantile {
        value: value_at(quantile, merged, failures)?,
        repeats: Summary::of(&own)?,
    })
}

/// Nothing if so many requests were not answered that the quantile is one of them.
fn value_at(quantile: f64, latency: &Histogram<u64>, failures: u64) -> Option<f64> {
    let answered = latency.len() as f64;
    let quantile = quantile * (answered + failures as f64) / answered;
    (quantile <= 1.0).then(|| latency.value_at_quantile(quantile) as f64)
}

fn histogram(text: &str) -> Result<Histogram<u64>> {
    let bytes = STANDARD.decode(text).context("base64")?;
    let mut histogram: Histogram<u64> = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| anyhow::anyhow!("HdrHistogram: {error:?}"))?;
    // For the others that are added to it.
    histogram.auto(true);
    Ok(histogram)
}

fn merge(histograms: &[Histogram<u64>]) -> Result<Histogram<u64>> {
    let mut merged = Histogram::new(3)?;
    for histogram in histograms {
        merged.add(histogram)?;
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use go_sched_bench_data::Record;

    use super::Chapter;
    use crate::made_up;

    #[test]
    fn repeats_are_merged_and_their_own_quantiles_are_the_spread() {
        let chapter = Chapter::of(&made_up::report())
            .expect("the histograms are whole")
            .expect("there is a service boot");
        let cell = chapter
            .find("hogs in another process", "nothing")
            .expect("it was measured");
        assert_eq!(cell.requests, 3 * made_up::REQUESTS);
        let p50 = cell.quantile("p50").expect("enough requests");
        assert!(p50.repeats.min <= p50.value && p50.value <= p50.repeats.max);
        assert!(p50.repeats.spread() > 0.0);
    }

    #[test]
    fn p999_takes_more_requests_than_the_others() {
        let chapter = Chapter::of(&made_up::report_with_requests(700))
            .expect("the histograms are whole")
            .expect("there is a service boot");
        let cell = &chapter.cells[0];
        assert!(cell.quantile("p99").is_some());
        assert!(cell.quantile("p99.9").is_none());
    }

    #[test]
    fn what_was_not_answered_is_later_than_all_others() {
        let mut report = made_up::report();
        for boot in &mut report.boots {
            for record in &mut boot.records {
                if let Record::Service(service) = record {
                    // 2%: less than a tenth, more than a hundredth.
                    service.failures = made_up::REQUESTS / 50;
                }
            }
        }
        let with = Chapter::of(&report).expect("the histograms are whole");
        let without = Chapter::of(&made_up::report()).expect("the histograms are whole");
        let p90 = |chapter: &Option<Chapter>| {
            let chapter = chapter.as_ref().expect("there is a service boot");
            chapter.cells[0].quantile("p90").map(|found| found.value)
        };
        assert!(p90(&with) > p90(&without));
        let with = with.expect("there is a service boot");
        assert!(with.cells[0].quantile("p99").is_none());
    }
}
