// SPDX-License-Identifier: GPL-2.0

//! Use of the module between two reloads.

use common::device::Device;
use common::device::PublicDevice;
use common::hint::HintPage;

/// Number of slots in the shared hint pages: more than threads use, over more than one page.
pub(crate) const SLOTS: u32 = 128;

/// The device, open and mapped. The module cannot be unloaded while this exists.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) page: HintPage,
    pub(crate) device: Device,
    /// True if the process is root's.
    pub(crate) privileged: bool,
    /// Makes the device accessible to all users, which only root can.
    _public: Option<PublicDevice>,
}

impl Session {
    pub(crate) fn new(privileged: bool) -> Self {
        let public = privileged.then(PublicDevice::new);
        let device = Device::open();
        Self {
            page: HintPage::new(&device, SLOTS),
            device,
            privileged,
            _public: public,
        }
    }
}
