// SPDX-License-Identifier: GPL-2.0

//! Events of a record, as `bpf/record.h` defines them.

use std::fmt;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

/// The goroutine that a thread had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Goroutine {
    /// Number of the goroutine, 0 for none.
    pub id: u64,
    /// Id of the P, or -1.
    pub p: i32,
    /// Whether the thread ran the runtime's scheduler: 0 or 1.
    pub scheduling: u8,
    /// Whether the other fields were read: 0 or 1.
    pub known: u8,
    _reserved: [u8; 2],
}

/// A thread at the time of an event.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Thread {
    /// The id of the thread in the first pid namespace; 0 for an idle CPU, or for none.
    pub tid: i32,
    /// The id of the thread's process.
    pub tgid: i32,
    /// The kernel's priority, 0 to 139: below 100, the thread is a real-time one. The lower,
    /// the more urgent.
    pub prio: i16,
    /// The Go priority in force, or -1.
    pub go_prio: i8,
    kernel: u8,
    name: [u8; 16],
}

/// Kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    /// A thread leaves its CPU to another one.
    Switch = 1,
    /// A thread becomes runnable; the other one wakes it, unless that is an interrupt.
    Wakeup,
    /// A runnable thread moves to the queue of another CPU.
    Migrate,
    /// The Go priority in force of a thread changes.
    Priority,
    /// The process executes another program; the other thread is the one that does, by its id
    /// before.
    Exec,
    /// A thread ends.
    Exit,
}

/// An event of the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Event {
    /// The time in ns of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// The CPU; that in whose queue the thread is, for [`EventKind::Wakeup`] and
    /// [`EventKind::Migrate`].
    pub cpu: u32,
    kind: u8,
    pub(crate) flags: u8,
    _reserved: [u8; 2],
    /// The thread that the event is about.
    pub thread: Thread,
    /// The thread that comes, for [`EventKind::Switch`], or that wakes the other one.
    pub other: Thread,
    /// The state that a thread leaves its CPU in, as the kernel has it; 0: runnable.
    pub state: u32,
    /// The number of the system call that a thread is in when it leaves its CPU, or -1, or
    /// [`UNKNOWN_SYSCALL`].
    pub syscall: i32,
    /// The goroutine of the thread that leaves its CPU.
    pub goroutine: Goroutine,
}

/// The size of an event, in bytes.
pub const SIZE: usize = size_of::<Event>();

/// In place of the number of a system call: whatever thread leaves its CPU, the recorder does not
/// learn in which one.
pub const UNKNOWN_SYSCALL: i32 = -2;

const PREEMPTED_IN_KERNEL: u8 = 1;

impl Event {
    /// Returns an event of a recorder that reads neither system calls nor goroutines.
    pub(crate) fn new(kind: EventKind, time: u64, cpu: u32, thread: Thread, other: Thread) -> Self {
        Self {
            time,
            cpu,
            kind: kind as u8,
            flags: 0,
            _reserved: [0; 2],
            thread,
            other,
            state: 0,
            syscall: UNKNOWN_SYSCALL,
            goroutine: Goroutine::NONE,
        }
    }

    /// Returns a switch with the state in which the thread leaves its CPU.
    pub(crate) fn with_state(self, state: u32, preempted: bool) -> Self {
        Self {
            flags: if preempted { PREEMPTED_IN_KERNEL } else { 0 },
            state,
            ..self
        }
    }

    /// Reads an event; `None` if the bytes are none of this version.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let event = Self::read_from_bytes(bytes).ok()?;
        event.known_kind().map(|_| event)
    }

    /// Returns what the event tells.
    pub fn kind(&self) -> EventKind {
        // Those of other kinds are refused when they are read.
        self.known_kind().unwrap_or(EventKind::Exit)
    }

    fn known_kind(&self) -> Option<EventKind> {
        Some(match self.kind {
            1 => EventKind::Switch,
            2 => EventKind::Wakeup,
            3 => EventKind::Migrate,
            4 => EventKind::Priority,
            5 => EventKind::Exec,
            6 => EventKind::Exit,
            _ => return None,
        })
    }

    /// Returns whether a thread left its CPU because the kernel preempted it in a system call.
    pub fn is_preempted_in_kernel(&self) -> bool {
        self.flags & PREEMPTED_IN_KERNEL != 0
    }

    /// Returns whether the group of the thread had used up its quota.
    pub fn is_throttled(&self) -> bool {
        self.flags & 2 != 0
    }
}

impl Goroutine {
    /// No goroutine.
    pub(crate) const NONE: Self = Self {
        id: 0,
        p: -1,
        scheduling: 0,
        known: 0,
        _reserved: [0; 2],
    };
}

impl Thread {
    /// No thread.
    pub(crate) const NONE: Self = Self {
        tid: 0,
        tgid: 0,
        prio: 0,
        go_prio: -1,
        kernel: 0,
        name: [0; 16],
    };

    /// Returns a thread of the kernel's own, or another one, with the first 15 bytes of a name. It
    /// has no Go priority.
    pub(crate) fn new(tid: i32, tgid: i32, prio: i16, of_kernel: bool, name: &str) -> Self {
        let mut thread = Self {
            tid,
            tgid,
            prio,
            kernel: u8::from(of_kernel),
            ..Self::NONE
        };
        let length = name.len().min(15);
        thread.name[..length].copy_from_slice(&name.as_bytes()[..length]);
        thread
    }

    /// Returns the name, which programs choose: up to 15 bytes.
    pub fn name(&self) -> String {
        let end = self.name.iter().position(|byte| *byte == 0);
        let name = &self.name[..end.unwrap_or(self.name.len())];
        String::from_utf8_lossy(name).into_owned()
    }

    /// Returns whether this is a thread of the kernel's own.
    pub fn is_of_kernel(&self) -> bool {
        self.kernel != 0
    }

    /// Returns whether this is no thread, but an idle CPU.
    pub fn is_idle(&self) -> bool {
        self.tid == 0
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {:?}", self.tgid, self.tid, self.name())
    }
}

#[cfg(test)]
pub(crate) mod fixture {
    //! Events of a made-up record.

    use super::Event;
    use super::Goroutine;
    use super::Thread;

    pub(crate) const SWITCH: u8 = 1;
    pub(crate) const WAKEUP: u8 = 2;
    pub(crate) const MIGRATE: u8 = 3;
    pub(crate) const EXEC: u8 = 5;
    /// The flag of a thread whose group has used up its quota.
    pub(crate) const THROTTLED: u8 = 2;
    /// `TASK_INTERRUPTIBLE`.
    pub(crate) const SLEEPS: u32 = 1;

    /// Returns a thread; that of an idle CPU is 0 of process 0.
    pub(crate) fn thread(tgid: i32, tid: i32) -> Thread {
        Thread {
            tid,
            tgid,
            prio: 120,
            go_prio: -1,
            kernel: 0,
            name: [0; 16],
        }
    }

    /// Returns a thread with a name of up to 15 bytes.
    pub(crate) fn named(mut thread: Thread, name: &str) -> Thread {
        thread.name[..name.len()].copy_from_slice(name.as_bytes());
        thread
    }

    pub(crate) fn event(kind: u8, time: u64, cpu: u32, of: [Thread; 2], state: u32) -> Event {
        let [thread, other] = of;
        Event {
            time,
            cpu,
            kind,
            flags: 0,
            _reserved: [0; 2],
            thread,
            other,
            state,
            syscall: -1,
            goroutine: Goroutine::NONE,
        }
    }

    /// Returns an event with what a thread does that leaves its CPU.
    pub(crate) fn leaves(event: Event, syscall: i32, throttled: bool) -> Event {
        Event {
            syscall,
            flags: if throttled { 2 } else { 0 },
            ..event
        }
    }
}
