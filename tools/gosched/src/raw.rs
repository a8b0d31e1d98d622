// SPDX-License-Identifier: MIT OR GPL-2.0

//! The kernel's interface by plain numbers, for callers that must see each error
//! number: see [`io::Error::raw_os_error`], and `uapi/go_sched.h` for what each means.

use std::ffi::c_void;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::ptr;
use std::ptr::NonNull;

use rustix::ioctl::Ioctl;
use rustix::ioctl::IoctlOutput;
use rustix::ioctl::Opcode;
use rustix::mm::MapFlags;
use rustix::mm::ProtFlags;

use crate::device::Device;
use crate::sched::done;
use crate::slot::Slot;
use crate::slot::SLOT_SIZE;
use crate::uapi;

/// A structure that a request takes.
///
/// # Safety
///
/// The kernel must access no more of the argument of `REQUEST` than the number of bytes
/// that is in the structure's `size`, and `size` must return that field. Any bytes that the
/// kernel writes must be a valid value of the structure, and the kernel must follow no
/// pointer in it.
pub unsafe trait Argument {
    /// The request, a number of `uapi/go_sched.h`.
    const REQUEST: u32;

    /// Returns the field that says how long the structure is.
    fn size(&mut self) -> &mut u32;
}

macro_rules! arguments {
    ($($structure:ident: $request:ident,)*) => {$(
        // SAFETY: uapi/go_sched.h pairs this request with this structure, which consists
        // of integers alone, and has the kernel keep to its `size`.
        unsafe impl Argument for uapi::$structure {
            const REQUEST: u32 = uapi::$request;

            fn size(&mut self) -> &mut u32 {
                &mut self.size
            }
        }
    )*};
}

arguments! {
    go_sched_set: GO_SCHED_SET,
    go_sched_get: GO_SCHED_GET,
    go_sched_clear: GO_SCHED_CLEAR,
    go_sched_ceiling: GO_SCHED_CEILING,
    go_sched_bind: GO_SCHED_BIND,
    go_sched_stats: GO_SCHED_STATS,
    go_sched_class_info: GO_SCHED_CLASS_INFO,
    go_sched_follow: GO_SCHED_FOLLOW,
}

impl Device {
    /// Makes the request that takes `argument`, whose size is filled in here. Returns
    /// the argument with the kernel's answer.
    ///
    /// # Errors
    ///
    /// Fails as the kernel does; nothing has changed then.
    pub fn request<T: Argument>(&self, mut argument: T) -> io::Result<T> {
        *argument.size() = size_of::<T>() as u32;
        // SAFETY: `Argument` promises that the kernel keeps to the size, which is that
        // of `argument`.
        unsafe { self.ioctl(T::REQUEST, ptr::from_mut(&mut argument).cast()) }?;
        Ok(argument)
    }

    /// Makes any request with any argument, and returns what the kernel does.
    ///
    /// # Errors
    ///
    /// Fails as the kernel does; nothing has changed then.
    ///
    /// # Safety
    ///
    /// Where `argument` points to memory of this process, the request may read and
    /// write it. What else the request does to the open file must be sound, too.
    pub unsafe fn ioctl(&self, request: u32, argument: *mut c_void) -> io::Result<i32> {
        // SAFETY: The caller has promised it.
        Ok(unsafe { rustix::ioctl::ioctl(self, Request { request, argument }) }?)
    }

    /// Reads the version of the ABI that the module has.
    pub(crate) fn version(&self) -> io::Result<u32> {
        // SAFETY: The request takes no argument.
        let version = unsafe { self.ioctl(uapi::GO_SCHED_VERSION, ptr::null_mut()) }?;
        // Never negative: that would have been an error.
        Ok(version as u32)
    }

    /// Ends the binding of the calling thread, if there is one, through whichever open
    /// file it was made. A [`Hint`](crate::Hint) does so when it is dropped.
    ///
    /// # Errors
    ///
    /// Fails as the kernel does; nothing has changed then.
    pub fn unbind(&self) -> io::Result<()> {
        // SAFETY: The request takes no argument.
        unsafe { self.ioctl(uapi::GO_SCHED_UNBIND, ptr::null_mut()) }.map(drop)
    }
}

/// A request whose number is known at run time only.
struct Request {
    request: u32,
    argument: *mut c_void,
}

// SAFETY: Whoever makes a `Request` answers for its argument, see `Device::ioctl`.
unsafe impl Ioctl for Request {
    type Output = i32;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.request
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.argument
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<i32> {
        Ok(out)
    }
}

/// Makes the system call `go_set_schedprio(2)`, which gives a thread a priority without
/// the device. `target` and `flags` are those of `struct go_sched_set`.
///
/// # Errors
///
/// Fails with those of `GO_SCHED_SET`, with `EOPNOTSUPP` while the module is not loaded,
/// and with `ENOSYS` on a kernel without go_sched; nothing has changed then.
pub fn set_schedprio(target: i32, prio: u32, flags: u32) -> io::Result<()> {
    let number = libc::c_long::from(uapi::GO_SCHED_NR_SET_SCHEDPRIO);
    // SAFETY: The call takes no pointer.
    done(unsafe { libc::syscall(number, target, prio, flags) })
}

/// Slots of a device, mapped without holding it open; unmapped when dropped.
///
/// Unless a thread is bound to a slot of the same page of memory, the first access to
/// that page may exceed `RLIMIT_MEMLOCK`, which ends the process with `SIGBUS`.
pub struct Mapping {
    start: NonNull<Slot>,
    slots: u32,
}

// SAFETY: The memory belongs to the value alone and is accessed as atomics.
unsafe impl Send for Mapping {}
// SAFETY: The same.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first slots of a device.
    ///
    /// # Errors
    ///
    /// Fails as `mmap(2)` does: with `EINVAL` for no slots, or more than
    /// [`MAX_SLOTS`](crate::hint::MAX_SLOTS).
    pub fn new(device: &Device, slots: u32) -> io::Result<Self> {
        let length = slots as usize * SLOT_SIZE;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: A new mapping is in nobody's way.
        let start = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                length,
                access,
                MapFlags::SHARED,
                device.as_fd(),
                0,
            )
        }?;
        // The kernel maps nothing at 0.
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { start, slots })
    }

    /// Takes over slots that are mapped already, in any way.
    ///
    /// # Safety
    ///
    /// From `start` on, that many slots must be mapped. The slots are unmapped by the new
    /// value alone, and are not accessed but as atomics.
    pub unsafe fn from_raw(start: NonNull<Slot>, slots: u32) -> Self {
        Self { start, slots }
    }

    /// Returns where the slots start.
    pub fn as_ptr(&self) -> NonNull<Slot> {
        self.start
    }

    /// Returns the number of slots.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// Returns a slot, counted from the first one mapped here.
    #[inline]
    pub fn slot(&self, index: u32) -> Option<&Slot> {
        // SAFETY: The slot is inside the mapping, which lives as long as `self`, and all
        // of it is atomics.
        (index < self.slots).then(|| unsafe { self.start.add(index as usize).as_ref() })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let length = self.slots as usize * SLOT_SIZE;
        // SAFETY: The mapping is ours, and no slot of it is borrowed any more.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), length) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

// Without the slots: whoever shows the value must not touch the memory.
impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("start", &self.start)
            .field("slots", &self.slots)
            .finish()
    }
}
