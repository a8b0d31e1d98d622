// SPDX-License-Identifier: GPL-2.0

//! Chains of threads that wait for locks with priority inheritance.

use std::sync::Arc;

use common::eventually;
use common::worker::Pending;
use fastrand::Rng;
use procfs::process::Process;
use procfs::process::Stat;

use crate::operation::Operation;
use crate::pi_futex::PiFutex;
use crate::random;
use crate::session::Session;
use crate::ward::Ward;
use crate::world::session;

pub(super) static OPERATIONS: [Operation; 1] = [Operation::new("pi-chain", 6, |world, rng| {
    let guard = world.in_session();
    let wards = [(); 3].map(|()| world.some_ward(rng));
    if let [Some(mut holder), Some(mut between), Some(mut waiter)] = wards {
        let session = session(&guard);
        chain([&mut holder, &mut between, &mut waiter], session, rng);
    }
})];

/// State of a thread in `/proc/PID/stat`.
const SLEEPING: char = 'S';

/// The first holds a lock that the second waits for, who holds one that the third
/// waits for; meanwhile they are changed.
fn chain(wards: [&mut Ward; 3], session: &Session, rng: &mut Rng) {
    let locks = Arc::new([const { PiFutex::new() }; 2]);
    let held = Arc::clone(&locks);
    wards[0].worker().run(move || held[0].lock());
    let pending = [(1, 0), (2, 1)].map(|(ward, lock)| {
        let own = Arc::clone(&locks);
        let pending: Pending<()> = wards[ward].worker().start(move || {
            if ward == 1 {
                own[1].lock();
            }
            own[lock].lock();
            own[lock].unlock();
            if ward == 1 {
                own[1].unlock();
            }
        });
        eventually("a thread waits for the lock", || {
            // The lock says so a moment before the thread is in its queue.
            locks[lock].has_waiter() && stat(wards[ward].tid()).state == SLEEPING
        });
        pending
    });

    for _ in 0..4 {
        let ward = &mut *wards[rng.usize(..3)];
        match rng.u32(..3) {
            0 => ward.set_attr(&random::attr(rng)),
            _ => ward.set(session, random::prio(rng), false, rng.bool()),
        }
        let own = wards.each_ref().map(|ward| ward.in_force().rt_priority);
        for (index, ward) in wards.iter().enumerate() {
            let most = own[index..].iter().max().copied().unwrap_or_default();
            let may_be_less = wards[index..].iter().any(|ward| ward.may_be_held());
            if most > 0 && !may_be_less {
                assert_eq!(runs_as(ward.tid()), as_rt(most), "{index} of {own:?}");
            }
        }
    }

    let held = Arc::clone(&locks);
    wards[0].worker().run(move || held[0].unlock());
    pending.into_iter().for_each(Pending::wait);
    for ward in wards {
        ward.check(session);
        let own = ward.in_force().rt_priority;
        if own > 0 && !ward.may_be_held() {
            assert_eq!(runs_as(ward.tid()), as_rt(own), "{ward:?}");
        }
    }
}

fn stat(tid: i32) -> Stat {
    let task = Process::myself().and_then(|me| me.task_from_tid(tid));
    let stat = task.and_then(|task| task.stat());
    stat.expect("a ward lives")
}

/// The priority with which a thread really runs.
fn runs_as(tid: i32) -> i64 {
    stat(tid).priority
}

/// What `/proc/PID/stat` has for a real-time priority (proc_pid_stat(5)).
fn as_rt(rt_priority: u32) -> i64 {
    -1 - i64::from(rt_priority)
}
