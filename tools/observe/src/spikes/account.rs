// SPDX-License-Identifier: GPL-2.0

//! Where the time of a program went in parts of a record.

use std::collections::BTreeMap;
use std::ops::Range;

use go_sched_gotrace::GoState;

use super::parts::Curve;
use super::parts::Parts;
use super::Obstacle;
use crate::summary::syscall_name;
use crate::summary::Timeline;
use crate::summary::UNKNOWN_SYSCALL_NAME;
use crate::threads::Doing;
use crate::threads::Wait;

/// The runtime's reason for a goroutine that waits for a lock of package sync.
const LOCK: &str = "sync";
/// System calls that a thread sleeps in which has nothing to do, unless no signal wakes it there: a
/// read(2) from a disk is work. Futexes are locks as well.
const IDLE: [&str; 30] = [
    "accept",
    "accept4",
    "clock_nanosleep",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "futex",
    "futex_wait",
    "futex_waitv",
    "io_getevents",
    "io_pgetevents",
    "io_uring_enter",
    "mq_timedreceive",
    "msgrcv",
    "nanosleep",
    "pause",
    "poll",
    "ppoll",
    "pselect6",
    "read",
    "readv",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "restart_syscall",
    "rt_sigtimedwait",
    "select",
    "wait4",
    "waitid",
    UNKNOWN_SYSCALL_NAME,
];

/// What is known of a time, or what a thread or a goroutine did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Activity {
    /// Goroutines are known.
    Traced,
    /// A thread ran.
    Ran,
    /// A thread slept in a system call, as if it had nothing to do.
    Idle(String),
    /// The program was kept from its work.
    Kept(Obstacle),
}

/// Where the time of threads and goroutines went.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// The time that the account is about.
    pub(super) length: u64,
    /// The part of that in which goroutines are known.
    pub(super) traced: u64,
    pub(super) obstacles: BTreeMap<Obstacle, u64>,
    /// Waits for a CPU, by who had that.
    pub(super) by_occupant: BTreeMap<Option<usize>, u64>,
    /// Threads ran.
    pub(super) ran: u64,
    /// Threads slept, as if they had nothing to do, by the system call.
    pub(super) idle: BTreeMap<String, u64>,
}

impl Account {
    pub(super) fn is_empty(&self) -> bool {
        self.ran == 0 && self.obstacles.is_empty() && self.idle.is_empty()
    }
}

/// How much time each activity took up to each position in parts of a record.
#[derive(Debug)]
pub(super) struct Curves(BTreeMap<Activity, Curve>);

impl Curves {
    fn new(parts: &Parts, times: &BTreeMap<Activity, Vec<(u64, u64)>>) -> Self {
        let curves = times.iter();
        let curves = curves.map(|(activity, times)| (activity.clone(), Curve::new(parts, times)));
        Self(curves.collect())
    }

    /// Returns the curve of an activity, if there is one.
    pub(super) fn of(&self, activity: &Activity) -> Option<&Curve> {
        self.0.get(activity)
    }

    /// Returns where the time went between two positions, but for who had CPUs.
    fn account(&self, at: &Range<u64>) -> Account {
        let mut account = Account {
            length: at.end - at.start,
            ..Account::default()
        };
        for (activity, curve) in &self.0 {
            let took = curve.between(at.start, at.end);
            match activity {
                _ if took == 0 => (),
                Activity::Traced => account.traced = took,
                Activity::Ran => account.ran = took,
                Activity::Idle(call) => drop(account.idle.insert(call.clone(), took)),
                Activity::Kept(what) => drop(account.obstacles.insert(what.clone(), took)),
            }
        }
        account
    }
}

/// Where the time of a program went while there were outliers, and while there were none.
#[derive(Debug)]
pub(super) struct Accounts {
    /// An account for each cluster.
    pub(super) clusters: Vec<Account>,
    /// The account of all time without outliers.
    pub(super) usual: Account,
    /// The time without outliers.
    pub(super) elsewhere: Curves,
}

impl Timeline {
    /// Adds up where the time of the program went: in clusters, which have parts of the outliers'
    /// time, in their order, and in the time without outliers.
    pub(super) fn accounts_of(&self, outlying: &Parts, clusters: &[Range<u64>]) -> Accounts {
        let rest = outlying.rest((self.meta.from, self.meta.to));
        let times = self.activities();
        let meanwhile = Curves::new(outlying, &times);
        let mut accounts = Accounts {
            clusters: clusters.iter().map(|at| meanwhile.account(at)).collect(),
            elsewhere: Curves::new(&rest, &times),
            usual: Account::default(),
        };
        accounts.usual = accounts.elsewhere.account(&(0..rest.length()));
        let add = |account: &mut Account, who, took| {
            if took > 0 {
                *account.by_occupant.entry(who).or_default() += took;
            }
        };
        self.threads.each_held(self.waits(), |held| {
            let took = rest.position(held.to) - rest.position(held.from);
            add(&mut accounts.usual, held.who, took * held.waits);
            let (from, to) = (outlying.position(held.from), outlying.position(held.to));
            let first = clusters.partition_point(|at| at.end <= from);
            let accounts = accounts.clusters[first..].iter_mut();
            for (at, account) in clusters[first..].iter().zip(accounts) {
                if at.start >= to {
                    break;
                }
                let took = at.end.min(to) - at.start.max(from);
                add(account, held.who, took * held.waits);
            }
        });
        accounts
    }

    /// Returns the waits of threads for CPUs.
    fn waits(&self) -> impl Iterator<Item = Wait> + '_ {
        let histories = self.threads.histories.values();
        let intervals = histories.flat_map(|history| &history.intervals);
        intervals.filter_map(|interval| match interval.doing {
            Doing::Waiting {
                cpu,
                throttled: false,
            } => Some(Wait::new(cpu, interval)),
            _ => None,
        })
    }

    /// Returns the times of each activity.
    fn activities(&self) -> BTreeMap<Activity, Vec<(u64, u64)>> {
        let mut times: BTreeMap<Activity, Vec<(u64, u64)>> = BTreeMap::new();
        let mut add = |activity, from, to| times.entry(activity).or_default().push((from, to));
        let histories = self.threads.histories.values();
        for interval in histories.flat_map(|history| &history.intervals) {
            let activity = match interval.doing {
                Doing::Running { .. } => Activity::Ran,
                Doing::Waiting {
                    throttled: true, ..
                } => Activity::Kept(Obstacle::Quota),
                Doing::Waiting { .. } => Activity::Kept(Obstacle::NoCpu),
                Doing::Sleeping {
                    syscall,
                    uninterruptible,
                } => {
                    let name = syscall_name(syscall);
                    match !uninterruptible && IDLE.contains(&&*name) {
                        true => Activity::Idle(name),
                        false => Activity::Kept(Obstacle::Asleep(name)),
                    }
                }
            };
            add(activity, interval.from, interval.to);
        }
        let Some(goroutines) = &self.goroutines else {
            return times;
        };
        let Range { start, end } = goroutines.traced;
        add(Activity::Traced, start, end);
        let histories = goroutines.histories.values();
        for stretch in histories.flat_map(|history| &history.stretches) {
            let what = match (stretch.state, stretch.reason.as_deref()) {
                (GoState::Runnable, _) => Obstacle::NoP,
                (GoState::Waiting, Some(LOCK)) => Obstacle::Lock,
                _ => continue,
            };
            add(Activity::Kept(what), stretch.from, stretch.to);
        }
        for pause in &goroutines.pauses {
            let what = match pause.stops_world {
                true => Obstacle::StoppedWorld,
                false => Obstacle::MarkAssist,
            };
            add(Activity::Kept(what), pause.from, pause.to);
        }
        times
    }
}
