// SPDX-License-Identifier: GPL-2.0

//! State that the threads of the test share.
//!
//! Lock order:
//!
//! 1. [`Context::changes`]
//! 2. [`Context::session`]
//! 3. [`Context::modeled`], by index, except for `try_lock`

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;

use common::pi_mutex::PiMutex;
use fastrand::Rng;

use crate::cgroup::Cgroups;
use crate::modeled::ModeledThread;
use crate::session::Session;

const POISONED: &str = "a failure ends the program";

/// State that the threads of the test share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) stop: AtomicBool,
    /// The lock of the victims: for reading while a victim is changed, for writing while
    /// nobody may change a victim.
    changes: RwLock<()>,
    /// The session, locked for reading while the device is used, for writing while the
    /// module is unloaded. `None` only while the module is unloaded.
    session: RwLock<Option<Arc<Session>>>,
    modeled: Vec<Mutex<ModeledThread>>,
    /// Thread ids of the victims; 0 for one that does not exist at this moment.
    pub(crate) victims: Vec<AtomicI32>,
    /// Mutexes that the victims lock.
    pub(crate) mutexes: [Arc<PiMutex>; 4],
    pub(crate) cgroups: io::Result<Cgroups>,
}

/// Keeps the module loaded and the device open.
pub(crate) type SessionGuard<'a> = RwLockReadGuard<'a, Option<Arc<Session>>>;

impl Context {
    pub(crate) fn new(privileged: bool, threads: u32, cgroups: io::Result<Cgroups>) -> Self {
        let session = Session::new(privileged);
        let modeled = (0..threads)
            .map(|slot| Mutex::new(ModeledThread::spawn(&session, slot)))
            .collect();
        Self {
            stop: AtomicBool::new(false),
            changes: RwLock::new(()),
            session: RwLock::new(Some(Arc::new(session))),
            modeled,
            victims: (0..threads).map(|_| AtomicI32::new(0)).collect(),
            mutexes: [(); 4].map(|()| PiMutex::new()),
            cgroups,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits until the victims may be changed, and keeps the checker from reading the
    /// victims.
    pub(crate) fn change_victims(&self) -> RwLockReadGuard<'_, ()> {
        self.changes.read().expect(POISONED)
    }

    /// Waits until nobody changes the victims, and keeps the victims unchanged.
    pub(crate) fn pause_victims(&self) -> impl Drop + '_ {
        self.changes.write().expect(POISONED)
    }

    /// Waits until the module is loaded, and keeps the module loaded.
    pub(crate) fn read_session(&self) -> SessionGuard<'_> {
        self.session.read().expect(POISONED)
    }

    /// Closes and unmaps the device, runs `action`, and opens and maps the device again.
    pub(crate) fn without_session(&self, action: impl FnOnce()) {
        let mut session = self.session.write().expect(POISONED);
        let last = session.take().and_then(Arc::into_inner);
        let last = last.expect("nobody keeps a session");
        let privileged = last.privileged;
        drop(last);
        action();
        *session = Some(Arc::new(Session::new(privileged)));
    }

    /// Ends the modeled threads after a last check.
    pub(crate) fn release_modeled(&mut self) {
        let guard = self.read_session();
        self.modeled_threads()
            .for_each(|mut thread| thread.check(session(&guard)));
        drop(guard);
        self.modeled.clear();
    }

    /// Takes the session for good.
    pub(crate) fn end_session(&mut self) -> Session {
        let session = self.session.write().expect(POISONED).take();
        session
            .and_then(Arc::into_inner)
            .expect("nobody keeps a session")
    }

    pub(crate) fn modeled_count(&self) -> u32 {
        self.modeled.len() as u32
    }

    /// Locks a random modeled thread that nobody else has locked, if any.
    pub(crate) fn pick_modeled(&self, rng: &mut Rng) -> Option<MutexGuard<'_, ModeledThread>> {
        let start = rng.usize(..self.modeled.len());
        let (before, after) = self.modeled.split_at(start);
        after
            .iter()
            .chain(before)
            .find_map(|thread| thread.try_lock().ok())
    }

    /// Locks the modeled threads one after the other.
    pub(crate) fn modeled_threads(&self) -> impl Iterator<Item = MutexGuard<'_, ModeledThread>> {
        self.modeled
            .iter()
            .map(|thread| thread.lock().expect(POISONED))
    }

    /// Returns the thread id of a random victim, if it exists at this moment.
    pub(crate) fn pick_victim(&self, rng: &mut Rng) -> Option<i32> {
        let tid = rng.choice(&self.victims)?.load(Ordering::Relaxed);
        (tid != 0).then_some(tid)
    }
}

/// Returns the session that `guard` keeps.
pub(crate) fn session<'a>(guard: &'a SessionGuard<'_>) -> &'a Arc<Session> {
    guard
        .as_ref()
        .expect("it is None only while it is locked for writing")
}
