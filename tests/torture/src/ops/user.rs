// SPDX-License-Identifier: GPL-2.0

//! Processes of an unprivileged user, which make requests that are allowed and requests
//! that are refused.

use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::deadline::await_output_within;
use common::deadline::await_program;
use common::deadline::TEST_DEADLINE;
use common::device::Device;
use common::USER;
use fastrand::Rng;
use gosched::uapi::GO_SCHED_PRIO_NONE;

use crate::args::Role;
use crate::operation::Operation;
use crate::ops::lifetime::program;
use crate::random;

pub(super) static OPERATIONS: [Operation; 2] = [
    Operation::new("user", 1, |context, rng| {
        let _session = context.read_session();
        let output = await_output_within(TEST_DEADLINE, start(rng));
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "as a user, {}: {message}",
            output.status
        );
    }),
    Operation::new("user-kill", 1, |context, rng| {
        let _session = context.read_session();
        let mut child = start(rng);
        thread::sleep(Duration::from_millis(rng.u64(..200)));
        // The process may have ended already.
        let _ = child.kill();
        await_program(&mut child);
    }),
];

/// Starts a process in the role of a user for one second, with a random ceiling or without.
fn start(rng: &mut Rng) -> Child {
    let ceiling = random::prio_or_none(rng).map_or(GO_SCHED_PRIO_NONE, |prio| prio as i32);
    let mut program = program(Role::User);
    program
        .args(["--seconds=1", "--threads=3"])
        .arg(format!("--seed={}", rng.u64(..)))
        .uid(USER)
        .gid(USER)
        .stderr(Stdio::piped());
    let child = program.spawn().expect("a process");
    // A change of the user ends a ceiling, so the grant follows the change. Threads that
    // the process has started before have no ceiling, and the process may have ended.
    let _ = Device::open().try_ceiling(child.id() as i32, ceiling, 0);
    child
}
