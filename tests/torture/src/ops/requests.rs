// SPDX-License-Identifier: GPL-2.0

//! Requests of the device and the system call, and hints, for threads whose state is
//! known. Also what an unprivileged user may do, and may not.

use std::sync::Arc;

use common::device::SELF;
use fastrand::Rng;
use go_sched_policy::LEVELS;
use gosched::uapi::GO_SCHED_HINT_MAX_SIZE;
use gosched::uapi::GO_SCHED_SLOT_SIZE;
use nix::errno::Errno;

use crate::operation::Operation;
use crate::random;
use crate::session::Session;
use crate::ward::Ward;
use crate::world::session;
use crate::world::World;

pub(super) static OPERATIONS: [Operation; 9] = [
    Operation::new("set", 40, |world, rng| {
        with_ward(world, rng, |ward, session, rng| {
            // One in 65 is out of range.
            ward.set(session, rng.u32(..=LEVELS), rng.bool(), rng.bool());
        });
    }),
    Operation::new("clear", 12, |world, rng| {
        with_ward(world, rng, |ward, session, _| ward.clear(session));
    }),
    Operation::new("ceiling", 20, |world, rng| {
        with_ward(world, rng, |ward, session, rng| {
            ward.limit(session, random::prio_or_none(rng));
        });
    }),
    Operation::new("bind", 12, |world, rng| {
        with_ward(world, rng, |ward, session, _| ward.bind(session, true));
    }),
    Operation::new("unbind", 4, |world, rng| {
        with_ward(world, rng, |ward, session, _| ward.bind(session, false));
    }),
    Operation::new("hint", 60, |world, rng| {
        with_ward(world, rng, |ward, session, rng| {
            if !ward.is_bound() {
                ward.bind(session, true);
            }
            ward.hint(session, random::hint(rng), rng.bool());
        });
    }),
    Operation::new("nice", 8, |world, rng| {
        with_ward(world, rng, |ward, session, rng| {
            ward.set_nice(session, random::nice(rng));
        });
    }),
    Operation::new("child", 12, |world, rng| {
        with_ward(world, rng, |ward, session, _| ward.check_child(session));
    }),
    Operation::new("refused", 6, |world, rng| {
        with_ward(world, rng, |ward, session, _| refuse(ward, session));
    }),
];

/// Runs `action` on some ward, and compares the ward with what it must be.
#[track_caller]
pub(super) fn with_ward(
    world: &World,
    rng: &mut Rng,
    action: impl FnOnce(&mut Ward, &Arc<Session>, &mut Rng),
) {
    let guard = world.in_session();
    let session = session(&guard);
    if let Some(mut ward) = world.some_ward(rng) {
        action(&mut ward, session, rng);
        ward.check(session);
    }
}

/// Asks for what nobody gets.
fn refuse(ward: &Ward, session: &Session) {
    let (device, tid) = (&session.device, ward.tid());
    assert_eq!(device.try_set(tid, LEVELS, 0), Err(Errno::EINVAL));
    assert_eq!(device.try_set(tid, 32, 1 << 31), Err(Errno::EINVAL));
    assert_eq!(device.try_set(-1, 32, 0), Err(Errno::EINVAL));
    assert_eq!(
        device.try_ceiling(tid, LEVELS as i32, 0),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        device.try_bind(GO_SCHED_HINT_MAX_SIZE / GO_SCHED_SLOT_SIZE),
        Err(Errno::EINVAL),
        "a slot beyond the end"
    );
    if session.privileged {
        // A kernel thread: kthreadd.
        assert_eq!(device.try_set(2, 32, 0), Err(Errno::EPERM));
        assert_eq!(device.try_ceiling(2, 32, 0), Err(Errno::EPERM));
    } else {
        // Root's, for one: init.
        assert_eq!(device.try_set(1, 0, 0), Err(Errno::EPERM));
        assert_eq!(device.try_clear(1, 0), Err(Errno::EPERM));
        assert_eq!(device.try_ceiling(1, 0, 0), Err(Errno::EPERM));
    }
    if ward.is_bound() {
        // Whoever asks: the slot is taken.
        assert_eq!(device.get(SELF).slot, None);
        assert_eq!(device.try_bind(ward.slot()), Err(Errno::EBUSY));
    }
}
