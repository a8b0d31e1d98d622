// SPDX-License-Identifier: GPL-2.0

//! The arguments of the verbs that show what the scheduler does with a program.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use gosched_observe::latencies::Unit;

use super::value;
use super::value::Interval;

#[derive(clap::Args)]
pub(crate) struct Record {
    /// The folder to write to. A record that is there is replaced
    #[arg(short, long, value_name = "DIR", default_value = "gosched-record")]
    pub(crate) output: PathBuf,

    /// Record this process, which runs already, and not a COMMAND
    #[arg(short, long, value_name = "PID", value_parser = value::parse_pid)]
    pub(crate) pid: Option<i32>,

    /// End the record after so many seconds; gosched still waits for COMMAND
    #[arg(short = 't', long, value_name = "SECONDS")]
    pub(crate) seconds: Option<Interval>,

    /// The most that the kernel's events may take on the disk, in MiB, and a trace from a URL as
    /// well. The record ends there; gosched still waits for COMMAND
    #[arg(long, value_name = "MIB", default_value_t = Self::MAX_SIZE, value_parser = value::parse_size)]
    pub(crate) max_size: NonZeroU32,

    /// A trace of the Go runtime that the program has written when the recording ends, by
    /// runtime/trace. With it, "gosched timeline" tells what goroutines waited for. A URL such as
    /// http://localhost:6060 stands for a server of the process, with net/http/pprof: it is asked
    /// for a trace meanwhile, and takes -p and -t
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) go_trace: Option<PathBuf>,

    /// The command to run, and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required_unless_present = "pid",
        conflicts_with = "pid"
    )]
    pub(crate) command: Vec<OsString>,
}

impl Record {
    /// The most that the events of a record take on the disk if nothing else is said, in MiB.
    pub(crate) const MAX_SIZE: NonZeroU32 = NonZeroU32::new(1024).unwrap();
    /// The most that the events of a record take that is not kept, in MiB: temporary files may be in
    /// memory.
    pub(crate) const TEMPORARY_SIZE: NonZeroU32 = NonZeroU32::new(64).unwrap();

    /// Returns the URL that a trace of the Go runtime is to come from.
    pub(crate) fn go_trace_url(&self) -> Option<&str> {
        let text = self.go_trace.as_deref()?.to_str()?;
        let is_url = text.starts_with("http://") || text.starts_with("https://");
        is_url.then_some(text)
    }
}

#[derive(clap::Args)]
pub(crate) struct Lag {
    /// Look at this process, which runs already, and not at a COMMAND
    #[arg(short, long, value_name = "PID", value_parser = value::parse_pid)]
    pub(crate) pid: Option<i32>,

    /// End after so many seconds; gosched still waits for COMMAND
    #[arg(short = 't', long, value_name = "SECONDS")]
    pub(crate) seconds: Option<Interval>,

    /// Time between two looks at the threads, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "0.1")]
    pub(crate) interval: Interval,

    /// The command to run, and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required_unless_present = "pid",
        conflicts_with = "pid"
    )]
    pub(crate) command: Vec<OsString>,
}

#[derive(clap::Args)]
pub(crate) struct Timeline {
    /// The folder that "gosched record" has written
    #[arg(value_name = "DIR", default_value = "gosched-record")]
    pub(crate) record: PathBuf,

    /// Write a file for Perfetto's viewer (ui.perfetto.dev), and not the summary: CPUs, the states
    /// of threads, goroutines, who made whom runnable, Go priorities
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Show how states of goroutines go together with states of threads, and not the summary: what
    /// a thread left its CPU for, and what Go's runtime said of the thread's goroutine. Needs a
    /// record with --go-trace
    #[arg(long, conflicts_with = "output")]
    pub(crate) states: bool,
}

#[derive(clap::Args)]
pub(crate) struct Why {
    /// The thread, by its id; without one, or with that of the process, all threads of the program
    #[arg(value_name = "TID", value_parser = value::parse_pid)]
    pub(crate) tid: Option<i32>,

    /// The folder that "gosched record" has written
    #[arg(short, long, value_name = "DIR", default_value = "gosched-record")]
    pub(crate) record: PathBuf,

    /// Watch the thread for so many seconds from now on, and read no record. Takes what "gosched
    /// record" takes, and leaves no files
    #[arg(
        short = 't',
        long,
        value_name = "SECONDS",
        requires = "tid",
        conflicts_with = "record"
    )]
    pub(crate) seconds: Option<Interval>,

    /// With the id of the process, tell of its first thread alone
    #[arg(long)]
    pub(crate) thread: bool,
}

#[derive(clap::Args)]
pub(crate) struct Heat {
    /// The folder that "gosched record" has written
    #[arg(
        value_name = "DIR",
        default_value = "gosched-record",
        conflicts_with = "pid"
    )]
    pub(crate) record: PathBuf,

    /// Show this process, which runs already, and not a record
    #[arg(short, long, value_name = "PID", value_parser = value::parse_pid)]
    pub(crate) pid: Option<i32>,

    /// With -p, end after so many seconds
    #[arg(short = 't', long, value_name = "SECONDS", requires = "pid")]
    pub(crate) seconds: Option<Interval>,

    /// Write a picture, and not text
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Spikes {
    /// The folder that "gosched record" has written
    #[arg(value_name = "DIR")]
    pub(crate) record: PathBuf,

    /// The file of latencies, or "-" for standard input
    pub(crate) latencies: PathBuf,

    /// Outliers are the latencies above this quantile, in percent
    #[arg(long, value_name = "PERCENT", default_value = "99.9")]
    pub(crate) quantile: Percent,

    /// Outliers are the latencies above so many milliseconds
    #[arg(long, value_name = "MS", conflicts_with = "quantile")]
    pub(crate) above: Option<Ms>,

    /// The longest time between two outliers of a cluster, in milliseconds. Without --gap, a tenth
    /// of what would be between them if they were spread evenly, and at most 100
    #[arg(long, value_name = "MS")]
    pub(crate) gap: Option<Ms>,

    /// The fewest outliers of a cluster
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) at_least: u64,

    /// The unit of latencies whose name has none: ns, us, ms or s
    #[arg(long)]
    pub(crate) unit: Option<Unit>,

    /// Write a file for Perfetto's viewer, as "gosched timeline -o" does, with the clusters and
    /// their causes
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// A share above 0 and below 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percent(pub(crate) f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok();
        let number = number.filter(|number| *number > 0.0 && *number < 100.0);
        number
            .map(Self)
            .ok_or_else(|| format!("'{text}' is not a percentage above 0 and below 100"))
    }
}

/// A time, in ns; milliseconds on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ms(pub(crate) u64);

impl FromStr for Ms {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok();
        let number = number.filter(|ms| (0.0..=86_400_000.0).contains(ms));
        number
            .map(|ms: f64| Self((ms * 1e6).round() as u64))
            .ok_or_else(|| format!("'{text}' is not a number of milliseconds from 0 to 86400000"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_leaves_something_above_and_below() {
        assert_eq!("99.99".parse(), Ok(Percent(99.99)));
        for wrong in ["0", "100", "-1", "nan", "inf", "99.9%", ""] {
            assert!(wrong.parse::<Percent>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn milliseconds_are_at_most_a_day() {
        assert_eq!("0.5".parse(), Ok(Ms(500_000)));
        for wrong in ["-1", "nan", "inf", "86400001", "5ms"] {
            assert!(wrong.parse::<Ms>().is_err(), "{wrong}");
        }
    }
}
