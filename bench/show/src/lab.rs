// SPDX-License-Identifier: GPL-2.0

//! The lab: what its experiments found, and what that says of the claims.

mod verdict;

use std::fmt::Write;

use anyhow::Result;
use comfy_table::presets;
use comfy_table::Table;
use go_sched_bench_data::lab::Claim;
use go_sched_bench_data::lab::Experiment;
use go_sched_bench_data::lab::Metric;
use go_sched_bench_data::lab::Rule;
use go_sched_bench_data::lab::Setup;
use go_sched_bench_data::lab::Unit;
use go_sched_bench_data::lab::DRAWN;
use go_sched_bench_data::Record;
use maud::html;
use maud::Markup;

use self::verdict::judge;
use self::verdict::Ratio;
use self::verdict::Verdict;
use crate::charts::dot;
use crate::format;
use crate::headline::not_measured;
use crate::plot::span;
use crate::plot::Axis;
use crate::plot::Content;
use crate::plot::Panel;
use crate::plot::Plot;
use crate::plot::BLUE;
use crate::report::Boot;
use crate::report::Place;
use crate::report::Report;
use crate::statistics::Summary;
use crate::tables::table;

/// An experiment that was run.
struct Chapter<'a> {
    experiment: &'static Experiment,
    boot: &'a Boot,
    place: Place,
}

/// A claim and what became of it.
struct Judged {
    claim: &'static Claim,
    /// What was measured.
    measured: String,
    verdict: Verdict,
}

fn chapters(report: &Report) -> impl Iterator<Item = Chapter<'_>> {
    report.good_boots().filter_map(|boot| {
        let experiment = boot.part.experiment()?;
        Some(Chapter {
            experiment,
            boot,
            place: report.place,
        })
    })
}

impl Chapter<'_> {
    /// Returns a figure, if the set-up has it.
    fn summary(&self, setup: &str, metric: &str) -> Option<Summary> {
        let of = |record: &Record| match record {
            Record::Observed(it) if it.setup == setup && it.metric == metric => {
                Summary::of(&it.repeats)
            }
            _ => None,
        };
        self.boot.records.iter().find_map(of)
    }

    /// Returns the set-ups that cannot be had, and why.
    fn impossible(&self) -> impl Iterator<Item = (&str, &str)> {
        self.boot.records.iter().filter_map(|record| match record {
            Record::Impossible(it) => Some((it.setup.as_str(), it.why.as_str())),
            _ => None,
        })
    }

    /// Returns the set-ups that were measured.
    fn setups(&self) -> impl Iterator<Item = &'static Setup> + '_ {
        let measured = |setup: &&Setup| {
            let mut metrics = self.experiment.metrics.iter();
            metrics.any(|metric| self.summary(setup.name, metric.key).is_some())
        };
        self.experiment.setups.iter().filter(measured)
    }

    fn judged(&self) -> impl Iterator<Item = Judged> + '_ {
        self.experiment.claims.iter().map(|claim| {
            let (measured, verdict) = self.judge(claim).unwrap_or_else(|| {
                let why = "a set-up of it was not measured".to_owned();
                (String::new(), Verdict::Undecidable(why))
            });
            Judged {
                claim,
                measured,
                verdict,
            }
        })
    }

    fn judge(&self, claim: &Claim) -> Option<(String, Verdict)> {
        let mut metrics = self.experiment.metrics.iter();
        let metric = metrics.find(|metric| metric.key == claim.metric)?;
        let rule = match self.experiment.only_on_hardware {
            // Nor has a guest hyperthreads on hardware's own CPUs.
            Some(why) if self.place != Place::Host => Rule::NotHere(why),
            _ => claim.rule,
        };
        let of = self.summary(claim.setup, claim.metric)?;
        let value = |summary: &Summary| amount(summary.median, metric.unit);
        let Some(over) = claim.over else {
            let words = format!("{} {}", metric.title, spread(&of, metric.unit));
            return Some((words, judge(rule, &Ratio::itself(&of))));
        };
        let baseline = self.summary(over, claim.metric)?;
        let ratio = Ratio::of(&of, &baseline);
        let words = format!(
            "{} {}, {} with {over}: {ratio}",
            metric.title,
            value(&of),
            value(&baseline)
        );
        Some((words, judge(rule, &ratio)))
    }

    /// Draws the first metrics: a panel for each.
    fn plot(&self) -> Result<Plot> {
        let metrics = self.experiment.metrics.iter().take(DRAWN);
        let panels: Vec<_> = metrics.filter_map(|metric| self.panel(metric)).collect();
        let caption = "Lines: from the smallest repeat to the largest; dots: the medians.";
        Plot::new(self.experiment.title, caption.to_owned(), &panels)
    }

    fn panel(&self, metric: &Metric) -> Option<Panel> {
        let figures: Vec<_> = self
            .setups()
            .filter_map(|setup| Some((setup.name, self.summary(setup.name, metric.key)?)))
            .collect();
        let low = figures.iter().map(|it| it.1.min).reduce(f64::min)?;
        let high = figures.iter().map(|it| it.1.max).reduce(f64::max)?;
        let scale = if metric.unit == Unit::Nanoseconds {
            1e-3
        } else {
            1.0
        };
        // A logarithmic axis has no 0.
        let logarithmic = low > 0.0 && high > 4.0 * low;
        let range = if logarithmic {
            span([low * scale, high * scale].into_iter(), 8.0)
        } else {
            0.0..(high * scale * 1.6).max(1.0)
        };
        let row = |(name, summary): (&str, Summary)| {
            let scaled = Summary {
                median: summary.median * scale,
                min: summary.min * scale,
                max: summary.max * scale,
                ..summary
            };
            let dot = dot(&scaled, BLUE, amount(summary.median, metric.unit));
            (name.to_owned(), vec![Some(dot)])
        };
        Some(Panel {
            title: metric.title.to_owned(),
            x: Axis {
                range,
                logarithmic,
                label: match metric.unit {
                    Unit::Nanoseconds => format::microseconds_round,
                    Unit::Number => format::round,
                    Unit::Percent => |tick| format!("{}%", format::round(tick)),
                },
            },
            content: Content::Dots {
                series: vec![(metric.title.to_owned(), BLUE)],
                rows: figures.into_iter().map(row).collect(),
                goal: None,
            },
            legend: false,
        })
    }
}

fn amount(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds => format::nanoseconds(value),
        Unit::Number => format::number(value),
        Unit::Percent => format!("{}%", format::number(value)),
    }
}

/// Returns a median with the smallest and the largest repeat.
fn spread(summary: &Summary, unit: Unit) -> String {
    let value = |value| amount(value, unit);
    if summary.repeats < 2 || summary.spread() == 0.0 {
        return value(summary.median);
    }
    format!(
        "{} ({} to {})",
        value(summary.median),
        value(summary.min),
        value(summary.max)
    )
}

/// Returns what must be seen of a claim.
fn limit(claim: &Claim, unit: Unit) -> String {
    let bound = |bound| match claim.over {
        Some(_) => format!("{}x", format::number(bound)),
        None => amount(bound, unit),
    };
    match claim.rule {
        Rule::AtLeast(least) => format!("at least {}", bound(least)),
        Rule::AtMost(most) => format!("at most {}", bound(most)),
        Rule::NotHere(_) => "not to be seen here".to_owned(),
    }
}

impl Judged {
    /// Returns what was measured, and what must be seen.
    fn reason(&self, experiment: &Experiment) -> String {
        let mut metrics = experiment.metrics.iter();
        let unit = metrics
            .find(|it| it.key == self.claim.metric)
            .map(|it| it.unit);
        let limit = limit(self.claim, unit.unwrap_or(Unit::Number));
        let measured = &self.measured;
        match &self.verdict {
            Verdict::Undecidable(why) => format!("{measured} ({limit}); {why}"),
            _ => format!("{measured} ({limit})"),
        }
    }
}

/// Returns the text for the end of a run.
pub(crate) fn text(report: &Report) -> String {
    let mut text = String::new();
    for chapter in chapters(report) {
        let experiment = chapter.experiment;
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        let titles = experiment.metrics.iter().map(|metric| metric.title);
        table.set_header([""].into_iter().chain(titles));
        for setup in chapter.setups() {
            let cell = |metric: &Metric| {
                let summary = chapter.summary(setup.name, metric.key);
                summary.map_or("-".to_owned(), |it| spread(&it, metric.unit))
            };
            let cells = experiment.metrics.iter().map(cell);
            table.add_row([setup.name.to_owned()].into_iter().chain(cells));
        }
        // Writing to a string does not fail.
        let (title, seconds) = (experiment.title, format::seconds(chapter.boot.seconds));
        let _ = writeln!(text, "\n{title} ({seconds})\n{}\n", table.trim_fmt());
        for judged in chapter.judged() {
            let (words, reason) = (judged.claim.words, judged.reason(experiment));
            let _ = writeln!(text, "{}: {words}: {reason}", judged.verdict);
        }
        for (setup, why) in chapter.impossible() {
            let _ = writeln!(text, "not to be had: {setup}: {why}");
        }
    }
    text + &not_measured(report)
}

/// Returns the section of the page.
pub(crate) fn section(report: Option<&Report>, figure: fn(&Plot) -> Markup) -> Result<Markup> {
    let Some(report) = report else {
        return Ok(html! { p { "Not run; " code { "make lab" } " runs it." } });
    };
    let chapters: Result<Vec<_>> = chapters(report).map(|it| chapter(&it, figure)).collect();
    Ok(html! {
        p {
            "Claims about Go and the kernel's scheduler, as experiments. A claim is reproduced if what "
            "must be seen is seen whichever of the repeats are compared, and not reproduced if it is "
            "seen in none; else the figures do not decide. One repeat decides nothing. "
            (report.conditions())
        }
        p.muted {
            (report.trees()) ", " (report.started) ", "
            @if report.quick { "a quick run: one repeat, " }
            (format::seconds(report.seconds)) "."
        }
        @for chapter in chapters? { (chapter) }
        @for boot in &report.boots {
            @if let Some(failure) = &boot.failure {
                p.missed { (boot.part.title()) ": it failed: " (failure) }
            }
        }
    })
}

fn chapter(chapter: &Chapter<'_>, figure: fn(&Plot) -> Markup) -> Result<Markup> {
    let experiment = chapter.experiment;
    let rows: Vec<_> = chapter
        .setups()
        .map(|it| (it.name, it.name.to_owned()))
        .collect();
    let metrics = experiment.metrics.iter();
    let columns: Vec<_> = metrics.map(|it| (it, it.title.to_owned())).collect();
    let cell = |setup, metric: &Metric| {
        let summary = chapter.summary(setup, metric.key)?;
        Some(html! { (spread(&summary, metric.unit)) })
    };
    Ok(html! {
        (figure(&chapter.plot()?))
        p { (experiment.question) }
        p { (experiment.method) }
        ul {
            @for judged in chapter.judged() {
                li {
                    span class=(judged.verdict.class()) { (judged.verdict) } " "
                    (judged.claim.words) ": " b { (judged.reason(experiment)) }
                }
            }
            @for (setup, why) in chapter.impossible() {
                li { span class="not-measured" { "not to be had" } " " (setup) ": " (why) }
            }
        }
        (table(&rows, &columns, cell))
        p.muted {
            "Medians of the repeats, with the smallest and the largest. Method: "
            (chapter.boot.method.label()) "; " (format::seconds(chapter.boot.seconds)) ". "
            code { "make lab EXPERIMENT=" (experiment.name) } " does it again, and runs "
            code { (chapter.boot.command) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::fixture;
    use crate::page;

    #[test]
    fn a_chapter_has_figures_and_verdicts() {
        let text = text(&fixture::lab());
        assert!(text.contains("siblings at 8"), "{text}");
        assert!(text.contains("\nreproduced: Siblings at 8"), "{text}");
        assert!(text.contains("\nnot reproduced: Siblings at 20"), "{text}");
        assert!(
            text.contains("not to be had: siblings at nice 19: a reason"),
            "{text}"
        );
    }

    #[test]
    fn the_page_has_the_lab_beside_the_benchmarks() {
        let folder = tempfile::tempdir().expect("a folder");
        let from = folder.path();
        assert!(page::write(from, from).is_err(), "there is no report");
        fixture::lab()
            .write(from, crate::report::LAB_FILE)
            .expect("a report");
        page::write(from, from).expect("the lab is enough");
        let text = std::fs::read_to_string(from.join("index.html")).expect("the page");
        assert!(text.contains("make lab EXPERIMENT=locks"));
    }
}
