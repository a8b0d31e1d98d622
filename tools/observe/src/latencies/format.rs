// SPDX-License-Identifier: GPL-2.0

//! The formats of latencies. What is read is as others have written it: nothing of it is taken for
//! granted.

use std::io::Read;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use flate2::read::ZlibDecoder;
use hdrhistogram::serialization::interval_log::IntervalLogIterator;
use hdrhistogram::serialization::interval_log::LogEntry;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::Histogram;
use serde_json::Value;

use super::LatenciesError;
use super::Sample;
use super::Unit;
use super::LONGEST;
use super::REALTIME;

/// The most that a line's histogram takes once it is uncompressed, in bytes.
const LARGEST_HISTOGRAM: u64 = 16 << 20;
/// What stands before the counts of an uncompressed histogram, in bytes.
const HISTOGRAM_HEADER: usize = 40;
/// Cookies of a histogram, see `deserializer.rs` of hdrhistogram.
const COMPRESSED: &[u8] = &[0x1c, 0x84, 0x93, 0x14];
const UNCOMPRESSED: &[u8] = &[0x1c, 0x84, 0x93, 0x13];
/// The least number as the counts of a histogram have it: ZigZag in LEB128, of at most 9 bytes.
const LEAST_NUMBER: [u8; 9] = [0xff; 9];
/// k6 writes this metric for each request, in ms.
const K6_METRIC: &str = "http_req_duration";

/// What is written in a line.
#[derive(Debug)]
pub(super) enum Format {
    /// Values that are parted by commas.
    Csv(Csv),
    /// An object of JSON in each line.
    Json(Option<Unit>),
    /// A histogram of each interval.
    Histograms(Histograms),
}

/// The columns of a CSV file.
#[derive(Clone, Debug)]
pub(super) struct Csv {
    /// Whether the next line is the header.
    header: bool,
    time: (usize, Time),
    latency: (usize, Unit),
    /// The column that must have k6's metric.
    metric: Option<usize>,
}

/// What a log of histograms has told so far.
#[derive(Debug)]
pub(super) struct Histograms {
    unit: Unit,
    /// What times count from, in ns.
    base: u64,
}

/// How a time is to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time {
    /// Whether the request begins then, and does not end.
    begins: bool,
    unit: Option<Unit>,
}

/// What a column, or a field, is by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Time(Time),
    Latency(Option<Unit>),
    Metric,
    MetricValue,
}

impl Field {
    fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (base, unit) = match name.rsplit_once('_') {
            Some((base, unit)) => match unit.parse() {
                Ok(unit) => (base, Some(unit)),
                Err(_) => (&*name, None),
            },
            None => (&*name, None),
        };
        let time = |begins| Some(Self::Time(Time { begins, unit }));
        match base {
            "start" => time(true),
            "end" | "time" | "timestamp" => time(false),
            "latency" | "duration" => Some(Self::Latency(unit)),
            "metric_name" => Some(Self::Metric),
            "metric_value" => Some(Self::MetricValue),
            _ => None,
        }
    }
}

impl Format {
    /// Tells the format by the first line.
    pub(super) fn of(line: &str, unit: Option<Unit>) -> Result<Self, LatenciesError> {
        let line = without_mark(line);
        if line.starts_with('{') {
            return Ok(Self::Json(unit));
        }
        // Comments, the names of its columns, or a histogram in base64.
        let of_log = |part| line.contains(part);
        if line.starts_with('#') || of_log("StartTimestamp") || of_log(",HISTF") {
            return Ok(Self::Histograms(Histograms {
                unit: unit.unwrap_or(Unit::Ns),
                base: 0,
            }));
        }
        Csv::of(line, unit).map(Self::Csv)
    }

    /// Reads a line; one of something else than a latency adds no sample.
    pub(super) fn parse(&mut self, line: &str, samples: &mut Vec<Sample>) -> Result<(), String> {
        match self {
            Self::Csv(csv) => samples.extend(csv.parse(line)?),
            Self::Json(unit) => samples.extend(json(line, *unit)?),
            Self::Histograms(histograms) => histograms.parse(line, samples)?,
        }
        Ok(())
    }
}

/// Returns a line without the mark of its encoding.
fn without_mark(line: &str) -> &str {
    line.trim_start_matches('\u{feff}').trim()
}

/// Returns the values of a line.
fn values(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let values = line.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    values.map(|value| value.trim().trim_matches('"'))
}

impl Csv {
    fn of(header: &str, unit: Option<Unit>) -> Result<Self, LatenciesError> {
        let (mut time, mut latency, mut metric): (Option<(usize, Time)>, _, _) = (None, None, None);
        for (column, name) in values(header).enumerate() {
            match Field::of(name) {
                // A beginning is told rather than an end.
                Some(Field::Time(new)) if time.is_none_or(|(_, old)| new.begins && !old.begins) => {
                    time = Some((column, new));
                }
                Some(Field::Latency(its)) => latency = latency.or(Some((column, its.or(unit)))),
                Some(Field::MetricValue) => latency = Some((column, Some(Unit::Ms))),
                Some(Field::Metric) => metric = Some(column),
                _ => (),
            }
        }
        match (time, latency) {
            (Some(time), Some((column, Some(unit)))) => Ok(Self {
                header: true,
                time,
                latency: (column, unit),
                metric,
            }),
            (Some(_), Some((_, None))) => Err(LatenciesError::Format(
                ": its column of latencies says no unit, as latency_us does: give it with --unit"
                    .to_owned(),
            )),
            _ => Self::of_vegeta(header).ok_or_else(|| LatenciesError::Format(String::new())),
        }
    }

    /// Returns the columns of "vegeta encode --to csv", which has no header: when a request began
    /// in ns, its status, its latency in ns, and more.
    fn of_vegeta(line: &str) -> Option<Self> {
        let csv = Self {
            header: false,
            time: (
                0,
                Time {
                    begins: true,
                    unit: Some(Unit::Ns),
                },
            ),
            latency: (2, Unit::Ns),
            metric: None,
        };
        let mut parsed = csv.clone();
        let of_wall_clock = |sample: &Sample| sample.from >= REALTIME;
        let sample = parsed.parse(line).ok()?.filter(of_wall_clock);
        sample.map(|_| csv)
    }

    fn parse(&mut self, line: &str) -> Result<Option<Sample>, String> {
        if std::mem::take(&mut self.header) {
            return Ok(None);
        }
        let (mut time, mut latency) = (None, None);
        for (column, value) in values(line).enumerate() {
            if self.metric == Some(column) && value != K6_METRIC {
                return Ok(None);
            }
            if column == self.time.0 {
                time = Some(value);
            }
            if column == self.latency.0 {
                latency = Some(value);
            }
        }
        let (Some(time), Some(latency)) = (time, latency) else {
            return Err("it has fewer columns than the header".to_owned());
        };
        let latency = scaled(latency, self.latency.1)
            .ok_or_else(|| format!("\"{}\" is no latency", shortened(latency)))?;
        sample(time, self.time.1, latency).map(Some)
    }
}

/// Reads an object: of log/slog, of "vegeta encode", or of k6.
fn json(line: &str, unit: Option<Unit>) -> Result<Option<Sample>, String> {
    let object: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
    if let (Some(metric), Some(data)) = (object.get("metric"), object.get("data")) {
        let is_request = *metric == K6_METRIC && object["type"] == "Point";
        return match is_request {
            true => number(&data["value"], Some(Unit::Ms))
                .and_then(|latency| sample(&text(&data["time"]), END, latency))
                .map(Some),
            false => Ok(None),
        };
    }
    let Some(fields) = object.as_object() else {
        return Err("it is no object".to_owned());
    };
    let (mut time, mut latency): (Option<(&Value, Time)>, _) = (None, None);
    for (name, value) in fields {
        match Field::of(name) {
            Some(Field::Time(new)) if time.is_none_or(|(_, old)| new.begins && !old.begins) => {
                time = Some((value, new));
            }
            Some(Field::Latency(its)) => latency = latency.or(Some((value, its))),
            _ => (),
        }
    }
    // Other lines of a log are about something else.
    let Some((latency, its)) = latency else {
        return Ok(None);
    };
    let Some((time, mut how)) = time else {
        return Err("it has no time".to_owned());
    };
    // Vegeta's are the times at which requests began.
    how.begins |= fields.contains_key("attack");
    let latency = number(latency, its.or(unit))?;
    sample(&text(time), how, latency).map(Some)
}

/// A time with which a request ends.
const END: Time = Time {
    begins: false,
    unit: None,
};

/// Returns a value as it is written in a CSV file.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns a latency in ns. Without a unit it is one of Go's, in whole ns.
fn number(value: &Value, unit: Option<Unit>) -> Result<u64, String> {
    let text = text(value);
    if unit.is_none() && value.is_f64() {
        return Err(format!(
            "{text} has a fraction, and is no number of ns: give the unit with --unit"
        ));
    }
    scaled(&text, unit.unwrap_or(Unit::Ns))
        .ok_or_else(|| format!("\"{}\" is no latency", shortened(&text)))
}

/// Returns a number in ns.
fn scaled(text: &str, unit: Unit) -> Option<u64> {
    if let Ok(whole) = text.parse::<u64>() {
        return whole.checked_mul(unit.ns());
    }
    let ns = text.parse::<f64>().ok()? * unit.ns() as f64;
    // Neither is one that is not a number.
    (0.0..u64::MAX as f64).contains(&ns).then_some(ns as u64)
}

/// Returns what a request of a latency tells.
fn sample(time: &str, how: Time, latency: u64) -> Result<Sample, String> {
    let at =
        time_of(time, how.unit).ok_or_else(|| format!("\"{}\" is no time", shortened(time)))?;
    let other = match how.begins {
        true => at.checked_add(latency),
        false => at.checked_sub(latency),
    };
    match other.filter(|_| latency <= LONGEST) {
        Some(other) => Ok(Sample {
            from: at.min(other),
            to: at.max(other),
            latency,
            count: 1,
        }),
        None => Err(format!("a latency of {latency} ns is too long")),
    }
}

/// Returns a time in ns of the clock that it was taken by: RFC 3339, or a number. A number of the
/// wall clock that does not say its unit is one of this century.
fn time_of(text: &str, unit: Option<Unit>) -> Option<u64> {
    if text.contains(':') {
        let time: jiff::Timestamp = text.parse().ok()?;
        return u64::try_from(time.as_nanosecond()).ok();
    }
    let unit = unit.unwrap_or_else(|| match scaled(text, Unit::Ns) {
        Some(REALTIME..) => Unit::Ns,
        Some(1_000_000_000_000_000..) => Unit::Us,
        Some(1_000_000_000_000..) => Unit::Ms,
        _ => Unit::S,
    });
    scaled(text, unit)
}

/// Returns the beginning of what is quoted in a message.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

impl Histograms {
    fn parse(&mut self, line: &str, samples: &mut Vec<Sample>) -> Result<(), String> {
        let line = format!("{}\n", without_mark(line));
        let Some(entry) = IntervalLogIterator::new(line.as_bytes()).next() else {
            // A comment, or the names of the columns.
            return Ok(());
        };
        let ns = |time: std::time::Duration| {
            u64::try_from(time.as_nanos()).map_err(|_| "its time is too late".to_owned())
        };
        match entry.map_err(|_| "it is no histogram of an interval".to_owned())? {
            // A base time is written after a start time, and counts before that.
            LogEntry::StartTime(time) | LogEntry::BaseTime(time) => self.base = ns(time)?,
            LogEntry::Interval(interval) => {
                let mut from = ns(interval.start_timestamp())?;
                if from < REALTIME {
                    from = from.saturating_add(self.base);
                }
                let to = from.saturating_add(ns(interval.duration())?);
                let histogram = histogram(interval.encoded_histogram())?;
                for value in histogram.iter_recorded() {
                    let latency = value.value_iterated_to().checked_mul(self.unit.ns());
                    samples.push(Sample {
                        from,
                        to,
                        latency: latency
                            .filter(|latency| *latency <= LONGEST)
                            .ok_or("a latency is too long: is its unit right, see --unit?")?,
                        count: value.count_at_value(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Returns a histogram that is encoded in base64.
fn histogram(encoded: &str) -> Result<Histogram<u64>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("its histogram cannot be read: {error}");
    let mut bytes = STANDARD.decode(encoded).map_err(|error| wrong(&error))?;
    // A length that is told is believed by hdrhistogram, which takes the memory.
    if bytes.starts_with(COMPRESSED) {
        let compressed = bytes.get(8..).unwrap_or_default().to_owned();
        bytes.clear();
        ZlibDecoder::new(&*compressed)
            .take(LARGEST_HISTOGRAM)
            .read_to_end(&mut bytes)
            .map_err(|error| wrong(&error))?;
    }
    // A second compressed one in it would hide the length from what follows.
    if !bytes.starts_with(UNCOMPRESSED) {
        return Err(wrong(&"it is none of version 2"));
    }
    let length = bytes.get(4..8).and_then(|bytes| bytes.try_into().ok());
    let told = length.map_or(0, u32::from_be_bytes) as usize;
    if told > bytes.len().saturating_sub(HISTOGRAM_HEADER) {
        return Err(wrong(&"it is cut off, or too large"));
    }
    // The number of zeros that hdrhistogram cannot negate: i64::MIN, as it is encoded.
    if bytes
        .get(HISTOGRAM_HEADER..)
        .unwrap_or_default()
        .windows(LEAST_NUMBER.len())
        .any(|part| part == LEAST_NUMBER)
    {
        return Err(wrong(&"it has more zeros than values"));
    }
    Deserializer::new()
        .deserialize(&mut &*bytes)
        .map_err(|error| wrong(&error))
}
