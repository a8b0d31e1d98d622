// SPDX-License-Identifier: GPL-2.0

//! Parts of a record as if each followed the one before, and how much time something took there.

use std::iter;

/// Parts of a record. A position is the length of all parts before a time, in ns.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// Beginnings and ends, in ns of `CLOCK_MONOTONIC`, and the positions of the beginnings.
    parts: Vec<(u64, u64, u64)>,
}

impl Parts {
    /// Joins windows that are in the order of time and do not overlap.
    pub(super) fn new(windows: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut length = 0;
        let parts = windows.into_iter().map(|(from, to)| {
            let position = length;
            length += to - from;
            (from, to, position)
        });
        Self {
            parts: parts.collect(),
        }
    }

    /// Joins what is left of a record, from its beginning to its end.
    pub(super) fn rest(&self, (from, to): (u64, u64)) -> Self {
        let begin = iter::once(from).chain(self.parts.iter().map(|part| part.1));
        let end = self.parts.iter().map(|part| part.0).chain([to]);
        Self::new(begin.zip(end).filter(|(from, to)| from < to))
    }

    /// Returns the length of all parts, in ns.
    pub(super) fn length(&self) -> u64 {
        self.position(u64::MAX)
    }

    /// Returns the position of a time; that of a time between parts is where the next one begins.
    pub(super) fn position(&self, time: u64) -> u64 {
        let next = self.parts.partition_point(|part| part.0 < time);
        let last = next.checked_sub(1).map(|last| self.parts[last]);
        last.map_or(0, |(from, to, position)| position + (time.min(to) - from))
    }
}

/// How much time something took up to each position, in ns: what is done twice at once counts twice.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    /// Positions in ascending order, with the time up to there. Between two, the time rises evenly.
    points: Vec<(u64, u64)>,
}

impl Curve {
    /// Adds up times, of which those count that are in the parts.
    pub(super) fn new(parts: &Parts, times: &[(u64, u64)]) -> Self {
        let mut edges = Vec::new();
        for (from, to) in times {
            let (from, to) = (parts.position(*from), parts.position(*to));
            if from < to {
                edges.extend([(from, 1), (to, -1)]);
            }
        }
        edges.sort_unstable();
        let mut points: Vec<(u64, u64)> = Vec::new();
        let mut at_once: u64 = 0;
        for (position, change) in edges {
            let sum = match points.last() {
                Some((last, sum)) => sum + (position - last) * at_once,
                None => 0,
            };
            at_once = at_once.saturating_add_signed(change);
            if points.last().is_none_or(|(last, _)| *last < position) {
                points.push((position, sum));
            }
        }
        Self { points }
    }

    /// Returns the time between two positions.
    pub(super) fn between(&self, from: u64, to: u64) -> u64 {
        self.until(to) - self.until(from)
    }

    /// Returns the positions of the first and of the last time; the same if there is none.
    pub(super) fn ends(&self) -> (u64, u64) {
        let position = |point: Option<&(u64, u64)>| point.map_or(0, |(position, _)| *position);
        (position(self.points.first()), position(self.points.last()))
    }

    fn until(&self, position: u64) -> u64 {
        let next = self.points.partition_point(|(at, _)| *at <= position);
        let last = next.checked_sub(1).map(|last| self.points[last]);
        match (last, self.points.get(next)) {
            (None, _) => 0,
            (Some((_, sum)), None) => sum,
            (Some((from, sum)), Some((to, end))) => {
                let at_once = (end - sum) / (to - from);
                sum + (position - from) * at_once
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_of_a_record_is_in_a_part_or_in_the_rest() {
        let record = (100, 200);
        for windows in [
            &[][..],
            &[(100, 200)],
            &[(120, 130)],
            &[(100, 110), (110, 120), (150, 151), (190, 200)],
        ] {
            let parts = Parts::new(windows.iter().copied());
            let rest = parts.rest(record);
            for time in 0..300 {
                let both = parts.position(time) + rest.position(time);
                assert_eq!(both, time.clamp(100, 200) - 100, "{windows:?}: {time}");
            }
            let length: u64 = windows.iter().map(|(from, to)| to - from).sum();
            assert_eq!((parts.length(), rest.length()), (length, 100 - length));
        }
    }

    #[test]
    fn a_curve_tells_the_time_between_any_two_positions() {
        let times = [(5, 60), (10, 20), (10, 20), (15, 40), (40, 50), (70, 70)];
        let parts = Parts::new([(0, 30), (45, 100)]);
        let curve = Curve::new(&parts, &times);
        let brute = |from: u64, to: u64| {
            let inside = |at: &u64| (from..to).contains(&parts.position(*at));
            let counts = (0..30).chain(45..100).filter(inside);
            let doing = |at| {
                times
                    .iter()
                    .filter(move |(from, to)| (*from..*to).contains(&at))
            };
            counts.map(|at| doing(at).count() as u64).sum::<u64>()
        };
        for from in 0..=85 {
            for to in from..=85 {
                assert_eq!(curve.between(from, to), brute(from, to), "{from}..{to}");
            }
        }
        assert_eq!(curve.ends(), (5, 45));
    }
}
