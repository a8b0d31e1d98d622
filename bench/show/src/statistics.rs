// SPDX-License-Identifier: GPL-2.0

//! Summarizes repeats: a median, a spread, and whether two summaries differ.

/// Several results of the same measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// The middle value; of an even number, the mean of the middle two.
    pub(crate) median: f64,
    /// The smallest value.
    pub(crate) min: f64,
    /// The largest value.
    pub(crate) max: f64,
    /// Number of values.
    pub(crate) repeats: usize,
}

impl Summary {
    /// Summarizes values. Returns nothing without values, and if one is not finite.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        if sorted.iter().any(|value| !value.is_finite()) {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median = if sorted.len() % 2 == 0 {
            f64::midpoint(sorted[middle - 1], upper)
        } else {
            upper
        };
        Some(Self {
            median,
            min: *sorted.first()?,
            max: *sorted.last()?,
            repeats: sorted.len(),
        })
    }

    /// Returns the distance from the smallest to the largest value.
    pub(crate) fn spread(&self) -> f64 {
        self.max - self.min
    }
}

/// The difference between a subject and its baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Difference {
    /// Difference of the medians; positive is more than the baseline.
    pub(crate) absolute: f64,
    /// Difference of the medians, in per cent of the baseline's.
    pub(crate) percent: f64,
    /// The larger of the two spreads.
    pub(crate) spread: f64,
    /// True if the difference is neither 0 nor smaller than either spread.
    pub(crate) distinct: bool,
    /// True if the spread is unknown, as there was one repeat only.
    pub(crate) single: bool,
}

/// Compares medians.
pub(crate) fn compare(subject: &Summary, baseline: &Summary) -> Difference {
    let absolute = subject.median - baseline.median;
    let spread = subject.spread().max(baseline.spread());
    Difference {
        absolute,
        percent: percent(absolute, baseline.median),
        spread,
        distinct: absolute != 0.0 && spread <= absolute.abs(),
        single: subject.repeats.min(baseline.repeats) < 2,
    }
}

/// Returns `part` in per cent of `whole`; 0 if `whole` is 0.
pub(crate) fn percent(part: f64, whole: f64) -> f64 {
    if whole == 0.0 {
        0.0
    } else {
        part / whole * 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::compare;
    use super::Summary;

    fn summary(values: &[f64]) -> Summary {
        Summary::of(values).expect("there are values")
    }

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        assert_eq!(summary(&[9.0, 1.0, 5.0]).median, 5.0);
        assert_eq!(summary(&[9.0, 1.0, 5.0, 7.0]).median, 6.0);
        assert_eq!(summary(&[4.0]).median, 4.0);
    }

    #[test]
    fn the_spread_is_from_end_to_end() {
        assert_eq!(summary(&[9.0, 1.0, 5.0]).spread(), 8.0);
        assert_eq!(summary(&[4.0]).spread(), 0.0);
    }

    #[test]
    fn of_nothing_there_is_no_summary() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn a_difference_larger_than_the_spreads_is_distinct() {
        let difference = compare(&summary(&[110.0, 112.0, 111.0]), &summary(&[100.0, 101.0]));
        assert!(difference.distinct);
        assert_eq!(difference.absolute, 10.5);
        assert!((difference.percent - 10.447_761).abs() < 1e-6);
    }

    #[test]
    fn a_difference_smaller_than_either_spread_is_not_distinct() {
        let wide = summary(&[100.0, 120.0, 104.0]);
        let narrow = summary(&[100.0, 100.0, 101.0]);
        assert!(!compare(&wide, &narrow).distinct);
        assert!(!compare(&narrow, &wide).distinct);
    }

    #[test]
    fn of_one_repeat_no_spread_is_known() {
        let (one, two) = (summary(&[7.0]), summary(&[9.0, 9.0]));
        assert!(compare(&one, &two).single && compare(&two, &one).single);
        assert!(!compare(&two, &two).single);
    }

    #[test]
    fn equals_do_not_differ() {
        let same = summary(&[7.0, 7.0]);
        assert!(!compare(&same, &same).distinct);
    }
}
