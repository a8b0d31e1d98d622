// SPDX-License-Identifier: GPL-2.0

//! The latencies of a program's requests, as a load generator or the program itself writes them,
//! and the outliers among them. Each file is read once, and only outliers are kept.

mod format;
#[cfg(test)]
mod tests;

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
