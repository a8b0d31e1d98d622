// SPDX-License-Identifier: GPL-2.0

//! Why a thread did not run: who had its CPU, by which mechanism, and which Go priority would
//! have helped. All times are in ns.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use crate::goroutines::Account;
use crate::summary::Timeline;
use crate::summary::Traced;
use crate::threads::Doing;
use crate::threads::Occupant;
use crate::threads::Wait;

/// Way in which a thread was kept from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// A real-time thread had the CPU.
    Realtime,
    /// Another thread had its share of the CPU.
    Share,
    /// The control group had used up its quota.
    Quota,
    /// The CPU was about to switch, or was woken.
    Switching,
    /// The occupant of the CPU is not known.
    Unknown,
}

/// A part of a thread's waits.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Cause {
    /// Way in which the thread was kept from running.
    pub mechanism: Mechanism,
    /// Id of the thread that had the CPU; `None` if there is no such, as with a quota.
    pub tid: Option<i32>,
    /// Name of that thread.
    pub name: Option<String>,
    /// Whether that thread is one of the same program.
    pub own: bool,
    /// Whether that thread is one of the recorder.
    pub recorder: bool,
    /// Whether that thread is one of the kernel's own.
    pub kernel: bool,
    /// Go priority in force of that thread; `None` if there is none.
    pub go_prio: Option<u8>,
    /// Length of this part of the wait, in ns.
    pub waited: u64,
}

/// Remedy, with the part of the wait that the remedy would have removed.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Advice {
    /// Remedy.
    pub what: Remedy,
    /// Part of the wait that the remedy would have removed, in ns.
    pub removes: u64,
}

/// Remedy for a thread that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// Give the thread itself this priority.
    Raise {
        /// The thread.
        tid: i32,
        /// The Go priority.
        to: u8,
    },
    /// Give another thread this priority.
    Lower {
        /// The thread.
        tid: i32,
        /// Name of the thread.
        name: String,
        /// The Go priority.
        to: u8,
    },
    /// Give the control group more CPU time.
    Quota,
    /// Give the goroutines that compute this priority, as the Go runtime had no P.
    LowerGoroutines {
        /// The function that most of them began with.
        function: String,
        /// The Go priority.
        to: u8,
    },
}

/// Reasons that a thread did not run. All times are in ns.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Why {
    /// The thread; `None` for all of the program.
    pub tid: Option<i32>,
    /// Time on a CPU.
    pub on_cpu: u64,
    /// Time runnable, without running.
    pub waited: u64,
    /// The time that goroutines of the program were ready and had no P; `None` without a trace of
    /// Go's runtime.
    pub without_p: Option<u64>,
    /// Part of the record that the trace of Go's runtime is of; `None` without a trace.
    pub traced: Option<Traced>,
    /// Sentences that say what is missing.
    pub missing: Vec<String>,
    /// The parts of the wait, the longest first.
    pub causes: Vec<Cause>,
    /// Remedies, the one that helps most first.
    pub advice: Vec<Advice>,
}

/// The parts of a wait, in ns: how an occupant kept others from running, and its index.
pub(crate) type Parts = BTreeMap<(Mechanism, Option<usize>), u64>;

/// The lowest priority that runs before all threads that are not real-time ones.
const RT: u8 = 48;
/// The priority that the guide has for background work.
const BACKGROUND: u8 = 8;
/// Part of the wait below which a remedy is not worth a sentence: a hundredth.
const WORTH: u64 = 100;
/// The most threads that are to be lowered.
const MOST_LOWERED: usize = 3;

impl Timeline {
    /// Tells why a thread did not run, or the threads of the program.
    pub fn why(&self, tid: Option<i32>) -> Why {
        let (mut on_cpu, mut quota) = (0, 0);
        let mut waits = Vec::new();
        for (id, history) in &self.threads.histories {
            if tid.is_some_and(|tid| tid != *id) {
                continue;
            }
            for interval in &history.intervals {
                match interval.doing {
                    Doing::Running { .. } => on_cpu += interval.takes(),
                    Doing::Waiting {
                        throttled: true, ..
                    } => quota += interval.takes(),
                    Doing::Waiting { cpu, .. } => waits.push(Wait::new(cpu, interval)),
                    Doing::Sleeping { .. } => (),
                }
            }
        }
        let by_occupant = self.threads.occupants_during(waits);
        let mut by = self.by_mechanism(&by_occupant);
        by.insert((Mechanism::Quota, None), quota);
        by.retain(|_, waited| *waited > 0);
        let waited = by.values().sum();
        let causes = self.causes(&by);
        let accounts = self.accounts();
        Why {
            tid,
            on_cpu,
            waited,
            without_p: accounts.as_ref().map(|accounts| {
                accounts
                    .values()
                    .map(|(_, account)| account.without_p)
                    .sum()
            }),
            traced: self.traced(),
            advice: advice(tid, waited, &causes, accounts),
            missing: self.missing.clone(),
            causes,
        }
    }

    /// Returns the parts of a wait, by the occupants of CPUs and how they kept others from running.
    pub(crate) fn by_mechanism(&self, by_occupant: &BTreeMap<Option<usize>, u64>) -> Parts {
        let parts = by_occupant.iter().map(|(who, took)| {
            let mechanism = match who {
                Some(who) => Mechanism::of(&self.threads.occupants[*who]),
                None => Mechanism::Unknown,
            };
            ((mechanism, *who), *took)
        });
        parts.collect()
    }

    /// Returns the parts of a wait. An occupant at several priorities, or that is not waited for
    /// by its own doing, is one cause.
    pub(crate) fn causes(&self, by: &Parts) -> Vec<Cause> {
        let mut causes: Vec<Cause> = Vec::new();
        let mut known = HashMap::new();
        for ((mechanism, occupant), waited) in by {
            let named = matches!(mechanism, Mechanism::Realtime | Mechanism::Share);
            let occupant: Option<&Occupant> = (*occupant)
                .filter(|_| named)
                .map(|index| &self.threads.occupants[index]);
            let tid = occupant.map(|occupant| occupant.tid);
            let go_prio = occupant.and_then(|occupant| occupant.go_prio);
            let index = *known
                .entry((*mechanism, tid, go_prio))
                .or_insert(causes.len());
            if let Some(cause) = causes.get_mut(index) {
                cause.waited += waited;
                continue;
            }
            causes.push(Cause {
                mechanism: *mechanism,
                tid,
                name: occupant.map(|occupant| self.last_name(occupant)),
                own: occupant.is_some_and(|occupant| occupant.tgid == self.meta.pid),
                recorder: occupant.is_some_and(|occupant| occupant.tgid == self.meta.recorder),
                kernel: occupant.is_some_and(|occupant| occupant.kernel),
                go_prio,
                waited: *waited,
            });
        }
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.waited));
        causes
    }

    /// Returns the name of an occupant. A thread of the program may have got its name later.
    fn last_name(&self, occupant: &Occupant) -> String {
        let own = self.threads.histories.get(&occupant.tid);
        let own = own.filter(|_| occupant.tgid == self.meta.pid);
        own.map_or(&occupant.name, |history| &history.name).clone()
    }
}

fn advice(
    tid: Option<i32>,
    waited: u64,
    causes: &[Cause],
    accounts: Option<BTreeMap<&str, (usize, Account)>>,
) -> Vec<Advice> {
    let sum = |of: &dyn Fn(&&Cause) -> bool| -> u64 {
        causes.iter().filter(of).map(|cause| cause.waited).sum()
    };
    let mut advice = Vec::new();
    // Two threads of the program that wait for each other are helped by neither's being raised.
    if let Some(tid) = tid {
        advice.push(Advice {
            what: Remedy::Raise { tid, to: RT },
            removes: sum(&|cause| cause.mechanism == Mechanism::Share),
        });
    }
    let lowered = causes.iter().filter(|cause| {
        let background = cause.go_prio.is_some_and(|prio| prio <= BACKGROUND);
        // Who is a real-time thread has a reason, and others may wait for the kernel's.
        cause.mechanism == Mechanism::Share && !background && !cause.kernel && !cause.recorder
    });
    // A thread that had several priorities is lowered once.
    let mut by_thread: BTreeMap<i32, (&str, u64)> = BTreeMap::new();
    for cause in lowered {
        if let (Some(tid), Some(name)) = (cause.tid, &cause.name) {
            by_thread.entry(tid).or_insert((name, 0)).1 += cause.waited;
        }
    }
    let mut by_thread: Vec<_> = by_thread.into_iter().collect();
    by_thread.sort_by_key(|(_, (_, removes))| std::cmp::Reverse(*removes));
    for (tid, (name, removes)) in by_thread.into_iter().take(MOST_LOWERED) {
        let what = Remedy::Lower {
            tid,
            name: name.to_owned(),
            to: BACKGROUND,
        };
        advice.push(Advice { what, removes });
    }
    advice.push(Advice {
        what: Remedy::Quota,
        removes: sum(&|cause| cause.mechanism == Mechanism::Quota),
    });
    advice.retain(|advice| advice.removes > 0 && advice.removes >= waited / WORTH);
    if let Some(accounts) = accounts {
        let without_p: u64 = accounts
            .values()
            .map(|(_, account)| account.without_p)
            .sum();
        let computes = accounts
            .iter()
            .max_by_key(|(_, (_, account))| account.on_cpu);
        if let Some((function, (_, own))) = computes.filter(|_| without_p > 0) {
            // They wait for each other, which no priority changes.
            let removes = without_p.saturating_sub(own.without_p);
            if removes > without_p / WORTH {
                advice.push(Advice {
                    what: Remedy::LowerGoroutines {
                        function: (*function).to_owned(),
                        to: BACKGROUND,
                    },
                    removes,
                });
            }
        }
    }
    advice.sort_by_key(|advice| std::cmp::Reverse(advice.removes));
    advice
}

impl Mechanism {
    /// Returns how who has a CPU keeps others from running.
    pub(crate) fn of(occupant: &Occupant) -> Self {
        match occupant {
            _ if occupant.tid == 0 => Self::Switching,
            _ if occupant.realtime => Self::Realtime,
            _ => Self::Share,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Realtime => "real-time thread",
            Self::Share => "ordinary thread",
            Self::Quota => "quota used up",
            Self::Switching => "CPU is switching",
            Self::Unknown => "?",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Meta;
    use crate::directory::Record;
    use crate::event::fixture::event;
    use crate::event::fixture::named;
    use crate::event::fixture::thread;
    use crate::event::fixture::SWITCH;
    use crate::event::fixture::WAKEUP;
    use crate::event::Event;

    /// The process of the record, which has the threads 10 and 11.
    const OWN: i32 = 10;

    fn why(events: Vec<Event>) -> Why {
        let mut meta = Meta::new(String::new(), String::new());
        (meta.pid, meta.to) = (OWN, events.last().map_or(0, |last| last.time));
        let record = Record {
            meta,
            events,
            damaged: 0,
            go_trace: None,
        };
        Timeline::of(record).expect("a record").why(Some(OWN))
    }

    #[test]
    fn a_thread_that_many_others_had_the_cpu_of_has_as_many_causes() {
        // The time of a comparison of each two would be seen.
        const OTHERS: i32 = 100_000;
        let waits = thread(OWN, 10);
        let mut events = vec![event(WAKEUP, 0, 0, [waits, waits], 0)];
        for (time, tid) in (1..).zip(100..100 + OTHERS) {
            let (leaves, comes) = (thread(tid, tid), thread(tid + 1, tid + 1));
            events.push(event(SWITCH, time, 0, [leaves, comes], 0));
        }
        let why = why(events);
        assert_eq!(why.causes.len() as u64, why.waited);
        assert_eq!(why.waited, u64::from(OTHERS.unsigned_abs()));
    }

    #[test]
    fn a_thread_that_had_several_priorities_and_names_is_lowered_once_by_its_last_name() {
        let waits = thread(OWN, 10);
        let new = thread(OWN, 11);
        let mut worker = named(thread(OWN, 11), "worker");
        worker.go_prio = 40;
        let why = why(vec![
            event(WAKEUP, 100, 0, [waits, new], 0),
            event(SWITCH, 400, 0, [new, worker], 0),
            event(SWITCH, 900, 0, [worker, waits], 0),
        ]);
        let causes: Vec<_> = why
            .causes
            .iter()
            .map(|cause| (cause.go_prio, cause.waited))
            .collect();
        assert_eq!(causes, [(Some(40), 500), (None, 300)]);
        assert!(why
            .causes
            .iter()
            .all(|cause| cause.name.as_deref() == Some("worker")));
        let lower = why
            .advice
            .iter()
            .filter(|advice| matches!(advice.what, Remedy::Lower { .. }));
        let lower: Vec<_> = lower
            .map(|advice| (advice.what.clone(), advice.removes))
            .collect();
        let what = Remedy::Lower {
            tid: 11,
            name: "worker".to_owned(),
            to: BACKGROUND,
        };
        assert_eq!(lower, [(what, 800)]);
    }
}
