// SPDX-License-Identifier: GPL-2.0

//! The few figures that stand at the top of the page, on the terminal and in the README.

use std::fmt::Write;

use comfy_table::presets;
use comfy_table::CellAlignment;
use comfy_table::Table;
use go_sched_bench_data::Alternative;
use go_sched_bench_data::Change;
use go_sched_bench_data::GoOperation;
use go_sched_bench_data::Growth;
use go_sched_bench_data::Interface;
use go_sched_bench_data::Outcome;
use go_sched_bench_data::Path;
use go_sched_bench_data::Recorded;
use go_sched_bench_data::Remedy;
use go_sched_bench_data::Runtime;
use go_sched_bench_data::Scenario;
use go_sched_bench_data::Setup;
use go_sched_bench_data::Statistic;
use go_sched_bench_data::Wait;
use go_sched_bench_data::Waiter;
use strum::VariantArray;

use crate::figures::setup_title;
use crate::figures::Figures;
use crate::figures::Measured;
use crate::figures::CHANGE_BASELINE;
use crate::figures::PATH_BASELINE;
use crate::format;
use crate::goals::tally;
use crate::goals::Verdict;
use crate::report::Missing;
use crate::report::Report;
use crate::results::Results;
use crate::service::Quantile;
use crate::service::ServiceResults;
use crate::service::OURS;
use crate::statistics::compare;

/// The path that speaks for the others.
const PATH: Path = Path::PipeRoundTrip;
/// The change that speaks for the others: the one that the server's competition makes.
const CHANGE: Change = Change::ToIdle;

/// The titles of the columns: the measured thing; with nothing done about it; with the
/// best that Linux has otherwise; with go_sched.
pub(crate) const COLUMNS: [&str; 6] = [
    "",
    "without",
    "best other",
    "go_sched",
    "difference",
    "method",
];

/// A line of the table, in the order of [`COLUMNS`].
pub(crate) type Headline = [String; 6];

/// Returns all lines that were measured.
pub(crate) fn all(results: &Results) -> Vec<Headline> {
    let figures = &results.figures;
    let mut headlines = Vec::new();
    for setup in [Setup::Patched, Setup::Unmanaged, Setup::Beside, Setup::Hint] {
        headlines.extend(path(figures, setup));
    }
    for interface in [Interface::HintStore, Interface::IoctlSet] {
        headlines.extend(change(figures, interface));
    }
    headlines.extend(memory(figures));
    for level in [8, 20] {
        headlines.extend(lowered(figures, Waiter::Sibling, level, Statistic::Mean));
        headlines.extend(lowered(figures, Waiter::Neighbour, level, Statistic::P99));
    }
    for wait in [Wait::Computing4, Wait::Allocating4, Wait::Http, Wait::Stop] {
        for remedy in [Remedy::Overlay, Remedy::GoSched] {
            headlines.extend(goroutines(figures, wait, remedy));
        }
    }
    for runtime in [Runtime::Overlay, Runtime::GoSched] {
        headlines.extend(go_cost(figures, GoOperation::Switch, runtime));
    }
    for recorded in [Recorded::Sleeper, Recorded::Threads] {
        headlines.extend(recorder(Figures::recorder, figures, recorded));
    }
    headlines.extend(recorder(
        Figures::recorded_switch,
        figures,
        Recorded::Threads,
    ));
    if let Some(service) = &results.service {
        for scenario in service.scenarios() {
            // Both ways, as the better one alone would hide where the other does harm.
            for ours in OURS {
                headlines.extend(tail(service, scenario, ours, ""));
            }
        }
    }
    if let Some(service) = &results.one_cpu {
        let (scenario, ours) = (Scenario::OtherProcess, Alternative::GoSchedHint);
        headlines.extend(tail(service, scenario, ours, ", one CPU"));
    }
    headlines
}

fn path(figures: &Figures, setup: Setup) -> Option<Headline> {
    let figure = figures.path(PATH, setup)?;
    let baseline = figures.path(PATH, PATH_BASELINE)?;
    Some([
        format!("{PATH}, {}", setup_title(setup)),
        amount(baseline),
        String::new(),
        amount(figure),
        format::difference(&compare(&figure.summary, &baseline.summary)),
        figure.method.short().to_owned(),
    ])
}

fn change(figures: &Figures, interface: Interface) -> Option<Headline> {
    let ours = figures.change(CHANGE, interface)?;
    let baseline = figures.change(CHANGE, CHANGE_BASELINE)?;
    Some([
        format!("one change of a thread, {interface}"),
        String::new(),
        format!("{} ({CHANGE_BASELINE})", amount(baseline)),
        amount(ours),
        format::compared(&ours.summary, &baseline.summary, format::COST),
        ours.method.short().to_owned(),
    ])
}

fn memory(figures: &Figures) -> Option<Headline> {
    let series = figures.growth(Growth::Memory, true);
    let (_, figure) = series.last()?;
    let bytes = format!("{} bytes", amount(figure));
    Some([
        "kernel memory of a managed thread".to_owned(),
        String::new(),
        String::new(),
        bytes.clone(),
        format!("+{bytes}"),
        figure.unit().to_owned(),
    ])
}

/// Returns the line of a thread that waits for lowered threads, against nobody lowered.
fn lowered(
    figures: &Figures,
    waiter: Waiter,
    level: u32,
    statistic: Statistic,
) -> Option<Headline> {
    let baseline = figures.lowered(waiter, None, statistic)?;
    let figure = figures.lowered(waiter, Some(level), statistic)?;
    Some([
        format!("{waiter}, background at {level}: {statistic}"),
        format::nanoseconds(baseline.summary.median),
        String::new(),
        format::nanoseconds(figure.summary.median),
        format::compared(&figure.summary, &baseline.summary, format::LATENCY),
        figure.method.short().to_owned(),
    ])
}

/// Returns the line of what waits for goroutines, which are lowered.
fn goroutines(figures: &Figures, wait: Wait, remedy: Remedy) -> Option<Headline> {
    let p99 = |remedy| figures.goroutines(wait, remedy, Outcome::P99);
    let (before, after) = (p99(Remedy::Nothing)?, p99(remedy)?);
    let others = Remedy::VARIANTS
        .iter()
        .filter(|remedy| !matches!(remedy, Remedy::Nothing | Remedy::Overlay | Remedy::GoSched));
    let other = others
        .filter_map(|remedy| Some((remedy, p99(*remedy)?.summary.median)))
        .min_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(remedy, time)| format!("{} ({remedy})", format::nanoseconds(time)));
    let name = remedy.to_string();
    let short = name.strip_prefix("goroutines, ").unwrap_or(&name);
    Some([
        format!("{wait}: p99"),
        format::nanoseconds(before.summary.median),
        other.unwrap_or_default(),
        format!("{} ({short})", format::nanoseconds(after.summary.median)),
        format!(
            "{}, background {:.0}%",
            format::compared(&after.summary, &before.summary, format::LATENCY),
            figures.background(wait, remedy)?
        ),
        after.method.short().to_owned(),
    ])
}

/// Returns the line of an operation of Go's scheduler, against the plain runtime.
fn go_cost(figures: &Figures, operation: GoOperation, runtime: Runtime) -> Option<Headline> {
    let plain = figures.go_cost(operation, Runtime::Plain)?;
    let figure = figures.go_cost(operation, runtime)?;
    Some([
        format!("{operation}, {runtime}"),
        amount(plain),
        String::new(),
        amount(figure),
        format::difference(&compare(&figure.summary, &plain.summary)),
        figure.method.short().to_owned(),
    ])
}

/// Returns the line of a cost beside the recorder.
fn recorder(
    cost: impl Fn(&Figures, Recorded) -> Option<&Measured>,
    figures: &Figures,
    recorded: Recorded,
) -> Option<Headline> {
    let nothing = cost(figures, Recorded::Nothing)?;
    let figure = cost(figures, recorded)?;
    Some([
        figure.subject.to_string(),
        amount(nothing),
        String::new(),
        amount(figure),
        format::difference(&compare(&figure.summary, &nothing.summary)),
        figure.method.short().to_owned(),
    ])
}

/// Returns the line of p99.9, or of a lower quantile of few requests.
fn tail(
    service: &ServiceResults,
    scenario: Scenario,
    ours: Alternative,
    machine: &str,
) -> Option<Headline> {
    let cell = service.find(scenario, ours)?;
    let (quantile, before, after) = [Quantile::P999, Quantile::P99, Quantile::P90]
        .into_iter()
        .find_map(|quantile| {
            let before = service.baseline(scenario, quantile)?;
            Some((quantile, before, cell.quantile(quantile)?))
        })?;
    let other = service
        .best_other(scenario, quantile)
        .map(|(other, value)| {
            let value = format::microseconds(value.median);
            format!("{value} ({})", other.alternative)
        });
    let name = ours.to_string();
    let short = name.strip_prefix("go_sched ").unwrap_or(&name);
    Some([
        format!("server, {scenario}{machine}: {quantile}"),
        format::microseconds(before.median),
        other.unwrap_or_default(),
        format!("{} ({short})", format::microseconds(after.median)),
        format!(
            "{}, throughput {:.0}%",
            format::compared(after, before, format::LATENCY),
            service.throughput(cell)?
        ),
        service.method.short().to_owned(),
    ])
}

fn amount(figure: &Measured) -> String {
    format::number(figure.summary.median)
}

/// Draws the table, in one of comfy-table's styles.
pub(crate) fn table(headlines: &[Headline], preset: &str) -> String {
    let mut table = Table::new();
    table.load_preset(preset);
    table.set_header(COLUMNS);
    table.add_rows(headlines);
    for index in 1..4 {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Returns the text for the end of a run.
pub(crate) fn text(report: &Report, results: &Results) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "\ngo_sched {}, {}{}, {}\n{}\n",
        report.trees(),
        if report.quick { "quick, " } else { "" },
        report.started,
        format::seconds(report.seconds),
        report.conditions()
    );
    let headlines = all(results);
    if !headlines.is_empty() {
        let _ = writeln!(text, "{}\n", table(&headlines, presets::NOTHING));
    }
    let _ = writeln!(text, "goals: {}", tally(&results.goals));
    for goal in &results.goals {
        if goal.verdict == Verdict::Missed {
            let (what, measured, limit) = (&goal.what, &goal.measured, &goal.limit);
            let _ = writeln!(text, "  missed: {what}: {measured} ({limit})");
        }
    }
    text + &not_measured(report)
}

/// Returns a line for each part that was not measured.
pub(crate) fn not_measured(report: &Report) -> String {
    let line = |missing: &Missing| {
        let (part, why, command) = (missing.part.title(), &missing.why, &missing.command);
        format!("not measured: {part}: {why}; {command}\n")
    };
    report.missing.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::all;
    use super::text;
    use crate::fixture;
    use crate::results::Results;

    #[test]
    fn each_part_has_its_headline() {
        let results = Results::of(&fixture::report()).expect("the report is whole");
        let headlines = all(&results);
        let find = |what: &str| {
            let found = headlines.iter().find(|line| line[0].contains(what));
            found.unwrap_or_else(|| panic!("no headline {what:?}"))
        };
        assert_eq!(find("not loaded")[4], "+0.03%");
        assert_eq!(find("hint store")[4], "393x cheaper");
        assert!(find("memory")[3].starts_with("160"));
        let server = find("hogs in another process");
        assert!(server[3].ends_with("(ioctl)"), "{server:?}");
        assert!(server[2].ends_with("(chrt -r)"), "{server:?}");
    }

    #[test]
    fn what_is_missed_or_missing_is_said() {
        let report = fixture::report();
        let results = Results::of(&report).expect("the report is whole");
        let text = text(&report, &results);
        assert!(text.contains("pipe round trip, patched"), "{text}");
        let missed = "missed: pipe round trip: managed, unchanged hint";
        assert!(text.contains(missed), "{text}");
        assert!(text.contains("not measured: hot path, hints"), "{text}");
    }
}
