// SPDX-License-Identifier: GPL-2.0

//! The results of the server: repeats put together, quantiles and throughput.

use std::fmt;

use anyhow::Context;
use anyhow::Result;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use go_sched_bench_data::Alternative;
use go_sched_bench_data::Record;
use go_sched_bench_data::Scenario;
use go_sched_bench_data::Service;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::Histogram;
use strum::VariantArray;

use crate::report::Method;
use crate::report::Part;
use crate::report::Report;
use crate::statistics::percent;
use crate::statistics::Summary;

/// The alternatives of go_sched.
pub(crate) const OURS: [Alternative; 2] = [Alternative::GoSchedIoctl, Alternative::GoSchedHint];

/// The quantiles that are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub(crate) enum Quantile {
    P50,
    P90,
    P99,
    P999,
}

impl Quantile {
    /// Returns the share of the requests that are not slower.
    pub(crate) fn share(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P90 => 0.9,
            Self::P99 => 0.99,
            Self::P999 => 0.999,
        }
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", (self.share() * 1000.0).round() / 10.0)
    }
}

/// Requests that are beyond a quantile at least, of all repeats together: with fewer
/// there is no quantile. p99.9 takes 5000 requests.
pub(crate) const BEYOND: f64 = 5.0;

/// The result of one alternative in one scenario, all repeats together.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) scenario: Scenario,
    pub(crate) alternative: Alternative,
    /// Requests answered, in all repeats.
    pub(crate) requests: u64,
    /// Requests not answered, in all repeats. They are later than all others.
    pub(crate) failures: u64,
    /// Units of work of the requests, per second.
    pub(crate) request_rate: Summary,
    /// Units of work of the competition, per second.
    pub(crate) background_rate: Summary,
    /// Units of work of requests and competition, per second.
    pub(crate) total_rate: Summary,
    /// Standard deviation of the timing loop's periods, in per cent of its 10 ms.
    pub(crate) jitter_percent: Summary,
    /// Latency of all repeats, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// Quantiles of the latency, in microseconds, in the order of [`Quantile`]; none of
    /// too few requests.
    quantiles: Vec<Option<Summary>>,
}

impl Cell {
    /// Returns a quantile of the latency, in microseconds: the value of all repeats
    /// together, with the spread of the repeats' own.
    pub(crate) fn quantile(&self, quantile: Quantile) -> Option<&Summary> {
        self.quantiles.get(quantile as usize)?.as_ref()
    }

    /// Returns true if go_sched takes part.
    pub(crate) fn is_ours(&self) -> bool {
        OURS.contains(&self.alternative)
    }
}

/// The results of the server.
#[derive(Clone, Debug)]
pub(crate) struct ServiceResults {
    pub(crate) method: Method,
    pub(crate) cells: Vec<Cell>,
}

impl ServiceResults {
    /// Computes the results of a part; none if that boot is missing or broken.
    pub(crate) fn of(report: &Report, part: Part) -> Result<Option<Self>> {
        let Some(boot) = report.boot(part) else {
            return Ok(None);
        };
        let mut cells = Vec::new();
        for &scenario in Scenario::VARIANTS {
            for &alternative in Alternative::VARIANTS {
                let repeats: Vec<&Service> = boot
                    .records
                    .iter()
                    .filter_map(|record| match record {
                        Record::Service(run) => Some(run),
                        _ => None,
                    })
                    .filter(|run| run.scenario == scenario && run.alternative == alternative)
                    .collect();
                if !repeats.is_empty() {
                    let cell = cell(scenario, alternative, &repeats);
                    cells.push(cell.with_context(|| format!("{scenario}, {alternative}"))?);
                }
            }
        }
        Ok((!cells.is_empty()).then_some(Self {
            method: boot.method,
            cells,
        }))
    }

    /// Returns the scenarios that were measured.
    pub(crate) fn scenarios(&self) -> impl Iterator<Item = Scenario> + '_ {
        let all = Scenario::VARIANTS.iter().copied();
        all.filter(|scenario| self.scenario(*scenario).next().is_some())
    }

    /// Returns the cells of one scenario.
    pub(crate) fn scenario(&self, scenario: Scenario) -> impl Iterator<Item = &Cell> {
        self.cells
            .iter()
            .filter(move |cell| cell.scenario == scenario)
    }

    /// Returns one cell.
    pub(crate) fn find(&self, scenario: Scenario, alternative: Alternative) -> Option<&Cell> {
        self.scenario(scenario)
            .find(|cell| cell.alternative == alternative)
    }

    /// Returns the quantile of doing nothing about a scenario.
    pub(crate) fn baseline(&self, scenario: Scenario, quantile: Quantile) -> Option<&Summary> {
        self.find(scenario, Alternative::Nothing)?
            .quantile(quantile)
    }

    /// Returns the work that both sides get done, in per cent of that with nothing done.
    pub(crate) fn throughput(&self, cell: &Cell) -> Option<f64> {
        let nothing = self.find(cell.scenario, Alternative::Nothing)?;
        Some(percent(cell.total_rate.median, nothing.total_rate.median))
    }

    /// Returns the alternative with the lowest latency that is neither go_sched's nor
    /// nothing.
    pub(crate) fn best_other(
        &self,
        scenario: Scenario,
        quantile: Quantile,
    ) -> Option<(&Cell, &Summary)> {
        self.scenario(scenario)
            .filter(|cell| cell.alternative != Alternative::Nothing && !cell.is_ours())
            .filter_map(|cell| Some((cell, cell.quantile(quantile)?)))
            .min_by(|(_, a), (_, b)| a.median.total_cmp(&b.median))
    }
}

fn cell(scenario: Scenario, alternative: Alternative, repeats: &[&Service]) -> Result<Cell> {
    let latencies = repeats
        .iter()
        .map(|run| histogram(&run.latency_us).context("latency"))
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
        scenario,
        alternative,
        requests: repeats.iter().map(|run| run.requests).sum(),
        failures: repeats.iter().map(|run| run.failures).sum(),
        quantiles: Quantile::VARIANTS
            .iter()
            .map(|quantile| quantile_of(quantile.share(), &latency, &latencies, repeats))
            .collect(),
        request_rate: rate(&|run| run.request_units)?,
        background_rate: rate(&|run| run.background_units)?,
        total_rate: rate(&|run| run.request_units + run.background_units)?,
        jitter_percent: Summary::of(&jitter).context("jitter that is no number")?,
        latency,
    })
}

fn quantile_of(
    quantile: f64,
    merged: &Histogram<u64>,
    histograms: &[Histogram<u64>],
    repeats: &[&Service],
) -> Option<Summary> {
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
    Some(Summary {
        median: value_at(quantile, merged, failures)?,
        ..Summary::of(&own)?
    })
}

/// Returns a quantile; none if so many requests were not answered that the quantile is
/// one of them.
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
    use go_sched_bench_data::Alternative;
    use go_sched_bench_data::Record;
    use go_sched_bench_data::Scenario;

    use super::Quantile;
    use super::ServiceResults;
    use crate::fixture;
    use crate::report::Part;

    #[test]
    fn repeats_are_merged_and_their_own_quantiles_are_the_spread() {
        let results = ServiceResults::of(&fixture::report(), Part::Service)
            .expect("the histograms are whole")
            .expect("there is a service boot");
        let cell = results
            .find(Scenario::OtherProcess, Alternative::Nothing)
            .expect("it was measured");
        assert_eq!(cell.requests, 3 * fixture::REQUESTS);
        let p50 = cell.quantile(Quantile::P50).expect("enough requests");
        assert!(p50.min <= p50.median && p50.median <= p50.max);
        assert!(p50.spread() > 0.0);
    }

    #[test]
    fn p999_takes_more_requests_than_the_others() {
        let results = ServiceResults::of(&fixture::report_with_requests(700), Part::Service)
            .expect("the histograms are whole")
            .expect("there is a service boot");
        let cell = &results.cells[0];
        assert!(cell.quantile(Quantile::P99).is_some());
        assert!(cell.quantile(Quantile::P999).is_none());
    }

    #[test]
    fn what_was_not_answered_is_later_than_all_others() {
        let mut report = fixture::report();
        for boot in &mut report.boots {
            for record in &mut boot.records {
                if let Record::Service(service) = record {
                    // 2%: less than a tenth, more than a hundredth.
                    service.failures = fixture::REQUESTS / 50;
                }
            }
        }
        let with = ServiceResults::of(&report, Part::Service).expect("the histograms are whole");
        let without = ServiceResults::of(&fixture::report(), Part::Service)
            .expect("the histograms are whole");
        let p90 = |results: &Option<ServiceResults>| {
            let results = results.as_ref().expect("there is a service boot");
            results.cells[0]
                .quantile(Quantile::P90)
                .map(|found| found.median)
        };
        assert!(p90(&with) > p90(&without));
        let with = with.expect("there is a service boot");
        assert!(with.cells[0].quantile(Quantile::P99).is_none());
    }
}
