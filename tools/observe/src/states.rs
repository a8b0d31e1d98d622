// SPDX-License-Identifier: GPL-2.0

//! The states of goroutines in Go's runtime beside those of threads in the kernel.

use std::collections::BTreeMap;

use go_sched_gotrace::EventKind as GoEventKind;
use go_sched_gotrace::GoState;
use go_sched_gotrace::Trace;
use serde::Serialize;

use crate::event::Event;
use crate::event::EventKind;
use crate::goroutines::Goroutines;
use crate::summary::syscall_name;
use crate::threads::state;

/// The state of a thread's goroutine as Go's runtime has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GoroutineState {
    /// The thread has no goroutine.
    None,
    /// The goroutine runs.
    Running,
    /// The goroutine is in a system call or in cgo.
    Syscall,
    /// The goroutine waits for something.
    Waiting,
    /// The goroutine waits for a P.
    Runnable,
    /// The trace does not know the goroutine at that time.
    Unknown,
}

/// The state in which a thread leaves its CPU.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ThreadState {
    /// The thread is runnable: `TASK_RUNNING`.
    Runnable,
    /// The thread is runnable, and its group has used up its quota: `TASK_RUNNING`.
    Throttled,
    /// The thread sleeps in the system call, or in a page fault: `TASK_INTERRUPTIBLE` or
    /// `TASK_UNINTERRUPTIBLE`.
    Asleep(String),
    /// The thread has ended: `TASK_DEAD`.
    Ended,
}

/// The states of goroutines and of threads, counted while both were recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct States {
    /// The switches at which a thread left its CPU, by both states.
    pub switches: Vec<Switches>,
    /// The number of times that a goroutine made another one runnable.
    pub readied: usize,
    /// The number of times that a thread of the program woke another one, for whatever reason.
    pub woken: usize,
    /// The number of goroutines that ended.
    pub goroutines_ended: usize,
    /// The number of threads that ended.
    pub threads_ended: usize,
}

/// The number of switches with the same states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Switches {
    /// The state of the goroutine that was read of the thread.
    pub goroutine: GoroutineState,
    /// The state of the thread.
    pub thread: ThreadState,
    /// The number of switches.
    pub count: usize,
}

impl States {
    /// Counts the states of a process, as far as a trace of its Go runtime goes. Threads have the
    /// same ids in both.
    pub fn of(events: &[Event], process: i32, trace: &Trace, goroutines: &Goroutines) -> Self {
        let mut states = Self::default();
        let (Some(first), Some(last)) = (trace.events.first(), trace.events.last()) else {
            return states;
        };
        for event in &trace.events {
            if let GoEventKind::Goroutine(change) = &event.kind {
                let by_another = event.goroutine.is_some_and(|by| by != change.id);
                match (change.from, change.to) {
                    (GoState::Waiting, GoState::Runnable) if by_another => states.readied += 1,
                    (GoState::Running, GoState::NotExist) => states.goroutines_ended += 1,
                    _ => (),
                }
            }
        }
        let mut switches: BTreeMap<(GoroutineState, ThreadState), usize> = BTreeMap::new();
        for event in events {
            let own = event.thread.tgid == process;
            if !own || !(first.time..=last.time).contains(&event.time) {
                continue;
            }
            match event.kind() {
                EventKind::Switch if event.goroutine.known != 0 => {
                    let goroutine = of_goroutine(event, goroutines);
                    let key = (goroutine, of_thread(event));
                    *switches.entry(key).or_default() += 1;
                }
                EventKind::Wakeup if event.other.tgid == process => states.woken += 1,
                EventKind::Exit => states.threads_ended += 1,
                _ => (),
            }
        }
        let switches = switches.into_iter();
        states.switches = switches
            .map(|((goroutine, thread), count)| Switches {
                goroutine,
                thread,
                count,
            })
            .collect();
        states
    }
}

fn of_goroutine(event: &Event, goroutines: &Goroutines) -> GoroutineState {
    if event.goroutine.id == 0 {
        return GoroutineState::None;
    }
    let history = goroutines.histories.get(&event.goroutine.id);
    match history.and_then(|history| history.state_at(event.time)) {
        Some(GoState::Running) => GoroutineState::Running,
        Some(GoState::Syscall) => GoroutineState::Syscall,
        Some(GoState::Waiting) => GoroutineState::Waiting,
        Some(GoState::Runnable) => GoroutineState::Runnable,
        _ => GoroutineState::Unknown,
    }
}

fn of_thread(event: &Event) -> ThreadState {
    match event.state & state::MASK {
        0 if event.is_throttled() => ThreadState::Throttled,
        0 => ThreadState::Runnable,
        left if state::has_ended(left) => ThreadState::Ended,
        _ => ThreadState::Asleep(syscall_name(event.syscall)),
    }
}
