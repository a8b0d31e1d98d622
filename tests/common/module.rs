// SPDX-License-Identifier: GPL-2.0

//! The module.

use std::fs::File;

use nix::errno::Errno;
use nix::kmod::delete_module;
use nix::kmod::finit_module;
use nix::kmod::DeleteModuleFlags;
use nix::kmod::ModuleInitFlags;

const NAME: &str = "go_sched_class";
const FILE: &str = "/lib/modules/go_sched_class.ko";

/// Loads the module.
#[track_caller]
pub fn load() {
    let file = File::open(FILE).unwrap_or_else(|error| panic!("{FILE}: {error}"));
    finit_module(&file, c"", ModuleInitFlags::empty())
        .unwrap_or_else(|error| panic!("loading {NAME}: {error}"));
}

/// Unloads the module, if nothing uses it.
pub fn try_unload() -> Result<(), Errno> {
    delete_module(c"go_sched_class", DeleteModuleFlags::O_NONBLOCK)
}

/// Returns whether the module is loaded.
pub fn is_loaded() -> bool {
    procfs::modules()
        .expect("/proc/modules is readable")
        .contains_key(NAME)
}
