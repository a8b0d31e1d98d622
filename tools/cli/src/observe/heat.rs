// SPDX-License-Identifier: GPL-2.0

//! `gosched heat`.

mod live;
mod picture;
mod shades;
mod text;

use std::io::stdout;
use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;

use gosched_observe::directory::Meta;
use gosched_observe::directory::Record;
use gosched_observe::heat;
use gosched_observe::heat::Bucket;
use gosched_observe::heat::Counts;
use gosched_observe::heat::Heat;
use gosched_observe::heat::Map;
use gosched_observe::heat::Subject;
use gosched_observe::heat::CLASSES;
use gosched_observe::summary::Timeline;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::Heat as Arguments;
use crate::error::Error;
use crate::error::ObserveError;
use crate::observe::file::write;
use crate::output::complain;
use crate::output::print;
use crate::output::print_json;
use crate::output::wants_colours;
use crate::terminal::area;
use crate::terminal::is_dumb;

/// The columns of what no terminal shows: as many as the usual terminal has.
const COLUMNS: usize = 57;

/// What is shown.
struct Shown {
    meta: Meta,
    /// What is missing, a sentence each.
    missing: Vec<String>,
    heat: Heat,
}

/// Output of `gosched heat --json`. All times are in ns.
#[derive(Serialize, JsonSchema)]
pub(crate) struct HeatJson<'a> {
    /// Command line of the process, with blanks between the arguments.
    command: &'a str,
    /// Id of the process, in the first pid namespace.
    pid: i32,
    /// Release of the kernel.
    kernel: &'a str,
    /// Time that the maps are of.
    duration: u64,
    /// What is missing, a sentence each.
    missing: &'a [String],
    /// Times of the columns, since the beginning.
    times: Vec<Bucket>,
    /// Delays of the rows.
    delays: [Bucket; CLASSES],
    /// Maps of threads by Go priority, and of goroutines.
    maps: Vec<MapJson>,
}

/// A heat map.
#[derive(Serialize, JsonSchema)]
struct MapJson {
    #[serde(flatten)]
    subject: Subject,
    /// For each column, the number of delays of each row.
    counts: Vec<Counts>,
}

/// Shows the delays of a record, or of a process that runs.
pub(crate) fn heat(args: &Arguments, json: bool) -> Result<ExitCode, Error> {
    let on_terminal = args.svg.is_none() && !json && stdout().is_terminal() && !is_dumb();
    let columns = match args.svg.is_some() || json {
        true => COLUMNS,
        false => text::columns(area().width.into()),
    };
    let shown = match args.pid {
        Some(tid) => live::watch(tid, args.seconds, columns, on_terminal)?,
        None => read(args, columns)?,
    };
    if let Some(path) = &args.svg {
        write(path, picture::picture(&shown)?.as_bytes())?;
        for sentence in &shown.missing {
            complain(sentence);
        }
    } else if json {
        print_json(&HeatJson::of(&shown))?;
    } else {
        let text = text::text(&shown, on_terminal && wants_colours(), usize::MAX);
        print(|out| out.write_all(text.as_bytes()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read(args: &Arguments, columns: usize) -> Result<Shown, ObserveError> {
    let timeline = Timeline::of(Record::read(&args.record)?)?;
    Ok(Shown {
        heat: Heat::of(&timeline, columns),
        meta: timeline.meta,
        missing: timeline.missing,
    })
}

/// Returns a map with all columns, those at the end without delays too.
fn whole(map: &Map, columns: usize) -> Map {
    let mut map = map.clone();
    map.resize(columns, [0; CLASSES]);
    map
}

impl<'a> HeatJson<'a> {
    fn of(shown: &'a Shown) -> Self {
        let heat = &shown.heat;
        let maps = heat.maps().map(|(subject, map)| MapJson {
            subject,
            counts: whole(map, heat.columns()),
        });
        Self {
            command: &shown.meta.command,
            pid: shown.meta.pid,
            kernel: &shown.meta.kernel,
            duration: heat.duration,
            missing: &shown.missing,
            times: heat.times().collect(),
            delays: heat::classes(),
            maps: maps.collect(),
        }
    }
}
