// SPDX-License-Identifier: GPL-2.0

//! The latencies of a program's requests, as a load generator or the program itself writes them,
//! and the outliers among them. Each file is read once, and only outliers are kept.

mod format;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::io::BufRead;
use std::io::Read;
use std::str::FromStr;

use serde::Serialize;

use self::format::Format;
use crate::directory::Meta;

/// The most outliers that are kept.
const MOST: usize = 100_000;
/// The longest line, in bytes: a histogram takes one.
const LONGEST_LINE: u64 = 1 << 20;
/// The time from which on one is of `CLOCK_REALTIME`, in ns: September 2001. A machine that runs
/// for as long as that is not known.
const REALTIME: u64 = 1_000_000_000_000_000_000;
/// The longest latency, in ns: a day.
const LONGEST: u64 = 24 * 3600 * 1_000_000_000;

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

impl Unit {
    /// Returns how many ns one has.
    fn ns(self) -> u64 {
        match self {
            Self::Ns => 1,
            Self::Us => 1_000,
            Self::Ms => 1_000_000,
            Self::S => 1_000_000_000,
        }
    }
}

impl FromStr for Unit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ns" => Ok(Self::Ns),
            "us" => Ok(Self::Us),
            "ms" => Ok(Self::Ms),
            "s" => Ok(Self::S),
            _ => Err(format!("'{text}' is not one of ns, us, ms and s")),
        }
    }
}

/// Which latencies are outliers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// Outliers are above a quantile, in percent.
    Quantile(f64),
    /// Outliers are above a time, in ns.
    Above(u64),
}

/// Latencies above the threshold.
///
/// The order is that of latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Outlier {
    /// Longest of the latencies, in ns.
    pub latency: u64,
    /// The beginning of the time of the latencies, in ns of `CLOCK_MONOTONIC`.
    pub from: u64,
    /// The end of the time of the latencies, in ns of `CLOCK_MONOTONIC`.
    pub to: u64,
    /// Number of latencies: more than one in a file of histograms.
    pub count: u64,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Unreadable {
    /// Number of the line, from 1 on.
    pub line: u64,
    /// Reason that the line cannot be read.
    pub why: String,
}

/// The latencies of a file.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// Number of latencies in the time of the record.
    pub count: u64,
    /// Number of latencies of another time.
    pub outside: u64,
    /// Number of lines that cannot be read.
    pub unreadable: u64,
    /// First line that cannot be read.
    pub first_unreadable: Option<Unreadable>,
    /// The highest latency that is no outlier, or the one that was given, in ns.
    pub threshold: u64,
    /// Latencies above the threshold, in the order of the times at which they begin.
    pub outliers: Vec<Outlier>,
}

/// The reason that latencies cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LatenciesError {
    /// The file cannot be read.
    #[error(transparent)]
    Os(#[from] io::Error),
    /// The first line says nothing of the format.
    #[error(
        "its first line is none of a CSV file with columns such as start_ns and latency_us, of \
         log/slog in JSON with \"time\" and \"duration\", or of an HdrHistogram log{0}"
    )]
    Format(String),
    /// No line has a latency.
    #[error("there is no latency in it; {}", first.as_ref().map_or_else(
        || "it takes lines after the header".to_owned(),
        |first| format!("line {}: {}", first.line, first.why),
    ))]
    Empty {
        /// The first line that cannot be read.
        first: Option<Unreadable>,
    },
    /// Times are those of a clock that the record knows nothing of.
    #[error(
        "it has times of the wall clock, and the record is of an older gosched, which did not write \
         down that clock: record anew, or give times of CLOCK_MONOTONIC"
    )]
    NoRealtime,
    /// No latency is of the time of the record.
    #[error(
        "none of its {count} latencies is of the time of the record: they are of {from:.3} to \
         {to:.3} s after its beginning, and it ends after {end:.3} s. Are both of the same run and \
         machine?"
    )]
    Outside {
        /// Number of latencies.
        count: u64,
        /// The first one, in s.
        from: f64,
        /// The last one, in s.
        to: f64,
        /// The length of the record, in s.
        end: f64,
    },
    /// There are more outliers than are kept.
    #[error("there are more than {MOST} outliers: raise --quantile or --above")]
    TooMany,
}

/// What a line tells, in ns of the clock that it was taken by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    from: u64,
    to: u64,
    latency: u64,
    count: u64,
}

impl Latencies {
    /// Reads latencies. `unit` is that of latencies that do not say theirs.
    pub fn read(
        mut input: impl BufRead,
        meta: &Meta,
        threshold: Threshold,
        unit: Option<Unit>,
    ) -> Result<Self, LatenciesError> {
        let mut reader = Reader::new(meta, threshold);
        let mut format = None;
        let mut line = Vec::new();
        let mut samples = Vec::new();
        let mut number = 0;
        while read_line(&mut input, &mut line)? {
            number += 1;
            let cut = line.len() as u64 == LONGEST_LINE && !line.ends_with(b"\n");
            let text = std::str::from_utf8(&line).ok().filter(|_| !cut);
            if text.is_some_and(|text| text.trim().is_empty()) {
                continue;
            }
            let format = match &mut format {
                Some(format) => format,
                None => format.insert(Format::of(text.unwrap_or_default(), unit)?),
            };
            // The first line is not skipped: it may have no end.
            if cut {
                input.skip_until(b'\n')?;
            }
            samples.clear();
            let parsed = match text {
                Some(text) => format.parse(text.trim(), &mut samples),
                None => Err("it is no text, or too long".to_owned()),
            };
            match parsed {
                Ok(()) => {
                    for sample in &samples {
                        reader.take(sample)?;
                    }
                }
                Err(why) => reader.refuse(number, why),
            }
        }
        reader.finish()
    }
}

/// Reads a line, up to a length. Returns false at the end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut part = input.by_ref().take(LONGEST_LINE);
    Ok(part.read_until(b'\n', line)? > 0)
}

/// Selects the outliers of what it is given.
struct Reader {
    /// The record, in ns of `CLOCK_MONOTONIC`.
    record: (u64, u64),
    /// `CLOCK_REALTIME` less `CLOCK_MONOTONIC`.
    realtime_offset: Option<i64>,
    threshold: Threshold,
    latencies: Latencies,
    /// The times of all that is of another time than the record, less its beginning.
    others: Option<(i128, i128)>,
    /// The highest latencies, the lowest of them first.
    highest: BinaryHeap<Reverse<Outlier>>,
    /// Whether there were more of them than are kept.
    dropped: bool,
}

impl Reader {
    fn new(meta: &Meta, threshold: Threshold) -> Self {
        Self {
            record: (meta.from, meta.to),
            realtime_offset: meta.realtime_offset.map(|[from, _]| from),
            threshold,
            latencies: Latencies {
                count: 0,
                outside: 0,
                unreadable: 0,
                first_unreadable: None,
                threshold: 0,
                outliers: Vec::new(),
            },
            others: None,
            highest: BinaryHeap::new(),
            dropped: false,
        }
    }

    fn refuse(&mut self, line: u64, why: String) {
        self.latencies.unreadable += 1;
        self.latencies
            .first_unreadable
            .get_or_insert(Unreadable { line, why });
    }

    fn take(&mut self, sample: &Sample) -> Result<(), LatenciesError> {
        let offset = match sample.to {
            REALTIME.. => self.realtime_offset.ok_or(LatenciesError::NoRealtime)?,
            _ => 0,
        };
        let monotonic = |time: u64| i128::from(time) - i128::from(offset);
        let (from, to) = (monotonic(sample.from), monotonic(sample.to));
        let (first, last) = (i128::from(self.record.0), i128::from(self.record.1));
        if to < first || from > last {
            self.latencies.outside = self.latencies.outside.saturating_add(sample.count);
            let (from, to) = (from - first, to - first);
            let others = self.others.get_or_insert((from, to));
            *others = (others.0.min(from), others.1.max(to));
            return Ok(());
        }
        self.latencies.count = self.latencies.count.saturating_add(sample.count);
        let above = match self.threshold {
            Threshold::Above(above) => above,
            Threshold::Quantile(_) => 0,
        };
        if sample.latency <= above {
            return Ok(());
        }
        // Both fit: the sample is beside the record.
        let clip = |time: i128| u64::try_from(time.max(0)).unwrap_or(u64::MAX);
        self.highest.push(Reverse(Outlier {
            latency: sample.latency,
            from: clip(from),
            to: clip(to),
            count: sample.count,
        }));
        if self.highest.len() > MOST {
            if let Threshold::Above(_) = self.threshold {
                return Err(LatenciesError::TooMany);
            }
            self.highest.pop();
            self.dropped = true;
        }
        Ok(())
    }

    fn finish(self) -> Result<Latencies, LatenciesError> {
        let mut latencies = self.latencies;
        if latencies.count == 0 {
            let Some((from, to)) = self.others else {
                let first = latencies.first_unreadable;
                return Err(LatenciesError::Empty { first });
            };
            let seconds = |ns: i128| ns as f64 / 1e9;
            return Err(LatenciesError::Outside {
                count: latencies.outside,
                from: seconds(from),
                to: seconds(to),
                end: seconds(i128::from(self.record.1) - i128::from(self.record.0)),
            });
        }
        let highest = self.highest.into_sorted_vec();
        let highest: Vec<Outlier> = highest
            .into_iter()
            .map(|Reverse(outlier)| outlier)
            .collect();
        latencies.threshold = match self.threshold {
            Threshold::Above(above) => above,
            Threshold::Quantile(percent) => {
                let above = most_above(latencies.count, percent);
                let mut seen = 0;
                let at = |outlier: &&Outlier| {
                    seen = u64::saturating_add(seen, outlier.count);
                    seen > above
                };
                match highest.iter().find(at) {
                    Some(outlier) => outlier.latency,
                    None if self.dropped => return Err(LatenciesError::TooMany),
                    // All below are 0.
                    None => 0,
                }
            }
        };
        latencies.outliers = highest;
        let threshold = latencies.threshold;
        latencies
            .outliers
            .retain(|outlier| outlier.latency > threshold);
        latencies.outliers.sort_by_key(|outlier| outlier.from);
        Ok(latencies)
    }
}

/// Returns how many of so many latencies are above a quantile at most.
fn most_above(count: u64, percent: f64) -> u64 {
    // Of a decimal fraction, a float has not quite the value.
    const PARTS: f64 = 1e6;
    let parts = ((100.0 - percent) * PARTS).round() as u128;
    let above = u128::from(count) * parts / (100.0 * PARTS) as u128;
    u64::try_from(above).unwrap_or(count)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::io::Write as _;

    use base64::engine::general_purpose::STANDARD;
    use base64::Engine;
    use flate2::write::ZlibEncoder;
    use flate2::Compression;
    use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
    use hdrhistogram::serialization::V2DeflateSerializer;
    use hdrhistogram::Histogram;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    /// `CLOCK_REALTIME` less `CLOCK_MONOTONIC` of the record: 2023-11-14T22:13:20Z.
    const OFFSET: u64 = 1_700_000_000 * SECOND;

    /// Returns what a record of the first 100 s of a machine is of.
    fn meta() -> Meta {
        let mut meta = Meta::new("6.12".to_owned(), "server".to_owned());
        meta.to = 100 * SECOND;
        meta.realtime_offset = Some([OFFSET as i64; 2]);
        meta
    }

    fn read_as(text: &[u8], unit: Option<Unit>) -> Result<Latencies, LatenciesError> {
        Latencies::read(text, &meta(), Threshold::Above(0), unit)
    }

    fn read(text: impl AsRef<[u8]>) -> Result<Latencies, LatenciesError> {
        read_as(text.as_ref(), None)
    }

    /// Asserts that a file has one latency, of 1.5 ms from 2 s on.
    fn assert_one(text: impl AsRef<[u8]>) {
        let latencies = read(text.as_ref()).expect("latencies");
        let why = latencies.first_unreadable;
        assert_eq!((latencies.count, why), (1, None));
        let [one] = latencies.outliers[..] else {
            panic!("one outlier");
        };
        assert_eq!(one.latency, 1_500_000);
        // A float has not all digits of a time of the wall clock.
        assert!(one.from.abs_diff(2 * SECOND) < 1000, "{one:?}");
        assert_eq!(one.to - one.from, one.latency);
    }

    #[test]
    fn columns_are_known_by_their_names_and_units() {
        assert_one("start_ns,latency_us\n2000000000,1500\n");
        assert_one("\u{feff}\"Latency_ms\" , \"Start\"\r\n1.5,2\r\n\r\n");
        assert_one("status,end,duration_s\n200,2.0015,0.0015");
        assert_one("start_ms,time,latency_ms\n2000,2.0015,1.5\n");
        assert_one("url,time,latency_ms\n\"a,b\",2023-11-14T22:13:22.0015Z,1.5\n");
        assert_one("time,latency_ms\n2023-11-14T23:13:22.0015+01:00,1.5\n");
    }

    #[test]
    fn a_time_of_the_wall_clock_has_any_unit() {
        assert_one("start,latency_ms\n1700000002,1.5\n");
        assert_one("start,latency_ms\n1700000002000,1.5\n");
        assert_one("start,latency_ms\n1700000002000000,1.5\n");
        assert_one("start,latency_ms\n1700000002000000000,1.5\n");
        assert_one("start,latency_ms\n1700000002.0,1.5\n");
        assert_one("start_s,latency_ms\n1.700000002e9,1.5\n");
    }

    #[test]
    fn lines_of_slog_are_read() {
        assert_one(
            r#"{"time":"2023-11-14T22:13:21Z","level":"INFO","msg":"ready"}
{"time":"2023-11-14T22:13:22.0015Z","level":"INFO","msg":"served","duration":1500000}"#,
        );
        assert_one(r#"{"ts":1,"start_ns":2000000000,"latency_ms":1.5}"#);
        // It says nothing of its unit, and is no number of ns.
        let error = read(r#"{"time":2,"duration":0.0015}"#).expect_err("no unit");
        assert!(error.to_string().contains("--unit"), "{error}");
    }

    #[test]
    fn what_vegeta_and_k6_write_is_read() {
        assert_one("1700000002000000000,200,1500000,0,2,,aGk=,,0,GET,http://a/,\n");
        assert_one(
            r#"{"attack":"","seq":0,"code":200,"timestamp":"2023-11-14T22:13:22Z","latency":1500000}"#,
        );
        assert_one(
            "metric_name,timestamp,metric_value,check\nhttp_reqs,1700000002,1,\n\
             http_req_duration,1700000002001500,1.500000,\n",
        );
        assert_one(
            r#"{"type":"Metric","data":{"name":"http_req_duration"},"metric":"http_req_duration"}
{"metric":"http_reqs","type":"Point","data":{"time":"2023-11-14T22:13:22.0015Z","value":1}}
{"metric":"http_req_duration","type":"Point","data":{"time":"2023-11-14T22:13:22.0015Z","value":1.5}}"#,
        );
    }

    /// Returns a log with one interval, of 1 s from 2 s on.
    fn histogram_log(histogram: &Histogram<u64>, base: bool) -> String {
        let mut log = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        let at = |seconds| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let mut from = 1_700_000_002;
        if base {
            builder.with_base_time(at(1_700_000_000));
            from = 2;
        }
        let mut writer = builder
            .begin_log_with(&mut log, &mut serializer)
            .expect("room");
        let seconds = std::time::Duration::from_secs;
        writer
            .write_histogram(histogram, seconds(from), seconds(1), None)
            .expect("room");
        String::from_utf8(log).expect("base64")
    }

    #[test]
    fn the_tail_of_a_histogram_is_in_its_interval() {
        let mut histogram = Histogram::<u64>::new(3).expect("three digits");
        histogram.record_n(1_000_000, 990).expect("it fits");
        histogram.record_n(9_000_000, 10).expect("it fits");
        for base in [false, true] {
            let log = "\"StartTimestamp\",\"Interval_Length\"\n".to_owned()
                + &histogram_log(&histogram, base);
            let threshold = Threshold::Quantile(99.0);
            let latencies =
                Latencies::read(log.as_bytes(), &meta(), threshold, None).expect("a log");
            assert_eq!(latencies.count, 1000);
            let [one] = latencies.outliers[..] else {
                panic!("{latencies:?}");
            };
            assert_eq!((one.from, one.to, one.count), (2 * SECOND, 3 * SECOND, 10));
            assert!(one.latency.abs_diff(9_000_000) < 9_000, "{one:?}");
        }
    }

    #[test]
    fn a_histogram_that_is_damaged_is_refused() {
        let good = histogram_log(&Histogram::new(3).expect("three digits"), false);
        let line = |encoded: &str| read(format!("{good}1700000002.000,1.000,1.0,{encoded}\n"));
        // 40 bytes that promise 4 GiB.
        let mut huge = vec![0x1c, 0x84, 0x93, 0x13, 0xff, 0xff, 0xff, 0xff];
        huge.resize(40, 0);
        for encoded in ["", "AAAA", "*", "HISTFAAA", &STANDARD.encode(huge)] {
            let error = line(encoded).expect_err("no histogram");
            assert!(error.to_string().contains("line"), "{error}");
        }
    }

    #[test]
    fn a_histogram_that_skips_more_values_than_any_has_is_refused() {
        let of_counts = |counts: &[u8]| {
            let length = u32::try_from(counts.len()).expect("it fits");
            let fields = [1_u64, 1000, 1_f64.to_bits()].map(u64::to_be_bytes);
            let mut bytes = vec![0x1c, 0x84, 0x93, 0x13];
            bytes.extend(length.to_be_bytes());
            bytes.extend([0, 0, 0, 0, 0, 0, 0, 3]);
            bytes.extend(fields.concat());
            bytes.extend(counts);
            let encoded = STANDARD.encode(bytes);
            read(format!("#log\n1700000002.000,1.000,1.0,{encoded}\n"))
        };
        // A zero that is skipped, and two of the value 1.
        assert_eq!(of_counts(&[1, 4]).expect("a histogram").count, 2);
        for before in 0..12 {
            let counts = [&vec![1; before][..], &[0xff; 9], &[4; 12]].concat();
            assert!(of_counts(&counts).is_err(), "{before}");
        }
    }

    /// Compresses bytes, with the header of a compressed histogram.
    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("room");
        let data = encoder.finish().expect("room");
        let length = u32::try_from(data.len()).expect("it fits");
        [&[0x1c, 0x84, 0x93, 0x14], &length.to_be_bytes(), &*data].concat()
    }

    #[test]
    fn a_histogram_has_no_length_that_is_believed() {
        // A histogram of 3 digits and of values up to 1000, which promises 4 GiB.
        let mut huge = [0x1c, 0x84, 0x93, 0x13, 0xff, 0xff, 0xff, 0xff].to_vec();
        huge.extend([0, 0, 0, 0, 0, 0, 0, 3]);
        huge.extend(
            [1_u64, 1000, 1_f64.to_bits()]
                .map(u64::to_be_bytes)
                .concat(),
        );
        // One that is compressed twice promises the length of what is compressed.
        let mut twice = compressed(&huge);
        twice.resize(twice.len() + 100, 0);
        let of_version_1 = [&[0x1c, 0x84, 0x93, 0x11], &huge[4..]].concat();
        for (bytes, why) in [
            (huge.clone(), "cut off"),
            (compressed(&huge), "cut off"),
            (compressed(&twice), "version 2"),
            (compressed(&compressed(&twice)), "version 2"),
            (of_version_1, "version 2"),
            (compressed(&[]), "version 2"),
        ] {
            let encoded = STANDARD.encode(bytes);
            let error = read(format!("#log\n1700000002.000,1.000,1.0,{encoded}\n"));
            let error = error.expect_err("no histogram").to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn outliers_are_those_above_a_quantile() {
        let mut text = "start_ns,latency_ns\n".to_owned();
        // Not in the order of latencies.
        for index in 0..10_000 {
            writeln!(text, "{},{}", index * 1000, index * 7919 % 10_000 + 1).expect("room");
        }
        for (percent, above) in [(99.9, 10), (99.0, 100), (50.0, 5000), (99.999, 0)] {
            let threshold = Threshold::Quantile(percent);
            let latencies =
                Latencies::read(text.as_bytes(), &meta(), threshold, None).expect("latencies");
            assert_eq!(latencies.outliers.len(), above, "{percent}");
            assert_eq!(latencies.threshold, 10_000 - above as u64, "{percent}");
            let times = latencies.outliers.windows(2);
            assert!(times.into_iter().all(|pair| pair[0].from <= pair[1].from));
        }
    }

    #[test]
    fn a_million_latencies_are_read_with_few_kept() {
        // As a file would be read: a line at a time.
        struct Lines(std::ops::Range<u64>, Vec<u8>);
        impl Read for Lines {
            fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
                if self.1.is_empty() {
                    self.1 = match self.0.next() {
                        Some(0) => b"start_ns,latency_ns\n".to_vec(),
                        Some(line) => format!("{line},{}\n", line % 1000).into_bytes(),
                        None => return Ok(0),
                    };
                }
                let read = self.1.len().min(to.len());
                to[..read].copy_from_slice(&self.1[..read]);
                self.1.drain(..read);
                Ok(read)
            }
        }
        let read = |count: u64, threshold| {
            let lines = io::BufReader::new(Lines(0..count + 1, Vec::new()));
            Latencies::read(lines, &meta(), threshold, None)
        };
        let latencies = read(1_000_000, Threshold::Quantile(99.9)).expect("latencies");
        assert_eq!((latencies.count, latencies.threshold), (1_000_000, 998));
        assert_eq!(latencies.outliers.len(), 1000);
        for threshold in [Threshold::Above(0), Threshold::Quantile(10.0)] {
            let error = read(200_000, threshold).expect_err("too many");
            assert!(matches!(error, LatenciesError::TooMany), "{error}");
        }
    }

    #[test]
    fn lines_that_cannot_be_read_are_counted_and_the_first_one_is_said() {
        let long = "1".repeat(LONGEST_LINE as usize + 10);
        let lines = [
            "5,1",
            "nan,1",
            "5,nan",
            "inf,1",
            "5,inf",
            "-5,1",
            "5,-1",
            "5",
            "",
            "1e300,1",
            "5,1e300",
            "18446744073709551616,1",
            "5,18446744073709551615",
            "1,2",
            "2023-99-99T00:00:00Z,1",
            &long,
            "6,1",
        ];
        let text = "end,latency_s\n".to_owned() + &lines.join("\n");
        let latencies = read(text).expect("two latencies");
        assert_eq!((latencies.count, latencies.unreadable), (2, 14));
        let first = latencies.first_unreadable.expect("a line");
        assert_eq!((first.line, &*first.why), (3, "\"nan\" is no time"));
    }

    #[test]
    fn a_file_without_latencies_says_what_is_expected() {
        let binary: Vec<u8> = (0..=255).cycle().take(1 << 16).collect();
        let zeroes = vec![0; LONGEST_LINE as usize * 2];
        let offsets = b"response-time,DNS+dialup,offset\n0.01,0,0.2\n".to_vec();
        for text in [binary, zeroes, offsets, b"hello\n".to_vec()] {
            let error = read(text).expect_err("no latencies");
            assert!(matches!(error, LatenciesError::Format(_)), "{error}");
            assert!(error.to_string().contains("start_ns"), "{error}");
        }
        // One without an end.
        let endless = io::BufReader::new(io::repeat(0));
        let error = Latencies::read(endless, &meta(), Threshold::Above(0), None);
        assert!(matches!(error, Err(LatenciesError::Format(_))));
        let error = read("time,latency\n1,1\n").expect_err("no unit");
        assert!(error.to_string().contains("--unit"), "{error}");
        assert!(read_as(b"time,latency\n2,1\n", Some(Unit::S)).is_ok());
        for text in ["", "\n\n", "start,latency_ms\n"] {
            let error = read(text).expect_err("no latencies");
            assert!(
                matches!(error, LatenciesError::Empty { first: None }),
                "{error}"
            );
        }
        let error = read("start,latency_ms\nsoon,1\n").expect_err("no latencies");
        assert!(error.to_string().contains("line 2: \"soon\""), "{error}");
    }

    #[test]
    fn json_that_is_none_of_a_log_is_refused() {
        let deep = "[".repeat(100_000);
        for line in [
            "{",
            "{]",
            &format!("{{\"time\":{deep}"),
            r#"{"duration":1}"#,
        ] {
            let error = read(format!("{line}\n{{}}\n")).expect_err("no latencies");
            assert!(
                matches!(error, LatenciesError::Empty { first: Some(_) }),
                "{error}"
            );
        }
        for line in [r#"{"time":[],"duration":1}"#, r#"{"time":1,"duration":{}}"#] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn latencies_of_another_time_do_not_count() {
        let latencies = read("start,latency_ms\n1,5\n99,5\n101,5\n").expect("latencies");
        assert_eq!((latencies.count, latencies.outside), (2, 1));
        let error = read("start,latency_ms\n1600000000,5\n").expect_err("years before");
        assert!(
            matches!(error, LatenciesError::Outside { count: 1, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("same run"), "{error}");
    }

    #[test]
    fn a_record_without_the_wall_clock_takes_monotonic_times_alone() {
        let mut older = meta();
        older.realtime_offset = None;
        let read = |text: &str| Latencies::read(text.as_bytes(), &older, Threshold::Above(0), None);
        assert!(read("start,latency_ms\n2,1\n").is_ok());
        let error = read("start,latency_ms\n1700000002,1\n").expect_err("no offset");
        assert!(matches!(error, LatenciesError::NoRealtime), "{error}");
    }
}
