// SPDX-License-Identifier: GPL-2.0

//! Tests of latencies in each format.

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
        let latencies = Latencies::read(log.as_bytes(), &meta(), threshold, None).expect("a log");
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
