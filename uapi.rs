// SPDX-License-Identifier: GPL-2.0

//! The ABI of `/dev/go_sched`, generated from `uapi/go_sched.h`.

use core::mem::{offset_of, size_of};

use kernel::types::{AsBytes, FromBytes};

pub(crate) use self::bindings::*;

#[allow(
    dead_code,
    missing_docs,
    non_camel_case_types,
    unreachable_pub,
    clippy::all
)]
mod bindings;

/// A structure that starts with its own size, as user space knows it.
///
/// The header has the rule by which these grow.
pub(crate) trait Versioned: FromBytes {
    /// Size of the first version, in bytes.
    const SIZE_VER0: u32;

    /// What user space says its size is, in bytes.
    fn size(&self) -> u32;
}

macro_rules! abi_struct {
    ($name:ident, $size_ver0:ident) => {
        // SAFETY: bindgen makes all fields integers, which any bytes are valid for.
        unsafe impl FromBytes for $name {}

        impl Versioned for $name {
            const SIZE_VER0: u32 = $size_ver0;

            fn size(&self) -> u32 {
                self.size
            }
        }
    };
}

abi_struct!(go_sched_set, GO_SCHED_SET_SIZE_VER0);
abi_struct!(go_sched_get, GO_SCHED_GET_SIZE_VER0);
abi_struct!(go_sched_clear, GO_SCHED_CLEAR_SIZE_VER0);
abi_struct!(go_sched_ceiling, GO_SCHED_CEILING_SIZE_VER0);
abi_struct!(go_sched_bind, GO_SCHED_BIND_SIZE_VER0);
abi_struct!(go_sched_stats, GO_SCHED_STATS_SIZE_VER0);
abi_struct!(go_sched_class_info, GO_SCHED_CLASS_INFO_SIZE_VER0);

// SAFETY: The fields fill the structure, see below, so that all its bytes are initialized.
unsafe impl AsBytes for go_sched_get {}
// SAFETY: As above.
unsafe impl AsBytes for go_sched_stats {}
// SAFETY: As above.
unsafe impl AsBytes for go_sched_class_info {}

const _: () = {
    // The fields add up to the size: there are no holes.
    assert!(size_of::<go_sched_set>() == size_of::<[u32; 4]>());
    assert!(size_of::<go_sched_get>() == size_of::<[u32; 16]>() + size_of::<[u64; 2]>());
    assert!(size_of::<go_sched_clear>() == size_of::<[u32; 3]>());
    assert!(size_of::<go_sched_ceiling>() == size_of::<[u32; 4]>());
    assert!(size_of::<go_sched_bind>() == size_of::<[u32; 3]>());
    assert!(size_of::<go_sched_stats>() == size_of::<[u32; 4]>() + size_of::<[u64; 4]>());
    assert!(size_of::<go_sched_class_info>() == size_of::<[u32; 6]>() + size_of::<u64>());

    // These have not grown yet: no caller knows a shorter one.
    assert!(size_of::<go_sched_set>() == GO_SCHED_SET_SIZE_VER0 as usize);
    assert!(size_of::<go_sched_clear>() == GO_SCHED_CLEAR_SIZE_VER0 as usize);
    assert!(size_of::<go_sched_ceiling>() == GO_SCHED_CEILING_SIZE_VER0 as usize);
    assert!(size_of::<go_sched_bind>() == GO_SCHED_BIND_SIZE_VER0 as usize);
    assert!(size_of::<go_sched_stats>() == GO_SCHED_STATS_SIZE_VER0 as usize);

    // The numbers that the scheduler has as well.
    assert!(GO_SCHED_LEVELS == crate::policy::LEVELS);
    assert!(GO_SCHED_LEVELS == kernel::bindings::GO_SCHED_LEVELS);
    assert!(GO_SCHED_NR_SET_SCHEDPRIO == kernel::bindings::__NR_go_set_schedprio);
    assert!(GO_SCHED_TARGET_PIDFD == kernel::bindings::GO_SCHED_TARGET_PIDFD);
    assert!(GO_SCHED_INHERIT == kernel::bindings::GO_SCHED_INHERIT);
    assert!(GO_SCHED_HINT_NONE == kernel::bindings::GO_SCHED_HINT_NONE);
    assert!(GO_SCHED_SLOT_SIZE as usize == size_of::<kernel::bindings::go_sched_slot>());
    assert!(size_of::<go_sched_slot>() == size_of::<kernel::bindings::go_sched_slot>());
    assert!(
        offset_of!(go_sched_slot, wanted) == offset_of!(kernel::bindings::go_sched_slot, wanted)
    );
    assert!(
        offset_of!(go_sched_slot, applied) == offset_of!(kernel::bindings::go_sched_slot, applied)
    );
    assert!(GO_SCHED_CAUSE_NONE == kernel::bindings::go_sched_cause_GO_SCHED_CAUSE_NONE);
    assert!(GO_SCHED_CAUSE_IOCTL == kernel::bindings::go_sched_cause_GO_SCHED_CAUSE_IOCTL);
    assert!(GO_SCHED_CAUSE_SYSCALL == kernel::bindings::go_sched_cause_GO_SCHED_CAUSE_SYSCALL);
    assert!(GO_SCHED_CAUSE_HINT == kernel::bindings::go_sched_cause_GO_SCHED_CAUSE_HINT);
    assert!(GO_SCHED_CAUSE_FORK == kernel::bindings::go_sched_cause_GO_SCHED_CAUSE_FORK);
    assert!(GO_SCHED_CAUSE_EXTERNAL == kernel::bindings::go_sched_cause_GO_SCHED_CAUSE_EXTERNAL);
    assert!(
        GO_SCHED_CAUSE_UNREGISTER == kernel::bindings::go_sched_cause_GO_SCHED_CAUSE_UNREGISTER
    );
    assert!(GO_SCHED_CAUSE_REGISTER == kernel::bindings::go_sched_cause_GO_SCHED_CAUSE_REGISTER);
    assert!(GO_SCHED_CAUSE_RUNAWAY == kernel::bindings::go_sched_cause_GO_SCHED_CAUSE_RUNAWAY);
};
