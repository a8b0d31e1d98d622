// SPDX-License-Identifier: GPL-2.0

//! Loading and unloading the module.

use std::ffi::CStr;
use std::fs;
use std::fs::File;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::system::delete_module;
use rustix::system::finit_module;

use crate::eventually;

const NAME: &str = "go_sched_class";
/// The module's file.
pub const FILE: &str = "/lib/modules/go_sched_class.ko";

/// The parameter by which the module, when unloaded, leaves the mapping in force.
pub const HANDOVER: &str = "/sys/module/go_sched_class/parameters/handover";

const STATE: &str = "/sys/module/go_sched_class/initstate";

/// Loads the module.
#[track_caller]
pub fn load() {
    load_with(c"");
}

/// Loads the module with parameters, as insmod(8) takes them.
#[track_caller]
fn load_with(parameters: &CStr) {
    try_load_with(parameters)
        .unwrap_or_else(|error| panic!("loading {NAME} with {parameters:?}: {error}"));
}

/// Loads the module with parameters. Fails as `finit_module(2)` does.
#[track_caller]
pub fn try_load_with(parameters: &CStr) -> Result<(), Errno> {
    let file = File::open(FILE).unwrap_or_else(|error| panic!("{FILE}: {error}"));
    finit_module(&file, parameters, 0)
}

/// Unloads the module and leaves the mapping in force for the next one.
#[track_caller]
pub fn hand_over() {
    fs::write(HANDOVER, "1").unwrap_or_else(|error| panic!("{HANDOVER}: {error}"));
    unload();
}

/// Unloads the module. Fails with `EWOULDBLOCK` while something uses the module.
pub fn try_unload() -> Result<(), Errno> {
    delete_module(c"go_sched_class", OFlags::NONBLOCK.bits() as i32)
}

/// Unloads the module where that must succeed. A file that a thread has just
/// closed may be released a moment later.
#[track_caller]
pub fn unload() {
    let mut result = Ok(());
    eventually("the module can be unloaded", || {
        result = try_unload();
        result != Err(Errno::WOULDBLOCK)
    });
    assert_eq!(result, Ok(()));
}

/// Returns whether the module is loaded.
pub fn is_loaded() -> bool {
    // Unlike /proc/modules, it may be missing from a kernel without modules.
    fs::read_to_string(STATE).is_ok_and(|state| state.trim_end() == "live")
}

/// A guard that loads the module on drop, unless the module is loaded then.
#[derive(Debug)]
pub struct Reloaded;

impl Drop for Reloaded {
    fn drop(&mut self) {
        if !is_loaded() {
            load();
        }
    }
}

/// A guard of the module with other parameters. On drop, the defaults are back.
#[derive(Debug)]
pub struct Reconfigured(());

impl Reconfigured {
    /// Loads the module again, with parameters as insmod(8) takes them.
    #[track_caller]
    pub fn with(parameters: &CStr) -> Self {
        unload();
        load_with(parameters);
        Self(())
    }

    /// Loads the module again, without a limit on the CPU time above what a thread owns:
    /// while the host keeps the guest waiting, any thread may seem to run away.
    #[track_caller]
    pub fn unlimited() -> Self {
        Self::with(c"budget_ms=0")
    }
}

impl Drop for Reconfigured {
    fn drop(&mut self) {
        unload();
        load();
    }
}
