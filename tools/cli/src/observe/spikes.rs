// SPDX-License-Identifier: GPL-2.0

//! `gosched spikes`.

use std::cmp::Reverse;
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use gosched_observe::directory::Meta;
use gosched_observe::directory::Record;
use gosched_observe::latencies::Latencies;
use gosched_observe::latencies::LatenciesError;
use gosched_observe::latencies::Threshold;
use gosched_observe::perfetto;
use gosched_observe::spikes::Cluster;
use gosched_observe::spikes::Clustering;
use gosched_observe::spikes::Spikes;
use gosched_observe::summary::Timeline;

use crate::args;
use crate::error::Error;
use crate::error::ObserveError;
use crate::observe::file::write;
use crate::observe::ms;
use crate::observe::seconds;
use crate::output::complain;
use crate::output::print;
use crate::output::print_json;
use crate::output::printable;
use crate::table::table;

/// The most clusters that are shown.
const MOST_CLUSTERS: usize = 20;
/// The most outliers without a cluster that are shown.
const MOST_SINGLE: usize = 10;

/// Tells what caused the outliers of a program's latencies.
pub(crate) fn spikes(args: &args::Spikes, json: bool) -> Result<ExitCode, Error> {
    let record = Record::read(&args.record).map_err(ObserveError::from)?;
    let latencies = read(args, &record.meta).map_err(|error| ObserveError::Latencies {
        path: args.latencies.clone(),
        error,
    })?;
    let timeline = Timeline::of(record).map_err(ObserveError::from)?;
    let clustering = Clustering {
        gap: args.gap.map(|gap| gap.0),
        at_least: args.at_least.get().into(),
    };
    let spikes = timeline.spikes(latencies, clustering);
    if let Some(path) = &args.output {
        write(path, &perfetto::file(&timeline, &spikes.clusters))?;
        for sentence in missing(&spikes) {
            complain(&sentence);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if json {
        print_json(&spikes)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = describe(args, &spikes, timeline.meta.from);
    print(|out| out.write_all(text.as_bytes()))?;
    Ok(ExitCode::SUCCESS)
}

fn read(args: &args::Spikes, meta: &Meta) -> Result<Latencies, LatenciesError> {
    let threshold = match args.above {
        Some(above) => Threshold::Above(above.0),
        None => Threshold::Quantile(args.quantile.0),
    };
    if args.latencies == Path::new("-") {
        return Latencies::read(io::stdin().lock(), meta, threshold, args.unit);
    }
    let file = BufReader::new(File::open(&args.latencies)?);
    Latencies::read(file, meta, threshold, args.unit)
}

/// Returns what is missing of the record and of the latencies, a sentence each.
fn missing(spikes: &Spikes) -> Vec<String> {
    let mut missing = spikes.missing.clone();
    if let Some(first) = &spikes.first_unreadable {
        missing.push(format!(
            "{} lines cannot be read, the first of them is line {}: {}",
            spikes.unreadable, first.line, first.why
        ));
    }
    if spikes.outside > 0 {
        missing.push(format!(
            "{} latencies are not of the time of the record, and do not count",
            spikes.outside
        ));
    }
    missing
}

/// Describes spikes of a record that begins at a time.
fn describe(args: &args::Spikes, spikes: &Spikes, from: u64) -> String {
    let mut text = String::new();
    for sentence in missing(spikes) {
        text += &format!("Missing: {}\n", printable(&sentence));
    }
    let which = match args.above {
        Some(_) => String::new(),
        None => format!(" (P{})", args.quantile.0),
    };
    text += &format!(
        "{} of {} latencies are above {} ms{which}.\n",
        spikes.outliers,
        spikes.latencies,
        ms(spikes.threshold)
    );
    if spikes.outliers == 0 {
        text += "It takes more latencies, or --quantile or --above, to find outliers.\n";
        return text;
    }
    text += &format!(
        "{} of them lie in {}: at least {} outliers, each at most {} ms after those before.\n",
        spikes.in_clusters,
        match spikes.clusters.len() {
            1 => "1 cluster".to_owned(),
            number => format!("{number} clusters"),
        },
        args.at_least,
        ms(spikes.gap)
    );
    if !spikes.clusters.is_empty() {
        let mut clusters: Vec<&Cluster> = spikes.clusters.iter().collect();
        clusters.sort_by_key(|cluster| Reverse(cluster.worst));
        clusters.truncate(MOST_CLUSTERS);
        clusters.sort_by_key(|cluster| cluster.from);
        let hidden = spikes.clusters.len() - clusters.len();
        let rows = clusters.into_iter().map(|cluster| row(cluster, from));
        let columns = [
            ("AT S", true),
            ("MS", true),
            ("OUTLIERS", true),
            ("HIGHEST MS", true),
            ("MORE", true),
            ("USUAL", true),
            ("CAUSE", false),
        ];
        text += &format!("\n{}\n", table(columns, rows));
        if hidden > 0 {
            text += &format!("{hidden} clusters of lower latencies are not shown: see --json.\n");
        }
    }
    text += &single(spikes, from);
    text + &shares(spikes)
}

/// Returns a time since the beginning of the record, in seconds.
fn since(at: u64, from: u64) -> String {
    // What was under way already has begun before.
    let sign = if at < from { "-" } else { "" };
    format!("{sign}{:.3}", seconds(at.abs_diff(from)))
}

fn row(cluster: &Cluster, from: u64) -> Vec<String> {
    let (more, usual, cause) = match &cluster.cause {
        Some(cause) => (
            ms(cause.took.saturating_sub(cause.usual)),
            ms(cause.usual),
            printable(&cause.to_string()),
        ),
        None => {
            let why = cluster.unknown.as_deref().unwrap_or_default();
            ("-".to_owned(), "-".to_owned(), format!("unknown: {why}"))
        }
    };
    vec![
        since(cluster.from, from),
        ms(cluster.to.saturating_sub(cluster.from)),
        cluster.outliers.to_string(),
        ms(cluster.worst),
        more,
        usual,
        cause,
    ]
}

/// Names the highest outliers that lie in no cluster.
fn single(spikes: &Spikes, from: u64) -> String {
    let mut highest = spikes.single.clone();
    if highest.is_empty() {
        return String::new();
    }
    highest.sort_by_key(|outlier| Reverse(outlier.latency));
    let shown = highest.iter().take(MOST_SINGLE).map(|outlier| {
        let at = since(outlier.from, from);
        format!("{} ms at {at} s", ms(outlier.latency))
    });
    format!(
        "\n{} outliers lie in no cluster, the highest of them: {}.\n",
        spikes.outliers - spikes.in_clusters,
        shown.collect::<Vec<_>>().join(", ")
    )
}

fn shares(spikes: &Spikes) -> String {
    let known = spikes.in_kernel + spikes.in_runtime + spikes.in_program;
    let share = |part: u64| {
        let percent = part as f64 * 100.0 / spikes.outliers.max(1) as f64;
        format!("{part} ({percent:.0} %)")
    };
    format!(
        "\nOf {} outliers, {} have their cause in the kernel, {} in the Go runtime, {} in the \
         program's own threads and locks; of {} it is unknown.\n",
        spikes.outliers,
        share(spikes.in_kernel),
        share(spikes.in_runtime),
        share(spikes.in_program),
        share(spikes.outliers.saturating_sub(known))
    )
}
