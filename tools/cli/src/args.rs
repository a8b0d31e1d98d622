// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::error::Error;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::Arg;
use clap::ArgAction;
use clap::Command;
use clap::CommandFactory;
use clap::FromArgMatches;
use clap::Parser;
use clap::Subcommand;
use clap_complete::Shell;
use gosched::policy::GoPrio;
use gosched::thread::ThreadId;

use crate::complain;
use crate::run;
use crate::systemd::Systemd;
use crate::top::SortKey;
use crate::EXIT_FAILURE;

/// Set, read and explain the Go priority of threads: 0 to 63, higher = more urgent
#[derive(Parser)]
#[command(
    name = "gosched",
    version,
    after_help = "\
Priorities (higher = more urgent):
   0..15  idle  run where nothing else wants to
  16..47  fair  share the CPU; 32 is nice 0
  48..63  rt    run before all others

All commands but run, systemd and completions write JSON with --json.
\"gosched check\" tells whether the kernel is ready."
)]
pub(crate) struct Args {
    /// Write JSON to standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Give threads a priority
    Set(Set),
    /// Show the priority of threads, what the kernel makes of it, and their base
    #[command(after_help = "\
The priority in force is shown where it is another: a hint is still to be seen by
the scheduler, or the thread is held at what it owns because it ran away. The last
change is what made the kernel reschedule it last: ioctl, syscall, hint, fork, external
(nice, chrt and their like), register, unregister (of the module), or runaway.")]
    Get(ThreadArgs),
    /// Take the priority of threads away, which returns them to their base
    Clear(ThreadArgs),
    /// Say up to where threads may be moved without privilege
    #[command(after_help = "\
What a thread owns, the priorities that chrt and renice would allow it without
privilege, everybody who has its user id may give it, and its hint. A ceiling that
root sets is granted: it allows all priorities up to it, until the thread changes its
user. Set by others, it only bounds what hints may ask for. Raising it takes root.
What a thread starts has the same ceiling. A priority above the new ceiling that the
old one allowed falls to it.")]
    Ceiling(Ceiling),
    /// Show how often the scheduling of threads was changed, and why last
    #[command(after_help = "\
All is counted from the thread's first priority, binding or ceiling. A hint for what
the thread may not have counts as the next lower priority that it may. Acting on a
hint is put off while another CPU changes the thread, while it waits for a mutex with
priority inheritance, and when it was preempted inside the kernel.")]
    Stats(ThreadArgs),
    /// Say whenever the priority, ceiling or policy of threads changes
    #[command(after_help = "\
Ends when all threads have, or with SIGINT. It looks once per interval, and does not
see what changed back meanwhile; \"gosched trace\" does. With --all-tasks it finds
what threads start later, too. Times are those of CLOCK_MONOTONIC, in seconds.

Exit status: 0, or 1 if a thread was not found")]
    Watch(Watch),
    /// Show each change of a priority, as the kernel's tracepoints tell it
    #[command(after_help = "\
Ends with COMMAND or, without one, with SIGINT. It passes signals on to COMMAND, and
traces on until that has ended; once standard output has no reader, it waits for it
without. With -p or COMMAND only what they start, and they themselves, are shown. It
records through an instance of tracefs that is its own, and removed at the end. Events
that found no room are told of where they are missing.
Times are those of CLOCK_MONOTONIC, in seconds, and ids those of the initial pid
namespace.

Exit status: that of COMMAND, 128 and the number of the signal that ended it, or
    0  it was interrupted, without a COMMAND
    1  gosched itself failed, or events were lost
  126  COMMAND was found but cannot be run
  127  COMMAND was not found")]
    Trace(Trace),
    /// Show threads with what they were given beside what they get, again and again
    #[command(after_help = "\
Columns: GO the priority asked for, APPLIED the one in force, CEILING up to where the
thread may be moved without privilege, CHANGE what made the kernel reschedule it last,
%CPU and %WAIT how much of the time since the last update it ran, and waited for a CPU,
which takes a kernel with CONFIG_SCHED_INFO, GROUP the control group, or autogroup, that
it competes in.
Marks:
  !  the priority asked for is not in force
  P  the policy is not that of the priority
  B  it holds a lock that a more urgent thread waits for, and is boosted
  C  a hint was above the ceiling
  R  it ran away, and was held at what it owns
  Q  a cpu.max applies to it
  T  that has just throttled it
  X  a sched_ext scheduler runs it
Keys: q quits, a switches between all threads and those with a Go priority, s sorts by
another column. Colours are off where NO_COLOR is set.")]
    Top(Top),
    /// Run a command at a priority, which all it starts inherits
    #[command(after_help = "\
With --ceiling, which takes root, COMMAND and what it starts may move up to it by
themselves, with \"gosched set\", a request or a hint, until they change their user.

Exit status: that of COMMAND, or
  125  gosched itself failed
  126  COMMAND was found but cannot be run
  127  COMMAND was not found")]
    Run(Run),
    /// Print a drop-in that gives a service of systemd its CPUs and its band of priorities
    #[command(after_help = "\
The service starts at LOW, with all it will start; it, and everybody who has its
user id, may move its threads up to HIGH. If the priority cannot be set, it does not
start. To put the drop-in in force:
  gosched systemd etcd --band 32-50 --cpus 2-5 --output /etc/systemd/system
  systemctl daemon-reload && systemctl restart etcd
To undo it, remove /etc/systemd/system/etcd.service.d/50-gosched.conf, and do the same.")]
    Systemd(Systemd),
    /// List what each priority means to the kernel
    #[command(after_help = "\
A higher priority is more urgent. WEIGHT is the kernel's load weight, in the unit
in which nice 19 has 15360 and nice 0 has 1048576. \"-\" is what the policy does
not have, or the kernel's own.")]
    Map,
    /// Tell whether this system is ready, and what to do if not
    #[command(after_help = "Exit status: 0 when priorities can be set, 1 otherwise")]
    Check,
    /// Write the JSON schema of what --json writes
    Schema,
    /// Write completions for a shell to standard output
    #[command(after_help = "\
Put what it writes where the shell looks for it, for bash under the name \"gosched\"
into /usr/share/bash-completion/completions.")]
    Completions {
        /// The shell they are for
        shell: Shell,
    },
    /// Write manual pages, gosched.1 and one for each verb, to a folder
    #[command(hide = true)]
    Man {
        /// The folder, which is made if it does not exist
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

#[derive(clap::Args)]
pub(crate) struct Set {
    /// Let what the threads start from now on inherit the priority
    #[arg(long)]
    pub(crate) inherit: bool,

    /// 0..63, higher = more urgent
    #[arg(value_name = "PRIO", allow_negative_numbers = true)]
    pub(crate) prio: Prio,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}

#[derive(clap::Args)]
pub(crate) struct Ceiling {
    /// 0..63, higher = more urgent; or "none": what the base of each thread allows
    #[arg(value_name = "PRIO", allow_negative_numbers = true)]
    pub(crate) prio: CeilingPrio,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}

#[derive(clap::Args)]
pub(crate) struct ThreadArgs {
    /// All threads of each PID, not only the one of that id
    #[arg(short, long)]
    pub(crate) all_tasks: bool,

    /// Process or thread ids; a process id alone means its main thread.
    /// PID:INODE, with the inode of the pidfd, never hits a recycled id
    #[arg(value_name = "PID", required = true)]
    pub(crate) ids: Vec<ThreadId>,
}

#[derive(clap::Args)]
pub(crate) struct Watch {
    /// How often to look, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "0.1")]
    pub(crate) interval: Interval,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}

#[derive(clap::Args)]
pub(crate) struct Trace {
    /// Only the threads of this process, and what they start; may be given again
    #[arg(short, long = "pid", value_name = "PID")]
    pub(crate) pids: Vec<ThreadId>,

    /// Room for events on each CPU, in KiB
    #[arg(long, value_name = "KIB", default_value_t = 4096)]
    pub(crate) buffer_kb: u32,

    /// A command to run, and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,
}

#[derive(clap::Args)]
pub(crate) struct Top {
    /// Only the threads of this process; may be given again
    #[arg(short, long = "pid", value_name = "PID", value_parser = parse_pid)]
    pub(crate) pids: Vec<i32>,

    /// Also threads without a Go priority
    #[arg(short, long)]
    pub(crate) all: bool,

    /// What to sort by
    #[arg(short, long, value_name = "KEY", default_value = "priority")]
    pub(crate) sort: SortKey,

    /// Time between two updates, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "1")]
    pub(crate) interval: Interval,

    /// Write plain text, for pipes and files; --json implies it
    #[arg(short, long)]
    pub(crate) batch: bool,

    /// End after so many updates
    #[arg(short = 'n', long, value_name = "N", value_parser = parse_count)]
    pub(crate) iterations: Option<NonZeroU32>,
}

#[derive(clap::Args)]
pub(crate) struct Run {
    /// Up to where the command, and what it starts, may move by itself
    #[arg(long, value_name = "PRIO", allow_negative_numbers = true)]
    pub(crate) ceiling: Option<Prio>,

    /// 0..63, higher = more urgent
    #[arg(value_name = "PRIO", allow_negative_numbers = true)]
    pub(crate) prio: Prio,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,
}

/// A priority as the user writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prio(pub(crate) GoPrio);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PrioError {
    #[error("priority {0} is outside 0..{max} (higher = more urgent)", max = GoPrio::MAX.get())]
    OutOfRange(i64),
    #[error("priority '{0}' is not a number 0..{max} (higher = more urgent)", max = GoPrio::MAX.get())]
    NotANumber(String),
}

impl FromStr for Prio {
    type Err = PrioError;

    fn from_str(text: &str) -> Result<Self, PrioError> {
        let number: i64 = text
            .parse()
            .map_err(|_| PrioError::NotANumber(text.to_owned()))?;
        u32::try_from(number)
            .ok()
            .and_then(GoPrio::new)
            .map(Self)
            .ok_or(PrioError::OutOfRange(number))
    }
}

/// A ceiling as the user writes it; nothing is the one of the thread's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CeilingPrio(pub(crate) Option<GoPrio>);

impl FromStr for CeilingPrio {
    type Err = PrioError;

    fn from_str(text: &str) -> Result<Self, PrioError> {
        match text {
            "none" => Ok(Self(None)),
            number => number.parse().map(|Prio(prio)| Self(Some(prio))),
        }
    }
}

fn parse_count(text: &str) -> Result<NonZeroU32, String> {
    text.parse()
        .map_err(|_| format!("'{text}' is not a number of updates, 1 or more"))
}

/// Reads the id of a process, which may be recycled once that has ended.
fn parse_pid(text: &str) -> Result<i32, String> {
    text.parse()
        .ok()
        .filter(|id: &ThreadId| id.inode.is_none())
        .map(|id| id.pid)
        .ok_or_else(|| format!("'{text}' is not a process id"))
}

/// A time between two looks, as the user writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval(pub(crate) Duration);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a number of seconds from 0.01 to 3600")]
pub(crate) struct IntervalError(String);

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, IntervalError> {
        text.parse()
            .ok()
            .filter(|seconds| (0.01..=3600.0).contains(seconds))
            .map(|seconds| Self(Duration::from_secs_f64(seconds)))
            .ok_or_else(|| IntervalError(text.to_owned()))
    }
}

/// A command line that asks for no work: wrong, or for help.
pub(crate) struct Misuse {
    error: clap::Error,
    exit: u8,
}

/// The verbs that write no JSON.
const WITHOUT_JSON: [&str; 4] = ["completions", "man", "run", "systemd"];

/// The command line, where the help of verbs without JSON does not offer it.
pub(crate) fn command() -> Command {
    WITHOUT_JSON.iter().fold(Args::command(), |command, verb| {
        command.mut_subcommand(verb, |verb| {
            // Takes the place of the global one.
            verb.arg(
                Arg::new("json")
                    .long("json")
                    .action(ArgAction::SetTrue)
                    .hide(true),
            )
        })
    })
}

pub(crate) fn parse() -> Result<Args, Misuse> {
    parse_from(std::env::args_os()).map_err(|error| {
        // Clap does not say how far it came.
        let verb = std::env::args_os()
            .skip(1)
            .find(|arg| !arg.as_encoded_bytes().starts_with(b"-"));
        let exit = if verb.is_some_and(|verb| verb == "run") {
            run::EXIT_OWN_FAILURE
        } else {
            EXIT_FAILURE
        };
        Misuse { error, exit }
    })
}

fn parse_from(words: impl Iterator<Item = OsString>) -> Result<Args, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(words)?;
    let args = Args::from_arg_matches(&matches)?;
    match matches.subcommand_name() {
        Some(verb) if args.json && WITHOUT_JSON.contains(&verb) => Err(command.error(
            ErrorKind::ArgumentConflict,
            format!("{verb} writes no JSON: leave out --json"),
        )),
        _ => Ok(args),
    }
}

impl Misuse {
    pub(crate) fn report(self) -> ExitCode {
        match (self.error.kind(), self.error.source()) {
            // One sentence of ours says more than clap's three lines.
            (ErrorKind::ValueValidation, Some(reason)) => complain(&reason),
            // Nobody is left to tell when this fails.
            _ => drop(self.error.print()),
        }
        if self.error.use_stderr() {
            ExitCode::from(self.exit)
        } else {
            ExitCode::SUCCESS
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn json_is_for_the_verbs_that_offer_it_wherever_it_stands() {
        let parse = |line: &str| parse_from(line.split(' ').map(OsString::from));
        for line in ["gosched --json map", "gosched map --json"] {
            assert!(parse(line).is_ok_and(|args| args.json), "{line}");
        }
        for verb in command().get_subcommands().map(Command::get_name) {
            let help = parse(&format!("gosched {verb} --help"));
            let help = help.err().expect("help is an error to clap").to_string();
            let offered = help.contains("--json");
            assert_eq!(offered, !WITHOUT_JSON.contains(&verb), "{verb}");
        }
        for line in ["gosched --json run 8 true", "gosched run --json 8 true"] {
            let refused = parse(line).err().expect("run writes no JSON");
            assert_eq!(refused.kind(), ErrorKind::ArgumentConflict, "{line}");
        }
        let passed_on = parse("gosched run 8 -- true --json");
        assert!(passed_on.is_ok_and(|args| !args.json));
    }

    #[test]
    fn a_priority_is_0_to_63() {
        assert_eq!("0".parse(), Ok(Prio(GoPrio::MIN)));
        assert_eq!("63".parse(), Ok(Prio(GoPrio::MAX)));
        assert_eq!("64".parse::<Prio>(), Err(PrioError::OutOfRange(64)));
        assert_eq!("-1".parse::<Prio>(), Err(PrioError::OutOfRange(-1)));
        assert_eq!(
            "4294967296".parse::<Prio>(),
            Err(PrioError::OutOfRange(1 << 32))
        );
        assert_eq!(
            "high".parse::<Prio>(),
            Err(PrioError::NotANumber("high".to_owned()))
        );
    }

    #[test]
    fn an_interval_is_a_time_that_passes() {
        assert_eq!("0.5".parse(), Ok(Interval(Duration::from_millis(500))));
        for wrong in ["0", "-1", "nan", "inf", "3601", "soon"] {
            let error = IntervalError(wrong.to_owned());
            assert_eq!(wrong.parse::<Interval>(), Err(error));
        }
    }

    #[test]
    fn a_ceiling_is_a_priority_or_none() {
        assert_eq!("63".parse(), Ok(CeilingPrio(Some(GoPrio::MAX))));
        assert_eq!("none".parse(), Ok(CeilingPrio(None)));
        assert_eq!("64".parse::<CeilingPrio>(), Err(PrioError::OutOfRange(64)));
    }
}
