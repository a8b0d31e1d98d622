// SPDX-License-Identifier: GPL-2.0

//! Shutdown check: nothing is left of the threads that have ended. The harness looks for
//! leaked memory when the program has ended.

use common::eventually;
use common::module;
use common::worker::in_thread;

use crate::args::Args;
use crate::args::Role;
use crate::context::Context;
use crate::ops;
use crate::session::Session;
use crate::session::SLOTS;
use crate::slab;

/// Checks the modeled threads, ends them, and looks for what is left of all threads.
/// `records` is the number of records in the kernel at the start.
pub(crate) fn check(mut context: Context, args: &Args, records: Option<u64>) {
    let root = matches!(args.role, Role::Root);
    context.release_modeled();
    let session = context.end_session();
    in_thread(move || bind_each(&session));
    in_thread(move || bind_each(&Session::new(root)));
    if !root {
        return;
    }
    ops::all_online().expect("CPUs come back");
    drop(context.cgroups);
    if let Some(before) = records {
        eventually("the records of all threads are freed", || {
            slab::records().is_ok_and(|now| now <= before)
        });
    }
    module::unload();
}

/// Binds each slot, which fails for a slot that is still bound to an ended thread.
fn bind_each(session: &Session) {
    for slot in 0..SLOTS {
        session.device.bind(slot);
        session.device.unbind();
    }
}
