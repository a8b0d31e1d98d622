// SPDX-License-Identifier: GPL-2.0

//! When all threads have ended, nothing may be left of them.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use common::eventually;
use common::module;
use common::worker::in_thread;

use crate::args::Args;
use crate::args::Role;
use crate::ops;
use crate::session::Session;
use crate::session::SLOTS;
use crate::slab;
use crate::world::World;

const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";

/// kmemleak ignores objects younger than 5 s.
const KMEMLEAK_MIN_AGE: Duration = Duration::from_millis(5500);

/// Ends the wards and looks at what is left; `records` is how many there were at
/// the start.
pub(crate) fn check(mut world: World, args: &Args, records: Option<u64>) {
    let root = matches!(args.role, Role::Root);
    world.release_wards();
    let session = world.end_session();
    in_thread(move || bind_each(&session));
    in_thread(move || bind_each(&Session::new(root)));
    if !root {
        return;
    }
    ops::all_online().expect("CPUs come back");
    if let Ok(cgroups) = &world.cgroups {
        cgroups.remove().expect("no thread is left in the groups");
    }
    if let Some(before) = records {
        eventually("the records of all threads are freed", || {
            slab::records().is_ok_and(|now| now <= before)
        });
    }
    module::unload();
    if Path::new(KMEMLEAK).exists() {
        check_leaks();
    }
}

/// No slot may still be bound to a thread that is gone.
fn bind_each(session: &Session) {
    for slot in 0..SLOTS {
        session.device.bind(slot);
        session.device.unbind();
    }
}

/// Only an object that does not change between two scans is reported.
fn check_leaks() {
    for _ in 0..2 {
        thread::sleep(KMEMLEAK_MIN_AGE / 2);
        fs::write(KMEMLEAK, "scan").expect("kmemleak scans");
    }
    let leaks = fs::read_to_string(KMEMLEAK).expect("kmemleak is readable");
    assert!(leaks.is_empty(), "kmemleak: {leaks}");
}
