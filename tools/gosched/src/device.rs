// SPDX-License-Identifier: GPL-2.0

//! `/dev/go_sched` and its requests.

use std::ffi::c_void;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use go_sched_policy::GoPrio;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::ioctl;
use rustix::ioctl::Ioctl;
use rustix::ioctl::IoctlOutput;
use rustix::ioctl::Opcode;
use rustix::process::Pid;

use crate::error::OpenError;
use crate::error::RequestError;
use crate::sched::Params;
use crate::sched::SchedPolicy;
use crate::uapi;

/// The thread a request is about.
#[derive(Clone, Copy, Debug)]
pub enum Target<'fd> {
    /// The thread that makes the request.
    CallingThread,
    /// The thread with this id in the caller's pid namespace.
    Tid(Pid),
    /// The thread, or the main thread of the process, of a pidfd.
    Pidfd(BorrowedFd<'fd>),
}

impl Target<'_> {
    fn flags(self) -> u32 {
        match self {
            Self::CallingThread | Self::Tid(_) => 0,
            Self::Pidfd(_) => uapi::GO_SCHED_TARGET_PIDFD,
        }
    }

    fn number(self) -> i32 {
        match self {
            Self::CallingThread => 0,
            Self::Tid(tid) => tid.as_raw_nonzero().get(),
            Self::Pidfd(fd) => fd.as_raw_fd(),
        }
    }
}

/// Where threads and processes start that the target creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// Without a priority, at the target's base policy.
    StartAtBase,
    /// At the target's priority, through `execve(2)` as well.
    Inherit,
}

impl Children {
    fn flags(self) -> u32 {
        match self {
            Self::StartAtBase => 0,
            Self::Inherit => uapi::GO_SCHED_INHERIT,
        }
    }
}

/// What the kernel has on record for a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The priority asked for, if the thread has one.
    pub prio: Option<GoPrio>,
    /// Where its children start.
    pub children: Children,
    /// The scheduling parameters it has without its priority. The slice is 0
    /// when it has asked for none.
    pub base: Params,
}

/// The open device.
#[derive(Debug)]
pub struct Device(OwnedFd);

impl Device {
    /// Where the device is.
    pub const PATH: &'static str = "/dev/go_sched";

    /// Opens the device of the loaded module.
    ///
    /// # Errors
    ///
    /// Fails when the module is not loaded, when the caller may not open its
    /// device, and when its ABI version is not [`uapi::GO_SCHED_ABI_VERSION`].
    pub fn open() -> Result<Self, OpenError> {
        let fd = rustix::fs::open(Self::PATH, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(OpenError::from_open)?;

        // SAFETY: `Version` is the request of that number in uapi/go_sched.h,
        // which takes no argument.
        let module = unsafe { ioctl::ioctl(&fd, Version) }.map_err(OpenError::from_version)?;
        if module != uapi::GO_SCHED_ABI_VERSION {
            return Err(OpenError::VersionMismatch { module });
        }
        Ok(Self(fd))
    }

    /// Gives the target a priority.
    ///
    /// # Errors
    ///
    /// See [`RequestError`]; after an error nothing has changed.
    pub fn set(
        &self,
        target: Target<'_>,
        prio: GoPrio,
        children: Children,
    ) -> Result<(), RequestError> {
        let set = uapi::go_sched_set {
            size: size_of::<uapi::go_sched_set>() as u32,
            flags: target.flags() | children.flags(),
            target: target.number(),
            prio: prio.get(),
        };
        // SAFETY: uapi/go_sched.h pairs this request with this structure.
        let request = unsafe { ioctl::Setter::<{ uapi::GO_SCHED_SET }, _>::new(set) };
        // SAFETY: The request reads the structure alone.
        Ok(unsafe { ioctl::ioctl(&self.0, request) }?)
    }

    /// Reads the priority and the base of the target.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub fn get(&self, target: Target<'_>) -> Result<Status, RequestError> {
        let mut get = uapi::go_sched_get {
            size: size_of::<uapi::go_sched_get>() as u32,
            flags: target.flags(),
            target: target.number(),
            ..Default::default()
        };
        // SAFETY: uapi/go_sched.h pairs this request with this structure.
        let request = unsafe { ioctl::Updater::<{ uapi::GO_SCHED_GET }, _>::new(&mut get) };
        // SAFETY: The request writes no more of the structure than its `size`.
        unsafe { ioctl::ioctl(&self.0, request) }?;
        Ok(Status::from(get))
    }

    /// Takes the target's priority away, which returns it to its base. Succeeds
    /// when it has none.
    ///
    /// # Errors
    ///
    /// See [`RequestError`]; after an error nothing has changed.
    pub fn clear(&self, target: Target<'_>) -> Result<(), RequestError> {
        let clear = uapi::go_sched_clear {
            size: size_of::<uapi::go_sched_clear>() as u32,
            flags: target.flags(),
            target: target.number(),
        };
        // SAFETY: uapi/go_sched.h pairs this request with this structure.
        let request = unsafe { ioctl::Setter::<{ uapi::GO_SCHED_CLEAR }, _>::new(clear) };
        // SAFETY: The request reads the structure alone.
        Ok(unsafe { ioctl::ioctl(&self.0, request) }?)
    }
}

impl From<uapi::go_sched_get> for Status {
    fn from(get: uapi::go_sched_get) -> Self {
        Self {
            // GO_SCHED_PRIO_NONE is negative.
            prio: u32::try_from(get.prio).ok().and_then(GoPrio::new),
            children: if get.flags & uapi::GO_SCHED_INHERIT == 0 {
                Children::StartAtBase
            } else {
                Children::Inherit
            },
            base: Params {
                policy: SchedPolicy::from_number(get.base_policy),
                nice: get.base_nice,
                rt_priority: get.base_rt_priority,
                slice_ns: get.base_slice_ns,
            },
        }
    }
}

/// `GO_SCHED_VERSION`, which answers with the value it returns.
struct Version;

// SAFETY: uapi/go_sched.h says that the request takes no argument, so no memory
// is read or written.
unsafe impl Ioctl for Version {
    type Output = u32;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        uapi::GO_SCHED_VERSION
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<u32> {
        // Never negative: that would have been an error.
        Ok(out as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_priority_is_none() {
        let get = uapi::go_sched_get {
            prio: uapi::GO_SCHED_PRIO_NONE,
            ..Default::default()
        };
        assert_eq!(Status::from(get).prio, None);
    }

    #[test]
    fn an_answer_keeps_priority_children_and_base() {
        let status = Status::from(uapi::go_sched_get {
            flags: uapi::GO_SCHED_INHERIT,
            prio: 0,
            base_policy: 3,
            base_nice: -5,
            base_slice_ns: 1_000_000,
            ..Default::default()
        });
        assert_eq!(status.prio, Some(GoPrio::MIN));
        assert_eq!(status.children, Children::Inherit);
        assert_eq!(status.base.policy.to_string(), "SCHED_BATCH");
        assert_eq!(status.base.nice, -5);
        assert_eq!(status.base.slice_ns, 1_000_000);
    }
}
