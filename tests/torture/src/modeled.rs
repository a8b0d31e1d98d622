// SPDX-License-Identifier: GPL-2.0

//! Modeled threads: one actor at a time changes a modeled thread and its model, so that the
//! expected state is known after each operation, whatever else happens in the system.

use std::sync::Arc;
use std::thread;

use common::attr::setpriority;
use common::attr::setscheduler;
use common::attr::Attr;
use common::deadline::join;
use common::device::Record;
use common::device::SELF;
use common::hint;
use common::syscall::set_schedprio;
use common::worker::Worker;
use go_sched_policy::Policy;
use go_sched_policy::LEVELS;
use go_sched_policy::TABLE;
use gosched::sched::Params;
use gosched::sched::SchedPolicy;
use gosched::uapi::go_sched_stats;
use gosched::uapi::GO_SCHED_INHERIT;
use gosched::uapi::GO_SCHED_PRIO_NONE;
use rustix::io::Errno;

use crate::in_force;
use crate::session::Session;

/// Load weight of an unmanaged `SCHED_IDLE` thread, in the unit of the mapping.
const WEIGHT_IDLEPRIO: u32 = 3 << 10;

/// A thread and its model.
#[derive(Debug)]
pub(crate) struct ModeledThread {
    worker: Worker,
    /// Slot that the thread is bound to while `bound` is set.
    slot: u32,
    bound: bool,
    /// Hint that the kernel has read last.
    last_hint: u8,
    /// Hint in effect, before the kernel clamps it to what the thread may have.
    wanted: Option<u32>,
    /// Priority of the last SET.
    set: Option<u32>,
    inherit: bool,
    /// True if only a granted ceiling allowed `set`.
    set_by_ceiling: bool,
    /// Ceiling of the last CEILING.
    ceiling: Option<u32>,
    /// True if privilege set the ceiling: the ceiling then lends the priorities up to
    /// itself.
    lends: bool,
    base: Params,
    reset_on_fork: bool,
    stats: go_sched_stats,
}

impl ModeledThread {
    /// Starts a thread. The thread has the ceiling that its creator was granted.
    pub(crate) fn spawn(session: &Session, slot: u32) -> Self {
        let worker = Worker::spawn();
        let record = session.device.get(worker.tid());
        Self {
            slot,
            bound: false,
            last_hint: hint::NONE,
            wanted: None,
            set: None,
            inherit: false,
            set_by_ceiling: false,
            ceiling: record.ceiling_granted.then_some(record.ceiling),
            lends: record.ceiling_granted,
            base: record.base,
            reset_on_fork: false,
            stats: go_sched_stats::default(),
            worker,
        }
    }

    pub(crate) fn tid(&self) -> i32 {
        self.worker.tid()
    }

    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }

    /// Returns the hint that the kernel has read last; the same hint would change nothing.
    pub(crate) fn last_hint(&self) -> u8 {
        self.last_hint
    }

    pub(crate) fn is_bound(&self) -> bool {
        self.bound
    }

    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Returns the parameters that must be in force.
    pub(crate) fn in_force(&self) -> Params {
        self.record().current
    }

    /// Returns the priority in effect.
    fn prio(&self) -> Option<u32> {
        let hint = self.wanted.map(|wanted| self.clamped(wanted));
        hint.or(self.set)
    }

    /// Returns the priority that the kernel may hold the thread at: what the thread owns
    /// below a priority that only the ceiling allows. The budget may have been almost
    /// used up before, and on a busy host any thread may seem to have used its budget up.
    fn held_at(&self) -> Option<u32> {
        let granted = self.wanted.is_some() || self.set_by_ceiling;
        let prio = self.prio().filter(|_| granted)?;
        let owned = highest_owned(&self.base, prio);
        (owned != prio).then_some(owned)
    }

    /// Returns whether parameters other than [`ModeledThread::in_force`] may be in force.
    pub(crate) fn may_be_held(&self) -> bool {
        self.held_at().is_some()
    }

    /// Returns whether the base may be in force for what the thread does in the kernel.
    fn may_be_raised(&self) -> bool {
        let is_idle = |prio: u32| TABLE[prio as usize].policy == Policy::Idle;
        self.prio().is_some_and(is_idle) && self.base.policy != SchedPolicy::IDLE
    }

    /// Checks the parameters in force while no mapping is registered.
    #[track_caller]
    pub(crate) fn check_at_base(&self) {
        let tid = self.tid();
        let base = in_force::of_base(&self.base);
        assert_eq!(in_force::reported_base(tid), base, "of thread {tid}");
        assert!(in_force::scheduler_uses(tid, &[base]), "{self:?}");
    }

    /// Checks the parameters in force while a mapping is registered without a module.
    #[track_caller]
    pub(crate) fn check_in_force(&self) {
        let tid = self.tid();
        let held = self.held_at().map(|held| &TABLE[held as usize]);
        let held = held.map_or(self.in_force(), in_force::of_level);
        let mut expected = vec![self.in_force(), held];
        if self.may_be_raised() {
            expected.push(in_force::of_base(&self.base));
        }
        assert!(in_force::scheduler_uses(tid, &expected), "{self:?}");
    }

    /// Compares everything that can be read of the thread with the model.
    #[track_caller]
    pub(crate) fn check(&mut self, session: &Session) {
        let tid = self.tid();
        let found = in_force::read_settled(&session.device, tid);
        let mut expected = self.record();
        if self
            .held_at()
            .is_some_and(|held| found.applied == Some(held))
        {
            expected.applied = found.applied;
            expected.current = in_force::expected(&expected);
        }
        assert_eq!(found, expected, "of thread {tid}, {self:?}");
        let base = in_force::of_base(&self.base);
        assert_eq!(in_force::reported_base(tid), base, "of thread {tid}");

        let stats = session.device.stats(tid);
        let before = &self.stats;
        let grew = stats.applies >= before.applies
            && stats.clamps >= before.clamps
            && stats.skips >= before.skips
            && stats.runaways >= before.runaways;
        assert!(grew, "counters of thread {tid}: {before:?}, then {stats:?}");
        self.stats = stats;
    }

    fn record(&self) -> Record {
        let mut record = Record {
            prio: self.prio(),
            inherit: self.set.is_some() && self.inherit,
            base: self.base,
            current: self.base,
            applied: self.prio(),
            kernel_work: false,
            ceiling: self.effective_ceiling(),
            ceiling_granted: self.ceiling.is_some(),
            slot: self.bound.then_some(self.slot),
        };
        record.current = in_force::expected(&record);
        record
    }

    /// Sets a priority by the device or the system call, if the model allows it.
    #[track_caller]
    pub(crate) fn set(&mut self, session: &Session, prio: u32, inherit: bool, by_syscall: bool) {
        let (tid, flags) = (self.tid(), if inherit { GO_SCHED_INHERIT } else { 0 });
        let applies = session.device.stats(tid).applies;
        let result = if by_syscall {
            set_schedprio(tid, prio, flags)
        } else {
            session.device.try_set(tid, prio, flags)
        };
        let expected = if prio >= LEVELS {
            Err(Errno::INVAL)
        } else if session.privileged || self.may_have(prio) {
            Ok(())
        } else {
            Err(Errno::PERM)
        };
        assert_eq!(result, expected, "SET of thread {tid} to {prio}, {self:?}");
        if result.is_ok() {
            let changed = self.prio() != Some(prio);
            let was_held = self.may_be_held();
            self.set = Some(prio);
            self.wanted = None;
            self.inherit = inherit;
            self.set_by_ceiling = !session.privileged && !owns(&self.base, prio);
            let counted = session.device.stats(tid).applies - applies;
            assert!(
                was_held || self.may_be_held() || counted == u64::from(changed),
                "{counted} changes of thread {tid}"
            );
        }
    }

    /// Clears the priority.
    #[track_caller]
    pub(crate) fn clear(&mut self, session: &Session) {
        session.device.clear(self.tid());
        self.end_priority();
    }

    /// Grants, lowers or removes the ceiling.
    #[track_caller]
    pub(crate) fn set_ceiling(&mut self, session: &Session, ceiling: Option<u32>) {
        let tid = self.tid();
        let argument = ceiling.map_or(GO_SCHED_PRIO_NONE, |ceiling| ceiling as i32);
        let result = session.device.try_ceiling(tid, argument, 0);
        let new = ceiling.unwrap_or_else(|| highest_owned(&self.base, LEVELS - 1));
        let expected = if session.privileged || new <= self.effective_ceiling() {
            Ok(())
        } else {
            Err(Errno::PERM)
        };
        // A ceiling that lends nothing may be above all that the thread owns now. The
        // contract then does not say which of the two limits the new ceiling.
        let is_unspecified = !self.lends && self.ceiling >= Some(new);
        assert!(
            is_unspecified || result == expected,
            "CEILING of thread {tid} to {argument}: {result:?}, {self:?}"
        );
        if result.is_ok() {
            self.ceiling = ceiling;
            self.lends = ceiling.is_some() && (self.lends || session.privileged);
            if self.set_by_ceiling {
                self.set = self.set.map(|set| self.clamped(set));
                self.set_by_ceiling = self.set.is_some_and(|set| !owns(&self.base, set));
            }
        }
    }

    /// Binds the thread to its slot, or unbinds the thread.
    #[track_caller]
    pub(crate) fn bind(&mut self, session: &Arc<Session>, bind: bool) {
        let (slot, session) = (self.slot, Arc::clone(session));
        let result = self.worker.run(move || {
            if bind {
                session.device.try_bind(slot)
            } else {
                session.device.try_unbind()
            }
        });
        if bind && self.bound {
            assert_eq!(result, Err(Errno::BUSY), "BIND of the bound {self:?}");
            return;
        }
        assert_eq!(result, Ok(()), "{self:?}");
        self.bound = bind;
        self.last_hint = hint::NONE;
        self.wanted = None;
    }

    /// Stores a hint, in the thread itself or in the caller, and has the scheduler
    /// read it.
    #[track_caller]
    pub(crate) fn hint(&mut self, session: &Arc<Session>, wanted: u8, by_itself: bool) {
        assert!(self.bound, "{self:?}");
        let clamps = session.device.stats(self.tid()).clamps;
        let slot = self.slot;
        if !by_itself {
            session.page.slot(slot).store(wanted);
        }
        let own_session = Arc::clone(session);
        self.worker.run(move || {
            if by_itself {
                own_session.page.slot(slot).store(wanted);
            }
            have_hint_read(&own_session);
        });
        if wanted == self.last_hint {
            return;
        }
        self.last_hint = wanted;
        match u32::from(wanted) {
            prio @ 0..LEVELS => {
                self.wanted = Some(prio);
                let counted = session.device.stats(self.tid()).clamps > clamps;
                let is_clamped = self.clamped(prio) != prio;
                assert_eq!(counted, is_clamped, "clamps of {wanted}, {self:?}");
            }
            _ if wanted == hint::NONE => self.wanted = None,
            _ => {}
        }
        let applied = session.page.slot(slot).applied();
        let expected = self.prio().map_or(hint::NONE, |prio| prio as u8);
        let held = self.held_at() == Some(applied.into());
        assert!(
            held || applied == expected,
            "{applied} applied in the slot, {self:?}"
        );
    }

    /// Changes the scheduling by `sched_setattr(2)`.
    #[track_caller]
    pub(crate) fn set_attr(&mut self, attr: &Attr) {
        attr.apply(self.tid());
        self.base.policy = attr.0.policy;
        self.base.rt_priority = attr.0.rt_priority;
        // The other policies do not use these two values, and keep them.
        if matches!(attr.0.policy, SchedPolicy::OTHER | SchedPolicy::BATCH) {
            self.base.nice = attr.0.nice;
            self.base.slice_ns = attr.0.runtime_ns;
        }
        self.reset_on_fork = attr.0.flags & libc::SCHED_FLAG_RESET_ON_FORK as u64 != 0;
        self.end_priority();
    }

    /// Changes policy and real-time priority by `sched_setscheduler(2)`.
    #[track_caller]
    pub(crate) fn set_scheduler(&mut self, attr: &Attr) {
        let (policy, priority) = (attr.0.policy, attr.0.rt_priority);
        let result = setscheduler(self.tid(), attr.policy(), priority as i32);
        assert_eq!(
            result,
            Ok(()),
            "sched_setscheduler to {policy}, {priority} of {self:?}"
        );
        self.base.policy = policy;
        self.base.rt_priority = priority;
        self.reset_on_fork = false;
        self.end_priority();
    }

    /// Changes the utilization clamps alone.
    #[track_caller]
    pub(crate) fn clamp_utilization(&self, min: u32, max: u32) {
        Attr::utilization_only(min, max).apply(self.tid());
    }

    /// Changes the nice value by `setpriority(2)`.
    #[track_caller]
    pub(crate) fn set_nice(&mut self, session: &Session, nice: i32) {
        let result = setpriority(self.tid(), nice);
        let expected = if session.privileged || nice >= self.base.nice {
            Ok(())
        } else {
            Err(Errno::ACCESS)
        };
        assert_eq!(result, expected, "setpriority to {nice}, {self:?}");
        if result.is_ok() {
            self.base.nice = nice;
            self.end_priority();
        }
    }

    /// Starts a child from this thread and checks the state in which the child starts.
    #[track_caller]
    pub(crate) fn check_child(&self, session: &Arc<Session>) {
        let session = Arc::clone(session);
        let found = self.worker.run(move || {
            let child = move || in_force::read_settled(&session.device, SELF);
            join(thread::spawn(child))
        });
        let expected = in_force::expected(&found);
        assert_eq!(found.current, expected, "child of {self:?}");
        assert_eq!(found.slot, None, "child of {self:?}");
        if self.reset_on_fork {
            assert_eq!(
                (found.prio, found.ceiling_granted),
                (None, false),
                "{self:?}"
            );
            return;
        }
        let inherited = self.set.filter(|_| self.inherit);
        assert_eq!(found.prio, inherited, "child of {self:?}");
        assert_eq!(found.base, self.base, "child of {self:?}");
        let granted = found.ceiling_granted.then_some(found.ceiling);
        let ceiling = self.ceiling.map(|_| self.effective_ceiling());
        assert_eq!(granted, ceiling, "child of {self:?}");
    }

    /// Records that the hint page was unmapped, which ends the binding. The hint stays in
    /// effect only if the mapping of priorities was handed over.
    pub(crate) fn lose_binding(&mut self, handover: bool) {
        self.bound = false;
        self.last_hint = hint::NONE;
        if !handover {
            self.wanted = None;
        }
    }

    /// Records that another change of the scheduling has ended the priority.
    fn end_priority(&mut self) {
        self.set = None;
        self.wanted = None;
        self.set_by_ceiling = false;
    }

    /// Returns whether the thread may have a priority without privilege.
    fn may_have(&self, prio: u32) -> bool {
        owns(&self.base, prio) || self.lends && Some(prio) <= self.ceiling
    }

    /// Returns the highest priority up to `prio` that the thread may have without privilege.
    fn clamped(&self, prio: u32) -> u32 {
        let highest = prio.min(self.ceiling.unwrap_or(LEVELS - 1));
        let allowed = (0..=highest).rev().find(|prio| self.may_have(*prio));
        allowed.expect("every thread owns level 0")
    }

    fn effective_ceiling(&self) -> u32 {
        self.clamped(LEVELS - 1)
    }
}

/// Returns the highest priority up to `prio` that a thread owns.
fn highest_owned(base: &Params, prio: u32) -> u32 {
    let owned = (0..=prio).rev().find(|prio| owns(base, *prio));
    owned.expect("every thread owns level 0")
}

/// Returns whether a thread owns a priority by its base: the thread may have the parameters
/// of that level without privilege or resource limit.
fn owns(base: &Params, prio: u32) -> bool {
    let level = &TABLE[prio as usize];
    match (base.policy, level.policy) {
        (SchedPolicy::IDLE, Policy::Idle) => level.weight <= WEIGHT_IDLEPRIO,
        (SchedPolicy::IDLE, _) => false,
        (_, Policy::Idle) => true,
        (_, Policy::Normal) => level.nice >= base.nice,
        (policy, Policy::RoundRobin) => {
            policy == SchedPolicy::RR && level.rt_priority <= base.rt_priority
        }
    }
}

/// Yields until the scheduler has acted on the calling thread's hint.
fn have_hint_read(session: &Session) {
    loop {
        let skips = session.device.stats(SELF).skips;
        thread::yield_now();
        if session.device.stats(SELF).skips == skips {
            return;
        }
    }
}
