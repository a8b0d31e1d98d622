// SPDX-License-Identifier: GPL-2.0

//! The device by the library's raw requests, so that a test sees each error number.

use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::ptr;

use gosched::raw::Argument;
use gosched::sched::Params;
use gosched::uapi;
use gosched::Status;
use rustix::io::Errno;

/// The device's file.
pub const PATH: &str = gosched::Device::PATH;

/// The calling thread, as a target.
pub const SELF: i32 = 0;

/// An open device.
#[derive(Debug)]
pub struct Device(gosched::Device);

impl From<OwnedFd> for Device {
    fn from(fd: OwnedFd) -> Self {
        Self(gosched::Device::try_from(fd).expect("the device of the module"))
    }
}

/// Returns the error number of a refused request.
pub(crate) fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error)
        .unwrap_or_else(|| panic!("the kernel gives a number for an error: {error}"))
}

/// The answer of `GO_SCHED_GET`. The library's `Status` is no field of a `Record`: a test
/// sees the numbers that `Status` checks or leaves out, and compares whole records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The priority, 0 to 63, if the thread has one.
    pub prio: Option<u32>,
    /// True if the thread's children start at the priority.
    pub inherit: bool,
    /// The parameters that the thread has without the priority. The slice is the one
    /// asked for, and 0 is the default.
    pub base: Params,
    /// The parameters in force. The nice value is 0 where a nice value has no effect.
    pub current: Params,
    /// The priority in force, if there is one.
    pub applied: Option<u32>,
    /// True if the base is in force for what the thread does in the kernel.
    pub kernel_work: bool,
    /// The priority up to which the thread may be moved without privilege.
    pub ceiling: u32,
    /// True if the ceiling was granted, and does not follow from the base.
    pub ceiling_granted: bool,
    /// The slot of the hint page the thread is bound to.
    pub slot: Option<u32>,
}

/// Returns a number of an answer, or `None` for the number that stands for none.
fn number_or_none(value: i32) -> Option<u32> {
    match value {
        uapi::GO_SCHED_PRIO_NONE => None,
        value => Some(value.try_into().expect("GET answers a number or NONE")),
    }
}

impl Device {
    /// Opens the device where that must succeed.
    #[track_caller]
    pub fn open() -> Self {
        Self::try_open().unwrap_or_else(|error| panic!("{PATH}: {error}"))
    }

    /// Opens the device.
    pub fn try_open() -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(PATH)?;
        let device = gosched::Device::try_from(OwnedFd::from(file)).map_err(io::Error::other)?;
        Ok(Self(device))
    }

    /// Returns the library's device.
    pub(crate) fn library(&self) -> &gosched::Device {
        &self.0
    }

    /// Issues a request on a structure of the present version. Returns the answer.
    fn request_of<T: Argument>(&self, argument: T) -> Result<T, Errno> {
        self.0.request(argument).map_err(errno)
    }

    /// Issues any request with any argument.
    ///
    /// # Safety
    ///
    /// Where `argument` points to memory of this process, the request may read
    /// and write it.
    pub unsafe fn request(&self, request: u32, argument: usize) -> Result<i32, Errno> {
        let argument = ptr::with_exposed_provenance_mut(argument);
        // SAFETY: The caller has promised it.
        unsafe { self.0.ioctl(request, argument) }.map_err(errno)
    }

    /// Issues a request on a structure.
    pub fn request_on<T>(&self, request: u32, argument: &mut T) -> Result<i32, Errno> {
        // SAFETY: The kernel stays inside the size a structure states, which is
        // that of `T` or, in tests of the size, one up to which `T` is padded.
        let done = unsafe { self.0.ioctl(request, ptr::from_mut(argument).cast()) };
        done.map_err(errno)
    }

    /// Issues `GO_SCHED_SET`.
    pub fn try_set(&self, target: i32, prio: u32, flags: u32) -> Result<(), Errno> {
        let set = uapi::go_sched_set {
            flags,
            target,
            prio,
            ..Default::default()
        };
        self.request_of(set).map(drop)
    }

    /// Issues `GO_SCHED_CLEAR`.
    pub fn try_clear(&self, target: i32, flags: u32) -> Result<(), Errno> {
        let clear = uapi::go_sched_clear {
            flags,
            target,
            ..Default::default()
        };
        self.request_of(clear).map(drop)
    }

    /// Issues `GO_SCHED_FOLLOW`.
    pub fn try_follow(&self, target: i32, flags: u32) -> Result<(), Errno> {
        let follow = uapi::go_sched_follow {
            flags,
            target,
            ..Default::default()
        };
        self.request_of(follow).map(drop)
    }

    /// Issues `GO_SCHED_GET`.
    pub fn try_get(&self, target: i32, flags: u32) -> Result<Record, Errno> {
        let get = self.request_of(uapi::go_sched_get {
            flags,
            target,
            ..Default::default()
        })?;
        let Status {
            base, mut current, ..
        } = Status::from(get);
        if current.policy.is_rt() {
            current.nice = 0;
        }
        Ok(Record {
            prio: number_or_none(get.prio),
            inherit: get.flags & uapi::GO_SCHED_INHERIT != 0,
            base,
            current,
            applied: number_or_none(get.applied),
            kernel_work: get.flags & uapi::GO_SCHED_KERNEL_WORK != 0,
            ceiling: get.ceiling.try_into().expect("GET answers a ceiling"),
            ceiling_granted: get.ceiling_granted != 0,
            slot: number_or_none(get.slot),
        })
    }

    /// Issues `GO_SCHED_CEILING`; `GO_SCHED_PRIO_NONE` is the thread's own ceiling.
    pub fn try_ceiling(&self, target: i32, ceiling: i32, flags: u32) -> Result<(), Errno> {
        let ceiling = uapi::go_sched_ceiling {
            flags,
            target,
            ceiling,
            ..Default::default()
        };
        self.request_of(ceiling).map(drop)
    }

    /// Issues `GO_SCHED_BIND` of the calling thread.
    pub fn try_bind(&self, slot: u32) -> Result<(), Errno> {
        let bind = uapi::go_sched_bind {
            slot,
            ..Default::default()
        };
        self.request_of(bind).map(drop)
    }

    /// Issues `GO_SCHED_UNBIND` of the calling thread.
    pub fn try_unbind(&self) -> Result<(), Errno> {
        self.0.unbind().map_err(errno)
    }

    /// Issues `GO_SCHED_STATS`.
    pub fn try_stats(&self, target: i32, flags: u32) -> Result<uapi::go_sched_stats, Errno> {
        self.request_of(uapi::go_sched_stats {
            flags,
            target,
            ..Default::default()
        })
    }

    /// Issues `GO_SCHED_CLASS_INFO`.
    pub fn try_class_info(&self) -> Result<uapi::go_sched_class_info, Errno> {
        self.request_of(uapi::go_sched_class_info::default())
    }

    /// Gives a thread a priority where that must succeed.
    #[track_caller]
    pub fn set(&self, tid: i32, prio: u32) {
        self.try_set(tid, prio, 0)
            .unwrap_or_else(|error| panic!("SET of {tid} to {prio}: {error}"));
    }

    /// Gives a thread, and the threads that it creates, a priority where that must
    /// succeed.
    #[track_caller]
    pub fn set_inherited(&self, tid: i32, prio: u32) {
        self.try_set(tid, prio, uapi::GO_SCHED_INHERIT)
            .unwrap_or_else(|error| panic!("inherited SET of {tid} to {prio}: {error}"));
    }

    /// Takes the priority of a thread away where that must succeed.
    #[track_caller]
    pub fn clear(&self, tid: i32) {
        self.try_clear(tid, 0)
            .unwrap_or_else(|error| panic!("CLEAR of {tid}: {error}"));
    }

    /// Has a thread follow its hint where that must succeed.
    #[track_caller]
    pub fn follow(&self, tid: i32) {
        self.try_follow(tid, 0)
            .unwrap_or_else(|error| panic!("FOLLOW of {tid}: {error}"));
    }

    /// Reads what the kernel knows of a thread where that must succeed.
    #[track_caller]
    pub fn get(&self, tid: i32) -> Record {
        self.try_get(tid, 0)
            .unwrap_or_else(|error| panic!("GET of {tid}: {error}"))
    }

    /// Reads a thread's priority.
    #[track_caller]
    pub fn prio(&self, tid: i32) -> Option<u32> {
        self.get(tid).prio
    }

    /// Grants or lowers a thread's ceiling where that must succeed.
    #[track_caller]
    pub fn ceiling(&self, tid: i32, ceiling: i32) {
        self.try_ceiling(tid, ceiling, 0)
            .unwrap_or_else(|error| panic!("CEILING of {tid} to {ceiling}: {error}"));
    }

    /// Binds the calling thread to a slot where that must succeed.
    #[track_caller]
    pub fn bind(&self, slot: u32) {
        self.try_bind(slot)
            .unwrap_or_else(|error| panic!("BIND to {slot}: {error}"));
    }

    /// Ends the calling thread's binding where that must succeed.
    #[track_caller]
    pub fn unbind(&self) {
        self.try_unbind()
            .unwrap_or_else(|error| panic!("UNBIND: {error}"));
    }

    /// Reads a thread's counters where that must succeed.
    #[track_caller]
    pub fn stats(&self, tid: i32) -> uapi::go_sched_stats {
        self.try_stats(tid, 0)
            .unwrap_or_else(|error| panic!("STATS of {tid}: {error}"))
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A guard that opens the device to everybody until the guard is dropped.
#[derive(Debug)]
pub struct PublicDevice(Permissions);

impl PublicDevice {
    /// Changes the mode of the device to 0666.
    pub fn new() -> Self {
        let before = fs::metadata(PATH).expect("the device exists").permissions();
        fs::set_permissions(PATH, Permissions::from_mode(0o666)).expect("root changes the mode");
        Self(before)
    }
}

impl Default for PublicDevice {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PublicDevice {
    fn drop(&mut self) {
        fs::set_permissions(PATH, self.0.clone()).expect("root changes the mode back");
    }
}
