// SPDX-License-Identifier: GPL-2.0

//! Operations of actors.

mod cgroup;
mod hotplug;
mod lifetime;
mod outside;
mod pi_chain;
mod race;
mod requests;
mod runaway;
mod user;

pub(crate) use hotplug::all_online;
pub(crate) use lifetime::check_after_exec;
pub(crate) use lifetime::exec_bound;

use crate::operation::Operation;

/// Operations of root.
pub(crate) static OF_ROOT: &[&[Operation]] = &[
    &requests::OPERATIONS,
    &outside::OPERATIONS,
    &race::OPERATIONS,
    &lifetime::OPERATIONS,
    &user::OPERATIONS,
    &pi_chain::OPERATIONS,
    &runaway::OPERATIONS,
    &cgroup::OPERATIONS,
    &hotplug::OPERATIONS,
];

/// Operations of an unprivileged user.
pub(crate) static OF_USER: &[&[Operation]] = &[&requests::OPERATIONS];
