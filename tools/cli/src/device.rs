// SPDX-License-Identifier: GPL-2.0

//! Opening the device.

use gosched::error::OpenError;
use gosched::Device;

use crate::error::Error;
use crate::kernel::Kernel;

/// Opens the device. The module is missed only where the kernel can load it.
pub(crate) fn open() -> Result<Device, Error> {
    Device::open().map_err(|error| match error {
        OpenError::NotLoaded if matches!(Kernel::ask(), Kernel::Lacks) => Error::NoGoSched,
        other => other.into(),
    })
}
