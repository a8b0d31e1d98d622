// SPDX-License-Identifier: GPL-2.0

//! Delays of a process that runs.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

use super::text;
use super::Shown;
use crate::args::Interval;
use crate::error::Error;
use crate::error::ObserveError;
use crate::interrupt::Interrupt;
use crate::observe::drawing::Drawing;
use crate::observe::record::command_line;
use crate::observe::record::has_ended;
use crate::observe::record::meta;
use crate::observe::record::open;
use crate::output::wants_colours;
use crate::trace::is_first_pid_namespace;
use gosched_observe::delay::Counter;
use gosched_observe::heat::step;
use gosched_observe::heat::Heat;

/// The shortest time of a column, and the longest until the end of the process is seen.
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest time between two reads.
const LONGEST: Duration = Duration::from_secs(1);

/// Counts the delays of a thread's process until the process ends, the time is over or a signal
/// comes, and meanwhile draws them if `draws`.
pub(super) fn watch(
    tid: i32,
    seconds: Option<Interval>,
    columns: usize,
    draws: bool,
) -> Result<Shown, Error> {
    if !is_first_pid_namespace()? {
        return Err(ObserveError::PidNamespace.into());
    }
    let (pid, process) = open(tid)?;
    let mut meta = meta(command_line(pid));
    meta.pid = pid;
    let mut interrupt = Interrupt::catch()?;
    let mut storage = MaybeUninit::uninit();
    let mut counter = Counter::attach(pid, &mut storage).map_err(ObserveError::from)?;
    let mut shown = Shown {
        meta,
        missing: Vec::new(),
        heat: Heat::new(first_step(seconds, columns), columns),
    };
    let clock = Clock {
        began: Instant::now(),
        ends: seconds.map(|seconds| seconds.0),
    };
    let mut drawing = Drawing::default();
    // Up to when delays are in the maps.
    let mut read = Duration::ZERO;
    loop {
        let every = every(shown.heat.step);
        let next = multiple(read, every) + every;
        let ends = clock.wait(next, &mut interrupt, &process)?;
        let now = clock.now();
        for (go_prio, counts) in counter.read().map_err(ObserveError::from)? {
            shown.heat.add(ns(read), go_prio, &counts);
        }
        shown.heat.set_duration(ns(now));
        shown.missing = missing(counter.unkept());
        read = multiple(now, every);
        if draws {
            drawing.show(|width, lines| {
                shown.heat.set_most(text::columns(width));
                text::text(&shown, wants_colours(), lines)
            })?;
        }
        if ends {
            if draws {
                drawing.clear()?;
            }
            return Ok(shown);
        }
    }
}

/// Says what was not counted.
fn missing(unkept: u64) -> Vec<String> {
    match unkept {
        0 => Vec::new(),
        1.. => vec![format!(
            "{unkept} delays were not counted: too many threads waited at a time"
        )],
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the time of a column at the beginning, in ns: doubled some times, it fills all columns
/// in the end, if that is known.
fn first_step(seconds: Option<Interval>, columns: usize) -> u64 {
    let shortest = ns(SHORTEST);
    let Some(seconds) = seconds else {
        return shortest;
    };
    let mut first = step(ns(seconds.0), columns);
    while first >= 2 * shortest {
        first = first.div_ceil(2);
    }
    first.max(shortest)
}

/// Returns the time between two reads: that of a column, or a part of it.
fn every(step: u64) -> Duration {
    let mut every = Duration::from_nanos(step);
    while every > LONGEST {
        every /= 2;
    }
    every
}

/// Returns the last multiple of a time until another one.
fn multiple(until: Duration, of: Duration) -> Duration {
    until - Duration::from_nanos(ns(until) % ns(of))
}

/// The time since the beginning, and that of the end if that is known.
struct Clock {
    began: Instant,
    ends: Option<Duration>,
}

impl Clock {
    /// Returns the time, which is not past the end.
    fn now(&self) -> Duration {
        let now = self.began.elapsed();
        self.ends.map_or(now, |ends| now.min(ends))
    }

    /// Waits until a time; returns whether the end, a signal, or the end of the process came
    /// before.
    fn wait(
        &self,
        until: Duration,
        interrupt: &mut Interrupt,
        process: &OwnedFd,
    ) -> io::Result<bool> {
        let until = self.ends.map_or(until, |ends| ends.min(until));
        loop {
            let left = until.saturating_sub(self.now());
            if interrupt.wait(left.min(SHORTEST))?.is_some() || has_ended(process) {
                return Ok(true);
            }
            if self.now() >= until {
                return Ok(self.ends == Some(until));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_time_fills_all_columns_with_reads_of_equal_parts() {
        for seconds in [0.01, 0.1, 5.7, 60.0, 61.3, 3600.0] {
            let end = Duration::from_secs_f64(seconds);
            let mut heat = Heat::new(first_step(Some(Interval(end)), 57), 57);
            assert!(heat.step >= ns(SHORTEST) && heat.step < 2 * ns(SHORTEST));
            heat.set_duration(ns(end));
            if seconds > 60.0 * SHORTEST.as_secs_f64() {
                assert!(heat.columns() >= 56, "{seconds}: {}", heat.columns());
            }
            let every = every(heat.step);
            assert!(every <= LONGEST && every >= SHORTEST, "{every:?}");
            assert_eq!(heat.step % ns(every), 0, "{seconds}");
        }
    }

    #[test]
    fn delays_that_were_not_counted_are_said() {
        assert_eq!(missing(0), [""; 0]);
        assert!(missing(7)[0].contains("7 delays"));
    }
}
