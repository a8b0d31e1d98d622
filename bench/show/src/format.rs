// SPDX-License-Identifier: GPL-2.0

//! Numbers as people read them.

use crate::statistics::compare;
use crate::statistics::Difference;
use crate::statistics::Summary;

/// The words for a difference that may be none.
pub(crate) const NO_DIFFERENCE: &str = "no difference seen";
/// The words for less and for more of a cost.
pub(crate) const COST: [&str; 2] = ["cheaper", "dearer"];
/// The words for less and for more of a latency.
pub(crate) const LATENCY: [&str; 2] = ["lower", "higher"];

/// Returns how a value compares with a baseline, as [`factor`] does, or that no difference
/// is seen; and whether no spread is known.
pub(crate) fn compared(value: &Summary, baseline: &Summary, words: [&str; 2]) -> String {
    let difference = compare(value, baseline);
    let text = if difference.distinct {
        factor(value.median, baseline.median, words)
    } else {
        NO_DIFFERENCE.to_owned()
    };
    if difference.single {
        text + " (one repeat)"
    } else {
        text
    }
}

/// Returns three significant digits, or all digits before the point, in groups.
pub(crate) fn number(value: f64) -> String {
    let magnitude = value.abs();
    let digits = if magnitude >= 99.95 || magnitude == 0.0 {
        0
    } else if magnitude >= 9.995 {
        1
    } else if magnitude >= 0.9995 {
        2
    } else {
        3
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (text.as_str(), String::new()),
    };
    let (sign, whole) = match whole.strip_prefix('-') {
        Some(whole) => ("-", whole),
        None => ("", whole),
    };
    format!("{sign}{}{fraction}", grouped(whole))
}

fn grouped(digits: &str) -> String {
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Returns per cent with a sign; small values with two digits after the point.
pub(crate) fn percent(value: f64) -> String {
    let digits = if value.abs() >= 9.95 {
        0
    } else if value.abs() >= 0.995 {
        1
    } else {
        2
    };
    format!("{value:+.digits$}%")
}

/// Returns a difference in per cent, if there is one.
pub(crate) fn difference(difference: &Difference) -> String {
    if difference.distinct {
        percent(difference.percent)
    } else {
        NO_DIFFERENCE.to_owned()
    }
}

/// Returns the factor between a value and a baseline, as "6.76x lower" or "11.9x higher"
/// for the words "lower" and "higher"; in per cent where the factor would read as 1.
fn factor(value: f64, baseline: f64, [less, more]: [&str; 2]) -> String {
    let (times, word) = if value <= baseline {
        (baseline / value, less)
    } else {
        (value / baseline, more)
    };
    if !times.is_finite() {
        format!("far {word}")
    } else if times < 1.1 {
        let percent = percent((value - baseline) / baseline * 100.0);
        format!("{} {word}", percent.trim_start_matches(['+', '-']))
    } else {
        format!("{}x {word}", number(times))
    }
}

/// Returns a time in microseconds, in the unit that fits.
pub(crate) fn microseconds(us: f64) -> String {
    if us >= 999_500.0 {
        format!("{} s", number(us / 1e6))
    } else if us >= 999.5 {
        format!("{} ms", number(us / 1e3))
    } else {
        format!("{} us", number(us))
    }
}

/// Returns a time in nanoseconds, in the unit that fits.
pub(crate) fn nanoseconds(ns: f64) -> String {
    microseconds(ns / 1000.0)
}

/// Returns a time in microseconds at a tick of an axis, which is round.
pub(crate) fn microseconds_round(us: f64) -> String {
    if us >= 1e6 {
        format!("{} s", us / 1e6)
    } else if us >= 1e3 {
        format!("{} ms", us / 1e3)
    } else {
        format!("{us} us")
    }
}

/// Returns a tick of an axis, which has few significant digits: "0.05", "1,000", "1 M".
pub(crate) fn round(value: f64) -> String {
    if value.abs() >= 1e6 {
        format!("{} M", value / 1e6)
    } else if value.abs() >= 1e3 {
        number(value)
    } else {
        // Without what is left of the rounding.
        format!("{}", (value * 1e6).round() / 1e6)
    }
}

/// Returns a time in seconds, as minutes and seconds.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds >= 119.5 {
        let whole = seconds.round() as u64;
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        format!("{} s", number(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_three_digits_that_count() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(0.0526), "0.053");
        assert_eq!(number(7.0), "7.00");
        assert_eq!(number(18.44), "18.4");
        assert_eq!(number(8703.4), "8,703");
        assert_eq!(number(1_234_567.0), "1,234,567");
        assert_eq!(number(-1234.0), "-1,234");
        assert_eq!(number(99.96), "100");
    }

    #[test]
    fn per_cents_have_a_sign() {
        assert_eq!(percent(0.0512), "+0.05%");
        assert_eq!(percent(-3.21), "-3.2%");
        assert_eq!(percent(250.0), "+250%");
    }

    #[test]
    fn a_factor_is_at_least_one_and_says_its_direction() {
        let words = ["cheaper", "dearer"];
        assert_eq!(factor(84.6, 1010.0, words), "11.9x cheaper");
        assert_eq!(factor(1010.0, 84.6, words), "11.9x dearer");
        assert_eq!(factor(2891.0, 2894.0, words), "0.10% cheaper");
        assert_eq!(factor(0.0, 2894.0, words), "far cheaper");
    }

    #[test]
    fn times_come_in_the_unit_that_fits() {
        assert_eq!(microseconds(187.0), "187 us");
        assert_eq!(microseconds(4200.0), "4.20 ms");
        assert_eq!(microseconds(2_000_000.0), "2.00 s");
        assert_eq!(seconds(501.0), "8 min 21 s");
        assert_eq!(seconds(3.3), "3.30 s");
    }
}
