// SPDX-License-Identifier: GPL-2.0

//! `/dev/go_sched`: decodes a request, checks its form, and answers it.
//!
//! Who may do what, and the doing, is up to the scheduler.

use core::mem::size_of;

use kernel::{
    go_sched,
    miscdevice::MiscDevice,
    page::PAGE_SIZE,
    prelude::*,
    task::Task,
    types::ARef,
    uaccess::{UserPtr, UserSlice},
};

use crate::uapi;

/// The device. An open file has no state: every request names its thread.
pub(crate) struct Device;

#[vtable]
impl MiscDevice for Device {
    type Ptr = ();

    fn open() -> Result {
        Ok(())
    }

    fn ioctl(_file: (), request: u32, arg: usize) -> Result<isize> {
        match request {
            uapi::GO_SCHED_VERSION => Ok(uapi::GO_SCHED_ABI_VERSION as isize),
            uapi::GO_SCHED_SET => set(read_arg(arg)?),
            uapi::GO_SCHED_GET => get(read_arg(arg)?, arg),
            uapi::GO_SCHED_CLEAR => clear(read_arg(arg)?),
            _ => Err(ENOTTY),
        }
    }
}

fn set(arg: uapi::go_sched_set) -> Result<isize> {
    check_flags(
        arg.flags,
        uapi::GO_SCHED_TARGET_PIDFD | uapi::GO_SCHED_INHERIT,
    )?;

    let inherit = arg.flags & uapi::GO_SCHED_INHERIT != 0;
    go_sched::set(&*find_task(arg.flags, arg.target)?, arg.prio, inherit)?;
    Ok(0)
}

fn get(arg: uapi::go_sched_get, answer: UserPtr) -> Result<isize> {
    check_flags(arg.flags, uapi::GO_SCHED_TARGET_PIDFD)?;

    let state = go_sched::get(&*find_task(arg.flags, arg.target)?)?;
    let filled = uapi::go_sched_get {
        size: arg.size,
        flags: if state.inherit {
            uapi::GO_SCHED_INHERIT
        } else {
            0
        },
        target: arg.target,
        prio: state
            .prio
            .map_or(uapi::GO_SCHED_PRIO_NONE, |prio| prio as i32),
        base_policy: state.base.policy,
        base_nice: state.base.nice,
        base_rt_priority: state.base.rt_priority,
        reserved: 0,
        base_slice_ns: state.base.slice_ns,
    };

    // A caller that knows a longer structure sent zeroes beyond this one, and keeps them.
    UserSlice::new(answer, size_of::<uapi::go_sched_get>())
        .writer()
        .write(&filled)?;
    Ok(0)
}

fn clear(arg: uapi::go_sched_clear) -> Result<isize> {
    check_flags(arg.flags, uapi::GO_SCHED_TARGET_PIDFD)?;

    go_sched::clear(&*find_task(arg.flags, arg.target)?)?;
    Ok(0)
}

/// Reads a structure by the extension rule of the ABI.
fn read_arg<T: uapi::Versioned>(arg: UserPtr) -> Result<T> {
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

/// Finds the thread that `target` names, in the way that `flags` says.
fn find_task(flags: u32, target: i32) -> Result<ARef<Task>> {
    if flags & uapi::GO_SCHED_TARGET_PIDFD != 0 {
        return Task::from_pidfd(target as u32);
    }

    match target {
        0 => Ok(ARef::from(&*current!())),
        1.. => Task::from_vpid(target).ok_or(ESRCH),
        ..=-1 => Err(EINVAL),
    }
}
