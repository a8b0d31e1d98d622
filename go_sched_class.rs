// SPDX-License-Identifier: GPL-2.0

//! Go priorities: one number per thread, 0 to 63, higher = more urgent.
//!
//! Gives the scheduler the meaning of the numbers, and user space `/dev/go_sched` to set them.

use kernel::{
    c_str,
    go_sched::{Class, Level, Params, Registration},
    miscdevice::MiscDeviceRegistration,
    prelude::*,
};

use crate::device::Device;

mod device;
pub mod policy;
mod uapi;

module! {
    type: GoSchedClass,
    name: "go_sched_class",
    author: "The go_sched authors",
    description: "Go priorities: the mapping and /dev/go_sched",
    license: "GPL",
}

static CLASS: Class = Class::new(&levels());

const fn levels() -> [Level; policy::LEVELS as usize] {
    let mut levels = [Level {
        params: Params {
            policy: 0,
            nice: 0,
            rt_priority: 0,
            slice_ns: 0,
        },
        weight: 0,
    }; policy::LEVELS as usize];

    let mut prio = 0;
    while prio < levels.len() {
        let level = &policy::TABLE[prio];

        levels[prio] = Level {
            params: Params {
                policy: level.policy.number(),
                nice: level.nice,
                rt_priority: level.rt_priority,
                slice_ns: level.slice_ns,
            },
            weight: level.weight,
        };
        prio += 1;
    }
    levels
}

/// Fields are dropped in order: the device goes first, so that nobody sets a priority any more
/// when the class does.
struct GoSchedClass {
    _device: Pin<KBox<MiscDeviceRegistration<Device>>>,
    _class: Registration,
}

impl kernel::Module for GoSchedClass {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let class = Registration::new(&CLASS)?;
        let device = KBox::pin_init(
            MiscDeviceRegistration::register(module, c_str!("go_sched")),
            GFP_KERNEL,
        )?;

        Ok(Self {
            _device: device,
            _class: class,
        })
    }
}
