// SPDX-License-Identifier: GPL-2.0

//! The kernel that runs, and what to advise where it lacks go_sched.

use procfs::ConfigSetting;
use procfs::ProcError;

/// The option of a kernel that has go_sched.
pub(crate) const OPTION: &str = "CONFIG_GO_SCHED";

/// The answer to whether the kernel that runs has go_sched.
pub(crate) enum Kernel {
    Has,
    Lacks,
    /// The configuration of the kernel cannot be read.
    Unknown(ProcError),
}

impl Kernel {
    /// Reads the configuration of the kernel that runs.
    pub(crate) fn ask() -> Self {
        match procfs::kernel_config() {
            Ok(config) => match config.get(OPTION) {
                Some(ConfigSetting::Yes) => Self::Has,
                _ => Self::Lacks,
            },
            Err(error) => Self::Unknown(error),
        }
    }

    /// Returns what to do about a kernel that lacks go_sched.
    pub(crate) fn advice() -> String {
        format!("boot a kernel with the go_sched patches and {OPTION}=y")
    }
}
