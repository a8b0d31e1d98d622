// SPDX-License-Identifier: GPL-2.0

//! Reads what the scheduler owes the threads of a process, as `bpf/lag.h` defines it.
//!
//! EEVDF gives each of the threads in a queue a share of the CPU by weight, and knows of each by
//! how much CPU time it is behind its share: its lag. The kernel keeps the virtual time `v` that a
//! thread has run, which passes at 1024/weight of CPU time. The weighted average `V` of the queue
//! is where each `v` would be if nobody was owed anything, so that the lag is
//! `(V - v) * weight / 1024`.

#[cfg(test)]
mod tests;

use std::io;
use std::io::Read;
use std::mem::offset_of;
use std::mem::MaybeUninit;

use libbpf_rs::btf::types::Struct;
use libbpf_rs::btf::Btf;
use libbpf_rs::skel::OpenSkel;
use libbpf_rs::skel::Skel;
use libbpf_rs::skel::SkelBuilder;
use libbpf_rs::Iter;
use libbpf_rs::OpenObject;
use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::KnownLayout;

use self::skeleton::types::lag_flags;
use self::skeleton::types::lag_queue;
use self::skeleton::types::lag_sample;
use self::skeleton::LagSkel;
use self::skeleton::LagSkelBuilder;
use crate::record::prepare;
use crate::record::RecordError;

#[expect(warnings, reason = "libbpf-cargo makes this file")]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/lag.skel.rs"));
}

/// The place of a thread, or of a control group, in the queue that it is in.
///
/// Virtual times wrap around, so that only their differences mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Queue {
    /// The sum of `weight * (v - zero)` of all but the one that runs.
    sum: i64,
    /// The sum of their weights; nice 0 has 1024.
    weight: u64,
    /// The virtual time that others are relative to.
    zero: u64,
    vruntime: u64,
    deadline: u64,
    /// The weight of the thread itself, of which nice 0 has 1048576; 0 if the thread is not in the
    /// queue.
    own_weight: u64,
    curr_vruntime: u64,
    /// The weight of the one that runs, or 0.
    curr_weight: u64,
}

impl Queue {
    /// Returns the weight of all in the queue, of which nice 0 has 1024.
    pub fn total_weight(&self) -> u64 {
        self.weight.saturating_add(self.curr_weight)
    }

    /// Returns the sum of `weight * (v - from)` of all in the queue.
    fn sum_from(&self, from: u64) -> Option<i128> {
        let weighted = |virtual_time: u64, weight: u64| {
            i128::from(difference(virtual_time, from)).checked_mul(weight.into())
        };
        weighted(self.zero, self.weight)?
            .checked_add(self.sum.into())?
            .checked_add(weighted(self.curr_vruntime, self.curr_weight)?)
    }

    /// Returns by how much the queue's average is ahead of a virtual time; `None` if the thread is
    /// not in the queue.
    fn average_since(&self, virtual_time: u64) -> Option<i128> {
        let total = i128::from(self.total_weight());
        if self.own_weight == 0 || total == 0 {
            return None;
        }
        Some(self.sum_from(virtual_time)?.div_euclid(total))
    }

    /// Returns the CPU time that the thread is owed, in ns, or by how much it is ahead of its
    /// share; `None` if the thread is not in the queue.
    pub fn lag(&self) -> Option<i64> {
        let behind = self.average_since(self.vruntime)?;
        let lag = behind.checked_mul(self.own_weight.into())? >> 20;
        i64::try_from(lag).ok()
    }

    /// Returns whether the scheduler may pick the thread: it is not ahead of its share.
    pub fn is_eligible(&self) -> Option<bool> {
        Some(self.average_since(self.vruntime)? >= 0)
    }

    /// Returns the CPU time that the whole queue gets until the thread is to have had its slice,
    /// in ns; negative if that is over.
    pub fn to_deadline(&self) -> Option<i64> {
        let ahead = self.average_since(self.deadline)?.checked_neg()?;
        let time = ahead.checked_mul(self.total_weight().into())? >> 10;
        i64::try_from(time).ok()
    }
}

/// Returns the difference of two virtual times, which is always less than half of their range.
fn difference(of: u64, from: u64) -> i64 {
    of.wrapping_sub(from) as i64
}

/// The state of a thread in the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The thread has a CPU.
    Running,
    /// The thread waits for a CPU.
    Waiting,
    /// The thread does not want a CPU.
    Asleep,
    /// The thread wants a CPU, and its control group, or one above, has used up its quota.
    Throttled,
    /// The thread was between two states.
    Unknown,
}

/// The scheduling class that picks a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// EEVDF.
    Fair,
    /// EEVDF, with the policy `SCHED_IDLE`.
    Idle,
    /// The real-time class.
    RealTime,
    /// The deadline class.
    Deadline,
    /// A `sched_ext` scheduler.
    Ext,
}

/// The threads that a `sched_ext` scheduler picks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtThreads {
    /// No thread.
    None,
    /// Threads of the policy `SCHED_EXT`.
    OfPolicy,
    /// All threads that are neither real-time nor deadline.
    All,
}

/// The most queues that a thread is in: its own, that of its group, and so on.
const LEVELS: usize = 8;

/// A thread at the moment when it was read. Times are in ns; those of the scheduler's clock are
/// comparable with each other.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Sample {
    now: u64,
    accounted: u64,
    ran: u64,
    waited: u64,
    waits_since: u64,
    slice: u64,
    started: u64,
    /// Any number that changes with the control group.
    pub group: u64,
    /// The id of the thread in the first pid namespace.
    pub tid: i32,
    prio: i32,
    policy: u32,
    /// The CPU that the thread runs on, in whose queue it is, or that it was on last.
    pub cpu: u32,
    flags: u32,
    levels: u32,
    name: [u8; 16],
    queues: [Queue; LEVELS],
}

/// Compares the offsets of fields with those that the BPF program has.
macro_rules! same_offsets {
    ($own:ty, $bpf:ty: $($field:ident)*) => {
        $(assert!(offset_of!($own, $field) == offset_of!($bpf, $field));)*
        assert!(size_of::<$own>() == size_of::<$bpf>());
    };
}

const _: () = {
    same_offsets!(Queue, lag_queue: sum weight zero vruntime deadline own_weight curr_vruntime
        curr_weight);
    same_offsets!(Sample, lag_sample: now accounted ran waited waits_since slice started group tid
        prio policy cpu flags levels name queues);
};

impl Sample {
    const ON_CPU: u32 = lag_flags::LAG_ON_CPU.0;
    const DISPLACED: u32 = lag_flags::LAG_DISPLACED.0;
    const RUNNABLE: u32 = lag_flags::LAG_RUNNABLE.0;
    const DELAYED: u32 = lag_flags::LAG_DELAYED.0;
    const THROTTLED: u32 = lag_flags::LAG_THROTTLED.0;
    const CONSISTENT: u32 = lag_flags::LAG_CONSISTENT.0;
    const WAIT_KNOWN: u32 = lag_flags::LAG_WAIT_KNOWN.0;
    const DEEPER: u32 = lag_flags::LAG_DEEPER.0;

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Returns what no other thread has, not even a later one.
    pub fn id(&self) -> (i32, u64) {
        (self.tid, self.started)
    }

    /// Returns the name of the thread.
    pub fn name(&self) -> String {
        let name = self.name.split(|byte| *byte == 0).next();
        String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
    }

    /// Returns the state of the thread. A real-time or deadline thread has no quota.
    pub fn state(&self, ext: ExtThreads) -> State {
        if !self.has(Self::CONSISTENT) {
            State::Unknown
        } else if self.has(Self::ON_CPU) || self.has(Self::DISPLACED) {
            State::Running
        } else if !self.has(Self::RUNNABLE) || self.has(Self::DELAYED) {
            State::Asleep
        } else if self.has(Self::THROTTLED) && self.is_fair(ext) {
            State::Throttled
        } else {
            State::Waiting
        }
    }

    /// Returns who picks the thread. A thread that holds a lock may be boosted into another class.
    pub fn class(&self, ext: ExtThreads) -> Class {
        /// Of include/uapi/linux/sched.h.
        const SCHED_IDLE: u32 = 5;
        const SCHED_EXT: u32 = 7;
        match (self.prio, self.policy, ext) {
            (..0, ..) => Class::Deadline,
            (..100, ..) => Class::RealTime,
            (_, _, ExtThreads::All) | (_, SCHED_EXT, ExtThreads::OfPolicy) => Class::Ext,
            (_, SCHED_IDLE, _) => Class::Idle,
            _ => Class::Fair,
        }
    }

    /// Returns whether EEVDF picks the thread: no other class heeds the quota of its control group.
    fn is_fair(&self, ext: ExtThreads) -> bool {
        matches!(self.class(ext), Class::Fair | Class::Idle)
    }

    /// Returns the places of the thread in its queue, and of its groups in theirs; none of a
    /// thread that EEVDF does not let compete now.
    fn queues(&self, ext: ExtThreads) -> &[Queue] {
        let competes =
            matches!(self.state(ext), State::Running | State::Waiting) && self.is_fair(ext);
        let levels = usize::try_from(self.levels).unwrap_or_default();
        self.queues
            .get(..levels)
            .filter(|_| competes)
            .unwrap_or_default()
    }

    /// Returns the thread's place in its queue; `None` if EEVDF does not let it compete now.
    pub fn queue(&self, ext: ExtThreads) -> Option<&Queue> {
        let queue = self.queues(ext).first();
        queue.filter(|queue| queue.own_weight != 0)
    }

    /// Returns the lowest lag of the control groups that the thread is in, each beside what
    /// competes with it on this CPU, in ns; `None` outside of groups, or if it is not known.
    pub fn group_lag(&self, ext: ExtThreads) -> Option<i64> {
        if self.has(Self::DEEPER) {
            return None;
        }
        let groups = self.queues(ext).get(1..)?.iter();
        let lags: Option<Vec<i64>> = groups.map(Queue::lag).collect();
        lags?.into_iter().min()
    }

    /// Returns whether the thread is in a control group that the scheduler knows, or in an
    /// autogroup.
    pub fn is_grouped(&self) -> Option<bool> {
        self.has(Self::CONSISTENT).then_some(self.levels > 1)
    }

    /// Returns the time that the thread may run before others that are due, in ns, of a thread
    /// that EEVDF picks.
    pub fn slice(&self, ext: ExtThreads) -> Option<u64> {
        self.is_fair(ext).then_some(self.slice)
    }

    /// Returns the time until which the CPU time is known, by the scheduler's clock.
    fn known_until(&self) -> u64 {
        match self.has(Self::ON_CPU) {
            true => self.accounted,
            false => self.now,
        }
    }

    /// Returns how long the thread has waited for a CPU, with the present wait.
    fn waited(&self) -> Option<u64> {
        let present = match self.waits_since {
            0 => 0,
            since => self.now.saturating_sub(since),
        };
        self.has(Self::WAIT_KNOWN)
            .then_some(self.waited.saturating_add(present))
    }

    /// Returns what the thread did since an earlier sample of it; `None` if the kernel has not
    /// accounted for any time since, or was at it.
    pub fn since(&self, before: &Self) -> Option<Share> {
        if !self.has(Self::CONSISTENT) || !before.has(Self::CONSISTENT) {
            return None;
        }
        let elapsed = self.known_until().checked_sub(before.known_until());
        let elapsed = elapsed.filter(|elapsed| *elapsed > 0)?;
        let waited = self.waited().zip(before.waited());
        // The clocks of two CPUs may differ.
        Some(Share {
            elapsed,
            ran: self.ran.saturating_sub(before.ran).min(elapsed),
            waited: waited.map(|(now, before)| now.saturating_sub(before).min(elapsed)),
        })
    }
}

/// What a thread did in a time, in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The time.
    pub elapsed: u64,
    /// CPU time.
    pub ran: u64,
    /// The time that the thread waited for a CPU; `None` if the kernel does not measure that.
    pub waited: Option<u64>,
}

/// The reason that there is no lag to be read.
#[derive(Debug, thiserror::Error)]
pub enum LagError {
    /// The BPF program cannot be loaded.
    #[error(transparent)]
    Load(#[from] RecordError),
    /// The kernel has another scheduler.
    #[error("this kernel keeps no lag: it takes Linux 6.6 or later, which schedules by EEVDF")]
    NoEevdf,
    /// The kernel does not say which queue a thread is in.
    #[error(
        "this kernel does not tell which queue a thread is in: it takes one with \
         CONFIG_FAIR_GROUP_SCHED"
    )]
    NoGroups,
    /// The kernel keeps its books in a way that is not known.
    #[error(
        "this kernel is newer than gosched, and accounts lag in another way: it takes a newer gosched"
    )]
    Unknown,
    /// The kernel does not let the threads be read.
    #[error("the threads cannot be read from the kernel: {0}")]
    Read(io::Error),
}

/// The place for a [`Sampler`]'s BPF program.
pub type Storage = MaybeUninit<OpenObject>;

/// Reads threads.
pub struct Sampler<'a>(LagSkel<'a>);

impl<'a> Sampler<'a> {
    /// Loads the BPF program.
    pub fn load(storage: &'a mut Storage) -> Result<Self, LagError> {
        check_kernel(&prepare()?)?;
        let failed = |error| LagError::Load(RecordError::Load(error));
        let open = LagSkelBuilder::default().open(storage).map_err(failed)?;
        let mut skeleton = open.load().map_err(failed)?;
        skeleton.attach().map_err(failed)?;
        Ok(Self(skeleton))
    }

    /// Reads all threads of a process; none if it has ended.
    pub fn sample(&mut self, pid: i32) -> Result<Vec<Sample>, LagError> {
        let missing = || LagError::Read(io::ErrorKind::Unsupported.into());
        let bss = self.0.maps.bss_data.as_deref_mut();
        bss.ok_or_else(missing)?.target = pid;
        let link = self.0.links.read_lag.as_ref().ok_or_else(missing)?;
        let mut bytes = Vec::new();
        Iter::new(link)
            .map_err(|error| LagError::Load(RecordError::Load(error)))?
            .read_to_end(&mut bytes)
            .map_err(LagError::Read)?;
        let samples = bytes.chunks_exact(size_of::<Sample>());
        Ok(samples
            .filter_map(|bytes| Sample::read_from_bytes(bytes).ok())
            .collect())
    }
}

/// Fails if the kernel's books are none that the BPF program can read.
fn check_kernel(btf: &Btf<'_>) -> Result<(), LagError> {
    let has = |of: &str, field: &str| {
        btf.type_by_name::<Struct<'_>>(of).is_some_and(|found| {
            let mut members = found.iter();
            members.any(|member| member.name.is_some_and(|name| name == field))
        })
    };
    if !has("sched_entity", "deadline") {
        return Err(LagError::NoEevdf);
    }
    if !has("sched_entity", "cfs_rq") {
        return Err(LagError::NoGroups);
    }
    // Kernels with these have sums of other weights, or one queue for threads of all groups.
    if has("cfs_rq", "sum_shift") || has("sched_entity", "h_load") {
        return Err(LagError::Unknown);
    }
    Ok(())
}
