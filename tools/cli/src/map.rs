// SPDX-License-Identifier: GPL-2.0

//! `gosched map`: lists the levels of the mapping.

use std::fmt::Display;
use std::io;
use std::io::Write;
use std::process::ExitCode;

use gosched::policy::level;
use gosched::policy::GoPrio;
use gosched::sched::SchedPolicy;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Error;
use crate::output::print;
use crate::output::print_json;

/// The kernel's parameters for one priority. 0 stands for a parameter that the policy
/// does not have, or that is the kernel's default.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LevelJson {
    priority: u32,
    band: &'static str,
    #[schemars(with = "String")]
    policy: SchedPolicy,
    nice: i32,
    rt_priority: u32,
    slice_ns: u64,
    weight: u32,
}

impl From<GoPrio> for LevelJson {
    fn from(prio: GoPrio) -> Self {
        let level = level(prio);
        Self {
            priority: prio.get(),
            band: prio.band().name(),
            policy: level.policy.into(),
            nice: level.nice,
            rt_priority: level.rt_priority,
            slice_ns: level.slice_ns,
            weight: level.weight,
        }
    }
}

pub(crate) fn map(json: bool) -> Result<ExitCode, Error> {
    let levels: Vec<LevelJson> = GoPrio::all().map(LevelJson::from).collect();
    if json {
        print_json(&levels)?;
    } else {
        print(|out| print_table(out, &levels))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_table(out: &mut impl Write, levels: &[LevelJson]) -> io::Result<()> {
    writeln!(
        out,
        "PRIO  BAND  POLICY       NICE  RT-PRIO  SLICE-MS  WEIGHT"
    )?;
    for level in levels {
        writeln!(
            out,
            "{:4}  {:4}  {:11}  {:>4}  {:>7}  {:>8}  {:>6}",
            level.priority,
            level.band,
            level.policy,
            shown_if(level.slice_ns != 0, level.nice),
            shown_if(level.rt_priority != 0, level.rt_priority),
            shown_if(
                level.slice_ns != 0,
                format_args!("{:.3}", level.slice_ns as f64 / 1e6)
            ),
            shown_if(level.weight != 0, level.weight),
        )?;
    }
    Ok(())
}

fn shown_if(shown: bool, value: impl Display) -> String {
    if shown {
        value.to_string()
    } else {
        "-".to_owned()
    }
}
