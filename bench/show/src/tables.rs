// SPDX-License-Identifier: GPL-2.0

//! The page's tables of figures.

use go_sched_bench_data::Alternative;
use go_sched_bench_data::Change;
use go_sched_bench_data::GoOperation;
use go_sched_bench_data::Growth;
use go_sched_bench_data::Interface;
use go_sched_bench_data::Outcome;
use go_sched_bench_data::Path;
use go_sched_bench_data::Remedy;
use go_sched_bench_data::Runtime;
use go_sched_bench_data::Setup;
use go_sched_bench_data::Statistic;
use go_sched_bench_data::Wait;
use go_sched_bench_data::Waiter;
use go_sched_bench_data::LOWERED;
use maud::html;
use maud::Markup;
use strum::VariantArray;

use crate::figures::setup_title;
use crate::figures::Figures;
use crate::figures::Measured;
use crate::figures::CHANGE_BASELINE;
use crate::figures::PATH_BASELINE;
use crate::format;
use crate::service::Cell;
use crate::service::Quantile;
use crate::service::ServiceResults;
use crate::statistics::compare;
use crate::statistics::percent;
use crate::statistics::Summary;

/// Returns a table with a column of names and columns of numbers. Empty columns are left
/// out.
pub(crate) fn table<R: Copy, C: Copy>(
    rows: &[(R, String)],
    columns: &[(C, String)],
    cell: impl Fn(R, C) -> Option<Markup>,
) -> Markup {
    let has = |column: C| rows.iter().any(|(row, _)| cell(*row, column).is_some());
    let columns: Vec<_> = columns.iter().filter(|(column, _)| has(*column)).collect();
    html! {
        div.table { table {
            tr {
                th { "" }
                @for (_, title) in &columns { th.number { (title) } }
            }
            @for (row, title) in rows {
                tr {
                    td { (title) }
                    @for (column, title) in &columns {
                        td.number data-label=(title) { (cell(*row, *column).unwrap_or(html! { "-" })) }
                    }
                }
            }
        } }
    }
}

fn named<T: Copy + ToString>(all: &[T]) -> Vec<(T, String)> {
    all.iter().map(|one| (*one, one.to_string())).collect()
}

/// Returns a median, with its spread below.
fn amount(summary: &Summary) -> Markup {
    html! {
        (format::number(summary.median))
        @if summary.repeats > 1 {
            div.muted title="half of the way from the smallest repeat to the largest" {
                "±\u{a0}" (format::number(summary.spread() / 2.0))
            }
        }
    }
}

fn unit(figure: Option<&Measured>) -> Markup {
    html! {
        @if let Some(figure) = figure {
            p.muted {
                "In " (figure.unit()) "; method: " (figure.method.label()) ". Below each: half of its "
                "spread."
            }
        }
    }
}

pub(crate) fn paths(figures: &Figures) -> Markup {
    let titled = |setup: &Setup| (*setup, setup_title(*setup).to_owned());
    let setups: Vec<_> = Setup::VARIANTS.iter().map(titled).collect();
    let cell = |operation, setup| {
        let figure = &figures.path(operation, setup)?.summary;
        let baseline = figures.path(operation, PATH_BASELINE);
        Some(html! {
            (amount(figure))
            @if let Some(baseline) = baseline.filter(|_| setup != PATH_BASELINE) {
                @let difference = compare(figure, &baseline.summary);
                div {
                    @if difference.distinct {
                        @if difference.absolute > 0.0 { "+" } (format::number(difference.absolute))
                        ", "
                    }
                    (format::difference(&difference))
                }
            }
        })
    };
    html! {
        (table(&named(Path::VARIANTS), &setups, cell))
        (unit(figures.path(Path::PipeRoundTrip, PATH_BASELINE)))
    }
}

pub(crate) fn changes(figures: &Figures) -> Markup {
    let cell = |interface, change| {
        let figure = &figures.change(change, interface)?.summary;
        let baseline = figures.change(change, CHANGE_BASELINE);
        Some(html! {
            (amount(figure))
            @if let Some(baseline) = baseline.filter(|_| interface != CHANGE_BASELINE) {
                div { (format::compared(figure, &baseline.summary, format::COST)) }
            }
        })
    };
    html! {
        (table(&named(Interface::VARIANTS), &named(Change::VARIANTS), cell))
        (unit(figures.change(Change::ToIdle, CHANGE_BASELINE)))
    }
}

pub(crate) fn growth(figures: &Figures) -> Markup {
    let mut threads = Vec::new();
    let mut rows = Vec::new();
    for &operation in Growth::VARIANTS {
        for managed in [true, false] {
            let series = figures.growth(operation, managed);
            threads.extend(series.iter().map(|(threads, _)| *threads));
            if let Some((_, figure)) = series.first() {
                let kind = if managed { "" } else { ", unmanaged" };
                let title = format!("{operation}{kind}, {}", figure.unit());
                rows.push(((operation, managed), title));
            }
        }
    }
    threads.sort_unstable();
    threads.dedup();
    let titled = |threads: &u32| (*threads, format!("{threads} threads"));
    let columns: Vec<_> = threads.iter().map(titled).collect();
    table(&rows, &columns, |(operation, managed), threads| {
        let series = figures.growth(operation, managed);
        let (_, figure) = series.iter().find(|(of, _)| *of == threads)?;
        Some(amount(&figure.summary))
    })
}

/// Returns the table of those that wait beside lowered threads.
pub(crate) fn lowered(figures: &Figures) -> Markup {
    let rows: Vec<_> = Waiter::VARIANTS
        .iter()
        .flat_map(|&waiter| LOWERED.map(|level| (waiter, level)))
        .map(|(waiter, level)| {
            let level_title = level.map_or("nobody lowered".to_owned(), |level| {
                format!("threads at {level}")
            });
            ((waiter, level), format!("{waiter}, {level_title}"))
        })
        .collect();
    let first = figures.lowered(Waiter::Sibling, None, Statistic::Mean);
    html! {
        (table(&rows, &named(Statistic::VARIANTS), |(waiter, level), statistic| {
            let figure = figures.lowered(waiter, level, statistic)?;
            let before = figures.lowered(waiter, None, statistic);
            Some(html! {
                (format::nanoseconds(figure.summary.median))
                @if let Some(before) = before.filter(|_| level.is_some()) {
                    div.muted {
                        (format::compared(&figure.summary, &before.summary, format::LATENCY))
                    }
                }
            })
        }))
        @if let Some(figure) = first {
            p.muted { "Method: " (figure.method.label()) "." }
        } @else {
            p { "Not measured, " a href="#missing" { "see below" } "." }
        }
    }
}

/// Returns a table for each wait for goroutines.
pub(crate) fn goroutines(figures: &Figures) -> Markup {
    let cell = |wait, remedy, outcome| {
        let figure = figures.goroutines(wait, remedy, outcome)?;
        let before = figures.goroutines(wait, Remedy::Nothing, outcome);
        Some(match outcome {
            Outcome::Background => {
                let work = figures.background(wait, remedy)?;
                html! { (format!("{work:.1}%")) }
            }
            Outcome::Collections => html! { (format::number(figure.summary.median)) },
            Outcome::P50 | Outcome::P99 | Outcome::Max => html! {
                (format::nanoseconds(figure.summary.median))
                @if let Some(before) = before.filter(|_| remedy != Remedy::Nothing) {
                    div.muted {
                        (format::compared(&figure.summary, &before.summary, format::LATENCY))
                    }
                }
            },
        })
    };
    let measured = |wait| figures.goroutines(wait, Remedy::Nothing, Outcome::P50);
    html! {
        @for &wait in Wait::VARIANTS {
            @if let Some(figure) = measured(wait) {
                h3 { (wait) }
                (table(&named(Remedy::VARIANTS), &named(Outcome::VARIANTS), |remedy, outcome| {
                    cell(wait, remedy, outcome)
                }))
                p.muted { "Method: " (figure.method.label()) "." }
            }
        }
        @if Wait::VARIANTS.iter().all(|wait| measured(*wait).is_none()) {
            p { "Not measured, " a href="#missing" { "see below" } "." }
        }
    }
}

/// Returns the table of the costs of Go's scheduler.
pub(crate) fn go_costs(figures: &Figures) -> Markup {
    let cell = |operation, runtime| {
        let figure = &figures.go_cost(operation, runtime)?.summary;
        let plain = figures.go_cost(operation, Runtime::Plain);
        Some(html! {
            (amount(figure))
            @if let Some(plain) = plain.filter(|_| runtime != Runtime::Plain) {
                div { (format::difference(&compare(figure, &plain.summary))) }
            }
        })
    };
    html! {
        (table(&named(GoOperation::VARIANTS), &named(Runtime::VARIANTS), cell))
        (unit(figures.go_cost(GoOperation::Switch, Runtime::Plain)))
    }
}

const THROUGHPUT: &str = "throughput";
const OF_IT_REQUESTS: &str = "of it requests";
const JITTER: &str = "jitter";
const REQUESTS: &str = "requests";

pub(crate) fn service(service: &ServiceResults, machine: &str) -> Markup {
    html! {
        @for scenario in service.scenarios() {
            h3 { (scenario) (machine) }
            div.table { table {
                tr {
                    th { "" }
                    @for quantile in Quantile::VARIANTS { th.number { (quantile) } }
                    @for title in [THROUGHPUT, OF_IT_REQUESTS, JITTER, REQUESTS] {
                        th.number { (title) }
                    }
                }
                @for cell in service.scenario(scenario) { (alternative(service, cell)) }
            } }
        }
        p.muted {
            "Method: " (service.method.label()) ". Throughput is that of requests and competition, "
            "against nothing done; jitter is the standard deviation of a timing loop's 10 ms."
        }
    }
}

fn alternative(service: &ServiceResults, cell: &Cell) -> Markup {
    html! {
        tr {
            td { (cell.alternative) }
            @for &quantile in Quantile::VARIANTS {
                td.number data-label=(quantile) {
                    @match cell.quantile(quantile) {
                        None => "-",
                        Some(value) => {
                            (format::microseconds(value.median))
                            @let before = service.baseline(cell.scenario, quantile);
                            @if let Some(before) = before.filter(|_| cell.alternative != Alternative::Nothing) {
                                div.muted { (format::compared(value, before, format::LATENCY)) }
                            }
                        }
                    }
                }
            }
            td.number data-label=(THROUGHPUT) {
                @if let Some(throughput) = service.throughput(cell) { (throughput.round()) "%" }
            }
            td.number data-label=(OF_IT_REQUESTS) { (percent(cell.request_rate.median, cell.total_rate.median).round()) "%" }
            td.number data-label=(JITTER) { (format::number(cell.jitter_percent.median)) "%" }
            td.number data-label=(REQUESTS) {
                (format::number(cell.requests as f64))
                @if cell.failures > 0 { div.missed { (cell.failures) " failed" } }
            }
        }
    }
}
