// SPDX-License-Identifier: GPL-2.0

//! The figures as OpenMetrics text.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write;
use std::time::Duration;

use gosched_observe::delay::Delays;
use gosched_observe::heat::BOUNDS;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeLabelValue;
use prometheus_client::encoding::LabelValueEncoder;
use prometheus_client::encoding::MetricEncoder;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;

use super::ledger::Counts;

/// The form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    /// The older one, of Prometheus.
    Plain,
}

impl Format {
    /// What a request accepts that wants OpenMetrics.
    pub(super) const OPEN_METRICS: &'static str = "application/openmetrics-text";

    /// Returns the type of the text, as HTTP names it.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Returns OpenMetrics text in the older form: a counter is described by the name of the sample,
/// and there is neither a unit nor an end.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        let next = lines.peek();
        let is_counter = |line: &str| line.starts_with("# TYPE ") && line.ends_with(" counter");
        match words[..] {
            ["#", "EOF"] | ["#", "UNIT", ..] => continue,
            ["#", what @ ("HELP" | "TYPE"), name, rest]
                if is_counter(line) || next.is_some_and(|next| is_counter(next)) =>
            {
                plain.push_str(&format!("# {what} {name}_total {rest}"));
            }
            _ => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}

/// The names of what the module counts, and what they mean.
const MODULE: [(&str, &str); 4] = [
    (
        "changes",
        "Changes of the scheduling of threads, by the module.",
    ),
    (
        "hints_above_ceiling",
        "Hints for a priority that the thread must not have, and that got it a lower one.",
    ),
    ("hints_put_off", "Hints that did not take effect at once."),
    (
        "runaways",
        "Times that a thread used up the CPU time that its granted ceiling allows.",
    ),
];

/// The Go priority of threads, as a label. At most 66 there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    None,
    Prio(u32),
    Unknown,
}

impl Label {
    pub(super) fn of(prio: Option<u32>) -> Self {
        prio.map_or(Self::None, Self::Prio)
    }
}

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::None => encoder.write_str("none"),
            Self::Prio(prio) => write!(encoder, "{prio}"),
            Self::Unknown => encoder.write_str("unknown"),
        }
    }
}

/// All that is told at one moment.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) processes: Vec<Process>,
    /// The number of times that figures were read.
    pub(super) scrapes: u64,
    /// The CPU time of the exporter.
    pub(super) cpu: Duration,
}

/// What is told of a process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) is_up: bool,
    /// The time in which delays were counted.
    pub(super) counted: Duration,
    /// The delays of all that time, by Go priority.
    pub(super) delays: BTreeMap<Option<u8>, Delays>,
    pub(super) uncounted: u64,
    pub(super) threads: BTreeMap<Label, u64>,
    /// What the module counts, if there is one.
    pub(super) module: Option<Counts>,
}

impl Process {
    fn labels(&self) -> [(&'static str, i32); 1] {
        [("pid", self.pid)]
    }

    fn with_priority<T: EncodeLabelValue>(&self, go_prio: T) -> Priority<T> {
        (self.labels(), [("go_priority", go_prio)])
    }
}

/// The labels of what is told of a process for each priority.
type Priority<T> = ([(&'static str, i32); 1], [(&'static str, T); 1]);

impl Figures {
    /// Returns the text.
    pub(super) fn text(self) -> String {
        let mut registry = Registry::with_prefix("gosched");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = encode(&mut text, &registry);
        text
    }

    /// Writes a family with one value for each process.
    fn of_processes(
        &self,
        mut family: MetricEncoder<'_>,
        write: impl Fn(&Process, MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        self.processes
            .iter()
            .try_for_each(|of| write(of, family.encode_family(&of.labels())?))
    }
}

fn counter(mut encoder: MetricEncoder<'_>, value: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn seconds(mut encoder: MetricEncoder<'_>, time: Duration) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, u64>(&time.as_secs_f64(), None)
}

fn gauge(mut encoder: MetricEncoder<'_>, value: u64) -> fmt::Result {
    encoder.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))
}

fn histogram(mut encoder: MetricEncoder<'_>, delays: &Delays) -> fmt::Result {
    let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e9);
    // The crate tells the last bound as "+Inf", and adds up the buckets.
    let bounds = bounds.chain([f64::MAX]);
    let buckets: Vec<_> = bounds.zip(delays.counts).collect();
    let count = delays.counts.iter().sum();
    encoder.encode_histogram::<NoLabelSet>(delays.sum as f64 / 1e9, count, &buckets, None)
}

impl Collector for Figures {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        let up = "Whether the process is there: 1, or 0 once it has ended.";
        let up = out.encode_descriptor("up", up, None, MetricType::Gauge)?;
        self.of_processes(up, |of, out| gauge(out, of.is_up.into()))?;

        let delays = "Delays of threads from runnable to running, by the Go priority in force at \
                      their end. Buckets hold what is shorter than le.";
        let unit = Some(&Unit::Seconds);
        let mut delays = out.encode_descriptor("run_delay", delays, unit, MetricType::Histogram)?;
        for of in &self.processes {
            let none = Delays::default();
            let without = of.delays.get(&None).unwrap_or(&none);
            histogram(
                delays.encode_family(&of.with_priority(Label::None))?,
                without,
            )?;
            for (go_prio, of_prio) in &of.delays {
                if let Some(go_prio) = go_prio {
                    let labels = of.with_priority(Label::Prio(u32::from(*go_prio)));
                    histogram(delays.encode_family(&labels)?, of_prio)?;
                }
            }
        }

        let counted = "Time in which run delays were counted.";
        let counted = out.encode_descriptor("counted", counted, unit, MetricType::Counter)?;
        self.of_processes(counted, |of, out| seconds(out, of.counted))?;

        let uncounted = "Run delays that were not counted, as too many threads waited at a time.";
        let uncounted =
            out.encode_descriptor("uncounted_run_delays", uncounted, None, MetricType::Counter)?;
        self.of_processes(uncounted, |of, out| counter(out, of.uncounted))?;

        let threads = "Threads by the Go priority in force.";
        let mut threads = out.encode_descriptor("threads", threads, None, MetricType::Gauge)?;
        for of in &self.processes {
            for (label, count) in &of.threads {
                gauge(threads.encode_family(&of.with_priority(*label))?, *count)?;
            }
        }

        for (number, (name, help)) in MODULE.into_iter().enumerate() {
            if self.processes.iter().any(|of| of.module.is_some()) {
                let family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
                self.of_processes(family, |of, out| {
                    of.module
                        .map_or(Ok(()), |counts| counter(out, counts[number]))
                })?;
            }
        }

        let scrapes = "Times that these figures were read.";
        let scrapes =
            out.encode_descriptor("exporter_scrapes", scrapes, None, MetricType::Counter)?;
        counter(scrapes, self.scrapes)?;
        let cpu = "CPU time of the exporter, without that of counting in the kernel.";
        let cpu = out.encode_descriptor("exporter_cpu", cpu, unit, MetricType::Counter)?;
        seconds(cpu, self.cpu)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use gosched_observe::heat::CLASSES;

    use super::super::fixture::figures;
    use super::*;

    /// Reads the samples of a text, and checks that each belongs to the family above it and that
    /// there is no other like it.
    fn samples(text: &str) -> Vec<(&str, f64)> {
        let lines = text.strip_suffix("# EOF\n").expect("an end");
        let mut family = ("", "");
        let mut samples = Vec::new();
        let mut seen = HashSet::new();
        for line in lines.lines() {
            if let Some(described) = line.strip_prefix("# ") {
                let mut words = described.splitn(3, ' ');
                let mut word = || words.next().expect(line);
                match (word(), word(), word()) {
                    ("HELP", name, help) => {
                        assert!(help.ends_with('.') && seen.insert(name), "{line}");
                        family = (name, "");
                    }
                    ("TYPE", name, kind) if family == (name, "") => family = (name, kind),
                    ("UNIT", name, "seconds") => {
                        assert!(family.0 == name && name.ends_with("_seconds"), "{line}");
                    }
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (series, value) = line.rsplit_once(' ').expect(line);
            let name = series.split('{').next().expect(line);
            let suffix = name.strip_prefix(family.0).expect(line);
            let suffixes: &[&str] = match family.1 {
                "counter" => &["_total"],
                "gauge" => &[""],
                "histogram" => &["_bucket", "_count", "_sum"],
                other => panic!("{other}"),
            };
            assert!(suffixes.contains(&suffix) && seen.insert(series), "{line}");
            samples.push((series, value.parse().expect(line)));
        }
        samples
    }

    #[test]
    fn buckets_ascend_to_the_count() {
        let text = figures(1).text();
        let samples = samples(&text);
        let of = |labels: &str, suffix: &str| -> Vec<_> {
            let name = format!("gosched_run_delay_seconds{suffix}{{");
            let of_name = samples
                .iter()
                .filter(|(series, _)| series.starts_with(&name));
            let of_labels = of_name.filter(|(series, _)| series.contains(labels));
            of_labels.copied().collect()
        };
        for (labels, expected, sum) in [
            (r#"pid="1",go_priority="40""#, 7.0, 2.00005),
            (r#"pid="1",go_priority="none""#, 30.0, 1e-9),
            (r#"pid="2",go_priority="none""#, 0.0, 0.0),
        ] {
            let buckets = of(labels, "_bucket");
            let mut bounds = Vec::new();
            for (series, _) in &buckets {
                let bound = series.split('"').nth(1).expect(series);
                bounds.push(bound.parse::<f64>().expect(series));
            }
            let expected_bounds = BOUNDS.map(|bound| bound as f64 / 1e9);
            assert_eq!(bounds[..BOUNDS.len()], expected_bounds);
            assert_eq!(bounds[BOUNDS.len()..], [f64::INFINITY]);
            assert!(
                buckets.is_sorted_by(|one, next| one.1 <= next.1),
                "{buckets:?}"
            );
            assert_eq!(buckets[BOUNDS.len()].1, expected, "{labels}");
            let single = |suffix| of(labels, suffix).iter().map(|of| of.1).collect::<Vec<_>>();
            assert_eq!(single("_count"), [expected], "{labels}");
            assert_eq!(single("_sum"), [sum], "{labels}");
        }
    }

    #[test]
    fn all_figures_are_told() {
        let text = figures(1).text();
        let samples = samples(&text);
        for expected in [
            (r#"gosched_up{pid="1"}"#, 1.0),
            (r#"gosched_up{pid="2"}"#, 0.0),
            (r#"gosched_counted_seconds_total{pid="1"}"#, 1.5),
            (r#"gosched_uncounted_run_delays_total{pid="1"}"#, 7.0),
            (r#"gosched_threads{pid="1",go_priority="40"}"#, 1.0),
            (r#"gosched_threads{pid="1",go_priority="none"}"#, 2.0),
            (r#"gosched_threads{pid="1",go_priority="unknown"}"#, 1.0),
            (r#"gosched_changes_total{pid="1"}"#, 1.0),
            (r#"gosched_hints_above_ceiling_total{pid="1"}"#, 2.0),
            (r#"gosched_hints_put_off_total{pid="1"}"#, 3.0),
            (r#"gosched_runaways_total{pid="1"}"#, 4.0),
            ("gosched_exporter_scrapes_total", 1.0),
            ("gosched_exporter_cpu_seconds_total", 1e-9),
        ] {
            assert!(samples.contains(&expected), "{expected:?}\n{text}");
        }
    }

    #[test]
    fn without_the_module_nothing_is_told_of_it() {
        let mut figures = figures(1);
        for process in &mut figures.processes {
            process.module = None;
        }
        let text = figures.text();
        let samples = samples(&text);
        let of_module = |name: &str| MODULE.iter().any(|(of, _)| name.contains(of));
        assert!(
            !samples.iter().any(|(series, _)| of_module(series)),
            "{text}"
        );
    }

    #[test]
    fn the_largest_figures_are_told() {
        let mut figures = figures(1);
        let most = Delays {
            counts: [u64::MAX / CLASSES as u64; CLASSES],
            sum: u64::MAX,
        };
        let all = (0..64).map(Some).chain([None]);
        figures.processes[0].delays = all.map(|go_prio| (go_prio, most)).collect();
        figures.processes[0].uncounted = u64::MAX;
        figures.scrapes = u64::MAX;
        assert!(samples(&figures.text()).len() > 65 * (CLASSES + 2));
    }

    #[test]
    fn the_older_form_has_the_same_samples() {
        let text = figures(1).text();
        let plain = plain(&text);
        let of = |text: &str| -> Vec<_> {
            let samples = text.lines().filter(|line| !line.starts_with('#'));
            samples.map(str::to_owned).collect()
        };
        assert_eq!(of(&plain), of(&text));
        assert!(
            !plain.contains("# EOF") && !plain.contains("# UNIT"),
            "{plain}"
        );
        for line in [
            "# HELP gosched_counted_seconds_total Time in which run delays were counted.",
            "# TYPE gosched_counted_seconds_total counter",
            "# TYPE gosched_run_delay_seconds histogram",
            "# TYPE gosched_up gauge",
        ] {
            assert!(
                plain.lines().any(|actual| actual == line),
                "{line}: {plain}"
            );
        }
    }
}
