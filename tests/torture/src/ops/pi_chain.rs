// SPDX-License-Identifier: GPL-2.0

//! Chains of threads that wait for locks with priority inheritance.

use std::sync::Arc;

use common::eventually;
use common::pi_mutex::PiMutex;
use common::worker::Pending;
use fastrand::Rng;
use procfs::process::Process;
use procfs::process::Stat;

use crate::context::session;
use crate::modeled::ModeledThread;
use crate::operation::Operation;
use crate::random;
use crate::session::Session;

pub(super) static OPERATIONS: [Operation; 1] = [Operation::new("pi-chain", 6, |context, rng| {
    let guard = context.read_session();
    let threads = [(); 3].map(|()| context.pick_modeled(rng));
    if let [Some(mut holder), Some(mut between), Some(mut waiter)] = threads {
        let session = session(&guard);
        chain([&mut holder, &mut between, &mut waiter], session, rng);
    }
})];

/// State of a sleeping thread in `/proc/PID/stat`.
const SLEEPING: char = 'S';

/// Builds a chain and changes its threads: the first thread holds a lock that the second
/// waits for, and the second holds a lock that the third waits for.
fn chain(threads: [&mut ModeledThread; 3], session: &Session, rng: &mut Rng) {
    let locks = [PiMutex::new(), PiMutex::new()];
    let held = Arc::clone(&locks[0]);
    threads[0].worker().run(move || held.lock());
    let pending = [(1, 0), (2, 1)].map(|(thread, lock)| {
        let own = locks.clone();
        let pending: Pending<()> = threads[thread].worker().start(move || {
            if thread == 1 {
                own[1].lock();
            }
            own[lock].lock();
            own[lock].unlock();
            if thread == 1 {
                own[1].unlock();
            }
        });
        eventually("a thread waits for the lock", || {
            // The lock shows a waiter shortly before the thread is in the lock's queue.
            locks[lock].has_waiter() && stat(threads[thread].tid()).state == SLEEPING
        });
        pending
    });

    for _ in 0..4 {
        let thread = &mut *threads[rng.usize(..3)];
        match rng.u32(..3) {
            0 => thread.set_attr(&random::attr(rng)),
            _ => thread.set(session, random::prio(rng), false, rng.bool()),
        }
        let own = threads
            .each_ref()
            .map(|thread| thread.in_force().rt_priority);
        for (index, thread) in threads.iter().enumerate() {
            let most = own[index..].iter().max().copied().unwrap_or_default();
            let may_be_less = threads[index..].iter().any(|thread| thread.may_be_held());
            if most > 0 && !may_be_less {
                assert_eq!(runs_as(thread.tid()), as_rt(most), "{index} of {own:?}");
            }
        }
    }

    let held = Arc::clone(&locks[0]);
    threads[0].worker().run(move || held.unlock());
    pending.into_iter().for_each(Pending::wait);
    for thread in threads {
        thread.check(session);
        let own = thread.in_force().rt_priority;
        if own > 0 && !thread.may_be_held() {
            assert_eq!(runs_as(thread.tid()), as_rt(own), "{thread:?}");
        }
    }
}

fn stat(tid: i32) -> Stat {
    let task = Process::myself().and_then(|me| me.task_from_tid(tid));
    let stat = task.and_then(|task| task.stat());
    stat.expect("a thread lives")
}

/// Returns the priority that a thread runs at, inherited priorities included.
fn runs_as(tid: i32) -> i64 {
    stat(tid).priority
}

/// Returns the form of a real-time priority in `/proc/PID/stat` (proc_pid_stat(5)).
fn as_rt(rt_priority: u32) -> i64 {
    -1 - i64::from(rt_priority)
}
