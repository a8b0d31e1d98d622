// SPDX-License-Identifier: GPL-2.0

//! What each goroutine did at each time, by the trace of Go's runtime, and what the kernel did
//! with its thread meanwhile.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::Range;

use go_sched_gotrace::EventKind;
use go_sched_gotrace::GoId;
use go_sched_gotrace::GoState;
use go_sched_gotrace::Range as GoRange;
use go_sched_gotrace::Trace;

use crate::threads::Doing;
use crate::threads::Threads;
use crate::threads::Wait;

/// A time in which a goroutine has one state, in ns of `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The beginning.
    pub from: u64,
    /// The end.
    pub to: u64,
    /// The state.
    pub state: GoState,
    /// The thread that the goroutine is on, while running or in a system call.
    pub tid: Option<i32>,
    /// The P at the beginning.
    pub p: Option<u64>,
    /// The runtime's reason, while the goroutine waits.
    pub reason: Option<String>,
    /// Goroutine that made this one runnable.
    pub by: Option<u64>,
}

/// A wait of a goroutine, from becoming runnable to running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoroutineDelay {
    /// The end of the wait, in ns of `CLOCK_MONOTONIC`.
    pub at: u64,
    /// Length of the wait, in ns.
    pub takes: u64,
}

/// A goroutine.
#[derive(Clone, Debug, Default)]
pub struct GoroutineHistory {
    /// The function that the goroutine began with; empty if that is not known.
    pub function: String,
    /// States in the order of time.
    pub stretches: Vec<Stretch>,
    /// Waits from runnable to running whose beginnings are known, in the order of time.
    pub delays: Vec<GoroutineDelay>,
}

/// Time of a goroutine by what the goroutine did, in ns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Time running, while the thread had a CPU.
    pub on_cpu: u64,
    /// Time runnable, without a P.
    pub without_p: u64,
    /// Time running as Go's runtime has it, while the thread waited for a CPU, by the occupant of
    /// the CPU.
    pub without_cpu: BTreeMap<Option<usize>, u64>,
    /// Time running as Go's runtime has it, while the thread's control group had used up its CPU
    /// quota.
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

/// A time in which the runtime kept goroutines from their work, in ns of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The beginning.
    pub from: u64,
    /// The end.
    pub to: u64,
    /// Whether the world was stopped; if not, a goroutine helped to mark.
    pub stops_world: bool,
}

/// The goroutines of the program.
#[derive(Clone, Debug, Default)]
pub struct Goroutines {
    /// Histories by the number of the goroutine.
    pub histories: BTreeMap<u64, GoroutineHistory>,
    /// The time that the trace is of, in ns of `CLOCK_MONOTONIC`: of a flight recorder's, the last
    /// seconds.
    pub traced: Range<u64>,
    /// Pauses of goroutines by the runtime, in the order of the ends.
    pub pauses: Vec<Pause>,
}

impl Goroutines {
    /// Tells what goroutines did, by a trace whose threads have the ids of the first pid namespace.
    pub fn of(trace: &Trace) -> Self {
        let mut histories: BTreeMap<u64, GoroutineHistory> = BTreeMap::new();
        let mut open: HashMap<u64, Stretch> = HashMap::new();
        let mut runnable: HashMap<u64, u64> = HashMap::new();
        let mut pauses = Vec::new();
        let mut begun: HashMap<(bool, Option<GoId>), u64> = HashMap::new();
        let mut traced = 0..0;
        if let (Some(first), Some(last)) = (trace.events.first(), trace.events.last()) {
            traced = first.time..last.time;
        }
        let mut generation = traced.start;
        for event in &trace.events {
            let change = match &event.kind {
                EventKind::Goroutine(change) => change,
                EventKind::Generation { .. } => {
                    generation = event.time;
                    continue;
                }
                EventKind::RangeBegin(range) | EventKind::RangeActive(range) => {
                    if let Some(pause) = pause_of(range) {
                        begun.entry(pause).or_insert(event.time);
                    }
                    continue;
                }
                EventKind::RangeEnd(range) => {
                    let pause = pause_of(range);
                    let from = pause.and_then(|pause| begun.remove(&pause));
                    pauses.extend(pause.zip(from).map(|((stops_world, _), from)| Pause {
                        from,
                        to: event.time,
                        stops_world,
                    }));
                    continue;
                }
                _ => continue,
            };
            let history = histories.entry(change.id.0).or_default();
            if history.function.is_empty() {
                if let Some(function) = change.first_function() {
                    history.function = function.to_owned();
                }
            }
            // A generation tells of it again.
            if change.from == change.to && open.contains_key(&change.id.0) {
                continue;
            }
            if let Some(stretch) = open.remove(&change.id.0) {
                history.end(stretch, event.time);
            }
            let since = runnable.remove(&change.id.0);
            match (change.from, change.to) {
                // It was so before the trace began.
                (GoState::Undetermined, _) => (),
                (_, GoState::Runnable) => drop(runnable.insert(change.id.0, event.time)),
                (_, GoState::Running) => history.delays.extend(since.map(|since| GoroutineDelay {
                    at: event.time,
                    takes: event.time.saturating_sub(since),
                })),
                _ => (),
            }
            if change.to == GoState::NotExist {
                continue;
            }
            let on_thread = matches!(change.to, GoState::Running | GoState::Syscall);
            let tid = event.thread.and_then(|tid| i32::try_from(tid.0).ok());
            let by = event.goroutine.filter(|by| *by != change.id);
            // A generation tells of a goroutine when that is the next to change its state, or at the
            // end.
            let from = match change.from {
                GoState::Undetermined => generation,
                _ => event.time,
            };
            open.insert(
                change.id.0,
                Stretch {
                    from,
                    to: event.time,
                    state: change.to,
                    tid: tid.filter(|_| on_thread),
                    p: event.proc.map(|p| p.0),
                    reason: change.reason.as_deref().map(str::to_owned),
                    by: by.map(|by| by.0).filter(|_| change.to == GoState::Runnable),
                },
            );
        }
        for (id, stretch) in open {
            histories.entry(id).or_default().end(stretch, traced.end);
        }
        Self {
            histories,
            traced,
            pauses,
        }
    }

    /// Returns how many goroutines that began with each function did something between two times,
    /// and what that was.
    pub fn accounts(
        &self,
        threads: &Threads,
        from: u64,
        to: u64,
    ) -> BTreeMap<&str, (usize, Account)> {
        let mut by_function: BTreeMap<&str, (usize, Account, Vec<Wait>)> = BTreeMap::new();
        for history in self.histories.values() {
            let mut waits = Vec::new();
            let account = history.account(threads, (from, to), &mut waits);
            if account == Account::default() && waits.is_empty() {
                continue;
            }
            let (count, sum, all) = by_function.entry(&history.function).or_default();
            *count += 1;
            sum.add(account);
            all.append(&mut waits);
        }
        let accounts = by_function.into_iter();
        let accounts = accounts.map(|(function, (count, mut account, waits))| {
            account.without_cpu = threads.occupants_during(waits);
            (function, (count, account))
        });
        accounts.collect()
    }

    /// Returns all time that goroutines were in a state or paused, in ns; `None` if that is more
    /// than fits.
    pub(crate) fn time(&self) -> Option<u64> {
        let stretches = self.histories.values().flat_map(|of| &of.stretches);
        let stretches = stretches.map(|stretch| (stretch.from, stretch.to));
        let mut times = stretches.chain(self.pauses.iter().map(|pause| (pause.from, pause.to)));
        times.try_fold(0, |sum, (from, to)| {
            u64::checked_add(sum, to.saturating_sub(from))
        })
    }
}

/// Returns whether a range stops the world, and the goroutine of the range; `None` if the range
/// keeps no goroutine from working.
fn pause_of(range: &GoRange) -> Option<(bool, Option<GoId>)> {
    match range {
        GoRange::StopTheWorld { goroutine, .. } => Some((true, *goroutine)),
        GoRange::MarkAssist { goroutine } => Some((false, *goroutine)),
        _ => None,
    }
}

impl GoroutineHistory {
    fn end(&mut self, mut stretch: Stretch, time: u64) {
        stretch.to = time;
        if stretch.from < stretch.to {
            self.stretches.push(stretch);
        }
    }

    /// Returns the state at a time; `None` if that is not known.
    pub fn state_at(&self, time: u64) -> Option<GoState> {
        let mut stretches = self.between(time, time.saturating_add(1));
        stretches.next().map(|stretch| stretch.state)
    }

    /// Returns the stretches that are, at least in part, between two times.
    pub fn between(&self, from: u64, to: u64) -> impl Iterator<Item = &Stretch> {
        let first = self.stretches.partition_point(|stretch| stretch.to <= from);
        self.stretches[first..]
            .iter()
            .take_while(move |stretch| stretch.from < to)
    }

    /// Adds up where the time went between two times, but for who had CPUs: adds to the waits for
    /// them.
    fn account(&self, threads: &Threads, (from, to): (u64, u64), waits: &mut Vec<Wait>) -> Account {
        let mut account = Account::default();
        for stretch in self.between(from, to) {
            let (from, to) = (stretch.from.max(from), stretch.to.min(to));
            match stretch.state {
                GoState::Runnable => account.without_p += to - from,
                GoState::Syscall => account.in_syscall += to - from,
                GoState::Waiting => {
                    let reason = stretch.reason.clone().unwrap_or_default();
                    *account.waiting.entry(reason).or_default() += to - from;
                }
                GoState::Running => account.run(threads, stretch.tid, (from, to), waits),
                _ => (),
            }
        }
        account
    }
}

impl Account {
    /// Adds a time in which the goroutine ran, as Go's runtime sees it.
    fn run(
        &mut self,
        threads: &Threads,
        tid: Option<i32>,
        (from, to): (u64, u64),
        waits: &mut Vec<Wait>,
    ) {
        let mut known = 0;
        let history = tid.and_then(|tid| threads.histories.get(&tid));
        for part in history
            .into_iter()
            .flat_map(|thread| thread.between(from, to))
        {
            known += part.takes();
            match part.doing {
                Doing::Running { .. } => self.on_cpu += part.takes(),
                Doing::Waiting {
                    throttled: true, ..
                } => self.throttled += part.takes(),
                Doing::Waiting { cpu, .. } => waits.push(Wait::new(cpu, &part)),
                Doing::Sleeping { .. } => self.thread_asleep += part.takes(),
            }
        }
        self.unknown += (to - from).saturating_sub(known);
    }

    /// Adds up two accounts, but for who had CPUs.
    fn add(&mut self, other: Self) {
        self.on_cpu += other.on_cpu;
        self.without_p += other.without_p;
        self.throttled += other.throttled;
        self.thread_asleep += other.thread_asleep;
        self.unknown += other.unknown;
        self.in_syscall += other.in_syscall;
        for (reason, waited) in other.waiting {
            *self.waiting.entry(reason).or_default() += waited;
        }
    }

    /// Returns the time that the goroutine's thread waited for a CPU, in ns.
    pub fn without_cpu(&self) -> u64 {
        self.without_cpu.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_each_time_that_was_runnable_and_ended_in_running() {
        let trace = Trace::parse(include_bytes!("../../gotrace/fixtures/go1.25.trace"));
        let goroutines = Goroutines::of(&trace.expect("a fixture"));
        let mut delays = 0;
        for history in goroutines.histories.values() {
            // The first one may have begun before the trace.
            let pairs = history.stretches.windows(2).skip(1);
            let waits = pairs.filter(|pair| {
                pair[0].state == GoState::Runnable
                    && pair[1].state == GoState::Running
                    && pair[0].to == pair[1].from
            });
            for wait in waits {
                let delay = GoroutineDelay {
                    at: wait[0].to,
                    takes: wait[0].to - wait[0].from,
                };
                assert!(history.delays.contains(&delay), "{delay:?}: {history:?}");
                delays += 1;
            }
            for delay in history.delays.iter().filter(|delay| delay.takes > 0) {
                let from = delay.at - delay.takes;
                let is = |of: &Stretch| (of.from, of.to) == (from, delay.at);
                let wait = history.stretches.iter().find(|stretch| is(stretch));
                assert_eq!(wait.map(|wait| wait.state), Some(GoState::Runnable));
            }
        }
        assert!(delays > 10, "{delays}");
    }

    #[test]
    fn a_goroutine_that_was_there_before_is_known_from_the_beginning() {
        let trace = include_bytes!("../../gotrace/fixtures/go1.26-flight.trace");
        let trace = Trace::parse(trace).expect("a trace");
        let goroutines = Goroutines::of(&trace);
        let mut first = HashMap::new();
        for event in &trace.events {
            if let EventKind::Goroutine(change) = &event.kind {
                first.entry(change.id.0).or_insert(change.from);
            }
        }
        let before = first
            .iter()
            .filter(|(_, from)| **from == GoState::Undetermined);
        assert!(before.clone().count() >= 5);
        for (id, _) in before {
            let stretches = &goroutines.histories[id].stretches;
            assert_eq!(stretches[0].from, goroutines.traced.start, "{id}");
            let pairs = stretches.windows(2);
            assert!(pairs.clone().all(|pair| pair[0].to == pair[1].from), "{id}");
        }
    }
}
