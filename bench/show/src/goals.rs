// SPDX-License-Identifier: GPL-2.0

//! Judges whether the measurements reach the goals of go_sched.

mod waits;

use std::fmt;

use go_sched_bench_data::Alternative;
use go_sched_bench_data::Change;
use go_sched_bench_data::Growth;
use go_sched_bench_data::Interface;
use go_sched_bench_data::Path;
use go_sched_bench_data::Scenario;
use go_sched_bench_data::Setup;
use go_sched_bench_data::Subject;
use strum::VariantArray;

use crate::figures::setup_title;
use crate::figures::Figures;
use crate::figures::CHANGE_BASELINE;
use crate::figures::PATH_BASELINE;
use crate::format;
use crate::service::Quantile;
use crate::service::ServiceResults;
use crate::service::OURS;
use crate::statistics::compare;
use crate::statistics::percent;
use crate::statistics::Difference;

/// Factor by which a store to the hint page is to be cheaper than `sched_setattr`.
const STORE_TIMES: f64 = 300.0;
/// Factor by which p99.9 is to be lower than with nothing done.
const TAIL_TIMES: f64 = 5.0;
/// Factor by which p99.9 may be above that of `chrt -r`, on one CPU.
const ABOVE_REAL_TIME: f64 = 1.3;
/// Throughput that is to stay, in per cent of that with nothing done.
const THROUGHPUT: f64 = 95.0;
/// Bytes of kernel memory for each managed thread.
const BYTES_PER_THREAD: f64 = 192.0;
/// Per cent by which a context switch may differ between the fewest and the most managed
/// threads, and still be called flat.
const FLAT: f64 = 1.0;

/// Returns by how many per cent an operation may be dearer in a setup than on the
/// unpatched kernel, if there is a goal.
pub(crate) fn path_limit(setup: Setup) -> Option<f64> {
    match setup {
        Setup::Unpatched | Setup::Managed => None,
        Setup::Patched => Some(0.05),
        Setup::Unmanaged | Setup::Beside => Some(0.1),
        Setup::Hint => Some(0.5),
    }
}

/// The verdict on a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// The spread is larger than what is to be decided.
    Undecided,
    NotMeasured,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Undecided => "undecided",
            Self::NotMeasured => "not measured",
        })
    }
}

impl Verdict {
    fn of(met: bool) -> Self {
        if met {
            Self::Met
        } else {
            Self::Missed
        }
    }

    /// Judges a difference that is to be at most `limit` per cent.
    fn at_most(limit: f64, difference: &Difference) -> Self {
        if difference.percent <= limit {
            Self::Met
        } else if difference.distinct {
            Self::Missed
        } else {
            Self::Undecided
        }
    }
}

/// A reason why a goal cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Unjudged {
    PartNotMeasured,
    /// The figure was omitted, for a reason of its own.
    FigureOmitted(String),
    FigureMissing,
    TooFewNumbersOfThreads,
    AlternativeNotMeasured,
    BaselineNotMeasured,
    TooFewRequests,
}

impl Unjudged {
    /// Returns the reason why there is no figure about `subject`.
    fn without_figure(figures: &Figures, subject: Subject) -> Self {
        let omitted = figures.omitted(subject);
        omitted.map_or(Self::PartNotMeasured, |figure| {
            Self::FigureOmitted(figure.why.clone())
        })
    }
}

impl fmt::Display for Unjudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PartNotMeasured => "its part was not measured",
            Self::FigureOmitted(why) => why,
            Self::FigureMissing => "the figure is missing",
            Self::TooFewNumbersOfThreads => "it takes figures for two numbers of threads",
            Self::AlternativeNotMeasured => "it was not measured, see the notes",
            Self::BaselineNotMeasured => "nothing done was not measured",
            Self::TooFewRequests => "too few requests for p99.9, or too many not answered",
        })
    }
}

/// A goal and its verdict.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) limit: String,
    /// The measurement, or the reason why there is none.
    pub(crate) measured: String,
    pub(crate) verdict: Verdict,
}

impl Goal {
    fn new(what: String, limit: String, outcome: Result<(String, Verdict), Unjudged>) -> Self {
        let (measured, verdict) =
            outcome.unwrap_or_else(|why| (why.to_string(), Verdict::NotMeasured));
        Self {
            what,
            limit,
            measured,
            verdict,
        }
    }
}

/// Returns the number of goals with each verdict, in words.
pub(crate) fn tally(goals: &[Goal]) -> String {
    let counts = Verdict::VARIANTS.iter().filter_map(|verdict| {
        let of = |goal: &&Goal| goal.verdict == *verdict;
        let count = goals.iter().filter(of).count();
        (count > 0).then(|| format!("{count} {verdict}"))
    });
    counts.collect::<Vec<_>>().join(", ")
}

/// Judges all goals.
pub(crate) fn all(
    figures: &Figures,
    service: Option<&ServiceResults>,
    one_cpu: Option<&ServiceResults>,
) -> Vec<Goal> {
    let mut goals = Vec::new();
    for &setup in Setup::VARIANTS {
        let Some(limit) = path_limit(setup) else {
            continue;
        };
        // What a tick takes away has no goal.
        for &operation in Path::VARIANTS.iter().filter(|path| **path != Path::Tick) {
            goals.push(path(figures, operation, setup, limit));
        }
    }
    for (interface, times) in [
        (Interface::HintStore, STORE_TIMES),
        (Interface::IoctlSet, 1.0),
        (Interface::GoSetSchedprio, 1.0),
    ] {
        for &of in Change::VARIANTS {
            goals.push(change(figures, of, interface, times));
        }
    }
    goals.push(memory(figures));
    goals.push(flat(figures));
    goals.extend(waits::for_threads(figures));
    goals.extend(waits::for_goroutines(figures));
    goals.extend(waits::costs(figures));
    goals.extend(waits::of_the_recorder(figures));
    for &scenario in Scenario::VARIANTS {
        for ours in OURS {
            goals.push(Goal::new(
                format!("{scenario}: {ours}"),
                format!(
                    "p99.9 at least {TAIL_TIMES}x lower, not above the best other's; throughput \
                     {THROUGHPUT}%"
                ),
                tail(service, scenario, ours),
            ));
        }
    }
    goals.push(Goal::new(
        format!("{}, one CPU: {}", Scenario::OtherProcess, Alternative::GoSchedHint),
        format!(
            "p99.9 at most {ABOVE_REAL_TIME} times that of {}; throughput of both sides {THROUGHPUT}%",
            Alternative::RoundRobin
        ),
        beside_real_time(one_cpu),
    ));
    goals
}

fn path(figures: &Figures, operation: Path, setup: Setup, limit: f64) -> Goal {
    let what = format!("{operation}: {}", setup_title(setup));
    let at_most = format!("at most +{limit}%");
    let pair = figures
        .path(operation, setup)
        .zip(figures.path(operation, PATH_BASELINE));
    let Some((figure, baseline)) = pair else {
        let why = Unjudged::without_figure(figures, Subject::Path { operation, setup });
        return Goal::new(what, at_most, Err(why));
    };
    let difference = compare(&figure.summary, &baseline.summary);
    let units = |count: f64| format!("{} {}", format::number(count), figure.unit());
    let percent = format::percent(difference.percent);
    let measured = if difference.distinct {
        format!("{percent}, {}", units(difference.absolute))
    } else {
        format!(
            "{} ({percent}, spread {})",
            format::NO_DIFFERENCE,
            units(difference.spread)
        )
    };
    // Of a short operation, the limit may be less than one instruction.
    let limit_in_units = units(baseline.summary.median * limit / 100.0);
    Goal::new(
        what,
        format!("{at_most}, {limit_in_units}"),
        Ok((measured, Verdict::at_most(limit, &difference))),
    )
}

fn change(figures: &Figures, change: Change, interface: Interface, least: f64) -> Goal {
    let what = format!("{change}: {interface}");
    let limit = if least > 1.0 {
        format!("{least} times cheaper than {CHANGE_BASELINE}")
    } else {
        format!("cheaper than {CHANGE_BASELINE}")
    };
    let pair = figures
        .change(change, interface)
        .zip(figures.change(change, CHANGE_BASELINE));
    let Some((ours, baseline)) = pair else {
        let why = Unjudged::without_figure(figures, Subject::Change { change, interface });
        return Goal::new(what, limit, Err(why));
    };
    let difference = compare(&ours.summary, &baseline.summary);
    let times = baseline.summary.median / ours.summary.median;
    let verdict = if difference.distinct {
        Verdict::of(times >= least && times > 1.0)
    } else {
        Verdict::Undecided
    };
    let measured = format!(
        "{}: {} against {} {}",
        format::compared(&ours.summary, &baseline.summary, format::COST),
        format::number(ours.summary.median),
        format::number(baseline.summary.median),
        ours.unit(),
    );
    Goal::new(what, limit, Ok((measured, verdict)))
}

fn memory(figures: &Figures) -> Goal {
    // Of many threads, as the last page of a cache is never full.
    let series = figures.growth(Growth::Memory, true);
    let outcome = match series.last() {
        None => Err(Unjudged::FigureMissing),
        Some((threads, figure)) => {
            let bytes = figure.summary.median;
            Ok((
                format!("{} bytes, of {threads} threads", format::number(bytes)),
                Verdict::of(bytes <= BYTES_PER_THREAD),
            ))
        }
    };
    Goal::new(
        "kernel memory per managed thread, the slot not counted".to_owned(),
        format!("at most {BYTES_PER_THREAD} bytes"),
        outcome,
    )
}

fn flat(figures: &Figures) -> Goal {
    let outcome = match figures.growth(Growth::ContextSwitch, true).as_slice() {
        [(few, first), .., (many, last)] => {
            let difference = compare(&last.summary, &first.summary);
            let words = format::difference(&difference);
            Ok((
                format!("{words}, from {few} to {many} threads"),
                Verdict::at_most(FLAT, &difference),
            ))
        }
        _ => Err(Unjudged::TooFewNumbersOfThreads),
    };
    Goal::new(
        "context switch beside managed threads that sleep".to_owned(),
        format!("flat: at most {FLAT}% from the fewest to the most threads"),
        outcome,
    )
}

fn tail(
    service: Option<&ServiceResults>,
    scenario: Scenario,
    ours: Alternative,
) -> Result<(String, Verdict), Unjudged> {
    let service = service.ok_or(Unjudged::PartNotMeasured)?;
    let cell = service
        .find(scenario, ours)
        .ok_or(Unjudged::AlternativeNotMeasured)?;
    let throughput = service
        .throughput(cell)
        .ok_or(Unjudged::BaselineNotMeasured)?;
    let before = service
        .baseline(scenario, Quantile::P999)
        .ok_or(Unjudged::TooFewRequests)?;
    let after = cell
        .quantile(Quantile::P999)
        .ok_or(Unjudged::TooFewRequests)?;
    let fell = compare(after, before);
    let enough = before.median / after.median >= TAIL_TIMES;

    let mut words = format!("p99.9 {}", format::compared(after, before, format::LATENCY));
    let mut verdicts = vec![
        if enough && (!fell.distinct || fell.single) {
            Verdict::Undecided
        } else {
            Verdict::of(enough)
        },
        Verdict::of(throughput >= THROUGHPUT),
    ];
    if let Some((other, value)) = service.best_other(scenario, Quantile::P999) {
        let against = compare(after, value);
        words += &format!(
            "; than with {}: {}",
            other.alternative,
            format::compared(after, value, format::LATENCY)
        );
        verdicts.push(Verdict::of(!against.distinct || against.absolute < 0.0));
    }
    words += &format!("; throughput {throughput:.0}%");
    let verdict = [Verdict::Missed, Verdict::Undecided]
        .into_iter()
        .find(|verdict| verdicts.contains(verdict));
    Ok((words, verdict.unwrap_or(Verdict::Met)))
}

/// Compares a hint with a real-time policy of the server, on one CPU.
fn beside_real_time(service: Option<&ServiceResults>) -> Result<(String, Verdict), Unjudged> {
    let service = service.ok_or(Unjudged::PartNotMeasured)?;
    let find = |alternative| service.find(Scenario::OtherProcess, alternative);
    let nothing = find(Alternative::Nothing).ok_or(Unjudged::BaselineNotMeasured)?;
    let pair = find(Alternative::GoSchedHint).zip(find(Alternative::RoundRobin));
    let (hint, real_time) = pair.ok_or(Unjudged::AlternativeNotMeasured)?;
    let tails = hint
        .quantile(Quantile::P999)
        .zip(real_time.quantile(Quantile::P999));
    let (tail, limit) = tails.ok_or(Unjudged::TooFewRequests)?;
    let requests = percent(hint.request_rate.median, nothing.request_rate.median);
    let background = percent(hint.background_rate.median, nothing.background_rate.median);
    let words = format!(
        "p99.9 {} ({} to {}) against {} ({} to {}); requests {requests:.0}%, background \
         {background:.0}%",
        format::microseconds(tail.median),
        format::microseconds(tail.min),
        format::microseconds(tail.max),
        format::microseconds(limit.median),
        format::microseconds(limit.min),
        format::microseconds(limit.max),
    );
    let verdict = if requests < THROUGHPUT || background < THROUGHPUT {
        Verdict::Missed
    } else if tail.median <= ABOVE_REAL_TIME * limit.median {
        Verdict::Met
    } else if tail.min > ABOVE_REAL_TIME * limit.max {
        Verdict::Missed
    } else {
        Verdict::Undecided
    };
    Ok((words, verdict))
}

#[cfg(test)]
mod tests {
    use go_sched_bench_data::Omitted;
    use go_sched_bench_data::Record;

    use super::all;
    use super::Goal;
    use super::Verdict;
    use crate::figures::Figures;
    use crate::fixture;
    use crate::report::Part;
    use crate::report::Report;
    use crate::service::ServiceResults;

    fn goals(report: &Report) -> Vec<Goal> {
        let of = |part| ServiceResults::of(report, part).expect("the histograms are whole");
        let (service, one_cpu) = (of(Part::Service), of(Part::ServiceOneCpu));
        all(&Figures::of(report), service.as_ref(), one_cpu.as_ref())
    }

    fn verdict(goals: &[Goal], what: &str) -> Verdict {
        let goal = goals.iter().find(|goal| goal.what == what);
        goal.unwrap_or_else(|| panic!("no goal {what:?}")).verdict
    }

    #[test]
    fn without_measurements_no_goal_is_met() {
        let goals = goals(&fixture::empty());
        assert!(goals.len() > 15);
        assert!(goals
            .iter()
            .all(|goal| goal.verdict == Verdict::NotMeasured));
    }

    #[test]
    fn what_was_omitted_says_why() {
        let mut report = fixture::report();
        for boot in &mut report.boots {
            for record in &mut boot.records {
                if let Record::Figure(figure) = record {
                    let subject = figure.subject;
                    let why = "a reason".to_owned();
                    *record = Record::Omitted(Omitted { subject, why });
                }
            }
        }
        let goals = goals(&report);
        let first = goals.first().expect("there are goals");
        assert_eq!(first.measured, "a reason");
    }

    #[test]
    fn a_path_is_held_to_the_limit_of_its_state() {
        let goals = goals(&fixture::report());
        let of = |what| verdict(&goals, what);
        assert_eq!(
            of("pipe round trip: patched, module not loaded"),
            Verdict::Met
        );
        assert_eq!(
            of("pipe round trip: managed, unchanged hint"),
            Verdict::Missed
        );
        // Above the limit, but by less than the repeats differ.
        assert_eq!(of("hackbench: managed, unchanged hint"), Verdict::Undecided);
    }

    #[test]
    fn a_store_must_be_far_cheaper_and_a_call_just_cheaper() {
        let goals = goals(&fixture::report());
        assert_eq!(
            verdict(&goals, "32 -> 8 and back: hint store"),
            Verdict::Met
        );
        assert_eq!(verdict(&goals, "32 -> 8 and back: ioctl SET"), Verdict::Met);
        assert_eq!(
            verdict(&goals, "32 -> 8 and back: go_set_schedprio"),
            Verdict::Missed
        );
    }

    #[test]
    fn memory_counts_where_there_are_most_threads() {
        let goals = goals(&fixture::report());
        let what = "kernel memory per managed thread, the slot not counted";
        assert_eq!(verdict(&goals, what), Verdict::Met);
    }

    #[test]
    fn a_tail_must_fall_without_the_throughput() {
        let goals = goals(&fixture::report());
        assert_eq!(
            verdict(&goals, "hogs in another process: go_sched ioctl"),
            Verdict::Met
        );
        assert_eq!(
            verdict(&goals, "GC pressure: go_sched ioctl"),
            Verdict::Missed
        );
    }

    #[test]
    fn on_one_cpu_a_hint_is_held_to_the_tail_of_a_real_time_policy() {
        let what = "hogs in another process, one CPU: go_sched hint";
        assert_eq!(verdict(&goals(&fixture::report()), what), Verdict::Missed);
        let few = goals(&fixture::report_with_requests(700));
        assert_eq!(verdict(&few, what), Verdict::NotMeasured);
    }

    #[test]
    fn of_few_requests_no_tail_is_judged() {
        let goals = goals(&fixture::report_with_requests(700));
        assert_eq!(
            verdict(&goals, "hogs in another process: go_sched ioctl"),
            Verdict::NotMeasured
        );
    }
}
