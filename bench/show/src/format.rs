// SPDX-License-Identifier: GPL-2.0

//! Numbers as people read them.

use crate::statistics::Difference;

/// What is printed for a difference that may be none.
pub(crate) const NOT_SEEN: &str = "no difference seen";
/// What is printed behind one of which no spread is known.
pub(crate) const SINGLE: &str = " (one repeat)";

/// [`SINGLE`], where it belongs.
pub(crate) fn single(difference: &Difference) -> &'static str {
    if difference.single {
        SINGLE
    } else {
        ""
    }
}

/// Three digits that count, or all of those before the point, in groups.
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

/// Per cent, with a sign; small ones with two digits after the point.
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

/// A difference in per cent, if there is one.
pub(crate) fn difference(difference: &Difference) -> String {
    if difference.seen {
        percent(difference.percent)
    } else {
        NOT_SEEN.to_owned()
    }
}

/// How many times as much; "1.2x".
pub(crate) fn times(factor: f64) -> String {
    if factor.is_finite() {
        format!("{}x", number(factor))
    } else {
        "more than can be told".to_owned()
    }
}

/// A time in microseconds, in the unit that fits.
pub(crate) fn microseconds(us: f64) -> String {
    if us >= 999_500.0 {
        format!("{} s", number(us / 1e6))
    } else if us >= 999.5 {
        format!("{} ms", number(us / 1e3))
    } else {
        format!("{} us", number(us))
    }
}

/// The same for a tick of an axis, which is round.
pub(crate) fn microseconds_round(us: f64) -> String {
    if us >= 1e6 {
        format!("{} s", us / 1e6)
    } else if us >= 1e3 {
        format!("{} ms", us / 1e3)
    } else {
        format!("{us} us")
    }
}

/// The same for a number of seconds.
pub(crate) fn seconds_round(seconds: f64) -> String {
    if seconds >= 1.0 {
        format!("{seconds} s")
    } else {
        format!("{} ms", (seconds * 1e3).round())
    }
}

/// A time in seconds, as a clock on the wall has it.
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
    fn times_come_in_the_unit_that_fits() {
        assert_eq!(microseconds(187.0), "187 us");
        assert_eq!(microseconds(4200.0), "4.20 ms");
        assert_eq!(microseconds(2_000_000.0), "2.00 s");
        assert_eq!(seconds(501.0), "8 min 21 s");
        assert_eq!(seconds(3.3), "3.30 s");
    }
}
