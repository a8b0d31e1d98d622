// SPDX-License-Identifier: MIT OR GPL-2.0

//! The ABI of `/dev/go_sched` as its header `uapi/go_sched.h` has it; see there
//! for what each item means.
//!
//! Run `tools/gosched/src/uapi/regenerate` after a change of the header.

use go_sched_policy::LEVELS;

pub use self::bindings::*;

/// The path of the device.
pub(crate) const DEVICE_PATH: &str = "/dev/go_sched";

#[expect(
    missing_docs,
    non_camel_case_types,
    clippy::allow_attributes,
    reason = "generated, with the names of the header"
)]
mod bindings;

// The mapping is compiled into the module as well, which has no bindings of its own.
const _: () = assert!(GO_SCHED_LEVELS == LEVELS);

#[cfg(test)]
mod tests {
    use rustix::ioctl::opcode;

    use super::*;

    #[test]
    fn abi_version_is_1() {
        assert_eq!(GO_SCHED_ABI_VERSION, 1);
    }

    #[test]
    fn request_numbers_are_those_of_io() {
        assert_eq!(GO_SCHED_VERSION, opcode::none(0xbc, 0));
        assert_eq!(GO_SCHED_SET, opcode::none(0xbc, 1));
        assert_eq!(GO_SCHED_GET, opcode::none(0xbc, 2));
        assert_eq!(GO_SCHED_CLEAR, opcode::none(0xbc, 3));
        assert_eq!(GO_SCHED_CEILING, opcode::none(0xbc, 4));
        assert_eq!(GO_SCHED_BIND, opcode::none(0xbc, 5));
        assert_eq!(GO_SCHED_UNBIND, opcode::none(0xbc, 6));
        assert_eq!(GO_SCHED_STATS, opcode::none(0xbc, 7));
        assert_eq!(GO_SCHED_CLASS_INFO, opcode::none(0xbc, 8));
        assert_eq!(GO_SCHED_FOLLOW, opcode::none(0xbc, 9));
    }

    #[test]
    fn other_numbers_are_fixed() {
        assert_eq!(GO_SCHED_NR_SET_SCHEDPRIO, 400);
        assert_eq!(GO_SCHED_LEVELS, 64);
        assert_eq!(GO_SCHED_PRIO_NONE, -1);
        assert_eq!(GO_SCHED_TARGET_PIDFD, 1);
        assert_eq!(GO_SCHED_INHERIT, 2);
        assert_eq!(GO_SCHED_KERNEL_WORK, 4);
        assert_eq!(GO_SCHED_FOLLOW_HINT, 8);
    }
}
