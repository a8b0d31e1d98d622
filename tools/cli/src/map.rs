// SPDX-License-Identifier: GPL-2.0

//! `gosched map`.

use std::fmt::Display;
use std::io;
use std::io::Write;
use std::process::ExitCode;

use gosched::policy::level;
use gosched::policy::GoPrio;
use gosched::sched::SchedPolicy;
use schemars::JsonSchema;
use serde::Serialize;

use crate::print_json;
use crate::Failure;

/// One line of `gosched map --json`; 0 stands for what the policy does not
/// have, or takes from the kernel's defaults.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Line {
    priority: u32,
    band: &'static str,
    #[schemars(with = "String")]
    policy: SchedPolicy,
    nice: i32,
    rt_priority: u32,
    slice_ns: u64,
    weight: u32,
}

impl From<GoPrio> for Line {
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

pub(crate) fn map(json: bool) -> Result<ExitCode, Failure> {
    let lines: Vec<Line> = GoPrio::all().map(Line::from).collect();
    if json {
        print_json(&lines)?;
    } else {
        print_table(&mut io::stdout().lock(), &lines)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_table(out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
    writeln!(
        out,
        "PRIO  BAND  POLICY       NICE  RT-PRIO  SLICE-MS  WEIGHT"
    )?;
    for line in lines {
        writeln!(
            out,
            "{:4}  {:4}  {:11}  {:>4}  {:>7}  {:>8}  {:>6}",
            line.priority,
            line.band,
            line.policy,
            shown_if(line.slice_ns != 0, line.nice),
            shown_if(line.rt_priority != 0, line.rt_priority),
            shown_if(
                line.slice_ns != 0,
                format_args!("{:.3}", line.slice_ns as f64 / 1e6)
            ),
            shown_if(line.weight != 0, line.weight),
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
