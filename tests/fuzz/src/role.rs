// SPDX-License-Identifier: GPL-2.0

//! Change of a process to the role of its program, and the highest priority of each role.

use common::child::become_user;
use common::child::become_user_with_ceiling;
use common::child::set_limit;
use common::child::unshare;
use common::device::Device;
use gosched::policy::ORDINARY;
use rustix::process::Resource;
use rustix::thread::UnshareFlags;

use crate::op::Role;

/// Ceiling of [`Role::Granted`].
const GRANTED: u32 = 56;
/// Ceiling of [`Role::Lowered`].
const LOWERED: u32 = 20;

/// Limit of real-time priorities in [`Role::Limits`].
const RT_PRIORITY_LIMIT: u64 = 3;
/// Priority of that real-time priority.
const LIMITED: u32 = 50;
/// Limit of nice values in [`Role::Limits`], as 20 minus the nice value.
const NICE_LIMIT: u64 = 25;

impl Role {
    /// Changes the calling process from root to `user`. Returns the highest priority that a
    /// thread of the process may ever have.
    pub(crate) fn assume(self, user: u32) -> u32 {
        let (nice, rt_priority) = match self {
            Self::Limits => (NICE_LIMIT, RT_PRIORITY_LIMIT),
            _ => (0, 0),
        };
        for (resource, limit) in [(Resource::Nice, nice), (Resource::Rtprio, rt_priority)] {
            set_limit(resource, limit);
        }
        match self {
            Self::Granted => become_user_with_ceiling(user, &Device::open(), GRANTED),
            Self::Lowered => become_user_with_ceiling(user, &Device::open(), LOWERED),
            _ => become_user(user),
        }
        if let Self::Namespace = self {
            unshare(UnshareFlags::NEWUSER);
        }
        match self {
            Self::Plain | Self::Lowered | Self::Namespace => ORDINARY,
            Self::Limits => LIMITED,
            Self::Granted => GRANTED,
        }
    }
}
