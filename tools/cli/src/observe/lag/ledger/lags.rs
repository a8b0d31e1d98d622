// SPDX-License-Identifier: GPL-2.0

//! The lags of a thread.

use std::collections::BTreeMap;

/// The lags of a thread, in us, in little memory however many there are.
#[derive(Default)]
pub(super) struct Lags {
    /// The lowest and the highest.
    pub(super) range: Option<(i64, i64)>,
    /// How often each lag was seen, to two digits: at most 90 for each power of ten.
    counts: BTreeMap<i64, u64>,
}

impl Lags {
    pub(super) fn add(&mut self, lag: i64) {
        let range = self.range.get_or_insert((lag, lag));
        *range = (range.0.min(lag), range.1.max(lag));
        let digits = lag.unsigned_abs().checked_ilog10().unwrap_or_default();
        let unit = 10_i64.pow(digits.saturating_sub(1));
        *self.counts.entry(lag / unit * unit).or_default() += 1;
    }

    pub(super) fn median(&self) -> Option<i64> {
        let half = self.counts.values().sum::<u64>().div_ceil(2);
        let mut seen = 0;
        let mut lags = self.counts.iter();
        let middle = lags.find(|(_, count)| {
            seen += **count;
            seen >= half
        });
        middle.map(|(lag, _)| *lag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_all_lags_to_two_digits() {
        let mut lags = Lags::default();
        assert_eq!(lags.median(), None);
        for lag in [-1_234_567, 7, 5, 12_345, 999] {
            lags.add(lag);
        }
        assert_eq!(lags.range, Some((-1_234_567, 12_345)));
        assert_eq!(lags.median(), Some(7));
        for _ in 0..5 {
            lags.add(-1_234_999);
        }
        assert_eq!(lags.median(), Some(-1_200_000));
        for lag in [i64::MIN, i64::MAX, 0] {
            lags.add(lag);
        }
        assert_eq!(lags.range, Some((i64::MIN, i64::MAX)));
    }

    #[test]
    fn lags_take_little_memory() {
        let mut lags = Lags::default();
        (-1_000_000..1_000_000).for_each(|lag| lags.add(lag));
        assert!(lags.counts.len() <= 1_000, "{}", lags.counts.len());
    }
}
