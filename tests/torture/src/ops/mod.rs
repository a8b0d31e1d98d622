// SPDX-License-Identifier: GPL-2.0

//! What an actor does.

mod birth;
mod confine;
mod hotplug;
mod inheritance;
mod outside;
mod race;
mod runaway;
mod user;
mod wards;

pub(crate) use birth::exec_bound;
pub(crate) use birth::look_at_itself;
pub(crate) use hotplug::all_online;

use crate::operation::Operation;

/// What root does.
pub(crate) static OF_ROOT: &[&[Operation]] = &[
    &wards::OPERATIONS,
    &outside::OPERATIONS,
    &race::OPERATIONS,
    &birth::OPERATIONS,
    &user::OPERATIONS,
    &inheritance::OPERATIONS,
    &runaway::OPERATIONS,
    &confine::OPERATIONS,
    &hotplug::OPERATIONS,
];

/// What an unprivileged user does.
pub(crate) static OF_USER: &[&[Operation]] = &[&wards::OPERATIONS];
