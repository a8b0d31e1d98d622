// SPDX-License-Identifier: GPL-2.0

//! The scheduling attributes of threads, and the system calls that change them.

use std::io::ErrorKind;
use std::sync::LazyLock;

use go_sched_policy::Level;
use go_sched_policy::Policy;
use gosched::sched::Params;
use gosched::sched::SchedAttr;
use gosched::sched::SchedPolicy;
use rustix::io::Errno;
use rustix::process::getpriority_process;
use rustix::process::setpriority_process;
use rustix::process::Pid;
use rustix::thread::current_timer_slack;

use crate::device::errno;
use crate::device::Device;
use crate::device::Record;
use crate::device::PATH;
use crate::eventually;
use crate::proc_sched::ProcSched;
use crate::syscall::result_of;
use crate::worker::in_thread;

/// Default of the sysctl `sched_util_clamp_min_rt_default`: real-time threads
/// get the fastest CPU.
const UTIL_MIN_RT: u32 = 1024;

/// The library's attributes, which a test may take for granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr(pub SchedAttr);

impl Attr {
    const fn new(policy: SchedPolicy) -> Self {
        Self(SchedAttr::new(policy))
    }

    /// Returns `SCHED_OTHER` at a nice value.
    pub fn normal(nice: i32) -> Self {
        Self::new(SchedPolicy::OTHER).nice(nice)
    }

    /// Returns `SCHED_BATCH` at a nice value.
    pub fn batch(nice: i32) -> Self {
        Self::new(SchedPolicy::BATCH).nice(nice)
    }

    /// Returns `SCHED_IDLE`.
    pub fn idle() -> Self {
        Self::new(SchedPolicy::IDLE)
    }

    /// Returns `SCHED_FIFO` at a real-time priority.
    pub fn fifo(priority: u32) -> Self {
        Self::new(SchedPolicy::FIFO).priority(priority)
    }

    /// Returns `SCHED_RR` at a real-time priority.
    pub fn rr(priority: u32) -> Self {
        Self::new(SchedPolicy::RR).priority(priority)
    }

    /// Returns `SCHED_DEADLINE` with a bandwidth that fits beside others.
    pub fn deadline() -> Self {
        let mut attr = Self::new(SchedPolicy::DEADLINE);
        attr.0.runtime_ns = 1_000_000;
        attr.0.deadline_ns = 100_000_000;
        attr.0.period_ns = 100_000_000;
        attr
    }

    /// Returns a clamp of the utilization that leaves all else as it is.
    pub fn utilization_only(min: u32, max: u32) -> Self {
        let mut attr = Self::new(SchedPolicy::OTHER)
            .flags(libc::SCHED_FLAG_KEEP_ALL | libc::SCHED_FLAG_UTIL_CLAMP);
        attr.0.util_min = min;
        attr.0.util_max = max;
        attr
    }

    /// Returns the attributes that must be in force at a level of the mapping, in a
    /// thread whose attributes without a priority are `self`. The thread has not asked
    /// for a clamp of its utilization.
    pub fn mapped(self, level: &Level) -> Self {
        let mut attr = self;
        attr.0.policy = level.policy.into();
        attr.0.nice = level.nice;
        attr.0.rt_priority = level.rt_priority;
        (attr.0.runtime_ns, attr.0.util_min) = match level.policy {
            Policy::Idle => (default_slice_ns(), 0),
            Policy::Normal => (level.slice_ns, 0),
            Policy::RoundRobin => (0, UTIL_MIN_RT),
        };
        attr
    }

    /// Sets the nice value.
    pub fn nice(mut self, nice: i32) -> Self {
        self.0.nice = nice;
        self
    }

    /// Sets the EEVDF slice, in nanoseconds.
    pub fn slice_ns(mut self, slice_ns: u64) -> Self {
        self.0.runtime_ns = slice_ns;
        self
    }

    /// Adds `SCHED_FLAG_RESET_ON_FORK`.
    pub fn reset_on_fork(self) -> Self {
        self.flags(libc::SCHED_FLAG_RESET_ON_FORK)
    }

    /// Returns the scheduling policy as the kernel's calls take it.
    pub fn policy(&self) -> i32 {
        self.0.policy.number() as i32
    }

    fn flags(mut self, flags: libc::c_int) -> Self {
        self.0.flags |= flags as u64;
        self
    }

    fn priority(mut self, priority: u32) -> Self {
        self.0.rt_priority = priority;
        self
    }

    /// Reads the attributes in force of a thread; 0 is the calling thread. Flags and
    /// clamps of the utilization come from `sched_getattr(2)`, the rest comes from
    /// `GO_SCHED_GET`. Without a device, all comes from [`base_of`](Self::base_of).
    #[track_caller]
    pub fn of(tid: i32) -> Self {
        match Device::try_open() {
            Ok(device) => Self::in_user_mode(&device, tid).0,
            Err(error) if error.kind() == ErrorKind::NotFound => Self::base_of(tid),
            Err(error) => panic!("{PATH}, to see what is in force: {error}"),
        }
    }

    /// Reads what a thread has in user mode. A lowered thread that was preempted in the
    /// kernel is at its base until the thread returns to user mode. The calling thread
    /// may be such a thread in these very calls, and `GO_SCHED_GET` does not tell a
    /// thread that of itself.
    #[track_caller]
    pub(crate) fn in_user_mode(device: &Device, tid: i32) -> (Self, Record) {
        let read = || (Self::base_of(tid), device.get(tid));
        let mut readings = [(); 3].map(|()| read());
        let agree = |[first, rest @ ..]: &[(Self, Record); 3]| {
            !first.1.kernel_work && rest.iter().all(|other| other == first)
        };
        if !agree(&readings) {
            eventually(&format!("thread {tid} has left the kernel"), || {
                readings = [(); 3].map(|()| read());
                agree(&readings)
            });
        }
        let [(attr, record), ..] = readings;
        (attr.with(&record.current), record)
    }

    /// Replaces the values that the device reports.
    pub fn with(mut self, params: &Params) -> Self {
        self.0.policy = params.policy;
        self.0.nice = params.nice;
        self.0.rt_priority = params.rt_priority;
        // It is the budget of a deadline thread, which the device does not tell.
        if !params.policy.is_deadline() {
            self.0.runtime_ns = params.slice_ns;
        }
        self
    }

    /// Reads the answer of `sched_getattr(2)` about a thread; 0 is the calling thread.
    /// The clamps of the utilization are those in force, the rest is the base.
    #[track_caller]
    pub fn base_of(tid: i32) -> Self {
        Self(SchedAttr::of(tid).unwrap_or_else(|error| panic!("sched_getattr({tid}): {error}")))
    }

    /// Returns what `/proc/PID/sched` must show while these attributes are in force.
    pub fn proc_sched(&self) -> ProcSched {
        ProcSched::new(&self.params())
    }

    /// Returns policy, nice value, real-time priority and slice.
    pub fn params(&self) -> Params {
        Params {
            policy: self.0.policy,
            nice: self.0.nice,
            rt_priority: self.0.rt_priority,
            slice_ns: self.0.runtime_ns,
        }
    }

    /// Puts the attributes in force with `sched_setattr(2)`.
    pub fn try_apply(&self, tid: i32) -> Result<(), Errno> {
        self.0.apply(tid).map_err(errno)
    }

    /// The same where a refusal is the test's failure.
    #[track_caller]
    pub fn apply(&self, tid: i32) {
        self.try_apply(tid)
            .unwrap_or_else(|error| panic!("sched_setattr({tid}, {self:?}): {error}"));
    }
}

/// The slice of a thread that asked for none, in nanoseconds.
static DEFAULT_SLICE_NS: LazyLock<u64> = LazyLock::new(|| {
    in_thread(|| {
        Attr::normal(0).apply(0);
        Attr::base_of(0).0.runtime_ns
    })
});

/// Returns the slice of a thread that asked for none, in nanoseconds.
pub fn default_slice_ns() -> u64 {
    *DEFAULT_SLICE_NS
}

/// Calls `sched_setscheduler(2)`.
pub fn setscheduler(tid: i32, policy: libc::c_int, priority: i32) -> Result<(), Errno> {
    let param = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: `param` lives across the call, which only reads it.
    result_of(unsafe { libc::sched_setscheduler(tid, policy, &raw const param) }.into()).map(drop)
}

/// Calls `sched_setparam(2)`.
pub fn setparam(tid: i32, priority: i32) -> Result<(), Errno> {
    let param = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: `param` lives across the call, which only reads it.
    result_of(unsafe { libc::sched_setparam(tid, &raw const param) }.into()).map(drop)
}

/// Calls `setpriority(2)` on one thread.
pub fn setpriority(tid: i32, nice: i32) -> Result<(), Errno> {
    setpriority_process(Pid::from_raw(tid), nice)
}

/// Returns the nice value of a thread by `getpriority(2)`.
pub fn getpriority(tid: i32) -> i32 {
    getpriority_process(Pid::from_raw(tid)).expect("the thread lives")
}

/// `sched_getscheduler(2)`.
pub fn getscheduler(tid: i32) -> i32 {
    // SAFETY: The call takes no pointer.
    unsafe { libc::sched_getscheduler(tid) }
}

/// Returns the real-time priority of a thread by `sched_getparam(2)`.
pub fn getparam(tid: i32) -> i32 {
    let mut param = libc::sched_param { sched_priority: -1 };
    // SAFETY: `param` lives across the call, which only writes it.
    unsafe { libc::sched_getparam(tid, &raw mut param) };
    param.sched_priority
}

/// The timer slack of the calling thread, in nanoseconds.
pub fn timer_slack_ns() -> u64 {
    current_timer_slack().expect("it always succeeds")
}
