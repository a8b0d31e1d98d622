// SPDX-License-Identifier: GPL-2.0

//! Tests of the figures and of the dashboard with Prometheus, of Debian's package `prometheus`.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::ErrorKind;
use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::event::poll;
use rustix::event::Timespec;
use serde_json::Value;

use super::fixture::figures;
use super::listener::Listener;
use super::request::answer;
use super::server::Server;
use super::text::plain;
use super::text::Format;
use crate::args::Listen;

const DASHBOARD: &str = include_str!("../../../grafana.json");

/// The variable that makes a missing Prometheus a failure: `make test-bpf` sets it.
const NEEDED: &str = "GO_SCHED_NEEDS_PROMETHEUS";

/// The time after which Prometheus is taken to hang.
const LIMIT: Duration = Duration::from_secs(120);

/// Ends a process when a test does.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // A process that has ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program of the package; `None` if the program is missing, and may be.
fn start(command: &mut Command) -> Option<Ended> {
    match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound && env::var_os(NEEDED).is_none() => {
            let name = command.get_program();
            eprintln!("SKIPPED: there is no {name:?}, of Debian's package prometheus");
            None
        }
        started => Some(Ended(started.expect("the program runs"))),
    }
}

/// An expression of a panel, with values for the variables of the dashboard.
struct Query {
    panel: String,
    expression: String,
    /// The labels of each series.
    labels: HashSet<String>,
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    dashboard["panels"].as_array().expect("panels").clone()
}

fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for panel in panels() {
        for target in panel["targets"].as_array().expect("targets") {
            let text = |field: &str| target[field].as_str().expect(field);
            let expression = text("expr").replace("$__rate_interval", "1m");
            let expression = expression.replace("$pid", ".*");
            assert!(!expression.contains('$'), "{expression}");
            let labels = text("legendFormat").split("{{").skip(1);
            let labels = labels.filter_map(|label| label.split("}}").next());
            queries.push(Query {
                panel: panel["title"].to_string(),
                expression,
                labels: labels.map(str::to_owned).collect(),
            });
        }
    }
    queries
}

#[test]
fn each_panel_says_what_it_shows_and_in_which_unit() {
    let panels = panels();
    let texts = |pointer: &str| -> HashSet<_> {
        let texts = panels.iter().map(|panel| panel.pointer(pointer));
        let texts = texts.map(|text| text.and_then(Value::as_str).unwrap_or_default());
        assert!(texts.clone().all(|text| !text.is_empty()), "{pointer}");
        texts.collect()
    };
    assert_eq!(texts("/title").len(), panels.len());
    texts("/description");
    let known = HashSet::from(["s", "short", "ops", "percentunit"]);
    assert!(texts("/fieldConfig/defaults/unit").is_subset(&known));
    let mut ids = panels.iter().map(|panel| panel["id"].as_u64());
    assert!(ids.all(|id| id.is_some()));
}

#[test]
fn promtool_finds_no_fault_in_the_figures() {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]);
    promtool.stdin(Stdio::piped()).stdout(Stdio::piped());
    promtool.stderr(Stdio::piped());
    let Some(mut promtool) = start(&mut promtool) else {
        return;
    };
    // What is said is shorter than a pipe.
    let mut stdin = promtool.0.stdin.take().expect("a pipe");
    let text = plain(&figures(1).text());
    stdin.write_all(text.as_bytes()).expect("it is read");
    drop(stdin);
    let mut said = String::new();
    let (out, error) = (promtool.0.stdout.take(), promtool.0.stderr.take());
    let (mut out, mut error) = (out.expect("a pipe"), error.expect("a pipe"));
    for pipe in [&mut out as &mut dyn std::io::Read, &mut error] {
        pipe.read_to_string(&mut said).expect("text");
    }
    let status = promtool.0.wait().expect("it ends");
    assert!(status.success() && said.is_empty(), "{said}\n{text}");
}

/// Answers with figures that grow until `is_over`.
fn serve(listener: Listener, is_over: &AtomicBool) {
    let mut server = Server::new(listener);
    let moment = Timespec::try_from(Duration::from_millis(10)).expect("a short time");
    let mut scrapes = 0;
    while !is_over.load(Ordering::Relaxed) {
        poll(&mut server.polled(), Some(&moment)).expect("it waits");
        let mut answer = |format| -> Rc<str> {
            scrapes += 1;
            assert_eq!(format, Format::OpenMetrics, "Prometheus asks for it");
            answer(format, &figures(scrapes).text()).into()
        };
        server.go_on(&mut answer).expect("it goes on");
    }
}

fn agent() -> ureq::Agent {
    ureq::config::Config::builder()
        .http_status_as_error(false)
        .timeout_global(Some(LIMIT))
        .build()
        .new_agent()
}

/// Waits until Prometheus answers queries, which may be before or after it says that it listens.
fn await_ready(root: &str) {
    let ends = Instant::now() + LIMIT;
    let url = format!("{root}/-/ready");
    while agent().get(&url).call().expect("an answer").status() != 200 {
        assert!(Instant::now() < ends, "it is not ready");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Asks Prometheus until `judge` is content with the answer.
fn ask<T>(url: &str, query: &[(&str, &str)], judge: impl Fn(&Value) -> Option<T>) -> T {
    let ends = Instant::now() + LIMIT;
    loop {
        let request = agent().get(url).query_pairs(query.iter().copied());
        let mut response = request.call().expect("an answer");
        let answer = response.body_mut().read_to_string().expect("text");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["status"], "success", "{query:?}: {answer}");
        if let Some(judged) = judge(&answer["data"]) {
            return judged;
        }
        assert!(Instant::now() < ends, "{query:?}: {answer}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Returns whether a series has these labels, and a value above 0 that can be drawn.
fn is_shown(series: &Value, labels: &HashSet<String>) -> bool {
    let metric = series["metric"].as_object().expect("labels");
    let own = metric.keys().filter(|label| {
        // What Prometheus itself adds.
        !["__name__", "instance", "job"].contains(&label.as_str())
    });
    let value = series["value"][1].as_str().map(str::parse::<f64>);
    own.cloned().collect::<HashSet<_>>() == *labels
        && value.is_some_and(|value| value.is_ok_and(|value| value.is_finite() && value > 0.0))
}

#[test]
fn prometheus_has_series_for_each_panel() {
    let folder = tempfile::tempdir().expect("a folder");
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = Listener::open(&Listen::Address(any)).expect("a free port");
    let url = listener.url().expect("an address");
    let target = url
        .trim_start_matches("http://")
        .trim_end_matches("/metrics");
    let config = folder.path().join("prometheus.yml");
    let text = format!(
        "scrape_configs:\n- job_name: gosched\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n  \
         static_configs:\n  - targets: [{target:?}]\n"
    );
    fs::write(&config, text).expect("room");
    let mut prometheus = Command::new("prometheus");
    prometheus
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().display()))
        .arg("--web.listen-address=127.0.0.1:0")
        .stderr(Stdio::piped());
    let Some(mut prometheus) = start(&mut prometheus) else {
        return;
    };
    let log = BufReader::new(prometheus.0.stderr.take().expect("a pipe"));
    let mut log = log.lines().map(|line| line.expect("text"));
    let address = log.find_map(|line| {
        let (_, address) = line.split_once("\"Listening on\" address=")?;
        Some(address.to_owned())
    });
    let root = format!("http://{}", address.expect("it listens"));
    let api = format!("{root}/api/v1");

    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // The pipe must not become full.
        scope.spawn(|| log.for_each(drop));
        scope.spawn(|| serve(listener, &is_over));
        let shown = std::panic::catch_unwind(|| {
            await_ready(&root);
            for query in queries() {
                let Query {
                    panel,
                    expression,
                    labels,
                } = query;
                ask(&format!("{api}/query"), &[("query", &expression)], |data| {
                    assert_eq!(data["resultType"], "vector", "{panel}: {expression}");
                    let mut series = data["result"].as_array().expect("series").iter();
                    series.any(|series| is_shown(series, &labels)).then_some(())
                });
            }
            check_metadata(&api);
        });
        is_over.store(true, Ordering::Relaxed);
        drop(prometheus);
        if let Err(panic) = shown {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Checks that Prometheus has taken types and units as they are meant.
fn check_metadata(api: &str) {
    let of = |name: &str| {
        ask(&format!("{api}/metadata"), &[("metric", name)], |data| {
            let known = &data[name][0];
            let text = |field: &str| known[field].as_str().unwrap_or_default().to_owned();
            (!known.is_null()).then(|| (text("type"), text("unit")))
        })
    };
    for (name, kind, unit) in [
        ("gosched_run_delay_seconds", "histogram", "seconds"),
        ("gosched_counted_seconds", "counter", "seconds"),
        ("gosched_threads", "gauge", ""),
    ] {
        assert_eq!(of(name), (kind.to_owned(), unit.to_owned()), "{name}");
    }
}
