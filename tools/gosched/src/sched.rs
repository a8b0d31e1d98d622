// SPDX-License-Identifier: GPL-2.0

//! The kernel's own scheduling parameters of a thread.

use std::fmt;

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
pub struct SchedPolicy(u32);

impl SchedPolicy {
    /// Takes the number of include/uapi/linux/sched.h.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number of include/uapi/linux/sched.h.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Whether this is `SCHED_DEADLINE`.
    pub const fn is_deadline(self) -> bool {
        self.0 as i32 == libc::SCHED_DEADLINE
    }

    /// Whether threads of this policy have a real-time priority.
    pub const fn is_rt(self) -> bool {
        matches!(self.0 as i32, libc::SCHED_FIFO | libc::SCHED_RR)
    }

    /// Whether threads of this policy have a nice value and a slice.
    pub const fn is_fair(self) -> bool {
        matches!(
            self.0 as i32,
            libc::SCHED_OTHER | libc::SCHED_BATCH | libc::SCHED_IDLE
        )
    }
}

impl From<Policy> for SchedPolicy {
    fn from(policy: Policy) -> Self {
        Self(policy.number())
    }
}

impl fmt::Display for SchedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// `SCHED_EXT`, which the libc crate does not have.
        const SCHED_EXT: i32 = 7;

        f.pad(match self.0 as i32 {
            libc::SCHED_OTHER => "SCHED_OTHER",
            libc::SCHED_FIFO => "SCHED_FIFO",
            libc::SCHED_RR => "SCHED_RR",
            libc::SCHED_BATCH => "SCHED_BATCH",
            libc::SCHED_IDLE => "SCHED_IDLE",
            libc::SCHED_DEADLINE => "SCHED_DEADLINE",
            SCHED_EXT => "SCHED_EXT",
            other => return write!(f, "policy {other}"),
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
    fn a_policy_without_name_is_shown_as_number() {
        assert_eq!(SchedPolicy(9).to_string(), "policy 9");
    }
}
