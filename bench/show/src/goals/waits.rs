// SPDX-License-Identifier: GPL-2.0

//! The goals for those that wait: for lowered threads, and for goroutines of their program.

use go_sched_bench_data::GoOperation;
use go_sched_bench_data::Outcome;
use go_sched_bench_data::Recorded;
use go_sched_bench_data::Remedy;
use go_sched_bench_data::Runtime;
use go_sched_bench_data::Statistic;
use go_sched_bench_data::Subject;
use go_sched_bench_data::Wait;
use go_sched_bench_data::Waiter;
use go_sched_bench_data::LOWERED;
use gosched::policy::Band;
use gosched::policy::GoPrio;

use super::Goal;
use super::Unjudged;
use super::Verdict;
use crate::figures::Figures;
use crate::figures::Measured;
use crate::format;
use crate::statistics::compare;

/// Returns the goals for those that wait for lowered threads.
pub(super) fn for_threads(figures: &Figures) -> Vec<Goal> {
    let mut goals = Vec::new();
    for level in LOWERED.into_iter().flatten() {
        // Others have a share, and their siblings wait for that.
        if GoPrio::new(level).map(GoPrio::band) == Some(Band::Idle) {
            for statistic in [Statistic::Mean, Statistic::P999] {
                goals.push(lowered(figures, Waiter::Sibling, level, statistic));
            }
        }
        goals.push(lowered(figures, Waiter::Neighbour, level, Statistic::P99));
    }
    goals
}

fn lowered(figures: &Figures, waiter: Waiter, level: u32, statistic: Statistic) -> Goal {
    let pair = figures
        .lowered(waiter, Some(level), statistic)
        .zip(figures.lowered(waiter, None, statistic));
    let outcome = match pair {
        None => Err(Unjudged::without_figure(
            figures,
            Subject::Lowered {
                waiter,
                level: Some(level),
                statistic,
            },
        )),
        Some((figure, baseline)) => {
            let difference = compare(&figure.summary, &baseline.summary);
            let words = format!(
                "{}: {} against {}",
                format::compared(&figure.summary, &baseline.summary, format::LATENCY),
                format::nanoseconds(figure.summary.median),
                format::nanoseconds(baseline.summary.median),
            );
            Ok((words, Verdict::at_most(0.0, &difference)))
        }
    };
    Goal::new(
        format!("{waiter}, background at {level}: {statistic}"),
        "no longer than with nobody lowered".to_owned(),
        outcome,
    )
}

/// The goals for those that wait for goroutines: the part of the time with nothing done that
/// the time is to be at most, as a numerator and a denominator.
const TIMES: [(Wait, Remedy, Outcome, [f64; 2]); 13] = {
    use Outcome::Max;
    use Outcome::P99;
    use Remedy::GoSched;
    use Remedy::Overlay;
    [
        (Wait::Computing4, GoSched, P99, [1.0, 10.0]),
        (Wait::Computing4, Overlay, P99, [1.0, 8.0]),
        (Wait::Computing16, GoSched, P99, [1.0, 10.0]),
        (Wait::Computing16, Overlay, P99, [1.0, 8.0]),
        (Wait::Allocating4, GoSched, P99, [1.0, 5.0]),
        (Wait::Allocating4, Overlay, P99, [0.7, 1.0]),
        (Wait::Allocating16, GoSched, P99, [1.0, 5.0]),
        (Wait::Allocating16, Overlay, P99, [0.7, 1.0]),
        (Wait::Http, GoSched, P99, [1.0, 10.0]),
        (Wait::Stop, GoSched, P99, [1.5, 1.0]),
        (Wait::Stop, GoSched, Max, [3.0, 1.0]),
        (Wait::StopBesideProcess, GoSched, P99, [1.5, 1.0]),
        (Wait::StopBesideProcess, GoSched, Max, [3.0, 1.0]),
    ]
};

/// The work that is to stay of the background, in per cent of that with nothing done.
const WORK: [(Wait, Remedy, f64); 8] = [
    (Wait::Computing4, Remedy::GoSched, 97.0),
    (Wait::Computing4, Remedy::Overlay, 97.0),
    (Wait::Computing16, Remedy::GoSched, 97.0),
    (Wait::Computing16, Remedy::Overlay, 97.0),
    (Wait::Allocating4, Remedy::GoSched, 80.0),
    (Wait::Allocating4, Remedy::Overlay, 85.0),
    (Wait::Allocating16, Remedy::GoSched, 80.0),
    (Wait::Allocating16, Remedy::Overlay, 85.0),
];

/// Per cent by which an operation of Go's scheduler may be dearer than in the plain runtime.
const COSTS: [(GoOperation, Runtime, f64); 6] = [
    (GoOperation::Switch, Runtime::Overlay, 3.0),
    (GoOperation::Switch, Runtime::GoSched, 5.0),
    (GoOperation::Gosched, Runtime::Overlay, 4.5),
    (GoOperation::Gosched, Runtime::GoSched, 8.0),
    (GoOperation::Program, Runtime::OverlayLowered, 3.0),
    (GoOperation::Program, Runtime::GoSchedLowered, 3.0),
];

/// Per cent by which a pipe round trip may be dearer beside `gosched record`.
const RECORDER: [(Recorded, f64); 2] = [(Recorded::Sleeper, 4.2), (Recorded::Threads, 19.0)];
/// The same for a switch between goroutines whose threads are recorded.
const RECORDED_SWITCH: f64 = 2.0;

/// Returns the goals for those that wait for goroutines.
pub(super) fn for_goroutines(figures: &Figures) -> Vec<Goal> {
    let mut goals = Vec::new();
    for (wait, remedy, outcome, [part, of]) in TIMES {
        let subject = Subject::Goroutines {
            wait,
            remedy,
            outcome,
        };
        let time = figures.goroutines(wait, remedy, outcome);
        let before = figures.goroutines(wait, Remedy::Nothing, outcome);
        let outcome = match time.zip(before) {
            None => Err(Unjudged::without_figure(figures, subject)),
            Some((time, before)) => {
                let (time, before) = (&time.summary, &before.summary);
                let words = format!(
                    "{}: {} against {}",
                    format::compared(time, before, format::LATENCY),
                    format::nanoseconds(time.median),
                    format::nanoseconds(before.median),
                );
                let met = time.median <= before.median * part / of;
                Ok((words, Verdict::of(met)))
            }
        };
        let limit = if of > 1.0 {
            format!("at least {of}x lower than with nothing done")
        } else {
            format!("at most {part} times that with nothing done")
        };
        goals.push(Goal::new(subject.to_string(), limit, outcome));
    }
    for (wait, remedy, least) in WORK {
        let subject = Subject::Goroutines {
            wait,
            remedy,
            outcome: Outcome::Background,
        };
        let outcome = match figures.background(wait, remedy) {
            None => Err(Unjudged::without_figure(figures, subject)),
            Some(work) => Ok((format!("{work:.1}%"), Verdict::of(work >= least))),
        };
        let limit = format!("at least {least}% of the work with nothing done");
        goals.push(Goal::new(subject.to_string(), limit, outcome));
    }
    goals
}

/// Returns the goals for what Go's scheduler costs.
pub(super) fn costs(figures: &Figures) -> Vec<Goal> {
    let goal = |(operation, runtime, limit)| {
        let cost = figures.go_cost(operation, runtime);
        dearer(
            figures,
            Subject::GoCost { operation, runtime },
            cost.zip(figures.go_cost(operation, Runtime::Plain)),
            limit,
            "in the plain runtime",
        )
    };
    COSTS.map(goal).into()
}

/// Returns the goals for what the recorder costs.
pub(super) fn of_the_recorder(figures: &Figures) -> Vec<Goal> {
    let goal = |(recorded, limit)| {
        let cost = figures.recorder(recorded);
        dearer(
            figures,
            Subject::Recorder { recorded },
            cost.zip(figures.recorder(Recorded::Nothing)),
            limit,
            "without a recorder",
        )
    };
    let mut goals: Vec<_> = RECORDER.map(goal).into();
    let recorded = Recorded::Threads;
    let cost = figures.recorded_switch(recorded);
    goals.push(dearer(
        figures,
        Subject::RecordedSwitch { recorded },
        cost.zip(figures.recorded_switch(Recorded::Nothing)),
        RECORDED_SWITCH,
        "without a recorder",
    ));
    goals
}

/// Returns the goal for a cost and what it is compared with.
fn dearer(
    figures: &Figures,
    subject: Subject,
    measured: Option<(&Measured, &Measured)>,
    limit: f64,
    than: &str,
) -> Goal {
    let outcome = match measured {
        None => Err(Unjudged::without_figure(figures, subject)),
        Some((cost, baseline)) => {
            let difference = compare(&cost.summary, &baseline.summary);
            let words = format!(
                "{}: {} against {} {}",
                format::difference(&difference),
                format::number(cost.summary.median),
                format::number(baseline.summary.median),
                cost.unit(),
            );
            Ok((words, Verdict::at_most(limit, &difference)))
        }
    };
    let limit = format!("at most {limit}% dearer than {than}");
    Goal::new(subject.to_string(), limit, outcome)
}

#[cfg(test)]
mod tests {
    use super::costs;
    use super::for_goroutines;
    use super::of_the_recorder;
    use crate::figures::Figures;
    use crate::fixture;
    use crate::goals::Goal;
    use crate::goals::Verdict;

    fn verdict(goals: &[Goal], what: &str) -> Verdict {
        let goal = goals.iter().find(|goal| goal.what == what);
        goal.unwrap_or_else(|| panic!("no goal {what:?}")).verdict
    }

    #[test]
    fn a_wait_and_the_work_meanwhile_are_held_to_that_with_nothing_done() {
        let goals = for_goroutines(&Figures::of(&fixture::report()));
        let of = |what: &str| {
            let what = format!("request beside 4 computing goroutines, goroutines, {what}");
            verdict(&goals, &what)
        };
        assert_eq!(of("go_sched: p99"), Verdict::Met);
        assert_eq!(of("no device: p99"), Verdict::Missed);
        assert_eq!(of("go_sched: background"), Verdict::Met);
        assert_eq!(of("no device: background"), Verdict::Missed);
    }

    #[test]
    fn a_cost_is_held_to_that_of_the_plain_runtime() {
        let goals = costs(&Figures::of(&fixture::report()));
        let of = |what| verdict(&goals, what);
        assert_eq!(of("channel switch, overlay, no device"), Verdict::Met);
        assert_eq!(of("channel switch, overlay, go_sched"), Verdict::Missed);
    }

    #[test]
    fn what_the_recorder_costs_is_held_to_what_it_costs_without() {
        let goals = of_the_recorder(&Figures::of(&fixture::report()));
        let of = |what| verdict(&goals, what);
        assert_eq!(of("pipe round trip, recorded: a sleeper"), Verdict::Met);
        assert_eq!(
            of("pipe round trip, recorded: the threads"),
            Verdict::Missed
        );
        assert_eq!(of("channel switch, recorded: the threads"), Verdict::Met);
    }
}
