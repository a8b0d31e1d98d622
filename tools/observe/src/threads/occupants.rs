// SPDX-License-Identifier: GPL-2.0

//! Who had the CPUs that threads waited for.

use std::collections::BTreeMap;

use super::Interval;
use super::Threads;

/// A wait for a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The CPU.
    pub cpu: u32,
    /// The beginning, in ns of `CLOCK_MONOTONIC`.
    pub from: u64,
    /// The end, in ns of `CLOCK_MONOTONIC`.
    pub to: u64,
}

/// A time in which one thread has a CPU, and so many wait for that CPU.
pub(crate) struct Held {
    /// Index of [`Threads::occupants`]; `None` where the occupant is not known.
    pub(crate) who: Option<usize>,
    /// The beginning, in ns of `CLOCK_MONOTONIC`.
    pub(crate) from: u64,
    /// The end, in ns of `CLOCK_MONOTONIC`.
    pub(crate) to: u64,
    /// The number of waits, 1 or more.
    pub(crate) waits: u64,
}

impl Wait {
    /// Returns the wait of a thread that waits for a CPU in an interval.
    pub fn new(cpu: u32, interval: &Interval) -> Self {
        let Interval { from, to, .. } = *interval;
        Self { cpu, from, to }
    }
}

impl Threads {
    /// Tells who had the CPUs during waits, and for how long, in ns, by indices of `occupants`;
    /// `None` stands for the time in which that is not known. Two waits at once count twice.
    pub fn occupants_during(
        &self,
        waits: impl IntoIterator<Item = Wait>,
    ) -> BTreeMap<Option<usize>, u64> {
        let mut took: BTreeMap<Option<usize>, u64> = BTreeMap::new();
        self.each_held(waits, |held| {
            *took.entry(held.who).or_default() += (held.to - held.from) * held.waits;
        });
        took
    }

    /// Passes on who had the CPUs during waits, for each CPU in the order of time. A time is passed
    /// on once, however many waits there are at that time.
    pub(crate) fn each_held(
        &self,
        waits: impl IntoIterator<Item = Wait>,
        mut pass: impl FnMut(Held),
    ) {
        // When waits begin, and when they end.
        let mut edges: BTreeMap<u32, Vec<(u64, i64)>> = BTreeMap::new();
        for wait in waits.into_iter().filter(|wait| wait.from < wait.to) {
            let of_cpu = edges.entry(wait.cpu).or_default();
            of_cpu.extend([(wait.from, 1), (wait.to, -1)]);
        }
        for (cpu, mut edges) in edges {
            edges.sort_unstable();
            let mut until = self.until.get(&cpu).map_or(&[][..], Vec::as_slice);
            let mut waits: u64 = 0;
            for pair in edges.windows(2) {
                let ((mut at, change), (to, _)) = (pair[0], pair[1]);
                waits = waits.saturating_add_signed(change);
                if waits == 0 || at == to {
                    continue;
                }
                until = &until[until.partition_point(|(time, _)| *time <= at)..];
                // After the last switch, nobody is known.
                let known = until.iter().map(|(time, who)| (*time, Some(*who)));
                for (time, who) in known.chain([(u64::MAX, None)]) {
                    let (from, end) = (at, time.min(to));
                    if from < end {
                        at = end;
                        pass(Held {
                            who,
                            from,
                            to: end,
                            waits,
                        });
                    }
                    if end == to {
                        break;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::event::fixture::event;
    use crate::event::fixture::thread;
    use crate::event::fixture::SWITCH;
    use crate::event::fixture::WAKEUP;

    use super::*;

    #[test]
    fn waits_for_a_cpu_at_the_same_time_count_each() {
        let [seven, eight, nobody] = [7, 8, 0].map(|tid| thread(tid, tid));
        let events = [
            event(SWITCH, 100, 0, [seven, eight], 0),
            event(SWITCH, 300, 0, [eight, nobody], 0),
        ];
        let threads = Threads::of(&events, 10, 1000);
        let wait = |from, to| Wait { cpu: 0, from, to };
        let took = threads.occupants_during([
            wait(50, 400),
            wait(200, 250),
            wait(90, 110),
            wait(400, 400),
            wait(500, 510),
        ]);
        // Unknown: 300 to 400, and 500 to 510.
        let expected = [(None, 110), (Some(0), 50 + 10), (Some(1), 200 + 50 + 10)];
        assert_eq!(took, expected.into());
        let elsewhere = Wait {
            cpu: 1,
            from: 0,
            to: 5,
        };
        assert_eq!(threads.occupants_during([elsewhere]), [(None, 5)].into());
    }

    #[test]
    fn the_switches_of_a_cpu_are_passed_on_once_however_many_threads_wait() {
        const WAITS: i32 = 1000;
        const SWITCHES: u64 = 1000;
        let nobody = thread(0, 0);
        let mut events = Vec::new();
        for tid in 0..WAITS {
            events.push(event(WAKEUP, 0, 0, [thread(10, 10 + tid), nobody], 0));
        }
        for time in 1..=SWITCHES {
            events.push(event(SWITCH, time, 0, [thread(7, 7), thread(7, 7)], 0));
        }
        let threads = Threads::of(&events, 10, SWITCHES);
        let waits = threads.histories.values().flat_map(|of| &of.intervals);
        let (mut passed, mut took) = (0, 0);
        threads.each_held(waits.map(|wait| Wait::new(0, wait)), |held| {
            passed += 1;
            took += (held.to - held.from) * held.waits;
        });
        assert_eq!(passed, SWITCHES);
        assert_eq!(took, SWITCHES * u64::from(WAITS.unsigned_abs()));
    }
}
