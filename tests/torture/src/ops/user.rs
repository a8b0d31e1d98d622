// SPDX-License-Identifier: GPL-2.0

//! Processes of an unprivileged user, who does what he may with his own threads, and
//! what he may not.

use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::device::Device;
use common::USER;
use fastrand::Rng;
use gosched::uapi::GO_SCHED_PRIO_NONE;

use crate::args::Role;
use crate::operation::Operation;
use crate::ops::birth::program;
use crate::random;

pub(super) static OPERATIONS: [Operation; 2] = [
    Operation::new("user", 1, |world, rng| {
        let _session = world.in_session();
        let output = start(rng).wait_with_output().expect("the process is ours");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "as a user, {}: {words}",
            output.status
        );
    }),
    Operation::new("user-kill", 1, |world, rng| {
        let _session = world.in_session();
        let mut child = start(rng);
        thread::sleep(Duration::from_millis(rng.u64(..200)));
        // It may have ended already.
        let _ = child.kill();
        child.wait().expect("the process is ours");
    }),
];

/// Starts a process that acts for a second, with a ceiling or without.
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
    // After the change of the user, which would end it. Threads that it has started by
    // then have none, and it may have ended.
    let _ = Device::open().try_ceiling(child.id() as i32, ceiling, 0);
    child
}
