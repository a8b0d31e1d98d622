// SPDX-License-Identifier: GPL-2.0

//! The checker: checks the victims, and unloads and loads the module.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use common::attr::Attr;
use common::device::Device;
use common::device::Record;
use common::module;
use common::worker::Worker;
use fastrand::Rng;

use crate::context::session;
use crate::context::Context;
use crate::in_force;
use crate::operation::choose;
use crate::operation::Operation;

/// Operations of the checker.
pub(crate) static OPERATIONS: [Operation; 3] = [
    Operation::new("check", 4, check_victims),
    Operation::new("reload", 1, |context, rng| reload(context, rng, false)),
    Operation::new("handover", 1, |context, rng| reload(context, rng, true)),
];

/// A thread that nobody changes, and its state at the start.
struct Control {
    worker: Worker,
    record: Record,
    attr: Attr,
}

impl Control {
    fn new(context: &Context) -> Self {
        let worker = Worker::spawn();
        let tid = worker.tid();
        Attr::batch(3).slice_ns(7_000_000).apply(tid);
        Self {
            record: session(&context.read_session()).device.get(tid),
            attr: Attr::base_of(tid),
            worker,
        }
    }

    fn check(&self, context: &Context) {
        let tid = self.worker.run(|| rustix::thread::gettid().as_raw_pid());
        assert_eq!(Attr::base_of(tid), self.attr, "nobody changed thread {tid}");
        let record = session(&context.read_session()).device.get(tid);
        assert_eq!(record, self.record, "nobody changed thread {tid}");
        assert_eq!(record.prio, None);
    }
}

/// Performs each operation once, and then random ones until the end.
pub(crate) fn run(context: &Context, mut rng: Rng) {
    let control = Control::new(context);
    let operations = OPERATIONS.each_ref();
    let mut first = operations.into_iter();
    while !(first.len() == 0 && context.is_over()) {
        thread::sleep(Duration::from_millis(rng.u64(200..1500)));
        let operation = first
            .next()
            .unwrap_or_else(|| choose(&operations, &mut rng));
        operation.run(context, &mut rng);
        control.check(context);
    }
}

/// Checks, while nobody changes the victims, that the parameters in force for each victim are
/// those of the priority that the device reports as applied.
fn check_victims(context: &Context, _rng: &mut Rng) {
    let _paused = context.pause_victims();
    let guard = context.read_session();
    for tid in &context.victims {
        let tid = tid.load(Ordering::Relaxed);
        if tid != 0 {
            check_one(&session(&guard).device, tid);
        }
    }
}

fn check_one(device: &Device, tid: i32) {
    let record = in_force::read_settled(device, tid);
    let expected = in_force::expected(&record);
    assert_eq!(record.current, expected, "of victim {tid}: {record:?}");
}

/// Unloads the module and loads it again; with `handover`, the mapping stays in force
/// meanwhile.
fn reload(context: &Context, rng: &mut Rng, handover: bool) {
    // Otherwise, system calls that need no device change the victims meanwhile.
    let _paused = rng.bool().then(|| context.pause_victims());
    context.without_session(|| {
        if handover {
            module::hand_over();
            context
                .modeled_threads()
                .for_each(|thread| thread.check_in_force());
        } else {
            module::unload();
            context
                .modeled_threads()
                .for_each(|thread| thread.check_at_base());
        }
        context
            .modeled_threads()
            .for_each(|mut thread| thread.lose_binding(handover));
        thread::sleep(Duration::from_millis(rng.u64(..20)));
        module::load();
    });
    let guard = context.read_session();
    context
        .modeled_threads()
        .for_each(|mut thread| thread.check(session(&guard)));
}
