// SPDX-License-Identifier: GPL-2.0

//! `gosched schema`: the schema of what the verbs write with `--json`.

use std::process::ExitCode;

use schemars::generate::SchemaSettings;
use schemars::JsonSchema;

use crate::check::Finding;
use crate::error::Error;
use crate::map::LevelJson;
use crate::output::print_json;
use crate::output::MessageJson;
use crate::stats::StatsJson;
use crate::threads::Outcome;
use crate::threads::ThreadReportJson;
use crate::top::TopJson;
use crate::trace::TraceJson;
use crate::watch::WatchJson;

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
    top: TopJson,
    map: Vec<LevelJson>,
    check: Vec<Finding>,
    error: MessageJson,
}

pub(crate) fn schema() -> Result<ExitCode, Error> {
    // A field that is always written, even as null, is required.
    let settings = SchemaSettings::default().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Verbs>();
    schema.insert(
        "$comment".to_owned(),
        "Written by: cargo run -p gosched-cli -- schema >tools/cli/schema.json".into(),
    );
    print_json(&schema)?;
    Ok(ExitCode::SUCCESS)
}
