// SPDX-License-Identifier: GPL-2.0

//! How a process becomes what its program wants it to be, and how far up it may
//! get as that.

use common::child::become_user;
use common::child::become_user_with_ceiling;
use common::device::Device;
use nix::sched::unshare;
use nix::sched::CloneFlags;
use nix::sys::resource::setrlimit;
use nix::sys::resource::Resource;

use crate::op::Role;

/// What a thread at nice 0 is.
const ORDINARY: u32 = 32;

const GRANTED: u32 = 56;
const LOWERED: u32 = 20;

/// The real-time priority of the limits, which is 3 above the fair band.
const RT_PRIORITY_LIMIT: u64 = 3;
const LIMITED: u32 = 50;
/// 20 minus the nice value.
const NICE_LIMIT: u64 = 25;

impl Role {
    /// Makes the calling process, which is root's, that of `user`. Returns the
    /// priority above which none of its threads may ever be.
    pub(crate) fn assume(self, user: u32) -> u32 {
        let (nice, rt_priority) = match self {
            Self::Limits => (NICE_LIMIT, RT_PRIORITY_LIMIT),
            _ => (0, 0),
        };
        for (resource, limit) in [
            (Resource::RLIMIT_NICE, nice),
            (Resource::RLIMIT_RTPRIO, rt_priority),
        ] {
            setrlimit(resource, limit, limit).expect("root changes its limits");
        }
        match self {
            Self::Granted => become_user_with_ceiling(user, &Device::open(), GRANTED),
            Self::Lowered => become_user_with_ceiling(user, &Device::open(), LOWERED),
            _ => become_user(user),
        }
        if let Self::Namespace = self {
            unshare(CloneFlags::CLONE_NEWUSER).expect("every user may have a namespace");
        }
        match self {
            Self::Plain | Self::Lowered | Self::Namespace => ORDINARY,
            Self::Limits => LIMITED,
            Self::Granted => GRANTED,
        }
    }
}
