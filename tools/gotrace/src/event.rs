// SPDX-License-Identifier: MIT OR GPL-2.0

//! Events, as a reader returns them.

use std::fmt;
use std::sync::Arc;

use crate::clock::ClockSnapshot;
use crate::tables::Stack;

/// A thread. On Linux this is its id as `gettid(2)` returns it to the program, and so is in
/// the program's pid namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(pub u64);

/// A P, which a thread must hold to run Go code. There are GOMAXPROCS of them, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcId(pub u64);

/// A goroutine. No number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoId(pub u64);

/// A task of `runtime/trace`. Number 0 is the background: no task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

impl ThreadId {
    /// Returns the thread that a number in a trace stands for.
    pub(crate) fn told(number: u64) -> Option<Self> {
        (number != u64::MAX).then_some(Self(number))
    }
}

impl ProcId {
    /// Returns the P that a number in a trace stands for.
    pub(crate) fn told(number: u64) -> Option<Self> {
        (number != u64::MAX).then_some(Self(number))
    }
}

macro_rules! shown_as_number {
    ($($id:ty),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
shown_as_number!(ThreadId, ProcId, GoId, TaskId);

/// Something that happened. Thread, P and goroutine are those just before the event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// Time in ns; on Linux of CLOCK_MONOTONIC, as the program sees it. Each event is later
    /// than the last one, by 1 ns if the trace tells no more, or tells less.
    pub time: u64,
    /// The thread on which it happened, or which holds what it is about; `None` if no thread
    /// of Go's wrote the event.
    pub thread: Option<ThreadId>,
    /// The P that the thread held.
    pub proc: Option<ProcId>,
    /// The goroutine that the thread ran. With [`EventKind::Goroutine`] this is the one that
    /// caused the change: who made another goroutine runnable, for example.
    pub goroutine: Option<GoId>,
    /// The stack of [`goroutine`](Self::goroutine), if the trace has it.
    pub stack: Option<Stack>,
    /// The kind of the event, with its values.
    pub kind: EventKind,
}

/// The kind of an event, with its values.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// A generation begins: a part of the trace, of about a second, that can be read if what
    /// came before is lost. All goroutines and Ps are told of anew in it.
    Generation {
        /// The number of the generation.
        number: u64,
        /// Several clocks, read at about the same time. Since Go 1.25.
        clock: Option<ClockSnapshot>,
    },
    /// A goroutine has another state, or is told of.
    Goroutine(GoTransition),
    /// A P has another state, or is told of.
    Proc(ProcTransition),
    /// A range of time begins.
    RangeBegin(Range),
    /// A range of time had begun before this generation.
    RangeActive(Range),
    /// A range of time ends.
    RangeEnd(Range),
    /// The number of Ps, GOMAXPROCS, is told.
    Procs(u64),
    /// The size of the heap in bytes is told.
    HeapAlloc(u64),
    /// The size of the heap in bytes that ends the next garbage collection is told.
    HeapGoal(u64),
    /// The goroutine gets a label: the kind of a worker of the garbage collector.
    Label(Option<Arc<str>>),
    /// A task of `runtime/trace` begins.
    TaskBegin {
        /// The task.
        task: TaskId,
        /// The task that it is a part of, 0 for none.
        parent: TaskId,
        /// The type that the program gave it.
        name: Option<Arc<str>>,
    },
    /// A task of `runtime/trace` ends.
    TaskEnd(TaskId),
    /// A region of `runtime/trace` begins on the goroutine.
    RegionBegin {
        /// The task that it belongs to.
        task: TaskId,
        /// The type that the program gave it.
        name: Option<Arc<str>>,
    },
    /// A region of `runtime/trace` ends on the goroutine.
    RegionEnd {
        /// The task that it belongs to.
        task: TaskId,
        /// The type that the program gave it.
        name: Option<Arc<str>>,
    },
    /// The program logs something by `runtime/trace`.
    Log {
        /// The task that it belongs to.
        task: TaskId,
        /// The category, as the program gave it.
        category: Option<Arc<str>>,
        /// The message, as the program gave it.
        message: Option<Arc<str>>,
    },
    /// A CPU profile's sample of the thread; the event has the stack. The state that the
    /// thread has by the events around may differ.
    Sample,
    /// An event of an experiment in Go's runtime, by its number in the format.
    Experimental(u8),
}

/// A change of a goroutine's state.
///
/// `from` and `to` are the same if a generation tells of a goroutine that was known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GoTransition {
    /// The goroutine.
    pub id: GoId,
    /// The state before.
    pub from: GoState,
    /// The state after.
    pub to: GoState,
    /// The reason for which it stopped, as Go's runtime has it, if the trace has one.
    pub reason: Option<Arc<str>>,
    /// The stack of the goroutine, if the trace has it; of a new one the function that it
    /// begins with.
    pub stack: Option<Stack>,
}

/// The state of a goroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GoState {
    /// Not known, as before the first event of a trace.
    Undetermined,
    /// It does not exist.
    NotExist,
    /// It waits for a P.
    Runnable,
    /// It runs Go code on a thread with a P.
    Running,
    /// It is in a system call or in code of another language, on a thread.
    Syscall,
    /// It waits for something.
    Waiting,
}

/// A change of a P's state.
///
/// `from` and `to` are the same if a generation tells of a P that was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcTransition {
    /// The P.
    pub id: ProcId,
    /// The state before.
    pub from: ProcState,
    /// The state after.
    pub to: ProcState,
    /// The thread that held the P in a system call, if the P was taken from it.
    pub stolen_from: Option<ThreadId>,
}

/// The state of a P.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProcState {
    /// Not known, as before the first event of a trace.
    Undetermined,
    /// It does not exist.
    NotExist,
    /// A thread holds it, perhaps in a system call.
    Running,
    /// No thread holds it, or one that cannot be told.
    Idle,
}

/// A range of time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Range {
    /// A goroutine has stopped all others, or is about to.
    StopTheWorld {
        /// The goroutine.
        goroutine: Option<GoId>,
        /// The reason, as Go's runtime has it.
        reason: Option<Arc<str>>,
    },
    /// The garbage collector marks what is in use, while the program runs.
    Mark,
    /// A goroutine helps to mark, as it allocates much.
    MarkAssist {
        /// The goroutine.
        goroutine: Option<GoId>,
    },
    /// Memory that is not in use is found, on a P.
    Sweep {
        /// The P.
        proc: Option<ProcId>,
    },
}

impl GoTransition {
    /// Returns the function that the goroutine began with, if its stack is told and whole.
    pub fn first_function(&self) -> Option<&str> {
        self.stack.as_ref()?.first_function()
    }
}

impl fmt::Display for GoState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undetermined => "Undetermined",
            Self::NotExist => "NotExist",
            Self::Runnable => "Runnable",
            Self::Running => "Running",
            Self::Syscall => "Syscall",
            Self::Waiting => "Waiting",
        })
    }
}

impl fmt::Display for ProcState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undetermined => "Undetermined",
            Self::NotExist => "NotExist",
            Self::Running => "Running",
            Self::Idle => "Idle",
        })
    }
}
