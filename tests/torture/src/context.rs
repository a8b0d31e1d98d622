// SPDX-License-Identifier: GPL-2.0

//! All that the threads of this program share.
//!
//! Lock order:
//!
//! 1. [`World::calm`]
//! 2. [`World::session`]
//! 3. the wards, by index unless they are only tried

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;

use fastrand::Rng;

use crate::cgroup::Cgroups;
use crate::pi_futex::PiFutex;
use crate::session::Session;
use crate::ward::Ward;

const POISONED: &str = "a failure ends the program";

/// See above.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) stop: AtomicBool,
    /// Held for reading by whoever changes a thread of the prey, for writing to look
    /// at them while nobody does.
    calm: RwLock<()>,
    /// Held for reading by whoever uses the device, for writing to take the module
    /// away. Empty only meanwhile.
    session: RwLock<Option<Arc<Session>>>,
    wards: Vec<Mutex<Ward>>,
    /// Thread ids of the prey; 0 while there is none.
    pub(crate) prey: Vec<AtomicI32>,
    /// What the prey locks.
    pub(crate) futexes: [PiFutex; 4],
    pub(crate) cgroups: Result<Cgroups, String>,
}

/// Permission to use the device.
pub(crate) type InSession<'a> = RwLockReadGuard<'a, Option<Arc<Session>>>;

impl World {
    pub(crate) fn new(privileged: bool, threads: u32, cgroups: Result<Cgroups, String>) -> Self {
        let session = Session::new(privileged);
        let wards = (0..threads)
            .map(|slot| Mutex::new(Ward::spawn(&session, slot)))
            .collect();
        Self {
            stop: AtomicBool::new(false),
            calm: RwLock::new(()),
            session: RwLock::new(Some(Arc::new(session))),
            wards,
            prey: (0..threads).map(|_| AtomicI32::new(0)).collect(),
            futexes: [const { PiFutex::new() }; 4],
            cgroups,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Keeps the prey from being looked at.
    pub(crate) fn disturb(&self) -> RwLockReadGuard<'_, ()> {
        self.calm.read().expect(POISONED)
    }

    /// Waits until nobody disturbs the prey, and keeps it so.
    pub(crate) fn calm_down(&self) -> impl Drop + '_ {
        self.calm.write().expect(POISONED)
    }

    /// Keeps the module from going.
    pub(crate) fn in_session(&self) -> InSession<'_> {
        self.session.read().expect(POISONED)
    }

    /// Closes and unmaps the device, runs `away`, and opens it again.
    pub(crate) fn between_sessions(&self, away: impl FnOnce()) {
        let mut session = self.session.write().expect(POISONED);
        let last = session.take().and_then(Arc::into_inner);
        let last = last.expect("nobody keeps a session");
        let privileged = last.privileged;
        drop(last);
        away();
        *session = Some(Arc::new(Session::new(privileged)));
    }

    /// Ends all wards, after a last look.
    pub(crate) fn release_wards(&mut self) {
        let guard = self.in_session();
        self.wards()
            .for_each(|mut ward| ward.check(session(&guard)));
        drop(guard);
        self.wards.clear();
    }

    /// Takes the session, so that there is none any more.
    pub(crate) fn end_session(&mut self) -> Session {
        let session = self.session.write().expect(POISONED).take();
        session
            .and_then(Arc::into_inner)
            .expect("nobody keeps a session")
    }

    pub(crate) fn ward_count(&self) -> u32 {
        self.wards.len() as u32
    }

    /// Some ward that nobody else has; there may be none at this moment.
    pub(crate) fn some_ward(&self, rng: &mut Rng) -> Option<MutexGuard<'_, Ward>> {
        let start = rng.usize(..self.wards.len());
        let (before, after) = self.wards.split_at(start);
        after
            .iter()
            .chain(before)
            .find_map(|ward| ward.try_lock().ok())
    }

    /// All wards, one after the other.
    pub(crate) fn wards(&self) -> impl Iterator<Item = MutexGuard<'_, Ward>> {
        self.wards.iter().map(|ward| ward.lock().expect(POISONED))
    }

    /// The thread id of some prey.
    pub(crate) fn some_prey(&self, rng: &mut Rng) -> Option<i32> {
        let tid = rng.choice(&self.prey)?.load(Ordering::Relaxed);
        (tid != 0).then_some(tid)
    }
}

/// The session that `guard` keeps.
pub(crate) fn session<'a>(guard: &'a InSession<'_>) -> &'a Arc<Session> {
    guard
        .as_ref()
        .expect("it is empty only while it is written")
}
