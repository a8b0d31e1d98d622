// SPDX-License-Identifier: MIT OR GPL-2.0

//! `/dev/go_sched` and its requests.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;

use go_sched_policy::GoPrio;

use crate::answer::Children;
use crate::answer::ClassInfo;
use crate::answer::Stats;
use crate::answer::Status;
use crate::error::OpenError;
use crate::error::RequestError;
use crate::uapi;

/// The thread a request is about.
#[derive(Clone, Copy, Debug)]
pub enum Target<'fd> {
    /// The thread that makes the request.
    CallingThread,
    /// The thread with this id in the caller's pid namespace; 0 is the calling thread,
    /// and nothing has a negative one.
    Tid(i32),
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
            Self::Tid(tid) => tid,
            Self::Pidfd(fd) => fd.as_raw_fd(),
        }
    }
}

/// The open device. All threads may use it at the same time.
#[derive(Debug)]
pub struct Device(OwnedFd);

impl Device {
    /// Path of the device.
    pub const PATH: &'static str = uapi::DEVICE_PATH;

    /// Opens the device of the loaded module.
    ///
    /// # Errors
    ///
    /// Fails when the module is not loaded, when the caller may not open its
    /// device, and when its ABI version is not [`uapi::GO_SCHED_ABI_VERSION`].
    pub fn open() -> Result<Self, OpenError> {
        let file = File::options().read(true).write(true).open(Self::PATH);
        let file = file.map_err(|error| OpenError::from_open(error, Path::new(Self::PATH)))?;
        Self::try_from(OwnedFd::from(file))
    }

    /// Returns another descriptor of the same open file, with the same hint page.
    ///
    /// # Errors
    ///
    /// Fails when the process has as many descriptors as it may have.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
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
            flags: target.flags() | children.flags(),
            target: target.number(),
            prio: prio.get(),
            ..Default::default()
        };
        match self.request(set) {
            Ok(_) => Ok(()),
            Err(error) => Err(match self.get(target) {
                Ok(status) => RequestError::of_set(error, prio, &status),
                Err(error) => error,
            }),
        }
    }

    /// Reads the priority, the ceiling, what is in force and the base of the target.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub fn get(&self, target: Target<'_>) -> Result<Status, RequestError> {
        let get = uapi::go_sched_get {
            flags: target.flags(),
            target: target.number(),
            ..Default::default()
        };
        let get = self.request(get).map_err(RequestError::new)?;
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
            flags: target.flags(),
            target: target.number(),
            ..Default::default()
        };
        self.request(clear).map(drop).map_err(RequestError::new)
    }

    /// Has the kernel look at the slot of the target now, if the slot asks for more than
    /// the target has: a thread that sleeps or waits for a CPU looks at its slot when it
    /// runs. What lowers the target is left to the target itself, but from one priority of
    /// the idle band to another. Succeeds when the target is not bound to a slot.
    ///
    /// # Errors
    ///
    /// See [`RequestError`]; after an error nothing has changed.
    pub fn follow(&self, target: Target<'_>) -> Result<(), RequestError> {
        let follow = uapi::go_sched_follow {
            flags: target.flags(),
            target: target.number(),
            ..Default::default()
        };
        self.request(follow).map(drop).map_err(RequestError::new)
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
        let ceiling = uapi::go_sched_ceiling {
            flags: target.flags(),
            target: target.number(),
            ceiling: ceiling.map_or(uapi::GO_SCHED_PRIO_NONE, |prio| prio.get() as i32),
            ..Default::default()
        };
        self.request(ceiling)
            .map(drop)
            .map_err(RequestError::of_ceiling)
    }

    /// Reads what has happened to the target's scheduling.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub fn stats(&self, target: Target<'_>) -> Result<Stats, RequestError> {
        let stats = uapi::go_sched_stats {
            flags: target.flags(),
            target: target.number(),
            ..Default::default()
        };
        let stats = self.request(stats).map_err(RequestError::new)?;
        Ok(Stats::from(stats))
    }

    /// Reads which mapping is in force.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub fn class_info(&self) -> Result<ClassInfo, RequestError> {
        let info = self
            .request(uapi::go_sched_class_info::default())
            .map_err(RequestError::new)?;
        Ok(ClassInfo::from(info))
    }
}

/// Takes a device that was opened elsewhere, such as one that came over a socket. Fails
/// as [`Device::open`] does.
impl TryFrom<OwnedFd> for Device {
    type Error = OpenError;

    fn try_from(fd: OwnedFd) -> Result<Self, OpenError> {
        let device = Self(fd);
        let module = device.version().map_err(OpenError::from_version)?;
        if module != uapi::GO_SCHED_ABI_VERSION {
            return Err(OpenError::VersionMismatch { module });
        }
        Ok(device)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
