// SPDX-License-Identifier: GPL-2.0

//! Changes of victims that other threads change at the same time.

use common::attr::setpriority;
use common::device::Device;
use common::syscall::set_schedprio;
use fastrand::Rng;
use gosched::uapi::GO_SCHED_PRIO_NONE;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::sched_setaffinity;
use rustix::thread::CpuSet;

use crate::context::session;
use crate::context::Context;
use crate::operation::Operation;
use crate::random;
use crate::session::SLOTS;

pub(super) static OPERATIONS: [Operation; 11] = [
    Operation::new("race-set", 40, |context, rng| {
        on_victim(context, rng, |device, tid, rng| {
            device.try_set(tid, random::prio(rng), random::inherit(rng))
        });
    }),
    Operation::new("race-clear", 12, |context, rng| {
        on_victim(context, rng, |device, tid, _| device.try_clear(tid, 0));
    }),
    Operation::new("race-follow", 20, |context, rng| {
        on_victim(context, rng, |device, tid, _| device.try_follow(tid, 0));
    }),
    Operation::new("race-ceiling", 16, |context, rng| {
        on_victim(context, rng, |device, tid, rng| {
            let ceiling = random::prio_or_none(rng);
            device.try_ceiling(
                tid,
                ceiling.map_or(GO_SCHED_PRIO_NONE, |prio| prio as i32),
                0,
            )
        });
    }),
    Operation::new("race-get", 8, |context, rng| {
        on_victim(context, rng, |device, tid, _| {
            device
                .try_get(tid, 0)
                .and(device.try_stats(tid, 0))
                .map(drop)
        });
    }),
    Operation::new("race-hint", 60, store_hint),
    Operation::new("race-syscall", 20, |context, rng| {
        without_device(context, rng, |tid, rng| {
            match set_schedprio(tid, random::prio(rng), random::inherit(rng)) {
                // The module is unloaded.
                Err(Errno::OPNOTSUPP) => Ok(()),
                result => result,
            }
        });
    }),
    Operation::new("race-setattr", 16, |context, rng| {
        without_device(context, rng, |tid, rng| random::attr(rng).try_apply(tid));
    }),
    Operation::new("race-nice", 12, |context, rng| {
        without_device(context, rng, |tid, rng| setpriority(tid, random::nice(rng)));
    }),
    Operation::new("race-affinity", 8, |context, rng| {
        without_device(context, rng, set_affinity);
    }),
    Operation::new("open", 8, |_, _| open()),
];

/// Changes a random victim by the device.
fn on_victim(
    context: &Context,
    rng: &mut Rng,
    action: impl FnOnce(&Device, i32, &mut Rng) -> Result<(), Errno>,
) {
    let _changing = context.change_victims();
    let guard = context.read_session();
    if let Some(tid) = context.pick_victim(rng) {
        accept(tid, action(&session(&guard).device, tid, rng));
    }
}

/// Changes a random victim without the device, whether the module is loaded or not.
fn without_device(
    context: &Context,
    rng: &mut Rng,
    action: impl FnOnce(i32, &mut Rng) -> Result<(), Errno>,
) {
    let _changing = context.change_victims();
    if let Some(tid) = context.pick_victim(rng) {
        accept(tid, action(tid, rng));
    }
}

/// Checks that an operation succeeded, or failed because its victim has ended.
fn accept(tid: i32, result: Result<(), Errno>) {
    assert!(
        matches!(result, Ok(()) | Err(Errno::SRCH)),
        "on victim {tid}: {result:?}"
    );
}

/// Stores to a random slot that a victim may be bound to.
fn store_hint(context: &Context, rng: &mut Rng) {
    let guard = context.read_session();
    let slot = rng.u32(context.modeled_count()..SLOTS);
    let slot = session(&guard).page.slot(slot);
    slot.store(random::hint(rng));
    slot.fill_reserved(rng.u8(..));
    slot.forge_applied(rng.u8(..));
}

fn set_affinity(tid: i32, rng: &mut Rng) -> Result<(), Errno> {
    let mut cpus = CpuSet::new();
    let mask = rng.u32(1..256);
    for cpu in (0..8).filter(|cpu| mask & (1 << cpu) != 0) {
        cpus.set(cpu);
    }
    match sched_setaffinity(Pid::from_raw(tid), &cpus) {
        // None of these CPUs is online, or allowed, at this moment.
        Err(Errno::INVAL) => Ok(()),
        result => result,
    }
}

/// Opens the device, possibly while the module is loaded or unloaded.
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
            let error = Errno::from_io_error(&error);
            let is_unloaded = matches!(error, Some(Errno::NOENT | Errno::NODEV | Errno::NXIO));
            assert!(is_unloaded, "open: {error:?}");
        }
    }
}
