// SPDX-License-Identifier: GPL-2.0

//! Samples of time, as an HdrHistogram.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use hdrhistogram::serialization::Serializer;
use hdrhistogram::serialization::V2Serializer;
use hdrhistogram::Histogram;

/// The longest time that is told apart, in microseconds: a minute.
const LONGEST: u64 = 60_000_000;
/// Decimal digits that are kept.
const DIGITS: u8 = 3;

/// Times, kept in microseconds and displayed as their quantiles.
#[derive(Debug)]
pub(super) struct Samples(Histogram<u64>);

impl Samples {
    /// Returns an empty histogram.
    pub(super) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LONGEST, DIGITS)?))
    }

    /// Adds a time.
    pub(super) fn record(&mut self, time: Duration) {
        // The closest microsecond; what is longer than the longest counts as that.
        let us = (time.as_nanos() + 500) / 1000;
        self.0.saturating_record(us.min(u128::from(LONGEST)) as u64);
    }

    /// Returns the V2 serialization in base64.
    pub(super) fn encode(&self) -> Result<String> {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.0, &mut bytes)
            .ok()
            .context("a histogram is serialized")?;
        Ok(STANDARD.encode(bytes))
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |quantile| self.0.value_at_quantile(quantile);
        write!(
            f,
            "p50 {} p90 {} p99 {} max {}",
            of(0.5),
            of(0.9),
            of(0.99),
            self.0.max()
        )
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;

    use super::*;

    #[test]
    fn samples_survive_the_encoding() {
        let mut samples = Samples::new().expect("valid bounds");
        samples.record(Duration::from_nanos(1500));
        samples.record(Duration::from_micros(999));
        samples.record(Duration::from_secs(3600));
        let text = samples.encode().expect("encoding");
        let bytes = STANDARD.decode(text).expect("base64");
        let decoded: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .expect("a histogram");
        assert_eq!(decoded, samples.0);
        assert_eq!(decoded.len(), 3);
        assert_eq!(decoded.min(), 2);
        assert_eq!(decoded.value_at_quantile(0.5), 999);
        assert!(decoded.max() >= LONGEST);
    }
}
