// SPDX-License-Identifier: GPL-2.0

//! Wards: threads that are changed by one actor at a time, so that what they must be
//! afterwards is known, whatever else goes on in the system.

use std::sync::Arc;
use std::thread;

use common::attr::setpriority;
use common::attr::setscheduler;
use common::attr::Attr;
use common::device::Params;
use common::device::Record;
use common::device::SELF;
use common::hint;
use common::syscall::set_schedprio;
use common::worker::Worker;
use go_sched_policy::Policy;
use go_sched_policy::LEVELS;
use go_sched_policy::TABLE;
use gosched::uapi::go_sched_stats;
use gosched::uapi::GO_SCHED_INHERIT;
use gosched::uapi::GO_SCHED_PRIO_NONE;
use nix::errno::Errno;

use crate::in_force;
use crate::session::Session;

/// Load weight of plain `SCHED_IDLE`, in the unit of the mapping.
const WEIGHT_IDLEPRIO: u32 = 3 << 10;

/// A thread, and all that is known of it.
#[derive(Debug)]
pub(crate) struct Ward {
    worker: Worker,
    /// The slot it is bound to when it is bound.
    slot: u32,
    bound: bool,
    /// The hint that the kernel saw last.
    seen: u8,
    /// The hint in effect, not yet lowered to what the thread may have.
    wanted: Option<u32>,
    set: Option<u32>,
    inherit: bool,
    /// `set` was allowed by a granted ceiling alone.
    set_by_ceiling: bool,
    /// The ceiling that was set.
    ceiling: Option<u32>,
    /// Privilege set it, so that it lends what is up to it.
    lends: bool,
    base: Params,
    reset_on_fork: bool,
    stats: go_sched_stats,
}

impl Ward {
    /// Starts a thread, which has the ceiling that its creator was granted.
    pub(crate) fn spawn(session: &Session, slot: u32) -> Self {
        let worker = Worker::spawn();
        let record = session.device.get(worker.tid());
        Self {
            slot,
            bound: false,
            seen: hint::NONE,
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

    /// The hint that would change nothing.
    pub(crate) fn seen(&self) -> u8 {
        self.seen
    }

    pub(crate) fn is_bound(&self) -> bool {
        self.bound
    }

    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// What must be in force.
    pub(crate) fn in_force(&self) -> Params {
        self.record().current
    }

    /// The priority in effect.
    fn prio(&self) -> Option<u32> {
        let hint = self.wanted.map(|wanted| self.lowered(wanted));
        hint.or(self.set)
    }

    /// Where the kernel may hold the thread: at what it owns below a priority that the
    /// ceiling alone allows. What was left of the budget may be next to nothing, and on a
    /// host that takes CPUs away, any thread may seem to have used it up.
    fn held_at(&self) -> Option<u32> {
        let granted = self.wanted.is_some() || self.set_by_ceiling;
        let prio = self.prio().filter(|_| granted)?;
        let owned = highest_owned(&self.base, prio);
        (owned != prio).then_some(owned)
    }

    /// Whether something other than [`Ward::in_force`] may be in force.
    pub(crate) fn may_be_held(&self) -> bool {
        self.held_at().is_some()
    }

    /// What is in force while no mapping is.
    #[track_caller]
    pub(crate) fn check_at_base(&self) {
        let tid = self.tid();
        let base = in_force::of_base(&self.base);
        assert_eq!(in_force::told(tid), base, "of ward {tid}");
        assert!(in_force::goes_by(tid, &[base]), "{self:?}");
    }

    /// What is in force while the mapping has no owner.
    #[track_caller]
    pub(crate) fn check_in_force(&self) {
        let tid = self.tid();
        let held = self.held_at().map(|held| &TABLE[held as usize]);
        let held = held.map_or(self.in_force(), in_force::of_level);
        let goes_by = in_force::goes_by(tid, &[self.in_force(), held]);
        assert!(goes_by, "{self:?}");
    }

    /// Compares all that can be read of the thread with what it must be.
    #[track_caller]
    pub(crate) fn check(&mut self, session: &Session) {
        let tid = self.tid();
        let (found, goes_by) = in_force::look(&session.device, tid);
        let mut expected = self.record();
        if self
            .held_at()
            .is_some_and(|held| found.applied == Some(held))
        {
            expected.applied = found.applied;
            expected.current = in_force::expected(&expected);
        }
        assert_eq!(found, expected, "of ward {tid}, {self:?}");
        assert!(goes_by, "{found:?}");
        let base = in_force::of_base(&self.base);
        assert_eq!(in_force::told(tid), base, "of ward {tid}");

        let stats = session.device.stats(tid);
        let before = &self.stats;
        let grew = stats.applies >= before.applies
            && stats.clamps >= before.clamps
            && stats.skips >= before.skips
            && stats.runaways >= before.runaways;
        assert!(grew, "counters of ward {tid}: {before:?}, then {stats:?}");
        self.stats = stats;
    }

    fn record(&self) -> Record {
        let mut record = Record {
            prio: self.prio(),
            inherit: self.set.is_some() && self.inherit,
            base: self.base,
            current: self.base,
            applied: self.prio(),
            ceiling: self.effective_ceiling(),
            ceiling_granted: self.ceiling.is_some(),
            slot: self.bound.then_some(self.slot),
        };
        record.current = in_force::expected(&record);
        record
    }

    /// Asks for a priority, by the device or the system call.
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
            Err(Errno::EINVAL)
        } else if session.privileged || self.may_have(prio) {
            Ok(())
        } else {
            Err(Errno::EPERM)
        };
        assert_eq!(result, expected, "SET of ward {tid} to {prio}, {self:?}");
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
                "{counted} changes of ward {tid}"
            );
        }
    }

    /// Takes the priority away.
    #[track_caller]
    pub(crate) fn clear(&mut self, session: &Session) {
        session.device.clear(self.tid());
        self.end_priority();
    }

    /// Grants, lowers or returns the ceiling.
    #[track_caller]
    pub(crate) fn limit(&mut self, session: &Session, ceiling: Option<u32>) {
        let tid = self.tid();
        let argument = ceiling.map_or(GO_SCHED_PRIO_NONE, |ceiling| ceiling as i32);
        let result = session.device.try_ceiling(tid, argument, 0);
        let new = ceiling.unwrap_or_else(|| highest_owned(&self.base, LEVELS - 1));
        let expected = if session.privileged || new <= self.effective_ceiling() {
            Ok(())
        } else {
            Err(Errno::EPERM)
        };
        // One that lends nothing may be above all that the thread owns by now, and then
        // the contract leaves open which of them is the present one.
        let is_open = !self.lends && self.ceiling >= Some(new);
        assert!(
            is_open || result == expected,
            "CEILING of ward {tid} to {argument}: {result:?}, {self:?}"
        );
        if result.is_ok() {
            self.ceiling = ceiling;
            self.lends = ceiling.is_some() && (self.lends || session.privileged);
            if self.set_by_ceiling {
                self.set = self.set.map(|set| self.lowered(set));
                self.set_by_ceiling = self.set.is_some_and(|set| !owns(&self.base, set));
            }
        }
    }

    /// Binds the thread, or ends its binding.
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
            assert_eq!(result, Err(Errno::EBUSY), "BIND of the bound {self:?}");
            return;
        }
        assert_eq!(result, Ok(()), "{self:?}");
        self.bound = bind;
        self.seen = hint::NONE;
        self.wanted = None;
    }

    /// Stores a hint, from the thread itself or the caller, and has the scheduler
    /// see it.
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
            let_the_scheduler_see(&own_session);
        });
        if wanted == self.seen {
            return;
        }
        self.seen = wanted;
        match u32::from(wanted) {
            prio @ 0..LEVELS => {
                self.wanted = Some(prio);
                let counted = session.device.stats(self.tid()).clamps > clamps;
                let is_lowered = self.lowered(prio) != prio;
                assert_eq!(counted, is_lowered, "clamps of {wanted}, {self:?}");
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
        self.base.policy = attr.policy();
        self.base.rt_priority = attr.v0.sched_priority;
        // The other policies do not use these two, and leave them alone.
        if matches!(attr.policy(), libc::SCHED_OTHER | libc::SCHED_BATCH) {
            self.base.nice = attr.v0.sched_nice;
            self.base.slice_ns = attr.v0.sched_runtime;
        }
        self.reset_on_fork = attr.v0.sched_flags & libc::SCHED_FLAG_RESET_ON_FORK as u64 != 0;
        self.end_priority();
    }

    /// Changes policy and real-time priority by `sched_setscheduler(2)`.
    #[track_caller]
    pub(crate) fn set_scheduler(&mut self, attr: &Attr) {
        let (policy, priority) = (attr.policy(), attr.v0.sched_priority);
        let result = setscheduler(self.tid(), policy, priority as i32);
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

    /// Changes nothing but the utilization clamps.
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
            Err(Errno::EACCES)
        };
        assert_eq!(result, expected, "setpriority to {nice}, {self:?}");
        if result.is_ok() {
            self.base.nice = nice;
            self.end_priority();
        }
    }

    /// Starts a thread from this one and looks at what it starts with.
    #[track_caller]
    pub(crate) fn check_child(&self, session: &Arc<Session>) {
        let session = Arc::clone(session);
        let (found, goes_by) = self.worker.run(move || {
            let child = move || in_force::look(&session.device, SELF);
            thread::spawn(child).join().expect("it cannot fail")
        });
        let expected = in_force::expected(&found);
        assert_eq!(found.current, expected, "child of {self:?}");
        assert!(goes_by, "child of {self:?}");
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

    /// The mapping went, which ends the binding, and the hint unless it was handed
    /// over.
    pub(crate) fn lose_binding(&mut self, handover: bool) {
        self.bound = false;
        self.seen = hint::NONE;
        if !handover {
            self.wanted = None;
        }
    }

    /// Some other change of the scheduling wins.
    fn end_priority(&mut self) {
        self.set = None;
        self.wanted = None;
        self.set_by_ceiling = false;
    }

    /// Whether the thread gets a priority without privilege.
    fn may_have(&self, prio: u32) -> bool {
        owns(&self.base, prio) || self.lends && Some(prio) <= self.ceiling
    }

    /// What a priority comes to that the thread shall have without privilege.
    fn lowered(&self, prio: u32) -> u32 {
        let highest = prio.min(self.ceiling.unwrap_or(LEVELS - 1));
        let allowed = (0..=highest).rev().find(|prio| self.may_have(*prio));
        allowed.expect("every thread owns level 0")
    }

    fn effective_ceiling(&self) -> u32 {
        self.lowered(LEVELS - 1)
    }
}

/// The highest priority up to `prio` that a thread owns.
fn highest_owned(base: &Params, prio: u32) -> u32 {
    let owned = (0..=prio).rev().find(|prio| owns(base, *prio));
    owned.expect("every thread owns level 0")
}

/// Whether a thread owns a priority by its base: without any privilege or resource
/// limit in its favour, it may have the very parameters.
fn owns(base: &Params, prio: u32) -> bool {
    let level = &TABLE[prio as usize];
    match (base.policy, level.policy) {
        (libc::SCHED_IDLE, Policy::Idle) => level.weight <= WEIGHT_IDLEPRIO,
        (libc::SCHED_IDLE, _) => false,
        (_, Policy::Idle) => true,
        (_, Policy::Normal) => level.nice >= base.nice,
        (policy, Policy::RoundRobin) => {
            policy == libc::SCHED_RR && level.rt_priority <= base.rt_priority
        }
    }
}

/// Has the scheduler act on the calling thread's hint: when this returns, it has.
fn let_the_scheduler_see(session: &Session) {
    loop {
        let skips = session.device.stats(SELF).skips;
        thread::yield_now();
        if session.device.stats(SELF).skips == skips {
            return;
        }
    }
}
