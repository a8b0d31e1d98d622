// SPDX-License-Identifier: GPL-2.0

//! The ABI of `/dev/go_sched`, generated from `uapi/go_sched.h`.

use core::mem::size_of;

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
}

macro_rules! abi_struct {
    ($name:ident, $size_ver0:ident) => {
        // SAFETY: bindgen makes all fields integers, which any bytes are valid for.
        unsafe impl FromBytes for $name {}

        impl Versioned for $name {
            const SIZE_VER0: u32 = $size_ver0;
        }
    };
}

abi_struct!(go_sched_set, GO_SCHED_SET_SIZE_VER0);
abi_struct!(go_sched_get, GO_SCHED_GET_SIZE_VER0);
abi_struct!(go_sched_clear, GO_SCHED_CLEAR_SIZE_VER0);

// SAFETY: The fields fill the structure, see below, so that all its bytes are initialized.
unsafe impl AsBytes for go_sched_get {}

const _: () = {
    // The fields add up to the size: there are no holes.
    assert!(size_of::<go_sched_set>() == size_of::<[u32; 4]>());
    assert!(size_of::<go_sched_get>() == size_of::<[u32; 8]>() + size_of::<u64>());
    assert!(size_of::<go_sched_clear>() == size_of::<[u32; 3]>());

    // No structure has grown yet: no caller knows a shorter one.
    assert!(size_of::<go_sched_set>() == GO_SCHED_SET_SIZE_VER0 as usize);
    assert!(size_of::<go_sched_get>() == GO_SCHED_GET_SIZE_VER0 as usize);
    assert!(size_of::<go_sched_clear>() == GO_SCHED_CLEAR_SIZE_VER0 as usize);

    assert!(GO_SCHED_LEVELS as usize == kernel::go_sched::LEVELS);
    assert!(GO_SCHED_LEVELS == crate::policy::LEVELS);
};
