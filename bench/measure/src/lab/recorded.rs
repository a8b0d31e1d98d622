// SPDX-License-Identifier: GPL-2.0

//! Runs the program in Go while `gosched` records or watches it, and asks `gosched` what it saw.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use go_sched_bench_data::lab::Runs;
use go_sched_bench_data::lab::Setup;
use serde_json::Value;

use super::program;
use super::standing;
use super::Figures;
use crate::recorder::GOSCHED;

/// Where records are, in memory.
const RECORD: &str = "/tmp/lab-record";
const LATENCIES: &str = "/tmp/lab-latencies";
const TRACE: &str = "/tmp/lab-trace";

/// Latencies above this quantile are outliers, in per cent.
const QUANTILE: &str = "98";

/// Runs the program, and returns its figures and those of `gosched`.
pub(super) fn run(runs: Runs, setup: &Setup, length: Duration) -> Result<Figures> {
    let _busy = setup.beside.map(|beside| match runs {
        Runs::Spikes => program::bursts_at(beside),
        _ => program::busy_at(beside),
    });
    let mut command = Command::new(GOSCHED);
    command.args(match runs {
        Runs::Spikes => &["record", "-o", RECORD, "--"][..],
        Runs::Timeline => &["record", "-o", RECORD, "--go-trace", TRACE, "--"],
        _ => &["--json", "lag", "--interval", "0.023", "--"],
    });
    command.arg(program::of(setup));
    program::add_arguments(&mut command, setup, length);
    match runs {
        Runs::Spikes => command.args(["-latencies", LATENCIES]),
        Runs::Timeline => command.args(["-trace", TRACE]),
        _ => &mut command,
    };
    if Path::new(RECORD).exists() {
        fs::remove_dir_all(RECORD).context(RECORD)?;
    }
    let group = setup.quota.map(standing::quota_group).transpose()?;
    let (output, _) = program::output_of(command, setup.program, group.as_ref())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    let lines = lines.with_context(|| format!("it printed {text}"))?;
    let (seen, own): (Vec<Value>, _) = lines.into_iter().partition(|it| it.get("event").is_some());
    let own = own
        .into_iter()
        .next()
        .context("the program printed nothing")?;
    let mut figures = program::figures(own)?;
    figures.extend(match runs {
        Runs::Spikes => spikes(&asked(&[
            "spikes",
            RECORD,
            LATENCIES,
            "--quantile",
            QUANTILE,
        ])?),
        Runs::Timeline => timeline(&asked(&["timeline", RECORD])?),
        _ => lag(&seen),
    });
    Ok(figures)
}

/// Returns what `gosched` answers.
fn asked(arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new(GOSCHED);
    let output = command
        .arg("--json")
        .args(arguments)
        .output()
        .context(GOSCHED)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{GOSCHED} {}: {errors}",
        arguments.join(" ")
    );
    serde_json::from_slice(&output.stdout).context(GOSCHED)
}

fn number(of: &Value, key: &str) -> f64 {
    of.get(key).and_then(Value::as_f64).unwrap_or_default()
}

fn items<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of.get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Returns `part` in per cent of `whole`; 0 of nothing.
fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        100.0 * part / whole
    } else {
        0.0
    }
}

fn spikes(answer: &Value) -> Figures {
    let clustered = number(answer, "in_clusters");
    let all = percent(clustered, number(answer, "outliers"));
    // Clusters have causes, and an outlier by itself has none.
    let of = |key| percent(number(answer, key), clustered);
    Figures::from([
        ("in_clusters_percent".to_owned(), all),
        ("in_kernel_percent".to_owned(), of("in_kernel")),
        ("in_runtime_percent".to_owned(), of("in_runtime")),
        (
            "clusters".to_owned(),
            items(answer, "clusters").len() as f64,
        ),
    ])
}

/// Returns what goroutines waited for that were ready, for each second of the record.
fn timeline(answer: &Value) -> Figures {
    let seconds = number(answer, "duration") / 1e9;
    let sum = |key| {
        let goroutines = items(answer, "goroutines").iter();
        goroutines.map(|it| number(it, key)).sum::<f64>() / seconds
    };
    let (p, cpu, quota) = (sum("without_p"), sum("without_cpu"), sum("throttled"));
    let waits = items(answer, "priorities").iter();
    Figures::from([
        ("no_p_ns".to_owned(), p),
        ("no_cpu_ns".to_owned(), cpu),
        ("quota_ns".to_owned(), quota),
        (
            "kernel_percent".to_owned(),
            percent(cpu + quota, p + cpu + quota),
        ),
        (
            "thread_p99_ns".to_owned(),
            waits.map(|it| number(it, "p99")).fold(0.0, f64::max),
        ),
    ])
}

/// Returns what the thread that had most of the CPU was owed.
fn lag(events: &[Value]) -> Figures {
    let of =
        |event: &str| -> Vec<&Value> { events.iter().filter(|it| it["event"] == event).collect() };
    let summaries = of("summary");
    let busiest = summaries
        .into_iter()
        .max_by(|one, other| number(one, "cpu_percent").total_cmp(&number(other, "cpu_percent")));
    let Some(thread) = busiest else {
        return Figures::new();
    };
    let ns = |key| 1000.0 * number(thread, key);
    Figures::from([
        (
            "lag_spread_ns".to_owned(),
            ns("lag_max_us") - ns("lag_min_us"),
        ),
        ("slice_ns".to_owned(), ns("slice_us")),
        ("cpu_percent".to_owned(), number(thread, "cpu_percent")),
        (
            "eligible_percent".to_owned(),
            number(thread, "eligible_percent"),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_share_of_the_kernel_is_of_what_ready_goroutines_waited_for() {
        let answer = json!({"duration": 500_000_000, "priorities": [{"p99": 7}, {"p99": 9}],
            "goroutines": [{"without_p": 10, "without_cpu": 20, "throttled": 5}, {"without_p": 15}]});
        let figures = timeline(&answer);
        assert_eq!(figures["no_p_ns"], 50.0);
        assert_eq!(figures["kernel_percent"], 50.0);
        assert_eq!(figures["thread_p99_ns"], 9.0);
    }

    #[test]
    fn of_no_outliers_none_is_in_the_kernel() {
        assert_eq!(spikes(&json!({"outliers": 0}))["in_kernel_percent"], 0.0);
        let answer = json!({"outliers": 8, "in_clusters": 4, "in_kernel": 2, "clusters": [{}]});
        assert_eq!(spikes(&answer)["in_clusters_percent"], 50.0);
        assert_eq!(spikes(&answer)["in_kernel_percent"], 50.0);
    }

    #[test]
    fn lag_is_that_of_the_busiest_thread() {
        let summary = |cpu, max| json!({"event": "summary", "cpu_percent": cpu, "lag_min_us": -1, "lag_max_us": max});
        let figures = lag(&[
            summary(1.0, 9),
            summary(50.0, 2),
            json!({"event": "sample"}),
        ]);
        assert_eq!(figures["lag_spread_ns"], 3000.0);
        assert!(lag(&[]).is_empty());
    }
}
