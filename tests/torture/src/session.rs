// SPDX-License-Identifier: GPL-2.0

//! One life of the module, as its users see it.

use common::device::Device;
use common::device::PublicDevice;
use common::hint::HintPage;

/// Slots in the shared hint pages: more than are used, over more than one page.
pub(crate) const SLOTS: u32 = 128;

/// The device, open and mapped. The module cannot go while this exists.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) page: HintPage,
    pub(crate) device: Device,
    /// Whether the process may do everything.
    pub(crate) privileged: bool,
    /// Only root can, and needs to, open the device to everybody.
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
