// SPDX-License-Identifier: GPL-2.0

//! What the module knows of a process's threads.

use std::collections::BTreeMap;
use std::collections::HashMap;

use gosched::error::RequestError;
use gosched::policy::GoPrio;
use gosched::Device;
use gosched::Target;

use super::text::Label;
use crate::device;
use crate::error::ObserveError;
use crate::output::complain;
use crate::top::tids;

/// What the module counts: changes of the scheduling, hints above the ceiling, hints put off, and
/// times run away.
pub(super) type Counts = [u64; 4];

/// Where Go priorities are known from.
pub(super) enum Source {
    Device(Device),
    /// The label of all threads.
    All(Label),
}

impl Source {
    /// Opens the device of a kernel that has go_sched. Without a device, priorities are unknown.
    pub(super) fn open(has_go_sched: bool) -> Self {
        if !has_go_sched {
            return Self::All(Label::None);
        }
        match device::open() {
            Ok(device) => Self::Device(device),
            Err(error) => {
                complain(&ObserveError::NoPriorities(Box::new(error)));
                Self::All(Label::Unknown)
            }
        }
    }

    /// Returns whether there is something that the module counts.
    pub(super) fn counts(&self) -> bool {
        matches!(self, Self::Device(_))
    }

    /// Returns the priority in force of a thread, and what the module counts; `None` if the
    /// thread has ended.
    fn ask(&self, tid: i32) -> Option<(Label, Counts)> {
        let device = match self {
            Self::Device(device) => device,
            Self::All(label) => return Some((*label, Counts::default())),
        };
        let target = Target::Tid(tid);
        let answer = device
            .get(target)
            .and_then(|status| Ok((status.applied, device.stats(target)?)));
        match answer {
            Ok((applied, stats)) => {
                let counts = [stats.applies, stats.clamps, stats.skips, stats.runaways];
                Some((Label::of(applied.map(GoPrio::get)), counts))
            }
            Err(RequestError::NoSuchThread) => None,
            Err(_) => Some((Label::Unknown, Counts::default())),
        }
    }
}

/// What the threads of a process, those that have ended too, have come to.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) totals: Counts,
    /// What was counted of each thread at the last look.
    seen: HashMap<i32, Counts>,
}

impl Ledger {
    /// Looks at all threads of a process, and returns how many have each priority. Nothing is
    /// known of a process that is hidden from this one.
    pub(super) fn look(&mut self, source: &Source, pid: i32) -> BTreeMap<Label, u64> {
        let mut threads = BTreeMap::new();
        let mut now = HashMap::new();
        for tid in tids(pid).unwrap_or_default() {
            if let Some((label, counts)) = source.ask(tid) {
                *threads.entry(label).or_default() += 1;
                if counts != Counts::default() {
                    now.insert(tid, counts);
                }
            }
        }
        self.enter(now);
        threads
    }

    /// Adds what was counted since the last look.
    fn enter(&mut self, now: HashMap<i32, Counts>) {
        for (tid, counts) in &now {
            let before = self.seen.get(tid).copied().unwrap_or_default();
            let is_other = counts.iter().zip(before).any(|(now, before)| *now < before);
            // Another thread may have got the id, and has counted from 0.
            let before = if is_other { Counts::default() } else { before };
            for (total, (now, before)) in self.totals.iter_mut().zip(counts.iter().zip(before)) {
                *total = total.wrapping_add(now - before);
            }
        }
        self.seen = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(ledger: &mut Ledger, threads: &[(i32, Counts)]) -> Counts {
        let before = ledger.totals;
        ledger.enter(threads.iter().copied().collect());
        let pairs = before.iter().zip(ledger.totals);
        assert!(pairs.into_iter().all(|(before, now)| *before <= now));
        ledger.totals
    }

    #[test]
    fn totals_keep_what_ended_threads_counted() {
        let mut ledger = Ledger::default();
        let both = [(1, [5, 1, 0, 0]), (2, [7, 0, 2, 0])];
        assert_eq!(enter(&mut ledger, &both), [12, 1, 2, 0]);
        assert_eq!(enter(&mut ledger, &both), [12, 1, 2, 0]);
        assert_eq!(enter(&mut ledger, &[(1, [6, 1, 0, 3])]), [13, 1, 2, 3]);
        assert_eq!(enter(&mut ledger, &[]), [13, 1, 2, 3]);
        assert!(ledger.seen.is_empty(), "ended threads take no memory");
    }

    #[test]
    fn a_thread_with_the_id_of_an_ended_one_counts_from_0() {
        let mut ledger = Ledger::default();
        enter(&mut ledger, &[(1, [5, 1, 0, 0])]);
        assert_eq!(enter(&mut ledger, &[(1, [6, 0, 0, 0])]), [11, 1, 0, 0]);
    }

    #[test]
    fn all_threads_of_a_kernel_without_go_sched_have_no_priority() {
        let own = rustix::process::getpid().as_raw_pid();
        let source = Source::open(false);
        let threads = Ledger::default().look(&source, own);
        let labels: Vec<_> = threads.keys().copied().collect();
        assert_eq!(labels, [Label::None]);
        assert!(!source.counts());
    }
}
