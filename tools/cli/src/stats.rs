// SPDX-License-Identifier: GPL-2.0

//! `gosched stats`.

use std::io;
use std::io::Write;
use std::process::ExitCode;

use gosched::Cause;
use gosched::Stats;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::Show;
use crate::error::Error;
use crate::table::or_dash;
use crate::threads::for_threads;
use crate::threads::Answer;
use crate::threads::Form;

pub(crate) fn stats(show: &Show, json: bool) -> Result<ExitCode, Error> {
    for_threads(&show.threads, Form::of(show, json), |device, thread| {
        Ok(ThreadStats {
            tid: thread.tid(),
            stats: device.stats(thread.target())?,
        })
    })
}

/// A thread and its counters.
struct ThreadStats {
    tid: i32,
    stats: Stats,
}

/// Counters of a thread, which begin with its first priority, hint or ceiling.
#[derive(Serialize, JsonSchema)]
pub(crate) struct StatsJson {
    /// Thread id in the pid namespace of gosched.
    tid: i32,
    /// The number of changes of the thread's scheduling.
    applies: u64,
    /// The number of times that a hint asked for a priority that the thread must not have, and got
    /// a lower one.
    clamps: u64,
    /// The number of times that a hint did not take effect at once.
    skips: u64,
    /// The number of times that the thread used up the CPU time that its granted ceiling
    /// allows, and was lowered to the highest priority that it owns.
    runaways: u64,
    /// The reason of the last change of the scheduling, null if there was no change.
    #[schemars(with = "Option<String>")]
    last_change: Option<Cause>,
}

impl StatsJson {
    pub(crate) fn new(tid: i32, stats: &Stats) -> Self {
        Self {
            tid,
            applies: stats.applies,
            clamps: stats.clamps,
            skips: stats.skips,
            runaways: stats.runaways,
            last_change: stats.last_cause,
        }
    }
}

impl Answer for ThreadStats {
    type Json = StatsJson;

    const COLUMNS: &'static [(&'static str, bool)] = &[
        ("CHANGES", true),
        ("CHANGE", false),
        ("ABOVE-CEILING", true),
        ("PUT-OFF", true),
        ("RUNAWAYS", true),
    ];

    fn tid(&self) -> i32 {
        self.tid
    }

    fn cells(&self) -> Vec<String> {
        let stats = &self.stats;
        vec![
            stats.applies.to_string(),
            or_dash(stats.last_cause),
            stats.clamps.to_string(),
            stats.skips.to_string(),
            stats.runaways.to_string(),
        ]
    }

    fn json(&self) -> StatsJson {
        StatsJson::new(self.tid, &self.stats)
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { tid, stats } = self;
        writeln!(out, "pid {tid}'s changes: {}", stats.applies)?;
        match stats.last_cause {
            Some(cause) => writeln!(out, "pid {tid}'s last change: {cause}")?,
            None => writeln!(out, "pid {tid}'s last change: none")?,
        }
        writeln!(out, "pid {tid}'s hints above its ceiling: {}", stats.clamps)?;
        writeln!(out, "pid {tid}'s hints put off: {}", stats.skips)?;
        writeln!(out, "pid {tid}'s times run away: {}", stats.runaways)
    }
}
