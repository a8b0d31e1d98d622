// SPDX-License-Identifier: GPL-2.0

//! Requests of the device and the system call, and hints, for modeled threads. Requests that
//! must be refused are included.

use std::sync::Arc;

use common::device::SELF;
use fastrand::Rng;
use go_sched_policy::LEVELS;
use gosched::uapi::GO_SCHED_HINT_MAX_SIZE;
use gosched::uapi::GO_SCHED_SLOT_SIZE;
use rustix::io::Errno;

use crate::context::session;
use crate::context::Context;
use crate::modeled::ModeledThread;
use crate::operation::Operation;
use crate::random;
use crate::session::Session;

pub(super) static OPERATIONS: [Operation; 9] = [
    Operation::new("set", 40, |context, rng| {
        with_modeled(context, rng, |thread, session, rng| {
            // One in 65 is out of range.
            thread.set(session, rng.u32(..=LEVELS), rng.bool(), rng.bool());
        });
    }),
    Operation::new("clear", 12, |context, rng| {
        with_modeled(context, rng, |thread, session, _| thread.clear(session));
    }),
    Operation::new("ceiling", 20, |context, rng| {
        with_modeled(context, rng, |thread, session, rng| {
            thread.set_ceiling(session, random::prio_or_none(rng));
        });
    }),
    Operation::new("bind", 12, |context, rng| {
        with_modeled(context, rng, |thread, session, _| {
            thread.bind(session, true)
        });
    }),
    Operation::new("unbind", 4, |context, rng| {
        with_modeled(context, rng, |thread, session, _| {
            thread.bind(session, false)
        });
    }),
    Operation::new("hint", 60, |context, rng| {
        with_modeled(context, rng, |thread, session, rng| {
            if !thread.is_bound() {
                thread.bind(session, true);
            }
            thread.hint(session, random::hint(rng), rng.bool());
        });
    }),
    Operation::new("nice", 8, |context, rng| {
        with_modeled(context, rng, |thread, session, rng| {
            thread.set_nice(session, random::nice(rng));
        });
    }),
    Operation::new("child", 12, |context, rng| {
        with_modeled(context, rng, |thread, session, _| {
            thread.check_child(session)
        });
    }),
    Operation::new("refused", 6, |context, rng| {
        with_modeled(context, rng, |thread, session, _| refuse(thread, session));
    }),
];

/// Runs `action` on a random modeled thread, and compares the thread with its model.
#[track_caller]
pub(super) fn with_modeled(
    context: &Context,
    rng: &mut Rng,
    action: impl FnOnce(&mut ModeledThread, &Arc<Session>, &mut Rng),
) {
    let guard = context.read_session();
    let session = session(&guard);
    if let Some(mut thread) = context.pick_modeled(rng) {
        action(&mut thread, session, rng);
        thread.check(session);
    }
}

/// Makes requests that must fail for every caller.
fn refuse(thread: &ModeledThread, session: &Session) {
    let (device, tid) = (&session.device, thread.tid());
    assert_eq!(device.try_set(tid, LEVELS, 0), Err(Errno::INVAL));
    assert_eq!(device.try_set(tid, 32, 1 << 31), Err(Errno::INVAL));
    assert_eq!(device.try_set(-1, 32, 0), Err(Errno::INVAL));
    assert_eq!(device.try_ceiling(tid, LEVELS as i32, 0), Err(Errno::INVAL));
    assert_eq!(
        device.try_bind(GO_SCHED_HINT_MAX_SIZE / GO_SCHED_SLOT_SIZE),
        Err(Errno::INVAL),
        "a slot beyond the end"
    );
    if session.privileged {
        // A kernel thread: kthreadd.
        assert_eq!(device.try_set(2, 32, 0), Err(Errno::PERM));
        assert_eq!(device.try_ceiling(2, 32, 0), Err(Errno::PERM));
    } else {
        // A process of root: init.
        assert_eq!(device.try_set(1, 0, 0), Err(Errno::PERM));
        assert_eq!(device.try_clear(1, 0), Err(Errno::PERM));
        assert_eq!(device.try_ceiling(1, 0, 0), Err(Errno::PERM));
    }
    if thread.is_bound() {
        // The slot is taken, so that no other thread can bind to it.
        assert_eq!(device.get(SELF).slot, None);
        assert_eq!(device.try_bind(thread.slot()), Err(Errno::BUSY));
    }
}
