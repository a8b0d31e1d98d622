// SPDX-License-Identifier: MIT OR GPL-2.0

//! Go priorities of threads: one number, 0 to 63 and higher = more urgent, which
//! the Linux scheduler maps to its own parameters while the module
//! `go_sched_class` is loaded.
//!
//! The calling thread steps back for some work, and returns:
//!
//! ```no_run
//! use gosched::policy::GoPrio;
//! use gosched::{Children, Device, Target};
//!
//! # fn compact() {}
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::open()?;
//! device.set(Target::CallingThread, GoPrio::MIN, Children::StartAtBase)?;
//! compact();
//! device.clear(Target::CallingThread)?;
//! # Ok(())
//! # }
//! ```
//!
//! A thread that does so often has a [`hint`]: then it takes a store to memory, and no
//! system call.
//!
//! What a priority means to the kernel needs no device:
//!
//! ```
//! use gosched::policy::{level, Band, GoPrio, Policy};
//!
//! let urgent = GoPrio::new(60).expect("60 is below 64");
//! assert_eq!(urgent.band(), Band::Rt);
//! assert_eq!(level(urgent).policy, Policy::RoundRobin);
//! assert_eq!(level(urgent).rt_priority, 13);
//! ```

pub use go_sched_policy as policy;

pub use self::answer::Cause;
pub use self::answer::Ceiling;
pub use self::answer::Children;
pub use self::answer::ClassInfo;
pub use self::answer::Stats;
pub use self::answer::Status;
pub use self::device::Device;
pub use self::device::Target;
pub use self::hint::Hint;
pub use self::hint::HintPage;

mod answer;
pub mod cgroup;
mod device;
pub mod error;
pub mod hint;
pub mod raw;
pub mod sched;
mod slot;
pub mod thread;
pub mod trace;
pub mod uapi;

// So that its example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
