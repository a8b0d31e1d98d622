// SPDX-License-Identifier: GPL-2.0

//! What each thread of the program did at each time: it ran, waited for a CPU that another
//! thread had, or slept.

mod builder;
mod occupants;

use std::collections::BTreeMap;
use std::collections::HashMap;

use self::builder::Builder;
use crate::event::Event;

pub use self::occupants::Wait;

/// Thread that has a CPU.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Occupant {
    /// The id of the thread; 0: the CPU is idle, and about to switch.
    pub tid: i32,
    /// The id of the thread's process.
    pub tgid: i32,
    /// Name of the thread.
    pub name: String,
    /// Go priority in force; `None` if there is none.
    pub go_prio: Option<u8>,
    /// Whether the kernel runs the thread as a real-time one.
    pub realtime: bool,
    /// Whether the thread is one of the kernel's own.
    pub kernel: bool,
}

/// State of a thread, as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// The thread runs on a CPU.
    Running {
        /// The CPU.
        cpu: u32,
    },
    /// The thread waits for a CPU.
    Waiting {
        /// The CPU in whose queue the thread is; [`Threads::occupants_during`] tells who has the
        /// CPU.
        cpu: u32,
        /// Whether the thread's control group has used up its CPU quota.
        throttled: bool,
    },
    /// The thread sleeps.
    Sleeping {
        /// The number of the system call that the thread sleeps in, or -1.
        syscall: i32,
        /// Whether no signal that the program handles wakes it: it waits for a disk, say.
        uninterruptible: bool,
    },
}

/// A time in which a thread does one thing, in ns of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The beginning.
    pub from: u64,
    /// The end.
    pub to: u64,
    /// The state.
    pub doing: Doing,
}

/// A wait for a CPU, from becoming runnable to running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The end of the wait, in ns of `CLOCK_MONOTONIC`.
    pub at: u64,
    /// Length of the wait, in ns.
    pub takes: u64,
    /// The Go priority in force at the end of the wait; `None` if there is none.
    pub go_prio: Option<u8>,
}

/// A thread of the program.
#[derive(Clone, Debug, Default)]
pub struct ThreadHistory {
    /// Last name of the thread.
    pub name: String,
    /// States in the order of time, from the first event of the thread on.
    pub intervals: Vec<Interval>,
    /// Waits for a CPU, in the order of time.
    pub delays: Vec<Delay>,
    /// Changes of the Go priority in force: the time in ns of `CLOCK_MONOTONIC`, and the new
    /// priority.
    pub priorities: Vec<(u64, Option<u8>)>,
    /// Go priority in force at the end; `None` if there is none.
    pub go_prio: Option<u8>,
}

/// The threads of the program.
#[derive(Clone, Debug, Default)]
pub struct Threads {
    /// Histories by the id of the thread, in the first pid namespace.
    pub histories: BTreeMap<i32, ThreadHistory>,
    /// Threads of all programs that had a CPU, as far as recorded.
    pub occupants: Vec<Occupant>,
    /// Occupants of each CPU: the end in ns, in the order of time, and an index of `occupants`.
    until: HashMap<u32, Vec<(u64, usize)>>,
}

/// States of the kernel in the order of its bits, see include/linux/sched.h.
pub(crate) mod state {
    const UNINTERRUPTIBLE: u32 = 2;
    const EXIT_DEAD: u32 = 0x10;
    const EXIT_ZOMBIE: u32 = 0x20;
    const DEAD: u32 = 0x80;
    /// The bits that are states. Those above say how a thread may be woken or frozen.
    pub(crate) const MASK: u32 = 0xff;

    /// Returns whether no signal that a program handles wakes a thread that sleeps in a state.
    pub(crate) fn is_uninterruptible(state: u32) -> bool {
        state & UNINTERRUPTIBLE != 0
    }

    /// Returns whether a thread that leaves its CPU in a state has ended.
    pub(crate) fn has_ended(state: u32) -> bool {
        state & (EXIT_DEAD | EXIT_ZOMBIE | DEAD) != 0
    }
}

impl Threads {
    /// Tells what the threads of a process did. Events are in the order of their times, and the
    /// record ends at `end`.
    pub fn of(events: &[Event], process: i32, end: u64) -> Self {
        let mut builder = Builder::default();
        for event in events {
            builder.take(event, process);
        }
        let tids: Vec<i32> = builder.now.keys().copied().collect();
        for tid in tids {
            builder.close(tid, end, None);
        }
        builder.threads
    }

    /// Returns all time that threads were in a state, in ns; `None` if that is more than fits.
    pub(crate) fn time(&self) -> Option<u64> {
        let mut intervals = self.histories.values().flat_map(|of| &of.intervals);
        intervals.try_fold(0, |sum, interval| u64::checked_add(sum, interval.takes()))
    }
}

impl ThreadHistory {
    /// Returns the parts of what the thread did that are between two times.
    pub fn between(&self, from: u64, to: u64) -> impl Iterator<Item = Interval> + '_ {
        let first = self
            .intervals
            .partition_point(|interval| interval.to <= from);
        self.intervals[first..]
            .iter()
            .take_while(move |interval| interval.from < to)
            .map(move |interval| Interval {
                from: interval.from.max(from),
                to: interval.to.min(to),
                doing: interval.doing,
            })
    }
}

impl Interval {
    /// Returns the length of the interval, in ns.
    pub fn takes(&self) -> u64 {
        self.to - self.from
    }
}

#[cfg(test)]
mod tests {
    use crate::event::fixture::event;
    use crate::event::fixture::thread;
    use crate::event::fixture::EXEC;
    use crate::event::fixture::MIGRATE;
    use crate::event::fixture::SLEEPS;
    use crate::event::fixture::SWITCH;
    use crate::event::fixture::THROTTLED;
    use crate::event::fixture::WAKEUP;
    use crate::event::Thread;

    use super::*;

    /// The process of the record, which has the threads 10 and 11.
    const OWN: i32 = 10;

    fn own(tid: i32) -> Thread {
        thread(OWN, tid)
    }

    fn hog(tid: i32) -> Thread {
        thread(tid, tid)
    }

    fn waited_for(threads: &Threads, tid: i32) -> Vec<(u64, Option<i32>)> {
        let mut waited = Vec::new();
        for interval in &threads.histories[&tid].intervals {
            if let Doing::Waiting { cpu, .. } = interval.doing {
                threads.each_held([Wait::new(cpu, interval)], |held| {
                    let tid = held.who.map(|who| threads.occupants[who].tid);
                    waited.push((held.to - held.from, tid));
                });
            }
        }
        waited
    }

    #[test]
    fn a_wait_is_put_down_to_those_who_had_the_cpu() {
        let nobody = thread(0, 0);
        let events = [
            event(WAKEUP, 100, 0, [own(10), nobody], 0),
            event(SWITCH, 130, 0, [hog(7), hog(8)], 0),
            event(SWITCH, 190, 0, [hog(8), own(10)], 0),
            event(SWITCH, 200, 0, [own(10), nobody], SLEEPS),
        ];
        let threads = Threads::of(&events, OWN, 250);
        assert_eq!(waited_for(&threads, 10), [(30, Some(7)), (60, Some(8))]);
        let history = &threads.histories[&10];
        assert_eq!(history.delays.len(), 1);
        assert_eq!(history.delays[0].takes, 90);
        let sleeps = history.intervals.last().expect("intervals");
        assert_eq!((sleeps.from, sleeps.to), (200, 250));
        assert!(matches!(sleeps.doing, Doing::Sleeping { syscall: -1, .. }));
    }

    #[test]
    fn a_wait_goes_on_in_the_queue_of_another_cpu() {
        let events = [
            event(WAKEUP, 100, 0, [own(10), own(11)], 0),
            event(SWITCH, 110, 0, [hog(7), hog(8)], 0),
            event(MIGRATE, 120, 1, [own(10), thread(0, 0)], 0),
            event(SWITCH, 150, 1, [hog(9), own(10)], 0),
        ];
        let threads = Threads::of(&events, OWN, 160);
        // Who had CPU 0 up to the move is not told.
        let waits = [(10, Some(7)), (10, None), (30, Some(9))];
        assert_eq!(waited_for(&threads, 10), waits);
        assert_eq!(threads.histories[&10].delays[0].takes, 50);
    }

    #[test]
    fn who_is_woken_before_it_sleeps_has_not_waited() {
        let events = [
            event(SWITCH, 100, 0, [hog(7), own(10)], 0),
            event(WAKEUP, 110, 0, [own(10), hog(8)], 0),
            event(SWITCH, 120, 0, [own(10), hog(7)], SLEEPS),
        ];
        let threads = Threads::of(&events, OWN, 130);
        assert_eq!(waited_for(&threads, 10), []);
    }

    /// Returns the waits of a thread, and whether each was for a quota.
    fn waits(threads: &Threads, tid: i32) -> Vec<(u64, bool)> {
        let intervals = threads.histories[&tid].intervals.iter();
        let waits = intervals.filter_map(|interval| match interval.doing {
            Doing::Waiting { throttled, .. } => Some((interval.takes(), throttled)),
            _ => None,
        });
        waits.collect()
    }

    #[test]
    fn a_quota_holds_up_who_waits_already_until_a_thread_of_the_group_runs() {
        let mut used_up = event(SWITCH, 150, 0, [own(11), thread(0, 0)], 0);
        used_up.flags = THROTTLED;
        let mut urgent = own(12);
        urgent.prio = 50;
        let events = [
            event(SWITCH, 100, 0, [thread(0, 0), own(11)], 0),
            event(WAKEUP, 120, 0, [own(10), thread(0, 0)], 0),
            event(WAKEUP, 130, 0, [urgent, thread(0, 0)], 0),
            used_up,
            event(SWITCH, 160, 0, [thread(0, 0), urgent], 0),
            event(SWITCH, 170, 0, [urgent, thread(0, 0)], SLEEPS),
            event(SWITCH, 200, 0, [thread(0, 0), own(11)], 0),
            event(SWITCH, 210, 0, [own(11), own(10)], SLEEPS),
        ];
        let threads = Threads::of(&events, OWN, 220);
        let waits = |tid| waits(&threads, tid);
        assert_eq!(waits(10), [(30, false), (50, true), (10, false)]);
        assert_eq!(waits(11), [(50, true)]);
        assert_eq!(waits(12), [(30, false)]);
        assert_eq!(threads.histories[&10].delays[0].takes, 90);
    }

    #[test]
    fn who_is_woken_while_its_group_has_used_up_its_quota_waits_for_it_unless_it_is_realtime() {
        let woken = |tid, prio| {
            let mut thread = own(tid);
            thread.prio = prio;
            let mut woken = event(WAKEUP, 100, 0, [thread, hog(7)], 0);
            woken.flags = THROTTLED;
            woken
        };
        // The quota was used up by another process of the group.
        let events = [
            woken(10, 120),
            woken(11, 50),
            event(SWITCH, 150, 0, [thread(0, 0), own(12)], 0),
            event(SWITCH, 180, 0, [own(12), own(10)], SLEEPS),
        ];
        let threads = Threads::of(&events, OWN, 200);
        let waits = |tid| waits(&threads, tid);
        assert_eq!(waits(10), [(50, true), (30, false)]);
        assert_eq!(waits(11), [(100, false)]);
    }

    #[test]
    fn the_thread_that_executes_goes_on_as_the_first_one() {
        let events = [
            event(SWITCH, 100, 0, [hog(7), own(11)], 0),
            event(EXEC, 120, 0, [own(10), own(11)], 0),
            event(SWITCH, 150, 0, [own(10), hog(7)], SLEEPS),
        ];
        let threads = Threads::of(&events, OWN, 160);
        let ran = |tid: i32| -> u64 {
            let intervals = threads.histories[&tid].intervals.iter();
            let running = |interval: &&Interval| matches!(interval.doing, Doing::Running { .. });
            intervals.filter(running).map(Interval::takes).sum()
        };
        assert_eq!((ran(11), ran(10)), (20, 30));
    }

    #[test]
    fn who_is_preempted_waits_for_who_preempts_it() {
        let events = [
            event(SWITCH, 100, 0, [hog(7), own(10)], 0),
            event(SWITCH, 120, 0, [own(10), own(11)], 0),
            event(SWITCH, 150, 0, [own(11), own(10)], SLEEPS),
        ];
        let threads = Threads::of(&events, OWN, 160);
        assert_eq!(waited_for(&threads, 10), [(30, Some(11))]);
    }

    #[test]
    fn intervals_are_in_order_whatever_events_are_missing() {
        let kinds = [SWITCH, WAKEUP, MIGRATE];
        let tids = [own(10), own(11), hog(7), thread(0, 0)];
        // A linear congruential generator: any order of events will do.
        let mut seed: u64 = 1;
        let mut number = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        let events: Vec<_> = (0..10_000)
            .map(|time| {
                let of = [tids[number(4)], tids[number(4)]];
                event(
                    kinds[number(3)],
                    time,
                    number(3) as u32,
                    of,
                    number(2) as u32,
                )
            })
            .collect();
        let threads = Threads::of(&events, OWN, 10_000);
        for history in threads.histories.values() {
            assert!(history
                .intervals
                .iter()
                .all(|interval| interval.from < interval.to));
            let pairs = history.intervals.windows(2);
            assert!(pairs.clone().all(|pair| pair[0].to <= pair[1].from));
        }
    }
}
