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
use crate::uapi;
use crate::ClassInfo;
use crate::Stats;
use crate::Status;

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
        unsafe { ioctl::ioctl(&self.0, request) }.map_err(|errno| match self.get(target) {
            Ok(status) => RequestError::of_set(errno, prio, &status),
            Err(error) => error,
        })
    }

    /// Reads the priority, the ceiling, what is in force and the base of the target.
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

    /// Grants the target a ceiling, or gives it back the one of its base: up to
    /// that, whoever has its user id may move it. A priority above it that took
    /// the old ceiling falls to the new one.
    ///
    /// # Errors
    ///
    /// See [`RequestError`]; after an error nothing has changed.
    pub fn set_ceiling(
        &self,
        target: Target<'_>,
        ceiling: Option<GoPrio>,
    ) -> Result<(), RequestError> {
        let argument = uapi::go_sched_ceiling {
            size: size_of::<uapi::go_sched_ceiling>() as u32,
            flags: target.flags(),
            target: target.number(),
            ceiling: ceiling.map_or(uapi::GO_SCHED_PRIO_NONE, |prio| prio.get() as i32),
        };
        // SAFETY: uapi/go_sched.h pairs this request with this structure.
        let request = unsafe { ioctl::Setter::<{ uapi::GO_SCHED_CEILING }, _>::new(argument) };
        // SAFETY: The request reads the structure alone.
        unsafe { ioctl::ioctl(&self.0, request) }.map_err(RequestError::of_ceiling)
    }

    /// Reads what has happened to the target's scheduling.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub fn stats(&self, target: Target<'_>) -> Result<Stats, RequestError> {
        let mut stats = uapi::go_sched_stats {
            size: size_of::<uapi::go_sched_stats>() as u32,
            flags: target.flags(),
            target: target.number(),
            ..Default::default()
        };
        // SAFETY: uapi/go_sched.h pairs this request with this structure.
        let request = unsafe { ioctl::Updater::<{ uapi::GO_SCHED_STATS }, _>::new(&mut stats) };
        // SAFETY: The request writes no more of the structure than its `size`.
        unsafe { ioctl::ioctl(&self.0, request) }?;
        Ok(Stats::from(stats))
    }

    /// Reads which mapping is in force.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub fn class_info(&self) -> Result<ClassInfo, RequestError> {
        let mut info = uapi::go_sched_class_info {
            size: size_of::<uapi::go_sched_class_info>() as u32,
            ..Default::default()
        };
        // SAFETY: uapi/go_sched.h pairs this request with this structure.
        let request = unsafe { ioctl::Updater::<{ uapi::GO_SCHED_CLASS_INFO }, _>::new(&mut info) };
        // SAFETY: The request writes no more of the structure than its `size`.
        unsafe { ioctl::ioctl(&self.0, request) }?;
        Ok(ClassInfo::from(info))
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
