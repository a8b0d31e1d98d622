// SPDX-License-Identifier: GPL-2.0

//! The referee: looks at threads whose state nobody knows, and takes the module away
//! and brings it back.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use common::attr::Attr;
use common::device::Device;
use common::device::Record;
use common::module;
use common::worker::Worker;
use fastrand::Rng;

use crate::in_force;
use crate::operation::choose;
use crate::operation::Operation;
use crate::world::session;
use crate::world::World;

/// What the referee does now and then.
pub(crate) static OPERATIONS: [Operation; 3] = [
    Operation::new("check", 4, check_prey),
    Operation::new("reload", 1, |world, rng| reload(world, rng, false)),
    Operation::new("handover", 1, |world, rng| reload(world, rng, true)),
];

/// A thread that nobody touches.
struct Control {
    worker: Worker,
    record: Record,
    attr: Attr,
}

impl Control {
    fn new(world: &World) -> Self {
        let worker = Worker::spawn();
        let tid = worker.tid();
        Attr::batch(3).slice_ns(7_000_000).apply(tid);
        Self {
            record: session(&world.in_session()).device.get(tid),
            attr: Attr::base_of(tid),
            worker,
        }
    }

    fn check(&self, world: &World) {
        let tid = self.worker.run(|| nix::unistd::gettid().as_raw());
        assert_eq!(Attr::base_of(tid), self.attr, "nobody touched thread {tid}");
        let record = session(&world.in_session()).device.get(tid);
        assert_eq!(record, self.record, "nobody touched thread {tid}");
        assert_eq!(record.prio, None);
    }
}

/// Goes on until the end: everything once, however long that takes, and then at random.
pub(crate) fn watch(world: &World, mut rng: Rng) {
    let control = Control::new(world);
    let operations = OPERATIONS.each_ref();
    let mut first = operations.into_iter();
    while !(first.len() == 0 && world.is_over()) {
        thread::sleep(Duration::from_millis(rng.u64(200..1500)));
        let operation = first
            .next()
            .unwrap_or_else(|| choose(&operations, &mut rng));
        operation.run(world, &mut rng);
        control.check(world);
    }
}

/// While nobody changes them: is what is in force for each of the prey what the device
/// says is applied?
fn check_prey(world: &World, _rng: &mut Rng) {
    let _calm = world.calm_down();
    let guard = world.in_session();
    for tid in &world.prey {
        let tid = tid.load(Ordering::Relaxed);
        if tid != 0 {
            check_one(&session(&guard).device, tid);
        }
    }
}

fn check_one(device: &Device, tid: i32) {
    let (record, goes_by) = in_force::look(device, tid);
    let expected = in_force::expected(&record);
    assert_eq!(record.current, expected, "of prey {tid}: {record:?}");
    assert!(goes_by, "of prey {tid}: {record:?}");
}

/// Takes the module away and brings it back; with `handover`, its mapping stays.
fn reload(world: &World, rng: &mut Rng, handover: bool) {
    // Else the prey is changed meanwhile, by what needs no device.
    let _calm = rng.bool().then(|| world.calm_down());
    world.between_sessions(|| {
        if handover {
            module::hand_over();
            world.wards().for_each(|ward| ward.check_in_force());
        } else {
            module::unload();
            world.wards().for_each(|ward| ward.check_at_base());
        }
        world
            .wards()
            .for_each(|mut ward| ward.lose_binding(handover));
        thread::sleep(Duration::from_millis(rng.u64(..20)));
        module::load();
    });
    let guard = world.in_session();
    world
        .wards()
        .for_each(|mut ward| ward.check(session(&guard)));
}
