// SPDX-License-Identifier: GPL-2.0

//! `/dev/go_sched`: decodes a request, checks its form, and answers it.
//!
//! Who may do what, and the doing, is up to the scheduler.

use core::mem::size_of;

use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    go_sched::{self, uapi},
    miscdevice::MiscDevice,
    mm::VmaNew,
    page::{Page, PAGE_SIZE},
    prelude::*,
    task::Task,
    types::FromBytes,
    uaccess::{UserPtr, UserSlice},
};

use crate::hint::HintFile;

/// The device. All that an open file has of its own is its hint pages.
pub(crate) struct Device;

#[vtable]
impl MiscDevice for Device {
    type Ptr = Pin<KBox<HintFile>>;

    fn open() -> Result<Self::Ptr> {
        KBox::pin_init(HintFile::new(), GFP_KERNEL_ACCOUNT)
    }

    fn mmap(file: Pin<&HintFile>, vma: &VmaNew) -> Result {
        file.mmap(vma)
    }

    fn fault(file: Pin<&HintFile>, page: usize) -> Result<Page> {
        Ok(file.page(page)?.page())
    }

    fn ioctl(file: Pin<&HintFile>, request: u32, arg: usize) -> Result<isize> {
        // Before all others, which are out of line: it is to cost less than sched_setattr(2).
        if request == uapi::GO_SCHED_SET {
            return set(arg).map(|()| 0);
        }

        match request {
            uapi::GO_SCHED_VERSION => return Ok(uapi::GO_SCHED_ABI_VERSION as isize),
            uapi::GO_SCHED_GET => get(arg)?,
            uapi::GO_SCHED_CLEAR => clear(arg)?,
            uapi::GO_SCHED_CEILING => set_ceiling(arg)?,
            uapi::GO_SCHED_BIND => bind(&file, arg)?,
            uapi::GO_SCHED_UNBIND => go_sched::unbind(),
            uapi::GO_SCHED_STATS => stats(arg)?,
            uapi::GO_SCHED_CLASS_INFO => class_info(arg)?,
            uapi::GO_SCHED_FOLLOW => follow(arg)?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

fn set(arg: UserPtr) -> Result {
    let arg: uapi::Set = read_arg(arg)?;
    check_flags(
        arg.flags,
        uapi::GO_SCHED_TARGET_PIDFD | uapi::GO_SCHED_INHERIT,
    )?;

    let inherit = arg.flags & uapi::GO_SCHED_INHERIT != 0;
    with_task(arg.flags, arg.target, |task| {
        go_sched::set(task, arg.prio, inherit)
    })
}

#[cold]
fn get(answer: UserPtr) -> Result {
    let arg: uapi::Get = read_arg(answer)?;
    check_flags(arg.flags, uapi::GO_SCHED_TARGET_PIDFD)?;

    let filled = uapi::Get {
        size: arg.size,
        target: arg.target,
        ..with_task(arg.flags, arg.target, go_sched::get)?
    };
    UserSlice::new(answer, arg.size as usize).write_struct(&filled)
}

#[cold]
fn clear(arg: UserPtr) -> Result {
    let arg: uapi::Clear = read_arg(arg)?;
    check_flags(arg.flags, uapi::GO_SCHED_TARGET_PIDFD)?;

    with_task(arg.flags, arg.target, go_sched::clear)
}

#[cold]
fn follow(arg: UserPtr) -> Result {
    let arg: uapi::Follow = read_arg(arg)?;
    check_flags(arg.flags, uapi::GO_SCHED_TARGET_PIDFD)?;

    with_task(arg.flags, arg.target, go_sched::follow)
}

#[cold]
fn set_ceiling(arg: UserPtr) -> Result {
    let arg: uapi::Ceiling = read_arg(arg)?;
    check_flags(arg.flags, uapi::GO_SCHED_TARGET_PIDFD)?;

    let ceiling = match arg.ceiling {
        uapi::GO_SCHED_PRIO_NONE => None,
        ceiling => Some(ceiling.try_into()?),
    };
    with_task(arg.flags, arg.target, |task| {
        go_sched::set_ceiling(task, ceiling)
    })
}

#[cold]
fn bind(file: &HintFile, arg: UserPtr) -> Result {
    let arg: uapi::Bind = read_arg(arg)?;
    check_flags(arg.flags, 0)?;

    file.bind(arg.slot)
}

#[cold]
fn stats(answer: UserPtr) -> Result {
    let arg: uapi::Stats = read_arg(answer)?;
    check_flags(arg.flags, uapi::GO_SCHED_TARGET_PIDFD)?;

    let filled = uapi::Stats {
        size: arg.size,
        target: arg.target,
        ..with_task(arg.flags, arg.target, go_sched::stats)?
    };
    UserSlice::new(answer, arg.size as usize).write_struct(&filled)
}

#[cold]
fn class_info(answer: UserPtr) -> Result {
    let arg: uapi::ClassInfo = read_arg(answer)?;
    check_flags(arg.flags, 0)?;

    let filled = uapi::ClassInfo {
        size: arg.size,
        ..go_sched::class_info()?
    };
    UserSlice::new(answer, arg.size as usize).write_struct(&filled)
}

/// A structure that starts with its own size, by the extension rule of the ABI.
trait Versioned: FromBytes {
    /// Size of the first version, in bytes.
    const SIZE_VER0: u32;

    /// Returns the size that user space says the structure has, in bytes.
    fn size(&self) -> u32;
}

macro_rules! versioned {
    ($($name:ident, $size_ver0:ident;)*) => {
        $(impl Versioned for uapi::$name {
            const SIZE_VER0: u32 = uapi::$size_ver0;

            fn size(&self) -> u32 {
                self.size
            }
        })*
    };
}

versioned! {
    Set, GO_SCHED_SET_SIZE_VER0;
    Get, GO_SCHED_GET_SIZE_VER0;
    Clear, GO_SCHED_CLEAR_SIZE_VER0;
    Ceiling, GO_SCHED_CEILING_SIZE_VER0;
    Bind, GO_SCHED_BIND_SIZE_VER0;
    Stats, GO_SCHED_STATS_SIZE_VER0;
    ClassInfo, GO_SCHED_CLASS_INFO_SIZE_VER0;
    Follow, GO_SCHED_FOLLOW_SIZE_VER0;
}

/// Reads a structure by the extension rule of the ABI.
fn read_arg<T: Versioned>(arg: UserPtr) -> Result<T> {
    // Most callers know this very version, and then one copy is all it takes.
    if let Ok(same) = UserSlice::new(arg, size_of::<T>()).reader().read::<T>() {
        if same.size() as usize == size_of::<T>() {
            return Ok(same);
        }
    }

    let size: u32 = UserSlice::new(arg, size_of::<u32>()).reader().read()?;

    if size < T::SIZE_VER0 {
        return Err(EINVAL);
    }
    if size as usize > PAGE_SIZE {
        return Err(E2BIG);
    }
    UserSlice::new(arg, size as usize).read_struct()
}

fn check_flags(flags: u32, known: u32) -> Result {
    if flags & !known == 0 {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

/// Calls `request` with the thread that `target` names, in the way that `flags` says.
fn with_task<T>(flags: u32, target: i32, request: impl FnOnce(&Task) -> Result<T>) -> Result<T> {
    if flags & uapi::GO_SCHED_TARGET_PIDFD != 0 {
        return request(&*Task::from_pidfd(target as u32)?);
    }

    match target {
        // Nobody else can end it: it needs no reference.
        0 => request(&*current!()),
        1.. => request(&*Task::from_vpid(target).ok_or(ESRCH)?),
        ..=-1 => Err(EINVAL),
    }
}
