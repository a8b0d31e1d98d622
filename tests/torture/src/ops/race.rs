// SPDX-License-Identifier: GPL-2.0

//! Changes of threads that others change at the same time.

use common::attr::setpriority;
use common::device::Device;
use common::syscall::set_schedprio;
use fastrand::Rng;
use gosched::uapi::GO_SCHED_PRIO_NONE;
use nix::errno::Errno;
use nix::sched::sched_setaffinity;
use nix::sched::CpuSet;
use nix::unistd::Pid;

use crate::operation::Operation;
use crate::random;
use crate::session::SLOTS;
use crate::world::session;
use crate::world::World;

pub(super) static OPERATIONS: [Operation; 10] = [
    Operation::new("race-set", 40, |world, rng| {
        on_prey(world, rng, |device, tid, rng| {
            device.try_set(tid, random::prio(rng), random::inherit(rng))
        });
    }),
    Operation::new("race-clear", 12, |world, rng| {
        on_prey(world, rng, |device, tid, _| device.try_clear(tid, 0));
    }),
    Operation::new("race-ceiling", 16, |world, rng| {
        on_prey(world, rng, |device, tid, rng| {
            let ceiling = random::prio_or_none(rng);
            device.try_ceiling(
                tid,
                ceiling.map_or(GO_SCHED_PRIO_NONE, |prio| prio as i32),
                0,
            )
        });
    }),
    Operation::new("race-get", 8, |world, rng| {
        on_prey(world, rng, |device, tid, _| {
            device
                .try_get(tid, 0)
                .and(device.try_stats(tid, 0))
                .map(drop)
        });
    }),
    Operation::new("race-hint", 60, store_hint),
    Operation::new("race-syscall", 20, |world, rng| {
        without_device(world, rng, |tid, rng| {
            match set_schedprio(tid, random::prio(rng), random::inherit(rng)) {
                // The module is away.
                Err(Errno::EOPNOTSUPP) => Ok(()),
                result => result,
            }
        });
    }),
    Operation::new("race-setattr", 16, |world, rng| {
        without_device(world, rng, |tid, rng| random::attr(rng).try_apply(tid));
    }),
    Operation::new("race-nice", 12, |world, rng| {
        without_device(world, rng, |tid, rng| setpriority(tid, random::nice(rng)));
    }),
    Operation::new("race-affinity", 8, |world, rng| {
        without_device(world, rng, set_affinity);
    }),
    Operation::new("open", 8, |_, _| open()),
];

/// Acts on some prey by the device.
fn on_prey(
    world: &World,
    rng: &mut Rng,
    action: impl FnOnce(&Device, i32, &mut Rng) -> Result<(), Errno>,
) {
    let _disturbing = world.disturb();
    let guard = world.in_session();
    if let Some(tid) = world.some_prey(rng) {
        accept(tid, action(&session(&guard).device, tid, rng));
    }
}

/// Acts on some prey whether there is a device or not.
fn without_device(
    world: &World,
    rng: &mut Rng,
    action: impl FnOnce(i32, &mut Rng) -> Result<(), Errno>,
) {
    let _disturbing = world.disturb();
    if let Some(tid) = world.some_prey(rng) {
        accept(tid, action(tid, rng));
    }
}

/// The thread may have ended meanwhile.
fn accept(tid: i32, result: Result<(), Errno>) {
    assert!(
        matches!(result, Ok(()) | Err(Errno::ESRCH)),
        "on prey {tid}: {result:?}"
    );
}

/// Stores to a slot that some prey may be bound to.
fn store_hint(world: &World, rng: &mut Rng) {
    let guard = world.in_session();
    let slot = rng.u32(world.ward_count()..SLOTS);
    let slot = session(&guard).page.slot(slot);
    slot.store(random::hint(rng));
    slot.fill_reserved(rng.u8(..));
    slot.forge_applied(rng.u8(..));
}

fn set_affinity(tid: i32, rng: &mut Rng) -> Result<(), Errno> {
    let mut cpus = CpuSet::new();
    let mask = rng.u32(1..256);
    for cpu in (0..8).filter(|cpu| mask & (1 << cpu) != 0) {
        cpus.set(cpu)?;
    }
    match sched_setaffinity(Pid::from_raw(tid), &cpus) {
        // None of these CPUs is there, or allowed, at this moment.
        Err(Errno::EINVAL) => Ok(()),
        result => result,
    }
}

/// Opens the device at a moment when the module may be coming or going.
fn open() {
    match Device::try_open() {
        Ok(device) => {
            let info = device
                .try_class_info()
                .expect("an open file keeps the module");
            assert_eq!(
                (info.version, info.hash),
                (go_sched_policy::VERSION, go_sched_policy::HASH)
            );
        }
        Err(error) => {
            let error = error.raw_os_error().map(Errno::from_raw);
            let away = matches!(error, Some(Errno::ENOENT | Errno::ENODEV | Errno::ENXIO));
            assert!(away, "open: {error:?}");
        }
    }
}
