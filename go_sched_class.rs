// SPDX-License-Identifier: GPL-2.0

//! Go priorities: one number per thread, 0 to 63, higher = more urgent.
//!
//! Gives the scheduler the meaning of the numbers, and user space `/dev/go_sched` to set them, to
//! store hints, and to say how far threads may move by themselves.

use kernel::{
    c_str,
    go_sched::{Class, Level, Params, Registration},
    miscdevice::MiscDeviceRegistration,
    prelude::*,
    time::NSEC_PER_MSEC,
};

use crate::device::Device;

mod device;
mod hint;
pub mod policy;

module! {
    type: GoSchedClass,
    name: "go_sched_class",
    author: "The go_sched authors",
    description: "Go priorities: the mapping and /dev/go_sched",
    license: "GPL",
}

kernel::module_param! {
    static BUDGET_MS: Uint = 200, name: "budget_ms", type: "uint", ops: param_ops_uint,
        permissions: 0o444, description:
            "CPU time in milliseconds that a granted ceiling allows at once at priorities that its thread does not own; 0: no limit";
    static SHARE_PERCENT: Uint = 10, name: "share_percent", type: "uint", ops: param_ops_uint,
        permissions: 0o444, description:
            "The same in the long run, in percent of one CPU";
    static HANDOVER: Bool = false, name: "handover", type: "bool", ops: param_ops_bool,
        permissions: 0o644, description:
            "Leave the mapping in force on unload, for the next module to replace";
}

/// The largest budget, in milliseconds: so long a thread may keep all others from a CPU.
const BUDGET_MAX_MS: u64 = 1000;

static CLASS: Class = Class::new(&levels(), policy::VERSION, policy::HASH);

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
    class: Registration,
}

impl kernel::Module for GoSchedClass {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let budget_ms = u64::from(BUDGET_MS.get());
        if budget_ms > BUDGET_MAX_MS {
            pr_err!("budget_ms is {budget_ms}, but must be 0 to {BUDGET_MAX_MS}\n");
            return Err(EINVAL);
        }
        let share = SHARE_PERCENT.get();
        if share > 100 {
            pr_err!("share_percent is {share}, but must be 0 to 100\n");
            return Err(EINVAL);
        }
        let class = Registration::new(&CLASS.with_budget(budget_ms * NSEC_PER_MSEC as u64, share))?;
        let device = KBox::pin_init(
            MiscDeviceRegistration::register(module, c_str!("go_sched")),
            GFP_KERNEL,
        )?;

        Ok(Self {
            _device: device,
            class,
        })
    }
}

impl Drop for GoSchedClass {
    fn drop(&mut self) {
        if HANDOVER.get() {
            self.class.hand_over();
        }
    }
}
