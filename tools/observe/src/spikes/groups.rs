// SPDX-License-Identifier: GPL-2.0

//! Outliers that lie close together.

use crate::latencies::Outlier;

/// Returns the number of outliers.
pub(super) fn sum(outliers: &[Outlier]) -> u64 {
    outliers
        .iter()
        .fold(0, |sum, outlier| sum.saturating_add(outlier.count))
}

/// Parts outliers, in the order of their beginnings, where more than a gap is between them.
pub(super) fn groups(outliers: &[Outlier], gap: u64) -> Vec<&[Outlier]> {
    let mut groups = Vec::new();
    let (mut first, mut end) = (0, u64::MAX);
    for (index, outlier) in outliers.iter().enumerate() {
        if index > 0 && outlier.from > end.saturating_add(gap) {
            groups.push(&outliers[first..index]);
            first = index;
        }
        end = match index == first {
            true => outlier.to,
            false => end.max(outlier.to),
        };
    }
    groups.extend(outliers.get(first..).filter(|group| !group.is_empty()));
    groups
}

/// Returns the times in which at least one of a group's outliers is under way, inside the record.
pub(super) fn windows(group: &[Outlier], record: (u64, u64)) -> Vec<(u64, u64)> {
    let mut windows: Vec<(u64, u64)> = Vec::new();
    for outlier in group {
        let (from, to) = (outlier.from.max(record.0), outlier.to.min(record.1));
        match windows.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ if from < to => windows.push((from, to)),
            _ => (),
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spikes::tests::outlier;

    #[test]
    fn a_gap_that_is_too_long_parts_clusters() {
        let outliers = [(10, 20), (12, 50), (30, 31), (60, 70), (71, 90)];
        let outliers = outliers.map(|(from, to)| outlier(from, to));
        let sizes =
            |gap| -> Vec<usize> { groups(&outliers, gap).iter().map(|g| g.len()).collect() };
        // The third one is over before the second one.
        assert_eq!(sizes(0), [3, 1, 1]);
        assert_eq!(sizes(1), [3, 2]);
        assert_eq!(sizes(10), [5]);
        assert_eq!(sizes(u64::MAX), [5]);
        assert!(groups(&[], 0).is_empty());
    }

    #[test]
    fn each_outlier_is_in_one_cluster_and_each_time_in_one_window() {
        // A linear congruential generator: any outliers will do.
        let mut seed: u64 = 1;
        let mut number = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let mut outliers: Vec<_> = (0..1000)
            .map(|_| {
                let from = number(100_000);
                outlier(from, from + number(100))
            })
            .collect();
        outliers.sort_by_key(|outlier| outlier.from);
        for gap in [0, 10, 100] {
            let groups = groups(&outliers, gap);
            assert_eq!(groups.concat(), outliers);
            let mut all = Vec::new();
            for group in &groups {
                let windows = windows(group, (1000, 90_000));
                for one in group.iter().filter(|one| one.from < one.to) {
                    let inside = |window: &&(u64, u64)| window.0 <= one.from && one.to <= window.1;
                    let clipped = one.from < 1000 || one.to > 90_000;
                    assert!(clipped || windows.iter().any(|window| inside(&window)));
                }
                all.extend(windows);
            }
            assert!(all
                .iter()
                .all(|(from, to)| 1000 <= *from && from < to && *to <= 90_000));
            assert!(all.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}
