// SPDX-License-Identifier: GPL-2.0

//! The page's tables of figures.

use go_sched_bench_data::Chapter;
use maud::html;
use maud::Markup;

use crate::figures::state_title;
use crate::figures::unique;
use crate::figures::Figures;
use crate::figures::Measured;
use crate::figures::STATES;
use crate::format;
use crate::goals::times_cheaper;
use crate::goals::CHANGE_BASELINE;
use crate::goals::STATES_BASELINE;
use crate::service;
use crate::service::Cell;
use crate::service::NOTHING;
use crate::service::QUANTILES;
use crate::statistics::compare;
use crate::statistics::percent;
use crate::statistics::Summary;

/// A median, and its spread below it.
fn amount(summary: &Summary) -> Markup {
    html! {
        (format::number(summary.median))
        @if summary.repeats > 1 {
            div.muted title="from the smallest repeat to the largest" {
                "± " (format::number(summary.spread() / 2.0))
            }
        }
    }
}

/// What the numbers of a chapter are and how they were had.
fn unit(figures: &Figures, chapter: Chapter) -> Markup {
    let all = || figures.chapter(chapter);
    let names = unique(all().map(Measured::unit_name));
    let methods = unique(all().map(|figure| figure.method.label()));
    html! {
        p.muted {
            "In " (names.join(" or ")) "; method: " (methods.join(", ")) ". Below each: half of its "
            "spread."
        }
    }
}

pub(super) fn paths(figures: &Figures) -> Markup {
    let subjects = figures.subjects(Chapter::Path);
    let states = || STATES.iter().filter(|state| subjects.contains(state));
    html! {
        div.table { table {
            tr {
                th { "" }
                @for state in states() { th.number { (state_title(state)) } }
            }
            @for operation in figures.operations(Chapter::Path) {
                tr {
                    td { (operation) }
                    @for state in states() {
                        td.number { (path(figures, operation, state)) }
                    }
                }
            }
        } }
        (unit(figures, Chapter::Path))
    }
}

fn path(figures: &Figures, operation: &str, state: &str) -> Markup {
    let baseline = figures.find(Chapter::Path, operation, STATES_BASELINE);
    html! {
        @if let Some(figure) = figures.find(Chapter::Path, operation, state) {
            (amount(&figure.summary))
            @if let (Some(baseline), true) = (baseline, state != STATES_BASELINE) {
                (difference(&figure.summary, &baseline.summary))
            }
        } @else { "-" }
    }
}

fn difference(subject: &Summary, baseline: &Summary) -> Markup {
    let difference = compare(subject, baseline);
    html! {
        @if difference.seen {
            div {
                @if difference.absolute > 0.0 { "+" } (format::number(difference.absolute))
                ", " (format::percent(difference.percent))
            }
        } @else {
            div { (format::NOT_SEEN) }
        }
    }
}

pub(super) fn changes(figures: &Figures) -> Markup {
    let operations = figures.operations(Chapter::Change);
    html! {
        div.table { table {
            tr {
                th { "" }
                @for operation in &operations { th.number { (operation) } }
            }
            @for subject in figures.subjects(Chapter::Change) {
                tr {
                    td { (subject) }
                    @for operation in &operations {
                        td.number { (change(figures, operation, subject)) }
                    }
                }
            }
        } }
        (unit(figures, Chapter::Change))
    }
}

fn change(figures: &Figures, operation: &str, subject: &str) -> Markup {
    let baseline = figures.find(Chapter::Change, operation, CHANGE_BASELINE);
    html! {
        @if let Some(figure) = figures.find(Chapter::Change, operation, subject) {
            (amount(&figure.summary))
            @if let (Some(baseline), true) = (baseline, subject != CHANGE_BASELINE) {
                @let times = times_cheaper(figure, baseline);
                @if !compare(&figure.summary, &baseline.summary).seen {
                    div { (format::NOT_SEEN) }
                } @else if times >= 1.0 {
                    div { (format::times(times)) " cheaper" }
                } @else {
                    div { (format::times(1.0 / times)) " dearer" }
                }
            }
        } @else { "-" }
    }
}

pub(super) fn scale(figures: &Figures) -> Markup {
    let mut threads: Vec<u32> = figures
        .chapter(Chapter::Scale)
        .filter_map(|figure| figure.threads)
        .collect();
    threads.sort_unstable();
    threads.dedup();
    html! {
        div.table { table {
            tr {
                th { "managed threads" }
                @for threads in &threads { th.number { (format::number(f64::from(*threads))) } }
                th { "" }
            }
            @for operation in figures.operations(Chapter::Scale) {
                @for subject in figures.subjects(Chapter::Scale) {
                    @let series = figures.series(operation, subject);
                    @if let Some((_, first)) = series.first() {
                        tr {
                            td { (operation) ", " (subject) }
                            @for threads in &threads {
                                td.number {
                                    @match series.iter().find(|(of, _)| of == threads) {
                                        Some((_, figure)) => (amount(&figure.summary)),
                                        None => "-",
                                    }
                                }
                            }
                            td { (first.unit_name()) }
                        }
                    }
                }
            }
        } }
        (unit(figures, Chapter::Scale))
    }
}

pub(super) fn service(chapter: &service::Chapter) -> Markup {
    html! {
        @for scenario in chapter.scenarios() {
            h3 { (scenario) }
            div.table { table {
                tr {
                    th { "" }
                    @for (name, _) in QUANTILES { th.number { (name) } }
                    th.number { "throughput" }
                    th.number { "of it requests" }
                    th.number { "jitter" }
                    th.number { "requests" }
                }
                @for cell in chapter.scenario(scenario) { (alternative(chapter, cell)) }
            } }
        }
        p.muted {
            "Method: " (chapter.method.label()) ". Throughput is that of requests and competition, "
            "against nothing done; jitter is the standard deviation of a timing loop's 10 ms."
        }
    }
}

fn alternative(chapter: &service::Chapter, cell: &Cell) -> Markup {
    let nothing = chapter.find(&cell.scenario, NOTHING);
    html! {
        tr {
            td { (cell.alternative) }
            @for (name, _) in QUANTILES {
                td.number {
                    @match cell.quantile(name) {
                        None => "-",
                        Some(quantile) => {
                            (format::microseconds(quantile.value))
                            @if cell.alternative != NOTHING {
                                (fell(chapter, cell, name, quantile.value))
                            }
                        }
                    }
                }
            }
            td.number {
                @if let Some(nothing) = nothing {
                    (percent(cell.total_rate.median, nothing.total_rate.median).round()) "%"
                }
            }
            td.number { (percent(cell.request_rate.median, cell.total_rate.median).round()) "%" }
            td.number { (format::number(cell.jitter_percent.median)) "%" }
            td.number {
                (format::number(cell.requests as f64))
                @if cell.failures > 0 { div.missed { (cell.failures) " failed" } }
            }
        }
    }
}

fn fell(chapter: &service::Chapter, cell: &Cell, name: &str, value: f64) -> Markup {
    let before = chapter
        .find(&cell.scenario, NOTHING)
        .and_then(|nothing| nothing.quantile(name));
    html! {
        @if let (Some(difference), Some(before)) = (chapter.against_nothing(cell, name), before) {
            div.muted {
                @if !difference.seen { (format::NOT_SEEN) }
                @else if difference.absolute < 0.0 { (format::times(before.value / value)) " lower" }
                @else { (format::times(value / before.value)) " higher" }
                (format::single(&difference))
            }
        }
    }
}
