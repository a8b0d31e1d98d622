// SPDX-License-Identifier: MIT OR GPL-2.0

//! The order of events of different threads.
//!
//! Clocks of CPUs may differ, so time alone does not decide. This follows what each
//! goroutine, P and thread does, and takes an event only in the state in which it can have
//! happened: one that cannot happen yet waits for those of other threads. Where states do not
//! suffice, events have sequence numbers, which count per goroutine or P in each generation.

mod collector;
mod goroutine;
mod proc;
mod user;

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use self::collector::Collector;
use self::goroutine::Goroutine;
use self::proc::Proc;
use crate::error::Fault;
use crate::event::Event;
use crate::event::EventKind;
use crate::event::GoId;
use crate::event::ProcId;
use crate::event::ThreadId;
use crate::frontier::RawEvent;
use crate::tables::Stack;
use crate::tables::Tables;
use crate::wire;

/// What all threads, Ps and goroutines do after the events so far.
#[derive(Debug, Default)]
pub(crate) struct Order {
    goroutines: HashMap<GoId, Goroutine>,
    procs: HashMap<ProcId, Proc>,
    threads: HashMap<ThreadId, Held>,
    collector: Collector,
    /// The number of the first generation.
    first: Option<u64>,
    /// Events in their order. An event of a thread can be several of these.
    ready: VecDeque<Event>,
}

/// What a thread holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    proc: Option<ProcId>,
    goroutine: Option<GoId>,
}

/// Where an event happened.
#[derive(Clone, Copy, Debug)]
struct Context {
    thread: Option<ThreadId>,
    held: Held,
}

/// The generation of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within<'a> {
    pub(crate) generation: u64,
    pub(crate) tables: &'a Arc<Tables>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// It cannot have happened yet.
    Wait,
    /// It has happened, and its thread holds this now.
    Done(Held),
}

/// A sequence number, which counts from 0 in each generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sequence {
    generation: u64,
    number: u64,
}

impl Sequence {
    /// Returns whether `self` comes right after `before`.
    fn follows(self, before: Self) -> bool {
        self.generation == before.generation && before.number.checked_add(1) == Some(self.number)
    }
}

impl Within<'_> {
    fn sequence(self, number: u64) -> Sequence {
        Sequence {
            generation: self.generation,
            number,
        }
    }

    fn string(self, id: u64) -> Result<Option<Arc<str>>, Fault> {
        self.tables.string(id)
    }

    fn stack(self, id: u64) -> Result<Option<Stack>, Fault> {
        self.tables.stack(id)
    }
}

impl Context {
    /// Returns the goroutine that runs here.
    fn goroutine(&self, event: &RawEvent) -> Result<GoId, Fault> {
        self.held.goroutine.ok_or_else(|| {
            Fault::new(format!(
                "event {} of a thread without a goroutine",
                event.kind
            ))
        })
    }

    /// Returns the P that is held here.
    fn proc(&self, event: &RawEvent) -> Result<ProcId, Fault> {
        self.held
            .proc
            .ok_or_else(|| Fault::new(format!("event {} of a thread without a P", event.kind)))
    }

    /// Returns the thread.
    fn thread(&self, event: &RawEvent) -> Result<ThreadId, Fault> {
        self.thread
            .ok_or_else(|| Fault::new(format!("event {} of no thread", event.kind)))
    }

    fn event(&self, time: u64, stack: Option<Stack>, kind: EventKind) -> Event {
        Event {
            time,
            thread: self.thread,
            proc: self.held.proc,
            goroutine: self.held.goroutine,
            stack,
            kind,
        }
    }
}

impl Order {
    /// Takes the next event of a thread, if it can have happened now; returns whether so.
    pub(crate) fn take(
        &mut self,
        event: &RawEvent,
        thread: Option<ThreadId>,
        within: Within<'_>,
    ) -> Result<bool, Fault> {
        self.first.get_or_insert(within.generation);
        let held = match thread {
            Some(thread) => *self.threads.entry(thread).or_default(),
            None => Held::default(),
        };
        let at = Context { thread, held };
        match self.step(event, at, within)? {
            Step::Wait => Ok(false),
            Step::Done(now) => {
                if let Some(thread) = thread.filter(|_| now != held) {
                    self.threads.insert(thread, now);
                }
                Ok(true)
            }
        }
    }

    /// Returns the next event of all.
    pub(crate) fn next(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn step(&mut self, event: &RawEvent, at: Context, within: Within<'_>) -> Result<Step, Fault> {
        match event.kind {
            wire::PROC_STATUS => self.proc_status(event, at, within),
            wire::PROC_START => self.proc_start(event, at, within),
            wire::PROC_STOP => self.proc_stop(event, at),
            wire::PROC_STEAL => self.proc_steal(event, at, within),

            wire::GO_STATUS | wire::GO_STATUS_STACK => self.go_status(event, at, within),
            wire::GO_CREATE | wire::GO_CREATE_BLOCKED => self.go_create(event, at, within),
            wire::GO_CREATE_SYSCALL => self.go_create_syscall(event, at, within),
            wire::GO_START => self.go_start(event, at, within),
            wire::GO_STOP | wire::GO_BLOCK | wire::GO_DESTROY => self.go_stop(event, at, within),
            wire::GO_DESTROY_SYSCALL => self.go_destroy_syscall(event, at),
            wire::GO_UNBLOCK => self.go_unblock(event, at, within),
            wire::GO_SWITCH | wire::GO_SWITCH_DESTROY => self.go_switch(event, at, within),
            wire::GO_SYSCALL_BEGIN => self.syscall_begin(event, at, within),
            wire::GO_SYSCALL_END => self.syscall_end(event, at),
            wire::GO_SYSCALL_END_BLOCKED => self.syscall_end_blocked(event, at),

            wire::GC_ACTIVE | wire::GC_BEGIN | wire::GC_END => self.mark(event, at, within),
            wire::STW_BEGIN | wire::STW_END => self.stop_the_world(event, at, within),
            wire::SWEEP_ACTIVE..=wire::ASSIST_END => self.collector_range(event, at, within),

            wire::PROCS_CHANGE
            | wire::HEAP_ALLOC
            | wire::HEAP_GOAL
            | wire::GO_LABEL
            | wire::TASK_BEGIN..=wire::USER_LOG => self.annotation(event, at, within),
            kind if wire::is_experimental(kind) => {
                self.tell(at.event(event.time, None, EventKind::Experimental(kind)));
                Ok(Step::Done(at.held))
            }
            kind => Err(Fault::Unknown(kind)),
        }
    }

    fn tell(&mut self, event: Event) {
        self.ready.push_back(event);
    }

    fn is_first(&self, within: Within<'_>) -> bool {
        self.first == Some(within.generation)
    }
}
