// SPDX-License-Identifier: GPL-2.0

//! The records of a benchmark. `go_sched_bench_guest` prints them, one line of JSON
//! each; `go_sched_bench` on the host reports them.
//!
//! The guest knows its clock alone. The host knows that a nanosecond of that clock is
//! one instruction, where QEMU counts instructions.

mod goroutines;
pub mod lab;

use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use strum::VariantArray;

pub use go_sched_policy::ORDINARY;

pub use crate::goroutines::GoOperation;
pub use crate::goroutines::Outcome;
pub use crate::goroutines::Remedy;
pub use crate::goroutines::Runtime;
pub use crate::goroutines::Wait;

/// One line of the guest's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The kernel on which the following records were measured.
    Kernel(Kernel),
    /// The cost of one operation.
    Figure(Figure),
    /// A figure that cannot be measured, and the reason.
    Omitted(Omitted),
    /// The result of a server's run.
    Service(Service),
    /// A figure of an experiment of the lab.
    Observed(lab::Observed),
    /// A set-up of an experiment that cannot be had here.
    Impossible(lab::Impossible),
    /// A remark on the measurements.
    Note {
        /// The remark, one line.
        text: String,
    },
    /// The failure that ended the program, the last record.
    Failure {
        /// The reason of the failure.
        why: String,
    },
}

/// The kernel that measurements ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// The release, of `uname -r`.
    pub release: String,
    /// The version, of `uname -v`.
    pub version: String,
    /// The kernel's command line.
    pub command_line: String,
    /// Number of CPUs that the program may use.
    pub cpus: u32,
    /// The source of the clock, from `clocksource0/current_clocksource`.
    pub clock_source: String,
    /// Version and hash of the mapping in force, if one is.
    pub mapping: Option<Mapping>,
}

/// The mapping in force, see `GO_SCHED_CLASS_INFO` in `uapi/go_sched.h`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mapping {
    /// The mapping's version.
    pub version: u32,
    /// FNV-1a of the mapping, in hexadecimal.
    pub hash: String,
}

/// The cost of one operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The operation, and under which conditions.
    #[serde(flatten)]
    pub subject: Subject,
    /// The result of each repeat, for one operation: the median of the repeat's
    /// samples. Nanoseconds of the guest's clock; bytes for [`Growth::Memory`]; a number in a
    /// second for [`Outcome::Background`] and [`Outcome::Collections`].
    pub repeats: Vec<f64>,
}

/// A figure that cannot be measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Omitted {
    /// The subject of the omitted figure.
    #[serde(flatten)]
    pub subject: Subject,
    /// The reason why the figure cannot be measured.
    pub why: String,
}

/// The subject of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "subject", rename_all = "snake_case")]
pub enum Subject {
    /// The cost of a path through the scheduler.
    Path {
        /// The operation that takes the path.
        operation: Path,
        /// The setup of the threads on the path.
        #[serde(rename = "state")]
        setup: Setup,
    },
    /// The cost of a change of a thread's scheduling.
    Change {
        /// The priorities before and after.
        change: Change,
        /// The interface that makes the change.
        interface: Interface,
    },
    /// A cost that may depend on the number of threads that sleep.
    Growth {
        /// The operation beside the threads that sleep.
        operation: Growth,
        /// True if the threads have a priority.
        managed: bool,
        /// Number of threads that sleep.
        threads: u32,
    },
    /// The time that a thread waits beside lowered threads, which spend their time in the
    /// kernel.
    Lowered {
        /// The thread that waits.
        waiter: Waiter,
        /// The lowered threads' priority; none is that of an ordinary thread.
        level: Option<u32>,
        /// The statistic of the times.
        statistic: Statistic,
    },
    /// The time that something waits beside goroutines, and what these get done.
    Goroutines {
        /// The wait.
        wait: Wait,
        /// What is done about it.
        remedy: Remedy,
        /// The figure.
        outcome: Outcome,
    },
    /// The cost of an operation of Go's scheduler.
    GoCost {
        /// The operation.
        operation: GoOperation,
        /// The runtime.
        runtime: Runtime,
    },
    /// The cost of a pipe round trip beside `gosched record`.
    Recorder {
        /// What is recorded.
        recorded: Recorded,
    },
    /// The cost of a switch between goroutines beside `gosched record`.
    RecordedSwitch {
        /// What is recorded.
        recorded: Recorded,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path { operation, setup } => write!(f, "{operation}, {setup}"),
            Self::Change { change, interface } => write!(f, "{change}, {interface}"),
            Self::Growth {
                operation,
                managed,
                threads,
            } => {
                let kind = if *managed { "managed" } else { "unmanaged" };
                write!(f, "{operation}, {threads} {kind} threads")
            }
            Self::Lowered {
                waiter,
                level: None,
                statistic,
            } => write!(f, "{waiter}, nobody lowered: {statistic}"),
            Self::Lowered {
                waiter,
                level: Some(level),
                statistic,
            } => write!(f, "{waiter}, threads at {level}: {statistic}"),
            Self::Goroutines {
                wait,
                remedy,
                outcome,
            } => write!(f, "{wait}, {remedy}: {outcome}"),
            Self::GoCost { operation, runtime } => write!(f, "{operation}, {runtime}"),
            Self::Recorder { recorded } => write!(f, "pipe round trip, recorded: {recorded}"),
            Self::RecordedSwitch { recorded } => {
                write!(f, "channel switch, recorded: {recorded}")
            }
        }
    }
}

/// An operation that takes a path through the scheduler.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum Path {
    /// Two threads answer each other through pipes.
    #[serde(rename = "pipe round trip")]
    PipeRoundTrip,
    /// Two threads answer each other through futexes.
    #[serde(rename = "futex round trip")]
    FutexRoundTrip,
    /// A thread yields where nobody else wants the CPU.
    #[serde(rename = "sched_yield")]
    SchedYield,
    /// A process forks one that ends at once, and waits for it.
    #[serde(rename = "fork+exit")]
    ForkExit,
    /// A fork and exit without a copy of the memory.
    #[serde(rename = "vfork+exit")]
    VforkExit,
    /// One run of the program hackbench.
    #[serde(rename = "hackbench")]
    Hackbench,
    /// Time that a timer tick takes from a thread that spins.
    #[serde(rename = "tick")]
    Tick,
}

/// The part of go_sched that is in use around the threads on a path, the least first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
#[serde(rename_all = "snake_case")]
pub enum Setup {
    /// The kernel does not have go_sched.
    Unpatched,
    /// The kernel has go_sched, and the module is not loaded.
    Patched,
    /// The module is loaded, and nobody has ever followed a slot.
    Unmanaged,
    /// The threads have the priority of an ordinary thread, and nobody follows a slot.
    Managed,
    /// Another thread follows a slot, and the threads on the path follow none.
    Beside,
    /// The threads have their priority from their slots, where it stays.
    Hint,
}

/// What `gosched record` records while two threads answer each other through pipes, or two
/// goroutines through channels.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum Recorded {
    /// Nothing: no recorder runs.
    #[serde(rename = "nothing")]
    Nothing,
    /// A program that sleeps.
    #[serde(rename = "a sleeper")]
    Sleeper,
    /// The two threads, or those that the goroutines run on.
    #[serde(rename = "the threads")]
    Threads,
}

/// A change of a thread's priority from [`ORDINARY`] to another one, and back.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A change within the fair band.
    WithinFair,
    /// A change to the idle band.
    ToIdle,
    /// A change to the rt band.
    ToRt,
}

impl Change {
    /// Returns the other priority.
    pub fn prio(self) -> u32 {
        match self {
            Self::WithinFair => 31,
            Self::ToIdle => 8,
            Self::ToRt => 50,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ORDINARY} -> {} and back", self.prio())
    }
}

/// An interface that changes a thread's scheduling.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum Interface {
    /// A store to the thread's slot.
    #[serde(rename = "hint store")]
    HintStore,
    /// A store, and the scheduler's work until it is in force.
    #[serde(rename = "hint store, applied")]
    HintStoreApplied,
    /// The request of `/dev/go_sched`.
    #[serde(rename = "ioctl SET")]
    IoctlSet,
    /// The system call of go_sched.
    #[serde(rename = "go_set_schedprio")]
    GoSetSchedprio,
    /// The system call of Linux that can make each of the changes.
    #[serde(rename = "sched_setattr")]
    SchedSetattr,
    /// The system call that sets a nice value.
    #[serde(rename = "setpriority")]
    Setpriority,
    /// The system call that sets a policy.
    #[serde(rename = "sched_setscheduler")]
    SchedSetscheduler,
    /// The program.
    #[serde(rename = "chrt")]
    Chrt,
}

/// An operation whose cost may depend on the number of threads that sleep.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum Growth {
    /// The first `GO_SCHED_SET` of a thread.
    #[serde(rename = "SET")]
    Set,
    /// `GO_SCHED_BIND`.
    #[serde(rename = "BIND")]
    Bind,
    /// A new thread that ends at once, and the wait for its end.
    #[serde(rename = "fork")]
    Fork,
    /// Two threads answer each other through pipes.
    #[serde(rename = "context switch")]
    ContextSwitch,
    /// Loading the module.
    #[serde(rename = "register")]
    Register,
    /// Unloading the module.
    #[serde(rename = "unregister")]
    Unregister,
    /// Bytes of kernel memory for each managed thread, the slot not counted.
    #[serde(rename = "memory")]
    Memory,
}

/// A thread that waits beside lowered threads.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum Waiter {
    /// A thread of the same process, which maps memory as the lowered threads do.
    #[serde(rename = "sibling that maps memory")]
    Sibling,
    /// A server of another process.
    #[serde(rename = "neighbour")]
    Neighbour,
}

/// A statistic of the times that a thread waits.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum Statistic {
    /// The mean.
    #[serde(rename = "mean")]
    Mean,
    /// The time that 99 of 100 do not exceed.
    #[serde(rename = "p99")]
    P99,
    /// The time that 999 of 1000 do not exceed.
    #[serde(rename = "p99.9")]
    P999,
}

/// The priorities of the lowered threads, and none.
pub const LOWERED: [Option<u32>; 5] = [None, Some(20), Some(16), Some(8), Some(0)];

/// The competition of a server.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum Scenario {
    /// Another process's threads that burn.
    #[serde(rename = "hogs in another process")]
    OtherProcess,
    /// Goroutines of the server that burn, on locked threads.
    #[serde(rename = "hogs in the same process")]
    SameProcess,
    /// Goroutines of the server that burn and allocate. The collector's workers run on
    /// any thread of the server: they cannot be told apart, and are treated as the
    /// server's threads are.
    #[serde(rename = "GC pressure")]
    GcPressure,
    /// Another process's threads, in a cgroup with a quota.
    #[serde(rename = "cpu.max neighbour")]
    CpuMaxNeighbour,
}

/// The remedy for the competition. "S" are the server's threads but those of the
/// background, "B" are the latter.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum Alternative {
    /// Nothing.
    #[serde(rename = "nothing")]
    Nothing,
    /// S to nice -20, B to nice 19.
    #[serde(rename = "nice")]
    Nice,
    /// B to the policy of that name.
    #[serde(rename = "SCHED_BATCH")]
    Batch,
    /// B to the policy of that name.
    #[serde(rename = "SCHED_IDLE")]
    Idle,
    /// S to `SCHED_RR`, priority 1.
    #[serde(rename = "chrt -r")]
    RoundRobin,
    /// S asks for a fast CPU, B for a slow one.
    #[serde(rename = "uclamp")]
    Uclamp,
    /// S to 50, B to 8, by whoever may.
    #[serde(rename = "go_sched ioctl")]
    GoSchedIoctl,
    /// B stores 8 while it burns, on its own behalf and without privilege.
    #[serde(rename = "go_sched hint")]
    GoSchedHint,
}

// The name in a record is the name for people and on command lines.
serde_plain::derive_display_from_serialize!(Path);
serde_plain::derive_display_from_serialize!(Setup);
serde_plain::derive_display_from_serialize!(Recorded);
serde_plain::derive_display_from_serialize!(Interface);
serde_plain::derive_display_from_serialize!(Growth);
serde_plain::derive_display_from_serialize!(Waiter);
serde_plain::derive_display_from_serialize!(Statistic);
serde_plain::derive_display_from_serialize!(Scenario);
serde_plain::derive_display_from_serialize!(Alternative);
serde_plain::derive_fromstr_from_deserialize!(Path);
serde_plain::derive_fromstr_from_deserialize!(Setup);
serde_plain::derive_fromstr_from_deserialize!(Waiter);
serde_plain::derive_fromstr_from_deserialize!(Scenario);
serde_plain::derive_fromstr_from_deserialize!(Alternative);

/// The result of a server's run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// The competition of the server.
    pub scenario: Scenario,
    /// The remedy for the competition.
    pub alternative: Alternative,
    /// Number of the repeat, from 0.
    pub repeat: u32,
    /// Length of the run, in seconds of the guest.
    pub seconds: f64,
    /// Requests that were answered.
    pub requests: u64,
    /// Requests that failed or were not answered.
    pub failures: u64,
    /// Units of work that requests took, of the same kind as [`Self::background_units`].
    pub request_units: u64,
    /// Units of work that the competition got done.
    pub background_units: u64,
    /// Time from when a request was due to its answer, in microseconds: an HdrHistogram
    /// in its V2 serialization, in base64.
    pub latency_us: String,
    /// Deviation of each period of a timing loop from its 10 ms, in microseconds, as
    /// an HdrHistogram likewise; the absolute value.
    pub jitter_us: String,
    /// Standard deviation of the periods, in per cent of the 10 ms.
    pub jitter_percent: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_what_it_is_about() {
        let record = Record::Figure(Figure {
            subject: Subject::Path {
                operation: Path::ForkExit,
                setup: Setup::Hint,
            },
            repeats: vec![0.1],
        });
        let text = r#"{"record":"figure","subject":"path","operation":"fork+exit","state":"hint","repeats":[0.1]}"#;
        assert_eq!(serde_json::to_string(&record).expect("JSON"), text);
        assert_eq!(
            serde_json::from_str::<Record>(text).expect("a record"),
            record
        );
    }

    #[test]
    fn an_unknown_name_is_no_record() {
        let text = r#"{"record":"figure","subject":"path","operation":"spoon","state":"hint","repeats":[0.1]}"#;
        assert!(serde_json::from_str::<Record>(text).is_err());
        assert!("spoon".parse::<Setup>().is_err());
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for alternative in Alternative::VARIANTS {
            assert_eq!(alternative.to_string().parse().ok(), Some(*alternative));
        }
    }
}
