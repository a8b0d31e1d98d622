// SPDX-License-Identifier: GPL-2.0

//! The arguments of the verbs that show what the scheduler does with a program.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::ValueEnum;
use gosched_observe::latencies::Unit;
use gosched_observe::record;

use super::value;
use super::value::Interval;
use super::value::Listen;
use super::value::Ms;
use super::value::Percent;

/// Record what the scheduler does with a program's threads, and which goroutine each has
///
/// Starts COMMAND, or takes the process of -p, and writes down each switch and wakeup of its
/// threads, and who had a CPU that they waited for, until COMMAND ends, a signal comes or the
/// time is over. The program is not changed, and may be stripped. Processes that it starts are
/// not recorded. "gosched timeline" shows what the record comes to. It takes root, or the
/// capabilities CAP_BPF and CAP_PERFMON, and for another user's process CAP_SYS_PTRACE. Where the
/// kernel takes no BPF programs, tracefs tells of threads alone.
#[derive(clap::Args)]
#[command(after_help = "\
Exit status: that of COMMAND, or 128 plus the number of the signal that ended it; or
    0  the process of -p was recorded
    1  the record or a part of it is missing
    2  the command line is wrong
  126  COMMAND was found but cannot be run
  127  COMMAND was not found")]
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
    #[arg(long, value_name = "MIB", default_value_t = Self::MAX_SIZE, value_parser = value::parse_mib)]
    pub(crate) max_size: NonZeroU32,

    /// What tells the events. Without --backend, it is bpf, or tracefs where BPF programs cannot be
    /// loaded
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) backend: Option<Backend>,

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

/// What tells the events of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// BPF programs
    Bpf,
    /// Tracepoints of tracefs: threads alone, without goroutines, system calls and CPU quotas. Each
    /// switch and wakeup of the machine costs more than by bpf
    Tracefs,
}

impl From<Backend> for record::Backend {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Bpf => Self::Bpf,
            Backend::Tracefs => Self::Tracefs,
        }
    }
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

/// Show how much CPU time the scheduler owes each thread of a program, and what it gets
///
/// Starts COMMAND, or takes the process of -p, and looks at all of its threads in each
/// interval, until the process ends, a signal comes or the time is over. Then there is a
/// summary. On a terminal, a table is redrawn, but with a COMMAND, which has the terminal,
/// there is the summary alone. Elsewhere each look prints a line for each thread. The
/// scheduler works no slower meanwhile. It takes root, or the capabilities CAP_BPF and
/// CAP_PERFMON, and Linux 6.6 or later.
#[derive(clap::Args)]
#[command(after_help = "\
Columns; \"-\" stands for what the thread does not have, or what is not known:
  TIME         seconds of CLOCK_MONOTONIC
  TID, THREAD  id and name of the thread
  STATE        running, waiting for a CPU, or asleep; \"quota\" if it could run and
               its control group has used up its CPU quota; \"?\" if it was between
               two states
  %CPU, %WAIT  time that it ran, and that it waited for a CPU or a quota, since the
               last look
  LAG-US       CPU time that it is owed, in us: what it would have had by now if all
               in its queue had their exact shares, less what it had. Below 0 it is
               ahead. Only threads that run or wait have one, of classes fair and idle
  ELIG         whether the scheduler may pick it: its lag is 0 or more
  DUE-MS       CPU time that its queue gets until the thread is to have had its
               slice; below 0 it is overdue
  SLICE-MS     the CPU time that it is to have by then
  GROUP-US     the lowest lag of the control groups that it is in, each beside what
               it competes with on that CPU
  CPU          CPU that it runs on, in whose queue it is, or that it was on last
  CLASS        who picks it: fair or idle (both by lag), rt, deadline, or ext, a
               sched_ext scheduler
  GROUP        the control group, or autogroup, that its queue is of: LAG-US is
               among its threads and the groups in it, and leaves out gosched itself
The summary has the time waited in ms, the lowest lag, the median and the highest one of
all looks in us, and as %ELIG, of the looks that found the thread waiting, those that found
it eligible. %CPU is of the time that the thread was looked at.

The figures are those that the kernel itself decides by. It brings them up to date when
it switches, and at each tick: of a thread that runs, they are up to some ms old.

Exit status: that of COMMAND, or 128 plus the number of the signal that ended it; or
    0  the process of -p was looked at
    1  gosched itself failed
    2  the command line is wrong
  126  COMMAND was found but cannot be run
  127  COMMAND was not found")]
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

/// Show what a record comes to: where the time of threads and goroutines went
#[derive(clap::Args)]
#[command(after_help = "\
Columns of threads and goroutines, in milliseconds:
  ON CPU   ran
  NO P     was ready, and the Go runtime had no P for it
  NO CPU   was ready, and the thread had no CPU
  QUOTA    the same, as the control group had used up its CPU quota
  OTHER    ran as the Go runtime sees it, and the thread slept in the kernel, or
           what it did is not known
  SYSCALL  in a system call or cgo
  ASLEEP, WAITING
           slept, or waited for something, longest as IN or FOR tells")]
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

/// Tell from a record who kept a thread from running, and which priority would have helped
#[derive(clap::Args)]
#[command(after_help = "\
WHY says how a thread was kept from running:
  real-time thread  one that Linux runs before all ordinary ones
  ordinary thread   one that shares the CPU with it, or goes first by a higher
                    priority
  quota used up     the control group had no CPU time left
  CPU is switching  nobody had the CPU: to wake a thread up takes a while
The percentages of the advice do not add up: one thing may help where another one would have.")]
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

/// Show when threads waited for a CPU, and how long, as a heat map for each Go priority
///
/// Reads a record, or counts the delays of a process that runs already, with -p, until the
/// process ends, the time is over, or Ctrl-C. Then nothing is written to the disk, and it takes
/// root, or the capabilities CAP_BPF and CAP_PERFMON.
#[derive(clap::Args)]
#[command(after_help = "\
A delay is the time from runnable to running, a CPU quota that is used up included.
  rows       delays, the longest at the top; at the end of a row how many there were
  columns    the time at which a delay ended
  shade      how many delays there were, as the line above the maps tells
There is a map for each Go priority in force when a delay ended, of threads as the kernel
has it. With a trace of the Go runtime in the record, there is a map of goroutines as well:
from ready to running as the runtime has it, whether the thread had a CPU or not.

With -p on a terminal, the maps that have room are drawn at least once a second, and all
of them at the end. If there are more columns than the terminal has, each two are joined.
Colours are off if NO_COLOR is set in the environment.

Exit status: 0, also if no thread waited; 1 if the record or the process cannot be read;
2 if the command line is wrong")]
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

/// Answer Prometheus with how long threads wait for a CPU, and with what the module counts
///
/// Serves /metrics over HTTP, until a signal comes, for processes that run already: as
/// OpenMetrics text, or as Prometheus's older text for clients that do not ask for OpenMetrics.
/// It takes root, or the capabilities CAP_BPF and CAP_PERFMON, which it gives up before the
/// first request.
#[derive(clap::Args)]
#[command(after_help = "\
Metrics, with the labels pid and go_priority, which is 0 to 63, or none:
  gosched_up                          1, or 0 once the process has ended
  gosched_run_delay_seconds           delays from runnable to running, a CPU quota that is
                                      used up included, by the Go priority at their end
  gosched_counted_seconds_total       time in which delays were counted
  gosched_uncounted_run_delays_total  delays that could not be counted
  gosched_threads                     threads, by the Go priority in force; unknown if the
                                      device cannot be asked
  gosched_changes_total, gosched_hints_above_ceiling_total, gosched_hints_put_off_total,
  gosched_runaways_total              as \"gosched stats\" tells of threads, if the module
                                      is loaded: of all threads that a request has seen
  gosched_exporter_scrapes_total, gosched_exporter_cpu_seconds_total
                                      times that the figures were read, at most once a
                                      second, and the CPU time that gosched took

Delays are counted from the first request on, and no more when none has come for 5
minutes; the next request starts it again. What was counted stays, so that no counter
falls. While nobody asks, no switch of a thread takes longer.

There is neither TLS nor a password: an address that other machines can reach is refused,
and so is a request at a port whose header Host names another machine than localhost, as
that of a page in a browser may. Who may connect to a socket in the file system, its mode
tells, by the umask. When a process has ended, gosched goes on, for the others and so that
the end is seen.

Exit status: 0 when a signal came; 1 if it cannot begin; 2 if the command line is wrong")]
pub(crate) struct Exporter {
    /// The processes, which run already: at most 16
    #[arg(
        short,
        long = "pid",
        value_name = "PID",
        required = true,
        num_args = 1..,
        value_parser = value::parse_pid
    )]
    pub(crate) pids: Vec<i32>,

    /// Where to answer requests: an address of this machine alone with a port, such as
    /// 127.0.0.1:19273 or [::1]:19273, or unix: and the path of a socket
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:19273")]
    pub(crate) listen: Listen,
}

impl Exporter {
    /// The most processes: each has BPF programs of its own, which all switches run.
    pub(crate) const MOST: usize = 16;
}

/// Tell from a record what caused the outliers of a program's latencies
///
/// Reads latencies with the times at which they were measured, while the program was recorded,
/// puts outliers that lie close together in time to clusters, and tells of each cluster what
/// kept the program from its work then and usually does not.
#[derive(clap::Args)]
#[command(after_help = "\
Formats of LATENCIES, told by its first line:
  CSV         a header, and columns of these names:
                start, or end or time   of a request
                latency or duration     with its unit: latency_us, duration_ms
              Units are ns, us, ms and s. \"vegeta encode --to csv\" and k6 are read, too
  JSON        an object in each line, with fields of these names: as log/slog writes
              them, whose durations are in ns, \"vegeta encode\", and k6
  HdrHistogram log
              histograms with the times of their intervals; values are in ns
A time is RFC 3339, or a number. Numbers of the wall clock are Unix times in s, ms, us or ns;
those before 2001 are of CLOCK_MONOTONIC, in s if the name has no unit.

CAUSE tells what took at least a quarter of a cluster's time more than it does without
outliers, and twice as much; of 200 places without outliers that are as long as the
cluster, at most 2 have as much of it:
  no CPU            a thread was ready, and another one had the CPU
  quota used up     the control group had no CPU time left
  stopped the world, no P, helped the garbage collector
                    the Go runtime kept goroutines; known with --go-trace of gosched record
  asleep in         a thread slept in a system call that does not wait for work
  a lock            goroutines waited for a lock; known with --go-trace
MORE is how much more it took, in ms; two threads that wait count twice. USUAL is how
much it takes in as much time without outliers.")]
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

    /// The most milliseconds without an outlier inside a cluster. Without --gap, a tenth of what
    /// would be between outliers that are spread evenly, and at most 100
    #[arg(long, value_name = "MS")]
    pub(crate) gap: Option<Ms>,

    /// The fewest outliers of a cluster
    #[arg(long, value_name = "N", default_value = "3", value_parser = value::parse_outliers)]
    pub(crate) at_least: NonZeroU32,

    /// The unit of latencies whose name has none: ns, us, ms or s
    #[arg(long)]
    pub(crate) unit: Option<Unit>,

    /// Write a file for Perfetto's viewer, as "gosched timeline -o" does, with the clusters and
    /// their causes
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
