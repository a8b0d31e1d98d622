// SPDX-License-Identifier: GPL-2.0

//! Where the time of a program went in parts of a record.

use std::collections::BTreeMap;

use go_sched_gotrace::GoState;

use super::Obstacle;
use crate::summary::syscall_name;
use crate::summary::Timeline;
use crate::threads::Doing;

/// The runtime's reason for a goroutine that waits for a lock of package sync.
const LOCK: &str = "sync";
/// System calls that a thread sleeps in which has nothing to do, unless no signal wakes it there: a
/// read(2) from a disk is work. Futexes are locks as well.
const IDLE: [&str; 29] = [
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
];

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
    fn add(&mut self, obstacle: Obstacle, took: u64) {
        *self.obstacles.entry(obstacle).or_default() += took;
    }

    /// Takes off a part of this account.
    pub(super) fn subtract(&mut self, part: &Self) {
        fn each<K: Ord>(from: &mut BTreeMap<K, u64>, part: &BTreeMap<K, u64>) {
            for (key, took) in part {
                if let Some(all) = from.get_mut(key) {
                    *all = all.saturating_sub(*took);
                }
            }
        }
        self.length = self.length.saturating_sub(part.length);
        self.traced = self.traced.saturating_sub(part.traced);
        self.ran = self.ran.saturating_sub(part.ran);
        each(&mut self.obstacles, &part.obstacles);
        each(&mut self.by_occupant, &part.by_occupant);
        each(&mut self.idle, &part.idle);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ran == 0 && self.obstacles.is_empty() && self.idle.is_empty()
    }
}

impl Timeline {
    /// Adds up where the time of the program went in windows that do not overlap.
    pub(super) fn account_between(&self, windows: &[(u64, u64)]) -> Account {
        let mut account = Account::default();
        for (from, to) in windows.iter().copied() {
            account.length += to - from;
            self.add_threads(&mut account, from, to);
            self.add_goroutines(&mut account, from, to);
        }
        account
    }

    fn add_threads(&self, account: &mut Account, from: u64, to: u64) {
        for history in self.threads.histories.values() {
            for part in history.between(from, to) {
                match part.doing {
                    Doing::Running { .. } => account.ran += part.takes(),
                    Doing::Waiting {
                        throttled: true, ..
                    } => account.add(Obstacle::Quota, part.takes()),
                    Doing::Waiting { cpu, .. } => {
                        account.add(Obstacle::NoCpu, part.takes());
                        for (who, took) in self.threads.occupants_during(cpu, &part) {
                            *account.by_occupant.entry(who).or_default() += took;
                        }
                    }
                    Doing::Sleeping {
                        syscall,
                        uninterruptible,
                    } => {
                        let name = syscall_name(syscall);
                        if !uninterruptible && IDLE.contains(&&*name) {
                            *account.idle.entry(name).or_default() += part.takes();
                        } else {
                            account.add(Obstacle::Asleep(name), part.takes());
                        }
                    }
                }
            }
        }
    }

    fn add_goroutines(&self, account: &mut Account, from: u64, to: u64) {
        let Some(goroutines) = &self.goroutines else {
            return;
        };
        let within = |began: u64, ended: u64| ended.min(to).saturating_sub(began.max(from));
        account.traced += within(goroutines.traced.start, goroutines.traced.end);
        for history in goroutines.histories.values() {
            for stretch in history.between(from, to) {
                let took = within(stretch.from, stretch.to);
                match (stretch.state, stretch.reason.as_deref()) {
                    (GoState::Runnable, _) => account.add(Obstacle::NoP, took),
                    (GoState::Waiting, Some(LOCK)) => account.add(Obstacle::Lock, took),
                    _ => (),
                }
            }
        }
        for pause in &goroutines.pauses {
            let took = within(pause.from, pause.to);
            match (took, pause.stops_world) {
                (0, _) => (),
                (took, true) => account.add(Obstacle::StoppedWorld, took),
                (took, false) => account.add(Obstacle::MarkAssist, took),
            }
        }
    }
}
