// SPDX-License-Identifier: GPL-2.0

//! Wards: threads that are changed by one actor at a time, so that what they must be
//! afterwards is known, whatever else goes on in the system.

use std::sync::Arc;
use std::thread;

use common::attr::setpriority;
use common::attr::setscheduler;
use common::attr::Attr;
use common::device::Base;
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
use nix::unistd::gettid;

use crate::in_force::is_rt;
use crate::in_force::InForce;
use crate::session::Session;

/// Load weight of plain `SCHED_IDLE`, in the unit of the mapping.
const WEIGHT_IDLEPRIO: u32 = 3 << 10;

/// Where the kernel holds a thread that ran away: the highest fair priority.
const HELD: u32 = 47;

/// A thread, and all that is known of it.
#[derive(Debug)]
pub(crate) struct Ward {
    worker: Worker,
    /// The slot it is bound to when it is bound.
    slot: u32,
    bound: bool,
    /// The hint that the kernel saw last.
    seen: u8,
    /// The hint in effect, not yet lowered to the ceiling.
    wanted: Option<u32>,
    set: Option<u32>,
    inherit: bool,
    /// `set` was allowed by a granted ceiling alone.
    set_by_ceiling: bool,
    ceiling: Option<u32>,
    base: Base,
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
    pub(crate) fn in_force(&self) -> InForce {
        InForce::expected(&self.record())
    }

    /// The priority in effect.
    fn prio(&self) -> Option<u32> {
        let hint = self
            .wanted
            .map(|wanted| wanted.min(self.effective_ceiling()));
        hint.or(self.set)
    }

    /// Whether the kernel may hold the thread below the rt band. On a host that takes
    /// CPUs away, any thread may seem to have used up its budget.
    fn may_be_held(&self) -> bool {
        let granted = self.wanted.is_some() || self.set_by_ceiling;
        granted && self.prio() > Some(HELD)
    }

    /// What is in force while no mapping is.
    #[track_caller]
    pub(crate) fn check_at_base(&self) {
        let tid = self.tid();
        assert_eq!(InForce::of(tid), InForce::base(&self.base), "of ward {tid}");
    }

    /// What is in force while the mapping has no owner.
    #[track_caller]
    pub(crate) fn check_in_force(&self) {
        let found = InForce::of(self.tid());
        let held = self.may_be_held() && found == InForce::level(&TABLE[HELD as usize]);
        assert!(held || found == self.in_force(), "{found:?} of {self:?}");
    }

    /// Compares all that can be read of the thread with what it must be.
    #[track_caller]
    pub(crate) fn check(&mut self, session: &Session) {
        let tid = self.tid();
        let found = session.device.get(tid);
        let mut expected = self.record();
        if self.may_be_held() && found.applied == Some(HELD) {
            expected.applied = found.applied;
        }
        assert_eq!(found, expected, "of ward {tid}, {self:?}");
        assert_eq!(InForce::of(tid), InForce::expected(&found), "of ward {tid}");

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
        Record {
            prio: self.prio(),
            inherit: self.set.is_some() && self.inherit,
            base: self.base,
            applied: self.prio(),
            ceiling: self.effective_ceiling(),
            ceiling_granted: self.ceiling.is_some(),
            slot: self.bound.then_some(self.slot),
        }
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
        let own = own_ceiling(&self.base);
        let expected = if prio >= LEVELS {
            Err(Errno::EINVAL)
        } else if session.privileged || prio <= own || prio <= self.effective_ceiling() {
            Ok(())
        } else {
            Err(Errno::EPERM)
        };
        assert_eq!(result, expected, "SET of ward {tid} to {prio}, {self:?}");
        if result.is_ok() {
            let changed = self.prio() != Some(prio);
            let held = self.may_be_held();
            self.set = Some(prio);
            self.wanted = None;
            self.inherit = inherit;
            self.set_by_ceiling =
                !session.privileged && prio > own && prio <= self.effective_ceiling();
            let counted = session.device.stats(tid).applies - applies;
            assert!(
                held || counted == u64::from(changed),
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
        let new = ceiling.unwrap_or_else(|| own_ceiling(&self.base));
        let expected = if session.privileged || new <= self.effective_ceiling() {
            Ok(())
        } else {
            Err(Errno::EPERM)
        };
        assert_eq!(
            result, expected,
            "CEILING of ward {tid} to {argument}, {self:?}"
        );
        if result.is_ok() {
            self.ceiling = ceiling;
            if self.set_by_ceiling {
                self.set = self.set.map(|set| set.min(new));
                self.set_by_ceiling = self.set > Some(own_ceiling(&self.base));
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
        let ceiling = self.effective_ceiling();
        match u32::from(wanted) {
            prio @ 0..LEVELS => {
                self.wanted = Some(prio);
                let counted = session.device.stats(self.tid()).clamps > clamps;
                assert_eq!(counted, prio > ceiling, "clamps of {wanted}, {self:?}");
            }
            _ if wanted == hint::NONE => self.wanted = None,
            _ => {}
        }
        let applied = session.page.slot(slot).applied();
        let expected = self.prio().map_or(hint::NONE, |prio| prio as u8);
        let held = self.may_be_held() && u32::from(applied) == HELD;
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
        let (found, in_force) = self.worker.run(move || {
            let child = move || (session.device.get(SELF), InForce::of(gettid().as_raw()));
            thread::spawn(child).join().expect("it cannot fail")
        });
        assert_eq!(in_force, InForce::expected(&found), "child of {self:?}");
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
        assert_eq!(granted, self.ceiling, "child of {self:?}");
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

    fn effective_ceiling(&self) -> u32 {
        self.ceiling.unwrap_or_else(|| own_ceiling(&self.base))
    }
}

/// The highest priority that asks for no more than a base without any privilege or
/// resource limit in its favour.
fn own_ceiling(base: &Base) -> u32 {
    let allowed = |prio: &u32| {
        let level = &TABLE[*prio as usize];
        match (base.policy, level.policy) {
            (libc::SCHED_IDLE, Policy::Idle) => level.weight <= WEIGHT_IDLEPRIO,
            (libc::SCHED_IDLE, _) => false,
            (_, Policy::Idle) => true,
            (_, Policy::Normal) => level.nice >= base.nice,
            (policy, Policy::RoundRobin) => is_rt(policy) && level.rt_priority <= base.rt_priority,
        }
    };
    (0..LEVELS).rev().find(allowed).expect("level 0 is allowed")
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
