// SPDX-License-Identifier: GPL-2.0

//! The requests, which oha sends: <https://github.com/hatoo/oha>.
//!
//! It releases requests at fixed times, to its timer's millisecond, into a queue for its
//! connections, and with `--latency-correction` counts from then on: what a request waits
//! for a connection that an earlier one still has is part of its latency. It stands for
//! clients elsewhere and is above everything else here, so that it releases in time; how
//! late it was is checked.

use std::ops::Range;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use rustix::io::Errno;

use super::alternative::LOAD_PRIORITY;

/// Connections kept alive: enough for requests of 160 ms at 400 in a second to go out
/// at once.
const CONNECTIONS: &str = "64";
/// First line of the generator's output.
const HEADER: &str = "request-start,DNS,DNS+dialup,Response-delay,request-duration,bytes,status";
const OK: u16 = 200;

/// The load to be put on a server.
#[derive(Debug)]
pub(super) struct Load {
    /// Address of the server.
    pub(super) address: String,
    /// Requests a second.
    pub(super) rate: u32,
    /// Length of the load.
    pub(super) length: Duration,
}

/// The load as it runs; ended when dropped.
#[derive(Debug)]
pub(super) struct Running {
    load: Load,
    child: Option<Child>,
    started: Instant,
}

/// The requests of one run.
#[derive(Debug, PartialEq)]
pub(super) struct Requests {
    /// Time from when a request was due to its answer, of each that was answered.
    pub(super) latencies: Vec<Duration>,
    /// Number of requests that were not answered.
    pub(super) failures: u64,
    /// The longest time from when a request was due until it was sent, the wait for a
    /// connection included, failures aside.
    pub(super) lateness: Duration,
}

impl Load {
    /// Starts the generator.
    pub(super) fn start(self, program: &Path) -> Result<Running> {
        let mut command = Command::new(program);
        command.args(["--no-tui", "--output-format", "csv", "--latency-correction"]);
        command.args(["--wait-ongoing-requests-after-deadline", "-c", CONNECTIONS]);
        command.args(["-q", &self.rate.to_string()]);
        command.args(["-z", &format!("{}ms", self.length.as_millis())]);
        command.arg(format!("http://{}/", self.address));
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // It inherits the policy of the thread that starts it.
        let child = thread::scope(|scope| {
            let start = || -> Result<Child> {
                be_fifo()?;
                Ok(command.spawn()?)
            };
            scope.spawn(start).join()
        });
        let child = match child {
            Ok(child) => child.with_context(|| program.display().to_string())?,
            Err(_) => bail!("the thread that starts {} panicked", program.display()),
        };
        Ok(Running {
            load: self,
            child: Some(child),
            started: Instant::now(),
        })
    }
}

/// Puts the calling thread above all threads of the server.
fn be_fifo() -> Result<()> {
    common::attr::setscheduler(0, libc::SCHED_FIFO, LOAD_PRIORITY)
        .map_err(|error: Errno| anyhow::Error::new(error).context("SCHED_FIFO"))
}

impl Running {
    /// Returns the time at which the generator was started.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Waits until the generator has ended and returns the requests that it sent in a
    /// part of its time.
    pub(super) fn finish(mut self, measured: Range<Duration>) -> Result<Requests> {
        let child = self.child.take().context("it has ended")?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!(
                "the load generator: {}\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        parse(&String::from_utf8(output.stdout)?, &self.load, &measured)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Reads the generator's output: a line for each request that got an answer, in the order
/// they were sent.
fn parse(csv: &str, load: &Load, measured: &Range<Duration>) -> Result<Requests> {
    let mut lines = csv.lines();
    if lines.next() != Some(HEADER) {
        bail!("the load generator prints other columns than {HEADER}");
    }
    let interval = Duration::from_secs(1) / load.rate;
    let mut requests = Requests {
        latencies: Vec::new(),
        failures: 0,
        lateness: Duration::ZERO,
    };
    // The least lateness before and after what is measured.
    let (mut before, mut after) = (Duration::MAX, Duration::MAX);
    for (line, number) in lines.zip(0..) {
        let (start, latency, status) =
            columns(line).with_context(|| format!("the load generator prints {line:?}"))?;
        let late = start.saturating_sub(interval * number);
        if start < measured.start {
            before = before.min(late);
        } else if start >= measured.end {
            after = after.min(late);
        } else {
            requests.lateness = requests.lateness.max(late);
            if status == OK {
                requests.latencies.push(latency);
            } else {
                requests.failures += 1;
            }
        }
    }
    if before == Duration::MAX || after == Duration::MAX {
        bail!("the server answers nothing for longer than the load goes on");
    }
    // One without an answer is not printed. Those after it have a lower number than they
    // should, so that each of them seems late.
    let missing = after.saturating_sub(before).as_secs_f64() / interval.as_secs_f64();
    requests.failures += missing.round() as u64;
    Ok(requests)
}

/// Returns the time at which a request was sent, its latency, and its status.
fn columns(line: &str) -> Option<(Duration, Duration, u16)> {
    let columns: Vec<&str> = line.split(',').collect();
    let &[start, _, _, _, latency, _, status] = columns.as_slice() else {
        return None;
    };
    Some((seconds(start)?, seconds(latency)?, status.parse().ok()?))
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Load {
        Load {
            address: String::new(),
            rate: 4,
            length: Duration::from_millis(1250),
        }
    }

    const MEASURED: Range<Duration> = Duration::from_millis(250)..Duration::from_secs(1);

    #[test]
    fn requests_outside_the_measured_time_are_left_out() {
        let csv = format!(
            "{HEADER}\n0.001,0,0,0.5,0.9,65,200\n0.255,0,0,0.1,0.25,65,200\n\
             0.5,0,0,0.1,0.125,65,200\n0.75,0,0,0,0.0005,65,503\n1.001,0,0,0,0.5,65,200\n"
        );
        let requests = parse(&csv, &load(), &MEASURED).expect("valid");
        let latencies = [Duration::from_millis(250), Duration::from_millis(125)];
        assert_eq!(requests.latencies, latencies);
        assert_eq!(requests.failures, 1);
        assert_eq!(requests.lateness, Duration::from_millis(5));
    }

    #[test]
    fn a_request_without_an_answer_is_a_failure() {
        let csv =
            format!("{HEADER}\n0,0,0,0,0.1,65,200\n0.3,0,0,0,0.1,65,200\n1.05,0,0,0,0.1,65,200\n");
        let requests = parse(&csv, &load(), &MEASURED).expect("valid");
        assert_eq!(requests.latencies.len(), 1);
        assert_eq!(requests.failures, 2);
    }

    #[test]
    fn a_server_that_stops_to_answer_is_an_error() {
        let csv = format!("{HEADER}\n0,0,0,0,0.1,65,200\n0.3,0,0,0,0.1,65,200\n");
        assert!(parse(&csv, &load(), &MEASURED).is_err());
    }

    #[test]
    fn other_columns_are_refused() {
        assert!(parse("request-start,status\n0,200\n", &load(), &MEASURED).is_err());
        let csv = format!("{HEADER}\n0,0,0,0,0.1,65\n");
        assert!(parse(&csv, &load(), &MEASURED).is_err());
    }
}
