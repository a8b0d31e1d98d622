// SPDX-License-Identifier: GPL-2.0

//! Permissions to give threads priorities, and the ceilings of these permissions.

mod ceiling;
mod ceiling_changes;
mod ceiling_cross;
mod ceiling_own;
mod ceiling_user;
mod outside_permission;
mod permission;
