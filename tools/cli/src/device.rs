// SPDX-License-Identifier: GPL-2.0

//! Opening the device, and what to advise where there is none.

use gosched::error::OpenError;
use gosched::Device;
use procfs::ConfigSetting;
use procfs::ProcError;

use crate::error::Error;

/// The option of a kernel that has go_sched.
pub(crate) const OPTION: &str = "CONFIG_GO_SCHED";

/// Whether the kernel that runs has go_sched.
pub(crate) enum Kernel {
    Has,
    Lacks,
    /// Its configuration cannot be read.
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

/// Opens the device. The module is missed only where the kernel can load it.
pub(crate) fn open() -> Result<Device, Error> {
    Device::open().map_err(|error| match error {
        OpenError::NotLoaded if matches!(Kernel::ask(), Kernel::Lacks) => Error::NoGoSched,
        other => other.into(),
    })
}
