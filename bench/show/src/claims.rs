// SPDX-License-Identifier: GPL-2.0

//! What the article that go_sched comes from says it does, put to the test.
//!
//! It does not say how it measured, nor what a spike is. So each claim is read as a
//! ratio of doing nothing to go_sched, which can be had anywhere; its milliseconds are
//! those of a machine nobody knows.

use serde::Serialize;

use crate::format;
use crate::service::Cell;
use crate::service::Chapter;
use crate::service::NOTHING;
use crate::service::OURS;
use crate::statistics::compare;

/// "Tail latency spikes: 38%", taken as so many fewer.
const SPIKES_FEWER_PERCENT: f64 = 38.0;
/// "P99 from 4.2 ms to 187 us", in microseconds.
const P99_US: (f64, f64) = (4200.0, 187.0);
/// "jitter from 18.7% to 5.3%".
const JITTER_PERCENT: (f64, f64) = (18.7, 5.3);

/// Whether a claim holds here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Reproduced,
    NotReproduced,
    NotMeasured,
}

impl Outcome {
    /// In words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::NotReproduced => "not reproduced",
            Self::NotMeasured => "not measured",
        }
    }
}

/// A claim in one scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Claim {
    /// As the article has it.
    pub(crate) claim: String,
    /// As it is read here.
    pub(crate) reading: String,
    pub(crate) scenario: String,
    /// What was measured, for both of go_sched's ways.
    pub(crate) measured: String,
    /// That of the better way.
    pub(crate) outcome: Outcome,
}

/// Of one cell against nothing: the words, and whether the claim holds.
type Test = fn(&Cell, &Cell) -> Option<(String, bool)>;

/// All claims in all scenarios.
pub(crate) fn all(chapter: Option<&Chapter>) -> Vec<Claim> {
    let tests: [(String, String, Test); 3] = [
        (
            format!("tail latency spikes: {SPIKES_FEWER_PERCENT}%"),
            format!(
                "{SPIKES_FEWER_PERCENT}% fewer requests are slower than the p99 of doing nothing"
            ),
            spikes,
        ),
        (
            format!(
                "P99 from {} to {}",
                format::microseconds(P99_US.0),
                format::microseconds(P99_US.1)
            ),
            format!("p99 falls at least {}", format::times(P99_US.0 / P99_US.1)),
            p99,
        ),
        (
            format!("jitter from {}% to {}%", JITTER_PERCENT.0, JITTER_PERCENT.1),
            format!(
                "the standard deviation of a 10 ms timing loop falls at least {}",
                format::times(JITTER_PERCENT.0 / JITTER_PERCENT.1)
            ),
            jitter,
        ),
    ];
    let mut claims = Vec::new();
    for (claim, reading, test) in tests {
        let claim_in = |scenario: &str, measured: String, outcome| Claim {
            claim: claim.clone(),
            reading: reading.clone(),
            scenario: scenario.to_owned(),
            measured,
            outcome,
        };
        let Some(chapter) = chapter else {
            let why = "there was no such run".to_owned();
            claims.push(claim_in("all", why, Outcome::NotMeasured));
            continue;
        };
        for scenario in chapter.scenarios() {
            let (measured, outcome) = in_scenario(chapter, scenario, test);
            claims.push(claim_in(scenario, measured, outcome));
        }
    }
    claims
}

fn in_scenario(chapter: &Chapter, scenario: &str, test: Test) -> (String, Outcome) {
    let Some(nothing) = chapter.find(scenario, NOTHING) else {
        let why = "the default was not measured".to_owned();
        return (why, Outcome::NotMeasured);
    };
    let results: Vec<_> = OURS
        .iter()
        .filter_map(|ours| {
            let (words, holds) = test(nothing, chapter.find(scenario, ours)?)?;
            Some((format!("{ours}: {words}"), holds))
        })
        .collect();
    if results.is_empty() {
        let why = "too few requests, or go_sched was not measured".to_owned();
        return (why, Outcome::NotMeasured);
    }
    let words: Vec<_> = results.iter().map(|(words, _)| words.as_str()).collect();
    let outcome = if results.iter().any(|(_, holds)| *holds) {
        Outcome::Reproduced
    } else {
        Outcome::NotReproduced
    };
    (words.join("; "), outcome)
}

fn spikes(nothing: &Cell, ours: &Cell) -> Option<(String, bool)> {
    let limit = nothing.quantile("p99")?.value as u64;
    let share = |cell: &Cell| {
        // Those that were not answered are slow too.
        let all = cell.latency.len() + cell.failures;
        let slower = all - cell.latency.count_between(0, limit);
        slower as f64 / all as f64 * 100.0
    };
    ours.quantile("p99")?;
    let (before, after) = (share(nothing), share(ours));
    if before == 0.0 {
        return None;
    }
    let fewer = (1.0 - after / before) * 100.0;
    Some((
        format!("{before:.2}% -> {after:.2}%, {fewer:.0}% fewer"),
        fewer >= SPIKES_FEWER_PERCENT,
    ))
}

fn p99(nothing: &Cell, ours: &Cell) -> Option<(String, bool)> {
    let (before, after) = (nothing.quantile("p99")?, ours.quantile("p99")?);
    let times = before.value / after.value;
    let against = compare(&after.summary(), &before.summary());
    let seen = against.seen;
    Some((
        format!(
            "{} -> {}, {}{}",
            format::microseconds(before.value),
            format::microseconds(after.value),
            if seen {
                format::times(times)
            } else {
                format::NOT_SEEN.to_owned()
            },
            format::single(&against),
        ),
        seen && times >= P99_US.0 / P99_US.1,
    ))
}

fn jitter(nothing: &Cell, ours: &Cell) -> Option<(String, bool)> {
    let (before, after) = (nothing.jitter_percent, ours.jitter_percent);
    let times = before.median / after.median;
    let against = compare(&after, &before);
    let seen = against.seen;
    Some((
        format!(
            "{}% -> {}%, {}{}",
            format::number(before.median),
            format::number(after.median),
            if seen {
                format::times(times)
            } else {
                format::NOT_SEEN.to_owned()
            },
            format::single(&against),
        ),
        seen && times >= JITTER_PERCENT.0 / JITTER_PERCENT.1,
    ))
}

#[cfg(test)]
mod tests {
    use super::all;
    use super::Outcome;
    use crate::made_up;
    use crate::service::Chapter;

    #[test]
    fn without_a_run_nothing_is_reproduced() {
        let claims = all(None);
        assert_eq!(claims.len(), 3);
        assert!(claims
            .iter()
            .all(|claim| claim.outcome == Outcome::NotMeasured));
    }

    #[test]
    fn claims_are_tested_in_each_scenario() {
        let chapter = Chapter::of(&made_up::report()).expect("the histograms are whole");
        let claims = all(chapter.as_ref());
        let outcome = |claim: &str, scenario: &str| {
            let found = claims
                .iter()
                .find(|one| one.claim.contains(claim) && one.scenario == scenario);
            found.expect("it was tested").outcome
        };
        assert_eq!(
            outcome("spikes", "hogs in another process"),
            Outcome::Reproduced
        );
        assert_eq!(outcome("spikes", "GC pressure"), Outcome::NotReproduced);
        assert_eq!(outcome("P99", "GC pressure"), Outcome::NotReproduced);
        assert_eq!(
            outcome("jitter", "hogs in another process"),
            Outcome::Reproduced
        );
    }
}
