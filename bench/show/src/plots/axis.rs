// SPDX-License-Identifier: GPL-2.0

//! An axis that knows where its ticks are and what stands at them.

use std::ops::Range;

use plotters::coord::ranged1d::KeyPointHint;
use plotters::coord::ranged1d::NoDefaultFormatting;
use plotters::coord::ranged1d::Ranged;
use plotters::coord::ranged1d::ValueFormatter;

use crate::format;

/// An axis, linear or logarithmic.
#[derive(Clone)]
pub(super) struct Axis {
    range: Range<f64>,
    logarithmic: bool,
    ticks: Vec<f64>,
    label: fn(f64) -> String,
}

impl Axis {
    /// From `range.start` to `range.end`, with about `ticks` ticks.
    pub(super) fn linear(range: Range<f64>, ticks: u32, label: fn(f64) -> String) -> Self {
        let length = range.end - range.start;
        let rough = length / f64::from(ticks.max(1));
        let power = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0];
        let step = steps.iter().find(|step| **step * power >= rough);
        let step = step.unwrap_or(&10.0) * power;
        let first = (range.start / step).ceil() as i64;
        // A little more than the range: its end is a tick in spite of rounding.
        let last = ((range.end + length * 1e-9) / step).floor() as i64;
        Self {
            ticks: (first..=last).map(|tick| tick as f64 * step).collect(),
            logarithmic: false,
            range,
            label,
        }
    }

    /// The same by powers of ten, and by 2 and 5 between them if these are few. What
    /// is not above 0 stands at the start.
    pub(super) fn logarithmic(range: Range<f64>, label: fn(f64) -> String) -> Self {
        let (first, last) = (range.start.log10().floor(), range.end.log10().ceil());
        let factors: &[f64] = if range.end / range.start > 300.0 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let decades = first as i32..=last as i32;
        let ticks = decades
            .flat_map(|decade| {
                factors
                    .iter()
                    .map(move |factor| factor * 10_f64.powi(decade))
            })
            .filter(|tick| (range.start..=range.end).contains(tick))
            .collect();
        Self {
            range,
            logarithmic: true,
            ticks,
            label,
        }
    }

    /// From 0 to 1 along the axis.
    fn place(&self, value: f64) -> f64 {
        let Range { start, end } = self.range;
        if self.logarithmic {
            (value.max(start) / start).ln() / (end / start).ln()
        } else {
            (value - start) / (end - start)
        }
    }

    /// What stands at a tick.
    pub(super) fn label(&self, tick: f64) -> String {
        (self.label)(tick)
    }

    /// Where bars start.
    pub(super) fn origin(&self) -> f64 {
        if self.logarithmic {
            self.range.start
        } else {
            0.0
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let length = f64::from(limit.1 - limit.0);
        limit.0 + (self.place(*value) * length).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        (self.label)(*value)
    }
}

/// The smallest power of ten that is not below, and the largest that is not above,
/// all of the values above 0.
pub(super) fn decades(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for value in values.filter(|value| *value > 0.0) {
        low = low.min(value);
        high = high.max(value);
    }
    if low > high {
        return 1.0..10.0;
    }
    let low = 10_f64.powf(low.log10().floor());
    let high = 10_f64.powf(high.log10().ceil());
    low..high.max(low * 10.0)
}

/// A number that has few digits that count: "0.05", "1,000", "1 M".
pub(super) fn round(value: f64) -> String {
    if value >= 1e6 {
        format!("{} M", value / 1e6)
    } else if value >= 1e3 {
        format::number(value)
    } else {
        // Of what rounding left.
        format!("{}", (value * 1e6).round() / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::decades;
    use super::round;
    use super::Axis;

    #[test]
    fn linear_ticks_are_round_and_reach_the_end() {
        let axis = Axis::linear(0.0..0.6, 4, round);
        assert_eq!(axis.ticks.len(), 4);
        assert!((axis.ticks[3] - 0.6).abs() < 1e-9);
    }

    #[test]
    fn logarithmic_ticks_are_decades() {
        assert_eq!(
            Axis::logarithmic(1.0..1e4, round).ticks,
            [1.0, 10.0, 100.0, 1000.0, 10_000.0]
        );
        assert_eq!(Axis::logarithmic(1.0..10.0, round).ticks.len(), 4);
    }

    #[test]
    fn decades_hold_all_values() {
        assert_eq!(decades([3.0, 0.0, 420.0].into_iter()), 1.0..1000.0);
        assert_eq!(decades([10.0].into_iter()), 10.0..100.0);
        assert_eq!(decades([].into_iter()), 1.0..10.0);
    }
}
