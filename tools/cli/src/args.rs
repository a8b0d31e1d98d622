// SPDX-License-Identifier: GPL-2.0

//! The command line: verbs, their arguments and their help. No argument depends on
//! what a verb does with it.

mod cpus;
#[cfg(feature = "observe")]
mod observe;
mod value;

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Parser;
use clap::Subcommand;
use clap_complete::Shell;
use gosched::thread::ThreadId;

pub(crate) use self::cpus::Cpus;
#[cfg(test)]
pub(crate) use self::cpus::CpusError;
#[cfg(feature = "observe")]
pub(crate) use self::observe::Exporter;
#[cfg(feature = "observe")]
pub(crate) use self::observe::Heat;
#[cfg(feature = "observe")]
pub(crate) use self::observe::Lag;
#[cfg(feature = "observe")]
pub(crate) use self::observe::Record;
#[cfg(feature = "observe")]
pub(crate) use self::observe::Spikes;
#[cfg(feature = "observe")]
pub(crate) use self::observe::Timeline;
#[cfg(feature = "observe")]
pub(crate) use self::observe::Why;
pub(crate) use self::value::ArgumentError;
pub(crate) use self::value::CeilingPrio;
pub(crate) use self::value::Interval;
#[cfg(feature = "observe")]
pub(crate) use self::value::Listen;
pub(crate) use self::value::Prio;
pub(crate) use self::value::Quota;
pub(crate) use self::value::Service;
pub(crate) use self::value::SortKey;

/// Explains the columns of `gosched top` on goroutines.
#[cfg(feature = "observe")]
macro_rules! goroutine_columns {
    () => {
        "  G         number of the goroutine that the thread of a Go program has, or \"-\"
  GSTATE    state of that goroutine, as Go's runtime has it: running, syscall,
            waiting, ...; one that is running may wait for a CPU with its thread
  P         number of the P that the thread has with the goroutine
To read goroutines takes root, or CAP_BPF and CAP_PERFMON, the first pid namespace, a
kernel of Linux 5.18 or later with BTF, and a program with debug information or of a
release of Go that gosched knows. Else there is \"-\", and the lines above the table
say why.
"
    };
}

#[cfg(not(feature = "observe"))]
macro_rules! goroutine_columns {
    () => {
        ""
    };
}

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

Terms:
  base     the scheduling that a thread has without a Go priority
  owned    a priority that chrt and renice would allow without privilege
  ceiling  the highest priority that a hint can get a thread, and that a request
           without privilege can, beyond those that the thread owns
  hint     a priority that a thread asks for by writing it to memory that it shares
           with the kernel, without a system call

All commands but run, systemd and completions write JSON with --json: what they find to
standard output, and errors to standard error. \"gosched schema\" describes it.
\"gosched check\" tells whether the kernel is ready."
)]
pub(crate) struct Args {
    /// Write JSON, errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Give threads a priority
    Set(Set),
    /// Show the priority, the scheduling and the ceiling of threads
    #[command(after_help = "\
What is shown of a thread:
  current Go priority   the priority that was asked for
  Go priority in force  the priority that the scheduler uses, if that is another one:
                        it has not seen a new hint yet, or the thread ran away
  current scheduling    the kernel's parameters for the priority in force
  base scheduling       the parameters that the thread has without a Go priority
  ceiling               the highest priority that a hint can get it, and a request
                        beyond what it owns; \"set\" if somebody has set it
  last change           why the kernel last changed its scheduling: ioctl, syscall,
                        hint, fork, external (nice, chrt and the like), register or
                        unregister (of the module), or runaway
  hints                 whose hints a thread has that is bound to a slot: its own, or
                        those of the goroutine that it runs at the moment, in a program
                        that was built with gosched-overlay

With -a, unless -v is given, there is a line for each thread, in columns:
  GO, APPLIED           the current priority, and the one in force
  POLICY, NICE, RT, SLICE-MS
                        the current scheduling
  CHANGE                the last change
  HINTS                 whose hints it has: thread, goroutine, or ? if that is unknown;
                        left out if no thread is bound to a slot

A thread runs away when it uses up the CPU time that a granted ceiling allows. It then
has the highest priority that it owns, until it sleeps and CPU time is allowed again.

A thread at 0 to 15 that is switched out inside the kernel is raised to its base
scheduling for kernel work, until it is back in its program: others may wait for what it
holds there.")]
    Get(Show),
    /// Remove the priority of threads, which return to their base scheduling
    Clear(ThreadArgs),
    /// Set the highest priority that threads can get by hints, or beyond what they own
    #[command(after_help = "\
Without privilege, a user can give his threads the priorities that they own: those that
chrt and renice would allow him.
  - A ceiling that root sets is granted: the user and the hints of the thread can also
    ask for every priority up to it. The grant ends when the thread changes its user.
  - A user can lower the ceiling of his threads, but not raise it. A ceiling that was
    never granted only limits hints.
  - A request still gets what the thread owns, also above its ceiling.
  - What a thread starts has the same ceiling.
  - A thread whose priority only the old ceiling allowed is lowered to the new one.")]
    Ceiling(Ceiling),
    /// Show how often the scheduling of threads was changed, and why last
    #[command(after_help = "\
Counting begins with the first priority, hint or ceiling of the thread.
  changes                  how often the kernel changed its scheduling
  last change              why it did so last, see \"gosched get --help\"
  hints above its ceiling  hints for a priority that the thread must not have: each
                           counts as the next lower one that it may have
  hints put off            hints that did not take effect at once: another CPU was
                           changing the thread, the thread waited for a mutex with
                           priority inheritance, or was preempted inside the kernel
  times run away           how often it used up the CPU time that a granted ceiling
                           allows, see \"gosched get --help\"
With -a, unless -v is given, there is a line for each thread, with these in the columns
CHANGES, CHANGE, ABOVE-CEILING, PUT-OFF and RUNAWAYS.")]
    Stats(Show),
    /// Print a line whenever the priority, ceiling or policy of threads changes
    #[command(after_help = "\
Reads the threads once in each interval. A change that is undone within an interval is
not seen: \"gosched trace\" shows every change. With --all-tasks, threads that start
later are watched too. Ends when all threads have ended, or with Ctrl-C.
Times are in seconds of CLOCK_MONOTONIC.

Exit status: 0, or 1 if a thread was not found, or 2 if the command line is wrong")]
    Watch(Watch),
    /// Print each change of a priority, and each refused request, as it happens
    #[command(after_help = "\
A line has the time in seconds of CLOCK_MONOTONIC, a CPU, a thread, and an event:
  set     the thread was given a priority, by the thread named after \"by\"
  apply   its scheduling changed: priority and policy before and after, and the cause
  reject  a request or a hint for the thread was refused, and why
Ids are those of the initial pid namespace.

Without -p and COMMAND, gosched prints the events of all threads, until Ctrl-C.
With -p, it prints those of process PID and of all that PID starts.
With COMMAND, it runs COMMAND, prints the events of COMMAND and of all that COMMAND
starts, and ends with COMMAND. Signals to gosched are passed on to COMMAND. If whoever
reads the output goes away, as in \"gosched trace -- COMMAND | head\", tracing stops, and
COMMAND runs to its end.

The kernel records events in a buffer, from which gosched reads them. When the buffer is
full, events are lost. A message says where they are missing and how many they are. Make
the buffer larger with --buffer-kb.

Exit status: that of COMMAND, or 128 plus the number of the signal that ended it; or
    0  Ctrl-C ended a trace without COMMAND
    1  gosched itself failed, or events were lost
    2  the command line is wrong
  126  COMMAND was found but cannot be run
  127  COMMAND was not found")]
    Trace(Trace),
    #[cfg(feature = "observe")]
    Record(Record),
    #[cfg(feature = "observe")]
    Timeline(Timeline),
    #[cfg(feature = "observe")]
    Why(Why),
    #[cfg(feature = "observe")]
    Heat(Heat),
    #[cfg(feature = "observe")]
    Lag(Lag),
    #[cfg(feature = "observe")]
    Spikes(Spikes),
    #[cfg(feature = "observe")]
    Exporter(Exporter),
    /// Show the priorities of threads and the CPU time that they get, like top(1)
    #[command(after_help = concat!("\
Keys:
  ?        show this help
  q        quit
  up, down, page up, page down, home, end
           select another thread, which stays selected when the order changes
  + -      raise or lower the priority of the selected thread by 1. A thread
           without a priority gets 32, or its ceiling if that is lower
  c        clear that priority
  /        show only threads with a text in their name, in capitals or not
  Esc      show all names, and select no thread
  s        sort by the next of APPLIED, %CPU, %WAIT, TID, COMMAND
  r        reverse the order
  a        switch between all threads and those with a Go priority
Columns:
  PID, TID, COMMAND
            id of the process, id and name of the thread
  GO        priority asked for
  APPLIED   priority in force
  CEILING   highest priority for hints, and beyond what the thread owns
  POLICY, NICE, RT, SLICE-MS
            the kernel's parameters in force; RR stands for SCHED_RR
  CPU       CPU that the thread runs on, or ran on last
  %CPU      CPU time since the last update, in percent of one CPU
  %WAIT     percentage of the time since the last update that the thread
            waited for a CPU; needs a kernel with CONFIG_SCHED_INFO
  CHANGE    why the kernel last changed its scheduling, see \"gosched get --help\"
  MARKS     see below
  GROUP     control group, or autogroup, inside which it competes for CPU time
", goroutine_columns!(), "\
The screen shows the columns that have room. \"+\" at the end of a name tells that
the name is cut. The arrow beside a heading points down if that column is sorted
with the highest first, and up if with the lowest first.
Marks:
  !  the priority asked for is not in force
  G  Go's runtime has bound it, by gosched-overlay: it follows the goroutine that
     it runs at the moment
  K  at work inside the kernel, and raised to its base for it
  P  the policy is not that of the priority in force
  B  boosted: the thread holds a lock that a more urgent thread waits for
  C  a hint was above the ceiling
  R  ran away: it used up the CPU time that a granted ceiling allows
  Q  a CPU quota limits the thread
  T  that quota has just throttled it
  X  a sched_ext scheduler runs it
  ?  its CPU quota cannot be read, or its executable, which tells of G
Colours are off if NO_COLOR is set in the environment. Where the output is no
terminal, or TERM is dumb, --batch or --json is needed."))]
    Top(Top),
    /// Run a command at a priority, which everything that it starts inherits
    #[command(after_help = "\
With --ceiling, which takes root, COMMAND and all that it starts can later ask for any
priority up to the ceiling by themselves, until they change their user.

With --try, gosched runs COMMAND without a priority if the priority or the ceiling cannot
be set, and says why on standard error.

Exit status: that of COMMAND, or
  125  gosched itself failed, or its command line is wrong
  126  COMMAND was found but cannot be run
  127  COMMAND was not found")]
    Run(Run),
    /// Print a drop-in that gives a systemd service its CPUs and priorities
    #[command(after_help = "\
The service, with all that it starts, begins at the priority of --prio. The service, and
everybody who has its user id, can move its threads up to the priority of --ceiling. To
install the drop-in:
  gosched systemd etcd --prio 32 --ceiling 50 --cpus 2-5 --output /etc/systemd/system
  systemctl daemon-reload && systemctl restart etcd
To undo it, remove /etc/systemd/system/etcd.service.d/*-gosched.conf, and run the second
line again.

The drop-in is 50-gosched.conf. If a drop-in that sorts after that would take back a
setting of it, such as the ExecStart= of an override.conf, it is zz-gosched.conf. Whether
a later one does so, \"gosched check --unit etcd\" tells.

If the priority cannot be set, as on a kernel without go_sched, the service starts without
it, unless --strict is given. LimitNICE= then lets its threads come back by
sched_setattr(2), up to the priority of --prio, but not above 47. Where the unit has a
LimitNICE= itself, that stays.")]
    Systemd(Systemd),
    /// List the kernel's parameters for each priority
    #[command(after_help = "\
A higher priority is more urgent. WEIGHT is the kernel's load weight, of which nice 19
has 15360 and nice 0 has 1048576. \"-\" stands for a parameter that the policy does not
have, or that is the kernel's default.")]
    Map,
    /// Check whether this system is ready, and say what to do if not
    #[command(after_help = "\
The line \"backend\" names what a program gets that takes the best interface there is. A line
with \"?\" is about what cannot be read from here, and does not count.

With --pid, a Go program is named that stops its own world: its garbage collector stops
all threads for moments, and waits for each that runs Go code. A thread that is lower than
the others may have to wait for a CPU until then. Whether the program collects, and how
often, cannot be read from here. Of a program that was built with gosched-overlay, it says
how many threads follow their goroutines.

Exit status: 0 when priorities can be set, and the service of --unit starts with one,
and the process of --pid exists; 2 if the command line is wrong; 1 otherwise")]
    Check(Check),
    /// Print the JSON schema of what --json writes
    Schema,
    /// Print completions for a shell
    #[command(after_help = "\
Save the output where the shell looks for it: for bash that is the file
/usr/share/bash-completion/completions/gosched.")]
    Completions {
        /// The shell that the completions are for
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
    /// Let all that the threads start from now on inherit the priority
    #[arg(long)]
    pub(crate) inherit: bool,

    /// The priority, 0..63, higher = more urgent
    #[arg(value_name = "PRIO", allow_negative_numbers = true)]
    pub(crate) prio: Prio,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}

#[derive(clap::Args)]
pub(crate) struct Ceiling {
    /// The ceiling, 0..63, higher = more urgent; or "none": the highest priority that each
    /// thread owns
    #[arg(value_name = "PRIO", allow_negative_numbers = true)]
    pub(crate) prio: CeilingPrio,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}

#[derive(clap::Args)]
pub(crate) struct ThreadArgs {
    /// Take all threads of the process of each PID, not only the thread with that id
    #[arg(short, long)]
    pub(crate) all_tasks: bool,

    /// Process or thread ids. A process id alone means its main thread. PID:INODE also
    /// gives the inode of the pidfd, and never means a later process with the same id
    #[arg(value_name = "PID", required = true)]
    pub(crate) ids: Vec<ThreadId>,
}

#[derive(clap::Args)]
pub(crate) struct Show {
    /// Print several lines for each thread, and no table
    #[arg(short, long)]
    pub(crate) verbose: bool,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}

#[derive(clap::Args)]
pub(crate) struct Watch {
    /// Time between two looks at the threads, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "0.1")]
    pub(crate) interval: Interval,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}

#[derive(clap::Args)]
pub(crate) struct Trace {
    /// Print only events of this process, and of all that it starts; may be given again
    #[arg(short, long = "pid", value_name = "PID")]
    pub(crate) pids: Vec<ThreadId>,

    /// Size of the buffer of each CPU, in KiB
    #[arg(long, value_name = "KIB", default_value = "4096", value_parser = value::parse_kib)]
    pub(crate) buffer_kb: NonZeroU32,

    /// The command to run, and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,
}

#[derive(clap::Args)]
pub(crate) struct Top {
    /// Show only the threads of this process; may be given again
    #[arg(short, long = "pid", value_name = "PID", value_parser = value::parse_pid)]
    pub(crate) pids: Vec<i32>,

    /// Show also threads without a Go priority
    #[arg(short, long)]
    pub(crate) all: bool,

    /// The order of the threads
    #[arg(short, long, value_name = "KEY", default_value = "priority")]
    pub(crate) sort: SortKey,

    /// Time between two updates, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "1")]
    pub(crate) interval: Interval,

    /// Write plain text, for pipes and files; --json implies it
    #[arg(short, long)]
    pub(crate) batch: bool,

    /// End after this number of updates
    #[arg(short = 'n', long, value_name = "N", value_parser = value::parse_count)]
    pub(crate) iterations: Option<NonZeroU32>,
}

#[derive(clap::Args)]
pub(crate) struct Run {
    /// The highest priority that the command, and all that it starts, can get by hints, or
    /// beyond what they own
    #[arg(long, value_name = "PRIO", allow_negative_numbers = true)]
    pub(crate) ceiling: Option<Prio>,

    /// Run the command without a priority if the priority cannot be set
    #[arg(long = "try")]
    pub(crate) or_without: bool,

    /// The priority, 0..63, higher = more urgent
    #[arg(value_name = "PRIO", allow_negative_numbers = true)]
    pub(crate) prio: Prio,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,
}

#[derive(clap::Args)]
pub(crate) struct Check {
    /// Check also that this service starts with what "gosched systemd" has written for it
    #[arg(long, value_name = "SERVICE")]
    pub(crate) unit: Option<Service>,

    /// Check also whether this process is a Go program that waits for threads of its own, as
    /// they are lower than the others
    #[arg(short, long, value_name = "PID")]
    pub(crate) pid: Option<ThreadId>,
}

#[derive(clap::Args)]
pub(crate) struct Systemd {
    /// A service of the system, such as etcd or etcd.service
    #[arg(value_name = "SERVICE")]
    pub(crate) service: Service,

    /// The priority that the service starts at, 0..63, higher = more urgent
    #[arg(long, value_name = "PRIO", allow_negative_numbers = true)]
    pub(crate) prio: Prio,

    /// The highest priority that the service can get by hints, or beyond what it owns, 0..63
    #[arg(long, value_name = "PRIO", allow_negative_numbers = true)]
    pub(crate) ceiling: Prio,

    /// The CPUs that the service runs on, such as 2-5 or 0,2,4-7; the machine must have them.
    /// GOMAXPROCS is set to their number
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    pub(crate) cpus: Option<Cpus>,

    /// The limit of its CPU time, in percent of one CPU, such as 200%, and no more than
    /// the machine has. GOMAXPROCS is at most that, rounded up to whole CPUs
    #[arg(long, value_name = "PERCENT")]
    pub(crate) quota: Option<Quota>,

    /// Do not start the service if its priority cannot be set
    #[arg(long)]
    pub(crate) strict: bool,

    /// Read the service of the system whose root directory is DIR
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,

    /// Write a file in DIR/SERVICE.d instead of to standard output
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

impl Systemd {
    /// Refuses CPUs and a quota that a machine with the CPUs `present` does not have.
    pub(crate) fn check_machine(&self, present: &Cpus) -> Result<(), ArgumentError> {
        if let Some(wanted) = &self.cpus {
            if !wanted.are_among(present) {
                return Err(ArgumentError::NoSuchCpus {
                    wanted: wanted.as_str().to_owned(),
                    present: present.as_str().to_owned(),
                });
            }
        }
        let most = 100 * present.count();
        match self.quota {
            Some(Quota(percent)) if percent as usize > most => {
                Err(ArgumentError::QuotaTooHigh { percent, most })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(more: &[&str], present: &str) -> Result<(), ArgumentError> {
        let words = ["gosched", "systemd", "db", "--prio", "1", "--ceiling", "2"];
        let args = Args::parse_from([&words, more].concat());
        let Verb::Systemd(systemd) = args.verb else {
            panic!("the verb is systemd");
        };
        systemd.check_machine(&present.parse().expect("a list"))
    }

    #[test]
    fn cpus_and_a_quota_are_those_of_the_machine() {
        for fine in [&["--cpus", "1"][..], &["--quota", "200%"], &[]] {
            assert_eq!(checked(fine, "0-1"), Ok(()), "{fine:?}");
        }
        for list in ["64-99", "0-2", "2"] {
            let error = ArgumentError::NoSuchCpus {
                wanted: list.to_owned(),
                present: "0-1".to_owned(),
            };
            assert_eq!(checked(&["--cpus", list], "0-1"), Err(error));
        }
        let error = ArgumentError::QuotaTooHigh {
            percent: 20_000,
            most: 200,
        };
        assert_eq!(checked(&["--quota", "20000%"], "0-1"), Err(error));
    }
}
