// SPDX-License-Identifier: MIT OR GPL-2.0

//! The kernel's own scheduling parameters of a thread.

use std::fmt;
use std::io;
use std::ptr;

use go_sched_policy::Policy;
use serde::Serialize;
use serde::Serializer;

/// A `SCHED_*` number, shown by its name.
///
/// ```
/// use gosched::sched::SchedPolicy;
///
/// assert_eq!(SchedPolicy::from_number(2).to_string(), "SCHED_RR");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct SchedPolicy(u32);

impl SchedPolicy {
    /// `SCHED_OTHER`, which the kernel calls `SCHED_NORMAL`.
    pub const OTHER: Self = Self(0);
    /// `SCHED_FIFO`.
    pub const FIFO: Self = Self(1);
    /// `SCHED_RR`.
    pub const RR: Self = Self(2);
    /// `SCHED_BATCH`.
    pub const BATCH: Self = Self(3);
    /// `SCHED_IDLE`.
    pub const IDLE: Self = Self(5);
    /// `SCHED_DEADLINE`.
    pub const DEADLINE: Self = Self(6);
    /// `SCHED_EXT`.
    pub const EXT: Self = Self(7);

    /// Takes the number of include/uapi/linux/sched.h.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number of include/uapi/linux/sched.h.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Returns whether this is `SCHED_DEADLINE`.
    pub const fn is_deadline(self) -> bool {
        matches!(self, Self::DEADLINE)
    }

    /// Returns whether threads of this policy have a real-time priority.
    pub const fn is_rt(self) -> bool {
        matches!(self, Self::FIFO | Self::RR)
    }

    /// Returns whether threads of this policy have a nice value and a slice.
    pub const fn is_fair(self) -> bool {
        matches!(self, Self::OTHER | Self::BATCH | Self::IDLE)
    }
}

impl From<Policy> for SchedPolicy {
    fn from(policy: Policy) -> Self {
        Self(policy.number())
    }
}

impl fmt::Display for SchedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Self::OTHER => "SCHED_OTHER",
            Self::FIFO => "SCHED_FIFO",
            Self::RR => "SCHED_RR",
            Self::BATCH => "SCHED_BATCH",
            Self::IDLE => "SCHED_IDLE",
            Self::DEADLINE => "SCHED_DEADLINE",
            Self::EXT => "SCHED_EXT",
            Self(other) => return write!(f, "policy {other}"),
        })
    }
}

impl Serialize for SchedPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Scheduling parameters; the fields are those of `struct sched_attr`, see
/// `sched_setattr(2)`.
///
/// Shown as `SCHED_OTHER, nice 0, slice 2.800 ms` or `SCHED_RR, priority 5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Params {
    /// The scheduling policy.
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub policy: SchedPolicy,
    /// Nice value, -20 to 19.
    pub nice: i32,
    /// Real-time priority, 1 to 99; 0 when the policy has none.
    pub rt_priority: u32,
    /// EEVDF slice in nanoseconds, 0.1 to 100 ms; 0 is the kernel's default.
    pub slice_ns: u64,
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.policy)?;
        if self.policy.is_rt() {
            write!(f, ", priority {}", self.rt_priority)?;
        }
        if self.policy.is_fair() {
            write!(f, ", nice {}", self.nice)?;
        }
        if self.slice_ns != 0 {
            write!(f, ", slice {:.3} ms", self.slice_ns as f64 / 1e6)?;
        }
        Ok(())
    }
}

/// The attributes that `sched_setattr(2)` gives a thread and `sched_getattr(2)` reads, as
/// `struct sched_attr` has them since Linux 5.3.
///
/// While a thread has a Go priority, these are the ones of its base; [`Device::get`]
/// tells what is in force.
///
/// ```
/// use gosched::sched::SchedAttr;
/// use gosched::sched::SchedPolicy;
///
/// let mut attr = SchedAttr::of(0)?;
/// attr.policy = SchedPolicy::BATCH;
/// attr.apply(0)?;
/// assert_eq!(SchedAttr::of(0)?.policy, SchedPolicy::BATCH);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`Device::get`]: crate::Device::get
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SchedAttr {
    /// Size of the structure in bytes, which the kernel relies on.
    size: u32,
    /// The scheduling policy.
    pub policy: SchedPolicy,
    /// `SCHED_FLAG_*` of include/uapi/linux/sched.h.
    pub flags: u64,
    /// Nice value, -20 to 19, of `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// Real-time priority, 1 to 99, of `SCHED_FIFO` and `SCHED_RR`; otherwise 0.
    pub rt_priority: u32,
    /// CPU time in each period of `SCHED_DEADLINE`, in nanoseconds; of fair
    /// policies, since Linux 6.12, the EEVDF slice, 0.1 to 100 ms, where 0 asks for the
    /// kernel's default.
    pub runtime_ns: u64,
    /// Relative deadline in nanoseconds, of `SCHED_DEADLINE`.
    pub deadline_ns: u64,
    /// Period in nanoseconds, of `SCHED_DEADLINE`.
    pub period_ns: u64,
    /// Lower clamp of the utilization, 0 to 1024.
    pub util_min: u32,
    /// Upper clamp of the utilization, 0 to 1024.
    pub util_max: u32,
}

impl SchedAttr {
    /// Makes attributes that are 0 but for the policy.
    pub const fn new(policy: SchedPolicy) -> Self {
        Self {
            size: size_of::<Self>() as u32,
            policy,
            flags: 0,
            nice: 0,
            rt_priority: 0,
            runtime_ns: 0,
            deadline_ns: 0,
            period_ns: 0,
            util_min: 0,
            util_max: 0,
        }
    }

    /// Reads the attributes of the thread with this id; 0 is the calling thread.
    ///
    /// # Errors
    ///
    /// Fails as `sched_getattr(2)` does.
    pub fn of(tid: i32) -> io::Result<Self> {
        let mut attr = Self::new(SchedPolicy::OTHER);
        let size = size_of::<Self>();
        let pointer = ptr::from_mut(&mut attr);
        // SAFETY: The kernel writes no more than `size` bytes, which is what `attr` has.
        done(unsafe { libc::syscall(libc::SYS_sched_getattr, tid, pointer, size, 0) })?;
        // An older kernel has written how much it knows.
        attr.size = size_of::<Self>() as u32;
        Ok(attr)
    }

    /// Gives the attributes to the thread with this id; 0 is the calling thread. That
    /// ends the Go priority of the thread.
    ///
    /// # Errors
    ///
    /// Fails as `sched_setattr(2)` does; nothing has changed then.
    pub fn apply(&self, tid: i32) -> io::Result<()> {
        let number = libc::SYS_sched_setattr;
        // SAFETY: The kernel only reads `self`, and no more of it than its size field says,
        // which is always the size of the structure.
        done(unsafe { libc::syscall(number, tid, ptr::from_ref(self), 0) })
    }
}

/// Returns the error of a system call that libc reports as -1.
pub(crate) fn done(result: libc::c_long) -> io::Result<()> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_shown_by_what_the_policy_has() {
        let mut params = Params {
            policy: SchedPolicy(0),
            nice: -5,
            rt_priority: 0,
            slice_ns: 3_000_000,
        };
        assert_eq!(params.to_string(), "SCHED_OTHER, nice -5, slice 3.000 ms");
        params.slice_ns = 0;
        assert_eq!(params.to_string(), "SCHED_OTHER, nice -5");
        params.policy = SchedPolicy(1);
        params.rt_priority = 50;
        assert_eq!(params.to_string(), "SCHED_FIFO, priority 50");
    }

    #[test]
    fn policies_have_the_numbers_of_the_kernel() {
        for (policy, number) in [
            (SchedPolicy::OTHER, libc::SCHED_OTHER),
            (SchedPolicy::FIFO, libc::SCHED_FIFO),
            (SchedPolicy::RR, libc::SCHED_RR),
            (SchedPolicy::BATCH, libc::SCHED_BATCH),
            (SchedPolicy::IDLE, libc::SCHED_IDLE),
            (SchedPolicy::DEADLINE, libc::SCHED_DEADLINE),
        ] {
            assert_eq!(policy.number(), number as u32, "{policy}");
        }
    }

    #[test]
    fn attributes_are_laid_out_as_the_kernel_has_them() {
        let attr = SchedAttr::new(SchedPolicy::OTHER);
        assert_eq!(attr.size, 56);
        assert_eq!(
            std::mem::offset_of!(SchedAttr, util_min),
            size_of::<libc::sched_attr>()
        );
    }

    #[test]
    fn a_thread_that_does_not_exist_has_no_attributes() {
        let error = SchedAttr::of(-1).expect_err("no thread");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        let error = SchedAttr::new(SchedPolicy::OTHER).apply(-1);
        assert_eq!(
            error.expect_err("no thread").raw_os_error(),
            Some(libc::EINVAL)
        );
    }

    #[test]
    fn a_policy_without_name_is_shown_as_number() {
        assert_eq!(SchedPolicy(9).to_string(), "policy 9");
    }
}
