// SPDX-License-Identifier: GPL-2.0

//! The verbs that show what the scheduler does with a program: `record`, `timeline`, `why`,
//! `heat`, `lag`, `spikes` and `exporter`; and the goroutines of `top`.

mod drawing;
pub(crate) mod exporter;
mod fetch;
mod file;
pub(crate) mod goroutines;
pub(crate) mod heat;
pub(crate) mod lag;
pub(crate) mod record;
pub(crate) mod spikes;
pub(crate) mod timeline;
pub(crate) mod why;

use std::time::Duration;

use gosched_observe::directory::Meta;
use gosched_observe::summary::Traced;

use crate::output::printable;

/// Returns a time in seconds.
fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

/// Returns a time in milliseconds, as a cell of a table.
fn ms(ns: u64) -> String {
    format!("{:.1}", seconds(ns) * 1e3)
}

/// Says what a record, or another look at the scheduler, is of, but for the command.
fn subject(meta: &Meta, duration: u64) -> String {
    let go = meta.go.as_ref();
    let go = go.map(|go| format!(", {}", printable(&go.version)));
    format!(
        "process {}{}, on {}, {:.3} s",
        meta.pid,
        go.unwrap_or_default(),
        printable(&meta.kernel),
        seconds(duration)
    )
}

/// Returns the times of a record's part, as seconds of the record.
fn times(part: &Traced) -> String {
    format!(
        "{:.3} s to {:.3} s",
        seconds(part.after),
        seconds(part.after + part.duration)
    )
}
