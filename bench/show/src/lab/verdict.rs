// SPDX-License-Identifier: GPL-2.0

//! The verdict on a claim, which all repeats decide.

use std::fmt;

use go_sched_bench_data::lab::Rule;

use crate::format;
use crate::statistics::Summary;

/// What becomes of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What must be seen is seen, whichever repeats are compared.
    Reproduced,
    /// What must be seen is not seen, whichever repeats are compared.
    NotReproduced,
    /// Neither, or the machine cannot tell, for this reason.
    Undecidable(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reproduced => "reproduced",
            Self::NotReproduced => "not reproduced",
            Self::Undecidable(_) => "undecidable here",
        })
    }
}

impl Verdict {
    /// Returns the class in the style sheet of the page.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Reproduced => "met",
            Self::NotReproduced => "missed",
            Self::Undecidable(_) => "undecided",
        }
    }
}

/// The smallest and the largest value that repeats allow for: of a figure, or of what it is
/// against another one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    low: f64,
    high: f64,
    /// True if a spread is not known, as there was one repeat.
    single: bool,
}

impl Ratio {
    /// Returns the range of a figure.
    pub(super) fn itself(of: &Summary) -> Self {
        Self {
            low: of.min,
            high: of.max,
            single: of.repeats < 2,
        }
    }

    /// Returns the range of a figure against another one. Against 0 it has no end.
    pub(super) fn of(of: &Summary, over: &Summary) -> Self {
        let against = |value: f64, other: f64| match (value, other) {
            (0.0, 0.0) => 1.0,
            (value, other) => value / other,
        };
        Self {
            low: against(of.min, over.max),
            high: against(of.max, over.min),
            single: of.repeats.min(over.repeats) < 2,
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low <= 1.0 && self.high >= 1.0 {
            return f.write_str(format::NO_DIFFERENCE);
        }
        let [low, high] = [self.low, self.high].map(format::number);
        if low == high {
            write!(f, "{low}x")
        } else {
            write!(f, "{low} to {high}x")
        }
    }
}

/// Judges a claim.
pub(super) fn judge(rule: Rule, seen: &Ratio) -> Verdict {
    let (all, none) = match rule {
        Rule::AtLeast(least) => (seen.low >= least, seen.high < least),
        Rule::AtMost(most) => (seen.high <= most, seen.low > most),
        Rule::NotHere(why) => return Verdict::Undecidable(why.to_owned()),
    };
    if seen.single {
        Verdict::Undecidable("one repeat decides nothing".to_owned())
    } else if all {
        Verdict::Reproduced
    } else if none {
        Verdict::NotReproduced
    } else {
        Verdict::Undecidable("the repeats are on both sides of it".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(of: &[f64], over: &[f64]) -> Ratio {
        let summary = |values| Summary::of(values).expect("there are values");
        Ratio::of(&summary(of), &summary(over))
    }

    #[test]
    fn clear_figures_decide() {
        let threefold = ratio(&[30.0, 32.0, 31.0], &[10.0, 9.0]);
        assert_eq!(judge(Rule::AtLeast(3.0), &threefold), Verdict::Reproduced);
        assert_eq!(
            judge(Rule::AtLeast(4.0), &threefold),
            Verdict::NotReproduced
        );
        assert_eq!(judge(Rule::AtMost(2.9), &threefold), Verdict::NotReproduced);
        assert_eq!(judge(Rule::AtMost(4.0), &threefold), Verdict::Reproduced);
        assert_eq!(threefold.to_string(), "3.00 to 3.56x");
    }

    #[test]
    fn of_ranges_that_overlap_no_difference_is_seen() {
        let overlapping = ratio(&[10.0, 14.0], &[9.0, 11.0]);
        assert_eq!(overlapping.to_string(), format::NO_DIFFERENCE);
        // A factor that no two repeats have is not reproduced all the same.
        assert_eq!(
            judge(Rule::AtLeast(2.0), &overlapping),
            Verdict::NotReproduced
        );
        let both = judge(Rule::AtLeast(1.2), &overlapping);
        assert!(matches!(both, Verdict::Undecidable(why) if why.contains("both sides")));
    }

    #[test]
    fn one_repeat_decides_nothing() {
        let one = ratio(&[30.0], &[10.0, 9.0]);
        assert!(matches!(
            judge(Rule::AtLeast(3.0), &one),
            Verdict::Undecidable(_)
        ));
    }

    #[test]
    fn a_machine_that_cannot_tell_says_why() {
        let clear = ratio(&[30.0, 31.0], &[10.0, 9.0]);
        let verdict = judge(Rule::NotHere("emulated"), &clear);
        assert_eq!(verdict, Verdict::Undecidable("emulated".to_owned()));
    }

    #[test]
    fn nothing_against_nothing_is_no_difference() {
        assert_eq!(
            ratio(&[0.0, 0.0], &[0.0, 0.0]).to_string(),
            format::NO_DIFFERENCE
        );
        let far = ratio(&[1.0, 2.0], &[0.0, 0.0]);
        assert_eq!(judge(Rule::AtLeast(5.0), &far), Verdict::Reproduced);
    }
}
