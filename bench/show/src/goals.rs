// SPDX-License-Identifier: GPL-2.0

//! What go_sched promises of itself, and whether it keeps it.

use go_sched_bench_data::Chapter;
use serde::Serialize;

use crate::figures::state_title;
use crate::figures::Figures;
use crate::figures::Measured;
use crate::format;
use crate::service;
use crate::service::Cell;
use crate::service::Quantile;
use crate::service::NOTHING;
use crate::service::OURS;
use crate::statistics::compare;

/// By how many per cent an operation may be dearer than on the unpatched kernel.
pub(crate) const PATH_LIMITS: &[(&str, f64)] = &[
    ("patched", 0.05),
    ("unmanaged", 0.1),
    ("beside", 0.1),
    ("hint", 0.5),
];
/// The operations that they are for.
const PATHS: &[&str] = &[
    "pipe round trip",
    "futex round trip",
    "sched_yield",
    "fork+exit",
    "vfork+exit",
    "hackbench",
];
/// How many times cheaper than `sched_setattr` a store to the hint page is.
const STORE_TIMES: f64 = 300.0;
/// How many times p99.9 falls below that of doing nothing.
const TAIL_TIMES: f64 = 5.0;
/// How much of the default's throughput stays, in per cent.
const THROUGHPUT: f64 = 95.0;
/// Bytes of kernel memory that a managed thread takes.
const BYTES_PER_THREAD: f64 = 192.0;
/// By how many per cent a context switch may differ between the fewest and the most
/// managed threads, and still be called flat.
const FLAT: f64 = 1.0;

/// Whether a goal is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// The spread is larger than what is to be decided.
    Undecided,
    NotMeasured,
}

impl Verdict {
    /// One or two words.
    pub(crate) fn words(&self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Undecided => "undecided",
            Self::NotMeasured => "not measured",
        }
    }

    fn of(met: bool) -> Self {
        if met {
            Self::Met
        } else {
            Self::Missed
        }
    }
}

/// A goal, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) limit: String,
    /// What was measured, or why nothing was.
    pub(crate) measured: String,
    pub(crate) verdict: Verdict,
}

impl Goal {
    fn not_measured(what: String, limit: String, why: &str) -> Self {
        Self {
            what,
            limit,
            measured: why.to_owned(),
            verdict: Verdict::NotMeasured,
        }
    }
}

/// All goals.
pub(crate) fn all(figures: &Figures, service: Option<&service::Chapter>) -> Vec<Goal> {
    let mut goals = paths(figures);
    goals.extend(changes(figures));
    goals.extend(scale(figures));
    goals.extend(tails(service));
    goals
}

fn paths(figures: &Figures) -> Vec<Goal> {
    let goal = |(state, limit): (&str, f64), operation: &str| {
        let what = format!("{operation}: {}", state_title(state));
        let at_most = format!("at most +{limit}%");
        let pair = figures
            .find(Chapter::Path, operation, state)
            .zip(figures.find(Chapter::Path, operation, STATES_BASELINE));
        let Some((subject, baseline)) = pair else {
            return Goal::not_measured(
                what,
                at_most,
                "it or its baseline was not measured, see the notes",
            );
        };
        let difference = compare(&subject.summary, &baseline.summary);
        // Of a short operation, the limit may be less than one instruction.
        let units = |count: f64| format!("{} {}", format::number(count), subject.unit_name());
        Goal {
            what,
            limit: format!(
                "{at_most}, {}",
                units(baseline.summary.median * limit / 100.0)
            ),
            measured: match difference.seen {
                true => format!(
                    "{}, {}",
                    format::percent(difference.percent),
                    units(difference.absolute)
                ),
                false => format!(
                    "{} ({}, spread {} {})",
                    format::NOT_SEEN,
                    format::percent(difference.percent),
                    format::number(difference.spread),
                    subject.unit_name()
                ),
            },
            verdict: if difference.percent <= limit {
                Verdict::Met
            } else if difference.seen {
                Verdict::Missed
            } else {
                Verdict::Undecided
            },
        }
    };
    PATH_LIMITS
        .iter()
        .flat_map(|limit| PATHS.iter().map(|operation| goal(*limit, operation)))
        .collect()
}

/// What paths are compared with.
pub(crate) const STATES_BASELINE: &str = "unpatched";
/// What changes are compared with.
pub(crate) const CHANGE_BASELINE: &str = "sched_setattr";

/// How many times dearer `baseline` is.
pub(crate) fn times_cheaper(subject: &Measured, baseline: &Measured) -> f64 {
    baseline.summary.median / subject.summary.median
}

fn changes(figures: &Figures) -> Vec<Goal> {
    let mut operations = figures.operations(Chapter::Change);
    if operations.is_empty() {
        operations.push("a change");
    }
    let mut goals = Vec::new();
    for (subject, limit) in [
        ("hint store", STORE_TIMES),
        ("ioctl SET", 1.0),
        ("go_set_schedprio", 1.0),
    ] {
        for operation in &operations {
            let what = format!("{operation}: {subject}");
            let at_least = if limit == 1.0 {
                format!("cheaper than {CHANGE_BASELINE}")
            } else {
                format!("{limit} times cheaper than {CHANGE_BASELINE}")
            };
            let pair = figures
                .find(Chapter::Change, operation, subject)
                .zip(figures.find(Chapter::Change, operation, CHANGE_BASELINE));
            let Some((ours, baseline)) = pair else {
                let why = "it or its baseline was not measured, see the notes";
                goals.push(Goal::not_measured(what, at_least, why));
                continue;
            };
            let times = times_cheaper(ours, baseline);
            let difference = compare(&ours.summary, &baseline.summary);
            goals.push(Goal {
                what,
                limit: at_least,
                measured: format!(
                    "{} against {} {}: {}",
                    format::number(ours.summary.median),
                    format::number(baseline.summary.median),
                    ours.unit_name(),
                    if difference.seen {
                        format::times(times)
                    } else {
                        format::NOT_SEEN.to_owned()
                    },
                ),
                verdict: if !difference.seen {
                    Verdict::Undecided
                } else if limit == 1.0 {
                    Verdict::of(times > 1.0)
                } else {
                    Verdict::of(times >= limit)
                },
            });
        }
    }
    goals
}

fn scale(figures: &Figures) -> Vec<Goal> {
    vec![memory(figures), flat(figures)]
}

fn memory(figures: &Figures) -> Goal {
    let what = "kernel memory per managed thread, the slot not counted".to_owned();
    let limit = format!("at most {BYTES_PER_THREAD} bytes");
    // Of many threads, as the last page of a cache is never full.
    let series = figures.series("memory", "go_sched");
    let Some((threads, figure)) = series.last() else {
        return Goal::not_measured(what, limit, "the figure is missing");
    };
    let bytes = figure.summary.median;
    Goal {
        what,
        limit,
        measured: format!("{} bytes, of {threads} threads", format::number(bytes)),
        verdict: Verdict::of(bytes <= BYTES_PER_THREAD),
    }
}

fn flat(figures: &Figures) -> Goal {
    let what = "context switch beside managed threads that sleep".to_owned();
    let limit = format!("flat: at most {FLAT}% from the fewest to the most threads");
    let series = figures.series("context switch", "go_sched");
    let [(few, first), .., (many, last)] = series.as_slice() else {
        return Goal::not_measured(what, limit, "it takes figures for two numbers of threads");
    };
    let difference = compare(&last.summary, &first.summary);
    Goal {
        what,
        limit,
        measured: format!(
            "{}, from {few} to {many} threads",
            format::difference(&difference)
        ),
        verdict: if difference.percent <= FLAT {
            Verdict::Met
        } else if difference.seen {
            Verdict::Missed
        } else {
            Verdict::Undecided
        },
    }
}

/// The alternative with the lowest latency that is neither ours nor nothing.
pub(crate) fn best_peer<'a>(
    chapter: &'a service::Chapter,
    scenario: &'a str,
    quantile: &str,
) -> Option<(&'a Cell, &'a Quantile)> {
    chapter
        .scenario(scenario)
        .filter(|cell| cell.alternative != NOTHING && !OURS.contains(&cell.alternative.as_str()))
        .filter_map(|cell| Some((cell, cell.quantile(quantile)?)))
        .min_by(|(_, a), (_, b)| a.value.total_cmp(&b.value))
}

fn tails(service: Option<&service::Chapter>) -> Vec<Goal> {
    let limit = format!(
        "p99.9 at least {TAIL_TIMES}x lower, not above the best other's; throughput {THROUGHPUT}%"
    );
    let Some(chapter) = service else {
        let what = "server under load".to_owned();
        return vec![Goal::not_measured(what, limit, "there was no such run")];
    };
    let mut goals = Vec::new();
    for scenario in chapter.scenarios() {
        for ours in OURS {
            let what = format!("{scenario}: {ours}");
            goals.push(match tail(chapter, scenario, ours) {
                Ok((measured, verdict)) => Goal {
                    what,
                    limit: limit.clone(),
                    measured,
                    verdict,
                },
                Err(why) => Goal::not_measured(what, limit.clone(), why),
            });
        }
    }
    goals
}

fn tail(
    chapter: &service::Chapter,
    scenario: &str,
    ours: &str,
) -> Result<(String, Verdict), &'static str> {
    let nothing = chapter
        .find(scenario, NOTHING)
        .ok_or("the default was not measured")?;
    let cell = chapter
        .find(scenario, ours)
        .ok_or("it was not measured, see the notes")?;
    let too_few = "too few requests for p99.9, or too many not answered";
    let before = nothing.quantile("p99.9").ok_or(too_few)?;
    let after = cell.quantile("p99.9").ok_or(too_few)?;
    let fell = compare(&after.summary(), &before.summary());
    let times = before.value / after.value;
    let throughput = cell.total_rate.median / nothing.total_rate.median * 100.0;

    let mut words = if fell.seen {
        format!("p99.9 {} lower", format::times(times))
    } else {
        format!("p99.9: {}", format::NOT_SEEN)
    };
    let mut verdicts = vec![
        if times >= TAIL_TIMES && (!fell.seen || fell.single) {
            Verdict::Undecided
        } else {
            Verdict::of(times >= TAIL_TIMES)
        },
        Verdict::of(throughput >= THROUGHPUT),
    ];
    if let Some((peer, value)) = best_peer(chapter, scenario, "p99.9") {
        let against = compare(&after.summary(), &value.summary());
        words += &format!(
            ", {}: {}",
            peer.alternative,
            format::times(before.value / value.value)
        );
        if !against.seen {
            words += &format!(" ({})", format::NOT_SEEN);
        }
        words += format::single(&against);
        verdicts.push(Verdict::of(!against.seen || against.absolute < 0.0));
    }
    words += &format!(", throughput {throughput:.0}%");
    let verdict = if verdicts.contains(&Verdict::Missed) {
        Verdict::Missed
    } else if verdicts.contains(&Verdict::Undecided) {
        Verdict::Undecided
    } else {
        Verdict::Met
    };
    Ok((words, verdict))
}

#[cfg(test)]
mod tests {
    use super::all;
    use super::Goal;
    use super::Verdict;
    use crate::figures::Figures;
    use crate::made_up;
    use crate::report::Report;
    use crate::service::Chapter;

    fn goals(report: &Report) -> Vec<Goal> {
        let service = Chapter::of(report).expect("the histograms are whole");
        all(&Figures::of(report), service.as_ref())
    }

    fn verdict(goals: &[Goal], what: &str) -> Verdict {
        let goal = goals.iter().find(|goal| goal.what == what);
        goal.unwrap_or_else(|| panic!("no goal {what:?}"))
            .verdict
            .clone()
    }

    #[test]
    fn without_measurements_no_goal_is_met() {
        let goals = goals(&made_up::empty());
        assert!(goals.len() > 15);
        assert!(goals
            .iter()
            .all(|goal| goal.verdict == Verdict::NotMeasured));
    }

    #[test]
    fn a_path_is_held_to_the_limit_of_its_state() {
        let goals = goals(&made_up::report());
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
        let goals = goals(&made_up::report());
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
        let goals = goals(&made_up::report());
        let what = "kernel memory per managed thread, the slot not counted";
        assert_eq!(verdict(&goals, what), Verdict::Met);
    }

    #[test]
    fn a_tail_must_fall_without_the_throughput() {
        let goals = goals(&made_up::report());
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
    fn of_few_requests_no_tail_is_judged() {
        let goals = goals(&made_up::report_with_requests(700));
        assert_eq!(
            verdict(&goals, "hogs in another process: go_sched ioctl"),
            Verdict::NotMeasured
        );
    }
}
