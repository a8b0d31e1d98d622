// SPDX-License-Identifier: GPL-2.0

//! Who may give which thread which priority, and up to which ceiling.

mod ceiling;
mod ceiling_changes;
mod ceiling_cross;
mod ceiling_own;
mod ceiling_user;
mod outside_permission;
mod permission;
