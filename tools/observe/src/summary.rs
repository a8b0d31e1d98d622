// SPDX-License-Identifier: GPL-2.0

//! What a record comes to: where the time of each thread, of each Go priority and of each
//! kind of goroutine went, and who had the CPU meanwhile. All times are in ns.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use go_sched_gotrace::Trace;
use serde::Serialize;

use crate::agreement::Agreement;
use crate::directory::Meta;
use crate::directory::Record;
use crate::event::Event;
use crate::event::UNKNOWN_SYSCALL;
use crate::goroutines::Account;
use crate::goroutines::Goroutines;
use crate::states::States;
use crate::threads::Delay;
use crate::threads::Doing;
use crate::threads::Occupant;
use crate::threads::ThreadHistory;
use crate::threads::Threads;
use crate::threads::Wait;

/// A record, with what each thread and goroutine did.
#[derive(Debug)]
pub struct Timeline {
    /// Process, kernel, clocks and completeness of the record.
    pub meta: Meta,
    /// The events, in the order of their times.
    pub events: Vec<Event>,
    /// The threads.
    pub threads: Threads,
    /// The goroutines; `None` without a trace of Go's runtime.
    pub goroutines: Option<Goroutines>,
    /// Comparison of what was read at switches with the trace; `None` without a trace.
    pub agreement: Option<Agreement>,
    /// The states of goroutines beside those of threads; `None` without a trace.
    pub states: Option<States>,
    /// Sentences that say what is missing.
    pub missing: Vec<String>,
}

/// The reason that a record cannot be summed up: the times of its threads, or those of its
/// goroutines, do not fit into 64 bits. A sum of a part of them is one of less.
#[derive(Debug, thiserror::Error)]
#[error(
    "the record is damaged: its threads or goroutines have run, waited and slept for more than 584 \
     years"
)]
pub struct TooMuchTime;

/// Summary of a record. All times are in ns.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Summary {
    /// Length of the record.
    pub duration: u64,
    /// Part of the record that the trace of Go's runtime is of; `None` without a trace.
    pub traced: Option<Traced>,
    /// Comparison of what was read at switches with the trace of Go's runtime; `None` without a
    /// trace.
    pub agreement: Option<Agreement>,
    /// The states of goroutines beside those of threads; `None` without a trace of Go's runtime.
    pub states: Option<States>,
    /// Sentences that say what is missing.
    pub missing: Vec<String>,
    /// The threads that have run or waited.
    pub threads: Vec<ThreadSummary>,
    /// Threads that had CPUs that threads of the program waited for, the longest waits first.
    pub antagonists: Vec<Antagonist>,
    /// The Go priorities, the highest first, and what has none at the end.
    pub priorities: Vec<PrioritySummary>,
    /// The goroutines by the function that they began with; empty without a trace of Go's runtime.
    pub goroutines: Vec<GoroutineSummary>,
}

/// Part of a record that the trace of Go's runtime is of. Times are in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Traced {
    /// Time from the beginning of the record to that of the part.
    pub after: u64,
    /// Length of the part.
    pub duration: u64,
}

/// Time of a thread by what the thread did, in ns.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct ThreadSummary {
    /// Id of the thread, in the first pid namespace.
    pub tid: i32,
    /// Last name of the thread.
    pub name: String,
    /// Go priority in force at the end; `None` if there is none.
    pub go_prio: Option<u8>,
    /// Time on a CPU.
    pub on_cpu: u64,
    /// Time runnable, without a CPU.
    pub waited: u64,
    /// Time runnable, while the control group had used up its CPU quota.
    pub throttled: u64,
    /// Time asleep, by the system call.
    pub asleep: BTreeMap<String, u64>,
}

/// Thread that had a CPU while threads of the program waited for that CPU.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Antagonist {
    /// Id of the thread; 0: the CPU was idle, and about to switch.
    pub tid: i32,
    /// Name of the thread.
    pub name: String,
    /// Whether the thread is one of the program itself.
    pub own: bool,
    /// Go priority in force; `None` if there is none.
    pub go_prio: Option<u8>,
    /// Whether the kernel ran the thread as a real-time one.
    pub realtime: bool,
    /// Time that threads waited while this one ran, in ns: two that wait count twice.
    pub waited: u64,
}

/// Waits for a CPU at one Go priority. All times are in ns.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct PrioritySummary {
    /// Go priority in force when the wait ended; `None` if there was none.
    pub go_prio: Option<u8>,
    /// The number of waits.
    pub waits: usize,
    /// Median of the waits.
    pub p50: u64,
    /// 99th percentile of the waits.
    pub p99: u64,
    /// The longest wait.
    pub max: u64,
    /// Sum of the waits.
    pub total: u64,
}

/// Time of the goroutines that began with one function, by what the goroutines did, in ns.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct GoroutineSummary {
    /// The function; empty if it is not known.
    pub function: String,
    /// The number of goroutines.
    pub count: usize,
    /// Time running, while the thread had a CPU.
    pub on_cpu: u64,
    /// Time runnable, without a P.
    pub without_p: u64,
    /// Time with a P, while the thread waited for a CPU.
    pub without_cpu: u64,
    /// Thread that had that CPU for longest.
    pub antagonist: Option<Antagonist>,
    /// Time with a P, while the thread's control group had used up its CPU quota.
    pub throttled: u64,
    /// Time running as Go's runtime has it, while the thread slept in the kernel.
    pub thread_asleep: u64,
    /// Time running as Go's runtime has it, while what the thread did was not recorded.
    pub unknown: u64,
    /// Time in system calls or cgo.
    pub in_syscall: u64,
    /// Time waiting, by the runtime's reason.
    pub waiting: BTreeMap<String, u64>,
}

impl Timeline {
    /// Tells what threads and goroutines of a record did.
    pub fn of(record: Record) -> Result<Self, TooMuchTime> {
        let Record {
            meta,
            events,
            damaged,
            go_trace,
        } = record;
        let mut missing = Vec::new();
        if meta.unfinished {
            missing.push(
                "the record is unfinished: gosched was killed, or still records; it ends with the \
                 last event that was written"
                    .to_owned(),
            );
        }
        if meta.lost > 0 {
            missing.push(format!(
                "{} events found no room in the buffer: what threads did is not known all the time",
                meta.lost
            ));
        }
        if meta.full {
            missing.push(
                "the record ends early: its size, see --max-size, or the disk was used up"
                    .to_owned(),
            );
        }
        if damaged > 0 {
            missing.push(format!("{damaged} bytes of the record are damaged"));
        }
        missing.extend(meta.lacks());
        if let Some(why) = &meta.no_go {
            missing.push(format!("no goroutine was read: {why}"));
        }
        let threads = Threads::of(&events, meta.pid, meta.to);
        threads.time().ok_or(TooMuchTime)?;
        let (mut agreement, mut states) = (None, None);
        let goroutines = match go_trace.as_deref().map(Trace::parse) {
            Some(Ok(trace)) => {
                if let Some(bytes) = trace.truncated {
                    missing.push(format!(
                        "the trace of Go's runtime ends in the middle: {bytes} bytes were not read"
                    ));
                }
                let goroutines = Goroutines::of(&trace);
                goroutines.time().ok_or(TooMuchTime)?;
                if overlap(&meta, &goroutines).is_some() {
                    agreement = Some(Agreement::of(&events, meta.pid, &trace));
                    states = Some(States::of(&events, meta.pid, &trace, &goroutines));
                    Some(goroutines)
                } else {
                    missing.push(
                        "the trace of Go's runtime is of another time than the record".to_owned(),
                    );
                    None
                }
            }
            Some(Err(error)) => {
                missing.push(format!("the trace of Go's runtime cannot be read: {error}"));
                None
            }
            None if meta.is_not_go() => None,
            None => {
                missing.push(
                    "there is no trace of Go's runtime: what goroutines waited for is not known; \
                     record with --go-trace"
                        .to_owned(),
                );
                None
            }
        };
        Ok(Self {
            threads,
            events,
            meta,
            goroutines,
            agreement,
            states,
            missing,
        })
    }

    /// Returns the part of the record that the trace of Go's runtime is of.
    pub fn traced(&self) -> Option<Traced> {
        overlap(&self.meta, self.goroutines.as_ref()?)
    }

    /// Adds up what threads and goroutines did.
    pub fn summary(&self) -> Summary {
        Summary {
            duration: self.meta.to.saturating_sub(self.meta.from),
            traced: self.traced(),
            agreement: self.agreement,
            states: self.states.clone(),
            missing: self.missing.clone(),
            threads: self.thread_summaries(),
            antagonists: self.antagonists(),
            priorities: self.priorities(),
            goroutines: self.goroutine_summaries(),
        }
    }

    fn thread_summaries(&self) -> Vec<ThreadSummary> {
        let histories = self.threads.histories.iter();
        histories
            .filter(|(_, history)| !history.intervals.is_empty())
            .map(|(tid, history)| thread_summary(*tid, history))
            .collect()
    }

    fn antagonist(&self, occupant: &Occupant, waited: u64) -> Antagonist {
        Antagonist {
            tid: occupant.tid,
            name: occupant.name.clone(),
            own: occupant.tgid == self.meta.pid,
            go_prio: occupant.go_prio,
            realtime: occupant.realtime,
            waited,
        }
    }

    fn antagonists(&self) -> Vec<Antagonist> {
        let intervals = self.threads.histories.values().flat_map(|of| &of.intervals);
        let waits = intervals.filter_map(|interval| match interval.doing {
            Doing::Waiting {
                cpu,
                throttled: false,
            } => Some(Wait::new(cpu, interval)),
            _ => None,
        });
        let occupants = self.threads.occupants_during(waits).into_iter();
        let mut antagonists: Vec<_> = occupants
            .filter_map(|(who, waited)| {
                Some(self.antagonist(self.threads.occupants.get(who?)?, waited))
            })
            .collect();
        antagonists.sort_by_key(|antagonist| std::cmp::Reverse(antagonist.waited));
        antagonists
    }

    fn priorities(&self) -> Vec<PrioritySummary> {
        let mut by_priority: BTreeMap<Option<u8>, Vec<u64>> = BTreeMap::new();
        for history in self.threads.histories.values() {
            for Delay { takes, go_prio, .. } in &history.delays {
                by_priority.entry(*go_prio).or_default().push(*takes);
            }
        }
        let priorities = by_priority.into_iter().rev();
        priorities
            .map(|(go_prio, mut delays)| {
                delays.sort_unstable();
                PrioritySummary {
                    go_prio,
                    waits: delays.len(),
                    p50: quantile(&delays, 50),
                    p99: quantile(&delays, 99),
                    max: quantile(&delays, 100),
                    total: delays.iter().sum(),
                }
            })
            .collect()
    }

    /// Returns how many goroutines began with each function, and where their time went; `None`
    /// without a trace of Go's runtime.
    pub(crate) fn accounts(&self) -> Option<BTreeMap<&str, (usize, Account)>> {
        let goroutines = self.goroutines.as_ref()?;
        Some(goroutines.accounts(&self.threads, self.meta.from, self.meta.to))
    }

    fn goroutine_summaries(&self) -> Vec<GoroutineSummary> {
        let summaries = self.accounts().into_iter().flatten();
        let mut summaries: Vec<_> = summaries
            .map(|(function, (count, account))| {
                let longest = account
                    .without_cpu
                    .iter()
                    .max_by_key(|(_, waited)| **waited);
                let antagonist = longest.and_then(|(occupant, waited)| {
                    let occupant = self.threads.occupants.get((*occupant)?)?;
                    Some(self.antagonist(occupant, *waited))
                });
                GoroutineSummary {
                    function: function.to_owned(),
                    count,
                    on_cpu: account.on_cpu,
                    without_p: account.without_p,
                    without_cpu: account.without_cpu(),
                    antagonist,
                    throttled: account.throttled,
                    thread_asleep: account.thread_asleep,
                    unknown: account.unknown,
                    in_syscall: account.in_syscall,
                    waiting: account.waiting,
                }
            })
            .collect();
        summaries.sort_by_key(|summary| {
            std::cmp::Reverse(summary.on_cpu + summary.without_p + summary.without_cpu)
        });
        summaries
    }
}

/// Returns the part of a record that a trace is of, if there is one.
fn overlap(meta: &Meta, goroutines: &Goroutines) -> Option<Traced> {
    let from = goroutines.traced.start.max(meta.from);
    let to = goroutines.traced.end.min(meta.to);
    let duration = to.checked_sub(from).filter(|duration| *duration > 0)?;
    Some(Traced {
        after: from - meta.from,
        duration,
    })
}

/// Returns a quantile, in percent, of values in ascending order.
fn quantile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

fn thread_summary(tid: i32, history: &ThreadHistory) -> ThreadSummary {
    let mut summary = ThreadSummary {
        tid,
        name: history.name.clone(),
        go_prio: history.go_prio,
        on_cpu: 0,
        waited: 0,
        throttled: 0,
        asleep: BTreeMap::new(),
    };
    for interval in &history.intervals {
        match interval.doing {
            Doing::Running { .. } => summary.on_cpu += interval.takes(),
            Doing::Waiting {
                throttled: true, ..
            } => summary.throttled += interval.takes(),
            Doing::Waiting { .. } => summary.waited += interval.takes(),
            Doing::Sleeping { syscall, .. } => {
                *summary.asleep.entry(syscall_name(syscall)).or_default() += interval.takes();
            }
        }
    }
    summary
}

/// The name of [`UNKNOWN_SYSCALL`].
pub(crate) const UNKNOWN_SYSCALL_NAME: &str = "unknown";

/// Returns the name of a system call, or its number.
pub fn syscall_name(number: i32) -> String {
    match number {
        -1 => "page fault".to_owned(),
        UNKNOWN_SYSCALL => UNKNOWN_SYSCALL_NAME.to_owned(),
        number => usize::try_from(number)
            .ok()
            .and_then(syscalls::Sysno::new)
            .map_or_else(
                || format!("system call {number}"),
                |call| call.name().to_owned(),
            ),
    }
}
