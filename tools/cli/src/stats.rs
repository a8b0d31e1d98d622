// SPDX-License-Identifier: GPL-2.0

//! `gosched stats`.

use std::io;
use std::io::Write;
use std::process::ExitCode;

use gosched::Cause;
use gosched::Stats;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::ThreadArgs;
use crate::threads::for_threads;
use crate::threads::Answer;
use crate::Failure;

pub(crate) fn stats(threads: &ThreadArgs, json: bool) -> Result<ExitCode, Failure> {
    for_threads(threads, json, |device, thread| {
        Ok(Counted {
            tid: thread.tid(),
            stats: device.stats(thread.target())?,
        })
    })
}

struct Counted {
    tid: i32,
    stats: Stats,
}

/// What has happened to a thread since its first priority, binding or ceiling.
#[derive(Serialize, JsonSchema)]
pub(crate) struct StatsJson {
    /// Thread id in the pid namespace of gosched.
    tid: i32,
    /// How often its scheduling was changed.
    applies: u64,
    /// How often a hint was above the ceiling, and lowered to it.
    clamps: u64,
    /// How often acting on a hint was put off.
    skips: u64,
    /// How often it was held at what it owns because it ran away.
    runaways: u64,
    /// What made the kernel reschedule it last, null if nothing did.
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

impl Answer for Counted {
    type Json = StatsJson;

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
