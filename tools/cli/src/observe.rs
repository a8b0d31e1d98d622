// SPDX-License-Identifier: GPL-2.0

//! The verbs that show what the scheduler does with a program: `record`, `timeline` and
//! `why`.

pub(crate) mod record;
pub(crate) mod timeline;
pub(crate) mod why;

use std::time::Duration;

/// Returns a time in seconds.
fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

/// Returns a time in milliseconds, as a cell of a table.
fn ms(ns: u64) -> String {
    format!("{:.1}", seconds(ns) * 1e3)
}
