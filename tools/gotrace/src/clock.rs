// SPDX-License-Identifier: MIT OR GPL-2.0

//! The clock of a trace.

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// How fast the clock of a trace ticks. On Linux a unit is 64 ns, and 0 is that of
/// CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frequency {
    /// Units in a second; not 0.
    units: u64,
    /// Nanoseconds in a unit, if that is a whole number.
    unit: Option<u64>,
}

impl Frequency {
    /// Returns a clock of `units` a second, unless that is 0.
    pub(crate) fn new(units: u64) -> Option<Self> {
        let unit = (SECOND.checked_rem(units)? == 0).then(|| SECOND / units);
        Some(Self { units, unit })
    }

    /// Returns `units` in ns, or the highest number if they are more.
    pub(crate) fn ns(self, units: u64) -> u64 {
        match self.unit {
            Some(unit) => units.saturating_mul(unit),
            None => {
                let ns = u128::from(units) * u128::from(SECOND) / u128::from(self.units);
                u64::try_from(ns).unwrap_or(u64::MAX)
            }
        }
    }
}

/// Several clocks of the machine, read one after the other.
///
/// The readings lie as far apart as the machine took: mostly below 1 us, and up to some
/// 100 us in a guest. On Linux times of a trace are those of CLOCK_MONOTONIC already, and are
/// not to be corrected by this; it is for the time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSnapshot {
    /// The clock of the trace's events, in ns.
    pub trace: u64,
    /// The system's monotonic clock, in ns.
    pub monotonic: u64,
    /// The time of day: whole seconds since 1970.
    pub wall_seconds: u64,
    /// The time of day: nanoseconds since the whole second.
    pub wall_nanoseconds: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_become_nanoseconds() {
        let linux = Frequency::new(15_625_000).expect("a frequency");
        assert_eq!(linux.ns(3), 192);
        assert_eq!(linux.ns(u64::MAX), u64::MAX);
        let odd = Frequency::new(3_000_000_000).expect("a frequency");
        assert_eq!(odd.ns(10), 3);
        let slow = Frequency::new(1).expect("a frequency");
        assert_eq!(slow.ns(u64::MAX), u64::MAX);
        assert_eq!(Frequency::new(0), None);
    }
}
