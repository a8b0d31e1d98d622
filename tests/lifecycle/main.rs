// SPDX-License-Identifier: GPL-2.0

//! Beginnings and ends: of threads, processes, programs and the module.

mod fork;
mod inherit;
mod module;
mod upgrade;
