// SPDX-License-Identifier: GPL-2.0

//! Takes a figure: the median of many short samples.
//!
//! A timer tick takes thousands of instructions, so it must fall into few samples; and
//! reading the clock takes some too, which is measured and subtracted. The loop
//! around the operations is not: it counts against each of them alike.

use std::hint::black_box;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use rustix::thread::sched_setaffinity;
use rustix::thread::CpuSet;

/// Samples that tell what taking a sample costs.
const EMPTY_SAMPLES: usize = 101;

/// Time that an operation is repeated before its measurement: longer than a tick, after
/// which the scheduler has settled what new threads start with.
const WARM_UP: Duration = Duration::from_millis(3);

/// The amount of measuring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Number of repeats of a figure, each with new threads.
    pub(crate) repeats: usize,
    /// Samples of each repeat.
    pub(crate) samples: usize,
    quick: bool,
}

impl Effort {
    /// Returns the effort that a figure needs, or with `quick` the effort that shows that
    /// it can be measured.
    pub(crate) fn new(quick: bool) -> Self {
        Self {
            repeats: if quick { 3 } else { 5 },
            samples: if quick { 51 } else { 301 },
            quick,
        }
    }

    /// Returns the number of samples of a long operation, which has few.
    pub(crate) fn few_samples(self) -> usize {
        if self.quick {
            5
        } else {
            15
        }
    }

    /// Returns `quick` or `thorough`, whichever the effort is.
    pub(crate) fn either<T>(self, quick: T, thorough: T) -> T {
        if self.quick {
            quick
        } else {
            thorough
        }
    }
}

/// Ties the calling thread, and those it creates, to CPU 0: what wakes up elsewhere is
/// another path.
pub(crate) fn pin() -> Result<()> {
    let mut set = CpuSet::new();
    set.set(0);
    sched_setaffinity(None, &set).context("running on CPU 0 alone")
}

/// Runs `job` in a thread that nobody has changed before, and ends it.
pub(crate) fn in_new_thread<T: Send>(job: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| scope.spawn(job).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Measures the nanoseconds that `operation` takes: the median of samples of `batch`
/// operations.
pub(crate) fn per_operation(
    samples: usize,
    batch: u32,
    mut operation: impl FnMut() -> Result<()>,
) -> Result<f64> {
    let start = Instant::now();
    loop {
        operation()?;
        if start.elapsed() > WARM_UP {
            break;
        }
    }
    let mut times = Vec::with_capacity(samples);
    for _ in 0..samples {
        let start = Instant::now();
        for _ in 0..batch {
            operation()?;
        }
        times.push(nanoseconds(start.elapsed()));
    }
    Ok((median(&mut times)? - empty_sample()?).max(0.0) / f64::from(batch))
}

/// Measures the nanoseconds that an empty sample takes.
pub(crate) fn empty_sample() -> Result<f64> {
    let mut times: Vec<_> = (0..EMPTY_SAMPLES)
        .map(|_| {
            let start = Instant::now();
            nanoseconds(black_box(start).elapsed())
        })
        .collect();
    median(&mut times)
}

/// Returns a duration in nanoseconds, as samples count time.
pub(crate) fn nanoseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

/// Returns the median.
pub(crate) fn median(values: &mut [f64]) -> Result<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    let pair = values.get(low).zip(values.get(high));
    let (low, high) = pair.context("there is no sample")?;
    Ok(f64::midpoint(*low, *high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_any_order() {
        assert!(median(&mut []).is_err());
        assert_eq!(median(&mut [3.0]).ok(), Some(3.0));
        assert_eq!(median(&mut [9.0, 1.0, 2.0]).ok(), Some(2.0));
        assert_eq!(median(&mut [9.0, 1.0, 2.0, 4.0]).ok(), Some(3.0));
    }

    #[test]
    fn operations_are_counted_after_some_that_are_not() {
        let mut count = 0;
        let result = per_operation(3, 4, || {
            count += 1;
            Ok(())
        });
        assert!(result.is_ok_and(|time| time >= 0.0));
        assert!(count > 3 * 4);
    }
}
