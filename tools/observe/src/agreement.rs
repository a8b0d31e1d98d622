// SPDX-License-Identifier: GPL-2.0

//! How far the goroutines and Ps that were read at the kernel's switches are those of the trace
//! of Go's runtime.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use go_sched_gotrace::EventKind as GoEventKind;
use go_sched_gotrace::GoState;
use go_sched_gotrace::ProcState;
use go_sched_gotrace::Trace;
use serde::Serialize;

use crate::event::Event;
use crate::event::EventKind;

/// Numbers of switches at which what was read and the trace tell the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Agreement {
    /// Switches at which a goroutine was read of a thread that the trace knows.
    pub switches: usize,
    /// Switches at which goroutine and P are those of the trace, or are none in both.
    pub equal: usize,
    /// Switches at which goroutine and P are those of the thread one event of the trace earlier or
    /// later: the runtime writes an event a little before or after the change that the event tells.
    pub between: usize,
}

/// Goroutine and P of a thread from a time on, by the trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Holds {
    goroutine: Option<u64>,
    p: Option<u64>,
}

impl Agreement {
    /// Compares what was read of a process with a trace of its Go runtime. Threads have the same
    /// ids in both.
    pub fn of(events: &[Event], process: i32, trace: &Trace) -> Self {
        let threads = threads(trace);
        let Some(times) = times(trace) else {
            return Self::default();
        };
        let mut agreement = Self::default();
        for event in events {
            let read = &event.goroutine;
            let leaves = event.kind() == EventKind::Switch && event.thread.tgid == process;
            if !leaves || read.known == 0 || !times.contains(&event.time) {
                continue;
            }
            let Some(steps) = threads.get(&event.thread.tid) else {
                continue;
            };
            let next = steps.partition_point(|(time, _)| *time <= event.time);
            // Before its first event in the trace, a thread is not known there.
            let Some(now) = next.checked_sub(1) else {
                continue;
            };
            let has = Holds {
                goroutine: Some(read.id).filter(|id| *id != 0),
                p: u64::try_from(read.p).ok(),
            };
            agreement.switches += 1;
            if has == steps[now].1 {
                agreement.equal += 1;
                continue;
            }
            let last = (next + 1).min(steps.len());
            let mut around = steps[now.saturating_sub(1)..last].iter();
            let goroutine = around
                .clone()
                .any(|(_, holds)| holds.goroutine == has.goroutine);
            let p = around.any(|(_, holds)| holds.p == has.p);
            agreement.between += usize::from(goroutine && p);
        }
        agreement
    }
}

fn times(trace: &Trace) -> Option<RangeInclusive<u64>> {
    Some(trace.events.first()?.time..=trace.events.last()?.time)
}

/// Returns what each thread holds, from a time on.
fn threads(trace: &Trace) -> HashMap<i32, Vec<(u64, Holds)>> {
    let mut threads: HashMap<i32, Vec<(u64, Holds)>> = HashMap::new();
    let mut of_goroutine: HashMap<u64, i32> = HashMap::new();
    let mut set = |time, tid: i32, change: &dyn Fn(&mut Holds)| {
        let steps = threads.entry(tid).or_default();
        let mut holds = steps.last().map(|(_, holds)| *holds).unwrap_or_default();
        change(&mut holds);
        steps.push((time, holds));
    };
    for event in &trace.events {
        let tid = event.thread.and_then(|tid| i32::try_from(tid.0).ok());
        match &event.kind {
            GoEventKind::Goroutine(change) => {
                let id = change.id.0;
                let before = of_goroutine.remove(&id);
                let runs = matches!(change.to, GoState::Running | GoState::Syscall);
                match tid.filter(|_| runs) {
                    Some(tid) => {
                        of_goroutine.insert(id, tid);
                        set(event.time, tid, &|holds| holds.goroutine = Some(id));
                    }
                    None => {
                        if let Some(tid) = before {
                            set(event.time, tid, &|holds| {
                                if holds.goroutine == Some(id) {
                                    holds.goroutine = None;
                                }
                            });
                        }
                    }
                }
            }
            GoEventKind::Proc(change) => {
                let id = change.id.0;
                let tid = match change.stolen_from {
                    Some(tid) => i32::try_from(tid.0).ok(),
                    None => tid,
                };
                if let Some(tid) = tid {
                    set(event.time, tid, &|holds| match change.to {
                        ProcState::Running => holds.p = Some(id),
                        _ if holds.p == Some(id) => holds.p = None,
                        _ => (),
                    });
                }
            }
            _ => (),
        }
    }
    threads
}
