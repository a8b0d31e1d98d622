// SPDX-License-Identifier: GPL-2.0

//! Errors of the verbs. Their texts are what the user reads;
//! docs/troubleshooting.md has an entry for each, and docs/observe.md for those of the verbs
//! of the feature `observe`.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use go_sched_tracefs::NotRemoved;
use go_sched_tracefs::TracefsError;
use gosched::error::FindError;
use gosched::error::OpenError;
use gosched::error::RequestError;
use gosched::Device;
use procfs::ProcError;

use crate::args::ArgumentError;
use crate::exit;
use crate::kernel::Kernel;
use crate::kernel::OPTION;
use crate::output::OutputError;

/// The reason that a verb could not do its work.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(test, derive(strum::EnumCount))]
pub(crate) enum Error {
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(
        "this kernel was built without {OPTION}, and has no {path}: {advice}",
        path = Device::PATH,
        advice = Kernel::advice()
    )]
    NoGoSched,
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("pid {id}: {error}")]
    Thread { id: String, error: ThreadError },
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    Trace(#[from] TraceError),
    #[cfg(feature = "observe")]
    #[error(transparent)]
    Observe(#[from] ObserveError),
    #[error("top needs a terminal: use --batch to write to a file or a pipe")]
    NoTerminal,
    #[error("top cannot draw on a terminal of TERM=dumb: use --batch, or set TERM to what it is")]
    DumbTerminal,
    #[error("cannot write {path}: {error}", path = .path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("{lines} lines of output are missing, but the work is done: {error}")]
    Unwritten { lines: usize, error: OutputError },
    #[error(transparent)]
    Proc(#[from] ProcError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// Returns the error of one thread, or of a process, that the user knows by `id`.
    pub(crate) fn of_thread(id: impl Display, error: impl Into<ThreadError>) -> Self {
        Self::Thread {
            id: id.to_string(),
            error: error.into(),
        }
    }

    /// Returns whether whoever read standard output has gone.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.is_broken_pipe())
    }

    /// Returns the exit status of all verbs but run.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Argument(_) => exit::MISUSE,
            _ => exit::FAILURE,
        }
    }
}

/// The reason that nothing was done to a thread.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ThreadError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Proc(ProcError),
}

impl From<ProcError> for ThreadError {
    fn from(error: ProcError) -> Self {
        match &error {
            ProcError::NotFound(_) => Self::Find(FindError::NotFound),
            ProcError::PermissionDenied(_) => Self::Find(FindError::Hidden),
            ProcError::Io(cause, _) => match cause.raw_os_error() {
                // The directory read is that of a thread that has been reaped.
                Some(libc::ESRCH) => Self::Find(FindError::NotFound),
                Some(libc::EMFILE) => Self::Find(FindError::NoDescriptors),
                Some(libc::ENFILE) => Self::Find(FindError::NoFiles),
                _ => Self::Proc(error),
            },
            _ => Self::Proc(error),
        }
    }
}

impl ThreadError {
    /// Returns whether the thread has ended.
    pub(crate) fn is_end(&self) -> bool {
        matches!(
            self,
            Self::Request(RequestError::NoSuchThread) | Self::Find(FindError::NotFound)
        )
    }
}

/// The reason that `gosched systemd` writes no drop-in for a service.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(test, derive(strum::EnumCount))]
pub(crate) enum ServiceError {
    #[error("cannot run systemd-analyze, of the package systemd: {0}")]
    NoAnalyze(io::Error),
    #[error("systemd-analyze: {0}")]
    Analyze(String),
    #[error("cannot open the folder {path}: {1}", path = .0.display())]
    Root(PathBuf, io::Error),
    #[error(
        "cannot read {path}: {1}{advice}",
        path = .0.display(),
        advice = match .1.kind() {
            io::ErrorKind::PermissionDenied => "; run as root",
            _ => "",
        }
    )]
    Unreadable(PathBuf, io::Error),
    #[error("there is no unit file of {service} {place}: see \"systemctl list-unit-files\"")]
    NoUnit { service: String, place: String },
    #[error("{path} masks {service}: run \"systemctl unmask {service}\" first", path = .path.display())]
    Masked { service: String, path: PathBuf },
    #[error(
        "{path} has a line that is not UTF-8, or a section header without \"]\": systemd does not \
         take it, see \"systemd-analyze verify {service}\"",
        path = .path.display()
    )]
    Malformed { service: String, path: PathBuf },
    #[error("{0} has no ExecStart=, and so nothing to set")]
    NoCommand(String),
    #[error(
        "ExecStart= of {0} names no program, or has a quote without an end: systemd does not take \
         it, see \"systemd-analyze verify {0}\""
    )]
    BadCommand(String),
    #[error(
        "ExecStart= of {0} names its own argv[0] with \"@\", which gosched run cannot pass on: \
         write it without, in a drop-in of your own, first"
    )]
    OwnName(String),
    #[error(
        "ExecStart= of {0} has several commands in one line: write a line for each, in a drop-in \
         of your own, first"
    )]
    SeveralCommands(String),
    #[error(
        "CapabilityBoundingSet= of {0} lacks CAP_SYS_NICE, which a ceiling takes: add it in a \
         drop-in of your own first"
    )]
    NoCapability(String),
    #[error(
        "PrivateUsers= of {0} leaves it no CAP_SYS_NICE outside of itself, which a ceiling takes: \
         set PrivateUsers=no in a drop-in of your own first"
    )]
    PrivateUsers(String),
    #[error(
        "RootDirectory= or RootImage= of {service} hides gosched and {device} from it: put both in \
         there, and \"gosched run {prio} --ceiling {ceiling} --\" before the command of its ExecStart=",
        device = Device::PATH
    )]
    OwnRoot {
        service: String,
        prio: u32,
        ceiling: u32,
    },
    #[error("systemd starts no program of the name {0:?}: install gosched elsewhere")]
    ProgramName(PathBuf),
    #[error(
        "{setting} of {service} hides {path} from it: install gosched elsewhere, or take the \
         setting back in a drop-in of your own first",
        path = .path.display()
    )]
    Hidden {
        service: String,
        setting: &'static str,
        path: PathBuf,
    },
    #[error(
        "NoExecPaths= of {service} keeps it from running {path}: add \"ExecPaths={path}\" in a \
         drop-in of your own first",
        path = .path.display()
    )]
    NoExec { service: String, path: PathBuf },
    #[error(
        "SystemCallFilter= of {service} keeps gosched and setpriv from {call}(2): add \
         \"SystemCallFilter={call}\" in a drop-in of your own first"
    )]
    SystemCall { service: String, call: &'static str },
    #[error(
        "{path} sorts after {name}, and would take back {key}= of the drop-in for {service}: give \
         it a name that sorts before",
        path = .path.display()
    )]
    Behind {
        service: String,
        path: PathBuf,
        key: String,
        name: &'static str,
    },
}

impl ServiceError {
    /// Returns whether the service could not be looked at, so that nothing is known of it.
    pub(crate) fn is_blind(&self) -> bool {
        matches!(
            self,
            Self::NoAnalyze(_) | Self::Analyze(_) | Self::Root(..) | Self::Unreadable(..)
        )
    }
}

/// The reason that `gosched trace` cannot record, or is not complete.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(test, derive(strum::EnumCount))]
pub(crate) enum TraceError {
    #[error(transparent)]
    Tracefs(#[from] TracefsError),
    #[error(
        "the kernel has the ids of the first pid namespace for what it traces, and not those of this \
         one: trace from outside, with the ids there, or all threads, without -p and COMMAND"
    )]
    PidNamespace,
    #[error(
        "this kernel has no tracepoints of go_sched: run \"gosched check\" to see what is missing"
    )]
    NoTracepoints,
    #[error("events were lost, see above: give them more room with --buffer-kb")]
    Lost,
    #[error("{path}: {error}", path = .path.display())]
    Os { path: PathBuf, error: io::Error },
}

/// The reason that nothing is recorded, or a record cannot be shown.
#[cfg(feature = "observe")]
#[derive(Debug, thiserror::Error)]
#[cfg_attr(test, derive(strum::EnumCount))]
pub(crate) enum ObserveError {
    #[error(transparent)]
    Record(#[from] gosched_observe::record::RecordError),
    #[error(transparent)]
    Lag(#[from] gosched_observe::lag::LagError),
    #[error(transparent)]
    Directory(#[from] gosched_observe::directory::DirectoryError),
    #[error(transparent)]
    Timeline(#[from] gosched_observe::summary::TooMuchTime),
    #[error(
        "the kernel tells of threads by the ids of the first pid namespace, and not by those of this \
         one: run gosched outside, with the ids there"
    )]
    PidNamespace,
    #[error(
        "{path} is an unfinished record, of a gosched that was killed: gosched timeline shows what \
         there is; remove it if it is of no use",
        path = .0.display()
    )]
    Unfinished(PathBuf),
    #[error("the record has no thread {0}: gosched timeline lists those that it has")]
    NotRecorded(i32),
    #[error("the record has no trace of Go's runtime that can be read: record with --go-trace")]
    NoGoTrace,
    #[error("{path}: {error}", path = .path.display())]
    Latencies {
        path: PathBuf,
        error: gosched_observe::latencies::LatenciesError,
    },
    #[error("process {0} cannot be observed: {1}")]
    Process(i32, io::Error),
    #[error(
        "process {0} is in another pid namespace, and has other ids for its threads in its trace: \
         record it without --go-trace"
    )]
    OtherPidNamespace(i32),
    #[error("cannot listen at {0}: {1}; choose another place with --listen")]
    Listen(crate::args::Listen, io::Error),
    #[error("there are more than {0} processes: start a gosched exporter for each {0} of them")]
    TooManyProcesses(usize),
    #[error("priorities of threads are unknown: {0}")]
    NoPriorities(Box<Error>),
    #[error("a request cannot be taken: {0}")]
    NotTaken(io::Error),
    #[error("there is no place for a temporary record, set TMPDIR to a folder that has one: {0}")]
    Temporary(io::Error),
    #[error("the record ends early: {0}")]
    Unwritten(io::Error),
    #[error("there is no trace of the Go runtime in the record, as {path} cannot be copied: {1}", path = .0.display())]
    GoTrace(PathBuf, io::Error),
    #[error(
        "a URL for --go-trace is one such as http://localhost:6060, and takes -p and -t: the program \
         must run already, and is asked for a trace of so much time"
    )]
    GoTraceUrl,
    #[error("there is no trace of the Go runtime in the record, as {0} gives none: {1}")]
    GoTraceNotFetched(String, String),
    #[error("the trace of the Go runtime in the record, from {0}, ends early: {1}")]
    GoTraceCutOff(String, String),
}

/// A message of `gosched trace`, which goes on after it.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(test, derive(strum::EnumCount))]
pub(crate) enum TraceWarning {
    #[error("LOST {0} EVENTS here")]
    Lost(u64),
    #[error("LOST EVENTS here")]
    LostSome,
    #[error("{0}; COMMAND goes on, and is not traced")]
    Untraced(Box<Error>),
    #[error("cannot pass a signal on to COMMAND: {0}")]
    Signal(io::Error),
    #[error(transparent)]
    NotRemoved(#[from] NotRemoved),
}
