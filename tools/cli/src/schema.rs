// SPDX-License-Identifier: GPL-2.0

//! `gosched schema`: the schema of what the verbs write with `--json`.

use std::process::ExitCode;

#[cfg(feature = "observe")]
use gosched_observe::spikes::Spikes;
#[cfg(feature = "observe")]
use gosched_observe::states::States;
#[cfg(feature = "observe")]
use gosched_observe::summary::Summary;
#[cfg(feature = "observe")]
use gosched_observe::why::Why;
use schemars::generate::SchemaSettings;
use schemars::JsonSchema;

use crate::check::Finding;
use crate::error::Error;
use crate::map::LevelJson;
#[cfg(feature = "observe")]
use crate::observe::heat::HeatJson;
#[cfg(feature = "observe")]
use crate::observe::lag::LagJson;
use crate::output::print_json;
use crate::output::MessageJson;
use crate::stats::StatsJson;
use crate::threads::Outcome;
use crate::threads::ThreadReportJson;
use crate::top::TopJson;
use crate::trace::TraceJson;
use crate::watch::WatchJson;

/// The command that writes the schema, which is committed.
const WRITTEN_BY: &str = if cfg!(feature = "observe") {
    "cargo run -p gosched-cli --features observe -- schema >tools/cli/schema-observe.json"
} else {
    "cargo run -p gosched-cli -- schema >tools/cli/schema.json"
};

/// The output of each verb with --json. The verbs watch, trace and top write one such
/// value on each line, the others write one value. Standard error has a value of "error" on
/// each line.
#[derive(JsonSchema)]
#[schemars(title = "gosched --json")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Verbs {
    set: Vec<Outcome<ThreadReportJson>>,
    get: Vec<Outcome<ThreadReportJson>>,
    clear: Vec<Outcome<ThreadReportJson>>,
    ceiling: Vec<Outcome<ThreadReportJson>>,
    stats: Vec<Outcome<StatsJson>>,
    watch: WatchJson,
    trace: TraceJson,
    #[cfg(feature = "observe")]
    timeline: TimelineJson,
    #[cfg(feature = "observe")]
    why: Why,
    #[cfg(feature = "observe")]
    heat: HeatJson<'static>,
    /// One value on each line: the samples, and then a summary of each thread.
    #[cfg(feature = "observe")]
    lag: LagJson<'static>,
    #[cfg(feature = "observe")]
    spikes: Spikes,
    top: TopJson,
    map: Vec<LevelJson>,
    check: Vec<Finding>,
    error: MessageJson,
}

/// Output of `gosched timeline --json`.
#[cfg(feature = "observe")]
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is of interest")]
enum TimelineJson {
    Summary(Summary),
    /// Output with `--states`.
    States(States),
}

pub(crate) fn schema() -> Result<ExitCode, Error> {
    // A field that is always written, even as null, is required.
    let settings = SchemaSettings::default().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Verbs>();
    schema.insert(
        "$comment".to_owned(),
        format!("Written by: {WRITTEN_BY}").into(),
    );
    print_json(&schema)?;
    Ok(ExitCode::SUCCESS)
}
