// SPDX-License-Identifier: GPL-2.0

//! The program written in Go, as the server or as the background alone.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use serde::de::DeserializeOwned;
use serde::Deserialize;

/// The user that the program runs as: what it does to itself takes no privilege.
const USER: u32 = 1000;
/// The period of the program's timing loop.
const PERIOD: Duration = Duration::from_millis(10);

/// The running program; killed when dropped.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    ready: Ready,
}

/// The program's first line.
#[derive(Debug, Deserialize)]
struct Ready {
    /// Address that the server listens on, if there is a server.
    address: Option<String>,
    /// Thread ids of the background.
    background: Vec<i32>,
}

/// The counts of one measured time.
#[derive(Debug, Deserialize)]
pub(super) struct Counts {
    elapsed_ns: u64,
    request_units: u64,
    background_units: u64,
    /// Periods of the timing loop, in nanoseconds.
    periods_ns: Option<Vec<u64>>,
}

/// Measures how long a unit of work takes when nothing competes.
pub(super) fn unit_time(program: &Path) -> Result<Duration> {
    let name = program.display();
    let output = Command::new(program)
        .arg("-calibrate")
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| name.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim().parse() {
        Ok(ns) if output.status.success() && ns > 0 => Ok(Duration::from_nanos(ns)),
        _ => bail!("{name} -calibrate: {}, and printed {text:?}", output.status),
    }
}

impl Program {
    /// Starts the program and waits until it is ready.
    pub(super) fn start(mut command: Command) -> Result<Self> {
        let mut child = command
            .uid(USER)
            .gid(USER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| command.get_program().to_string_lossy().into_owned())?;
        let commands = child.stdin.take().context("its standard input")?;
        let answers = child.stdout.take().context("its standard output")?;
        let mut new = Self {
            child,
            commands,
            answers: BufReader::new(answers),
            ready: Ready {
                address: None,
                background: Vec::new(),
            },
        };
        new.ready = new.answer()?;
        Ok(new)
    }

    /// Returns the program's process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the address that the server listens on.
    pub(super) fn address(&self) -> Option<&str> {
        self.ready.address.as_deref()
    }

    /// Returns the threads of the background.
    pub(super) fn background(&self) -> &[i32] {
        &self.ready.background
    }

    /// Has the program count from now on.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.command("begin")
    }

    /// Returns the counts since [`Self::begin`].
    pub(super) fn end(&mut self) -> Result<Counts> {
        self.command("end")?;
        self.answer()
    }

    fn command(&mut self, line: &str) -> Result<()> {
        writeln!(self.commands, "{line}").context("the server has ended")
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("the server answers {line:?}"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Counts {
    /// Returns the units of work that requests took in `length`.
    pub(super) fn request_units_in(&self, length: Duration) -> u64 {
        self.scaled(self.request_units, length)
    }

    /// Returns the units of work that the background got done in `length`.
    pub(super) fn background_units_in(&self, length: Duration) -> u64 {
        self.scaled(self.background_units, length)
    }

    /// Scales units to `length`: a program that waits for a CPU begins and ends late to
    /// count, so that it counts for a little more or less.
    fn scaled(&self, units: u64, length: Duration) -> u64 {
        let ratio = length.as_secs_f64() / Duration::from_nanos(self.elapsed_ns).as_secs_f64();
        (units as f64 * ratio).round() as u64
    }

    /// Returns the deviations of the timing loop's periods.
    pub(super) fn deviations(&self) -> Vec<Duration> {
        let of = |&ns: &u64| Duration::from_nanos(ns).abs_diff(PERIOD);
        self.periods().iter().map(of).collect()
    }

    /// Returns the standard deviation of the periods, in per cent of their intended
    /// length.
    pub(super) fn jitter_percent(&self) -> f64 {
        let relative = |&ns: &u64| Duration::from_nanos(ns).as_secs_f64() / PERIOD.as_secs_f64();
        let periods: Vec<f64> = self.periods().iter().map(relative).collect();
        let count = periods.len().max(1) as f64;
        let mean = periods.iter().sum::<f64>() / count;
        let squares = periods.iter().map(|period| (period - mean).powi(2));
        100.0 * (squares.sum::<f64>() / count).sqrt()
    }

    fn periods(&self) -> &[u64] {
        self.periods_ns.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(periods_ns: &[u64]) -> Counts {
        Counts {
            elapsed_ns: 2_000_000_000,
            request_units: 100,
            background_units: 3000,
            periods_ns: Some(periods_ns.to_owned()),
        }
    }

    #[test]
    fn counts_are_scaled_to_the_length_of_the_run() {
        let counts = counts(&[]);
        assert_eq!(counts.request_units_in(Duration::from_secs(1)), 50);
        assert_eq!(counts.background_units_in(Duration::from_secs(4)), 6000);
    }

    #[test]
    fn jitter_is_the_deviation_of_the_periods() {
        let counts = counts(&[9_000_000, 11_000_000, 9_000_000, 11_000_000]);
        assert!((counts.jitter_percent() - 10.0).abs() < 1e-9);
        assert_eq!(counts.deviations(), [Duration::from_millis(1); 4]);
    }

    #[test]
    fn without_periods_there_is_no_jitter() {
        assert_eq!(counts(&[]).jitter_percent(), 0.0);
    }
}
