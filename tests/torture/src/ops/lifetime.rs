// SPDX-License-Identifier: GPL-2.0

//! New threads, processes and programs, and how they end.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

use clap::ValueEnum;
use common::child::in_child;
use common::child::Child;
use common::device::Device;
use common::device::SELF;
use common::hint::HintPage;
use common::hint::SLOTS_PER_PAGE;
use common::worker::in_thread;
use fastrand::Rng;

use crate::args::Args;
use crate::args::Role;
use crate::in_force;
use crate::operation::Operation;
use crate::random;
use crate::world::World;

pub(super) static OPERATIONS: [Operation; 5] = [
    Operation::new("thread", 8, |world, rng| {
        as_parent(world, rng, |device, inherited| {
            in_thread(move || assert_eq!(device.prio(SELF), inherited));
        });
    }),
    Operation::new("fork", 4, |world, rng| {
        as_parent(world, rng, |device, inherited| {
            in_child(|| assert_eq!(device.prio(SELF), inherited));
        });
    }),
    Operation::new("vfork-exec", 2, |world, rng| {
        as_parent(world, rng, |_device, inherited| {
            run_program(Role::Exec, inherited, 0)
        });
    }),
    Operation::new("exec", 2, |world, rng| {
        let _session = world.in_session();
        run_program(Role::Bound, Some(random::prio(rng)), rng.u64(..));
    }),
    Operation::new("kill", 3, kill),
];

/// Runs `create` in a thread with a random priority, and tells it the priority that
/// new threads start with.
fn as_parent(
    world: &World,
    rng: &mut Rng,
    create: impl FnOnce(Device, Option<u32>) + Send + 'static,
) {
    let _session = world.in_session();
    let (prio, flags) = (random::prio(rng), random::inherit(rng));
    in_thread(move || {
        let device = Device::open();
        assert_eq!(
            device.try_set(SELF, prio, flags),
            Ok(()),
            "SET of itself to {prio}"
        );
        create(device, (flags != 0).then_some(prio));
    });
}

/// This program in another role.
pub(super) fn program(role: Role) -> Command {
    let mut program = Command::new(env::current_exe().expect("/proc has it"));
    let role = role.to_possible_value().expect("no role is skipped");
    program.arg(format!("--role={}", role.get_name()));
    program
}

fn run_program(role: Role, prio: Option<u32>, seed: u64) {
    let mut program = program(role);
    program.arg(format!("--prio={}", prio.map_or(-1, |prio| prio as i32)));
    let output = program.arg(format!("--seed={seed}")).output();
    let output = output.expect("a process");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{role:?} at {prio:?}: {words}");
}

/// Binds a thread, the first of the process or another, and has it exec.
pub(crate) fn exec_bound(args: &Args) -> String {
    let prio = args.prio;
    let mut rng = Rng::with_seed(args.seed);
    let (hint, leader) = (random::hint(&mut rng), rng.bool());
    let exec = move || {
        let device = Device::open();
        let page = HintPage::new(&device, SLOTS_PER_PAGE);
        device.set(SELF, prio as u32);
        device.bind(0);
        page.slot(0).store(hint);
        thread::yield_now();
        program(Role::Exec).arg(format!("--prio={prio}")).exec()
    };
    let error = if leader { exec() } else { in_thread(exec) };
    panic!("exec: {error}");
}

/// What the program after exec does.
pub(crate) fn look_at_itself(prio: i32) -> String {
    let record = Device::open().get(SELF);
    assert_eq!(record.slot, None, "exec ends the binding");
    assert_eq!(record.prio, u32::try_from(prio).ok());
    assert_eq!(record.current, in_force::expected(&record));
    String::new()
}

/// Kills a process that is bound, and takes over its slot.
fn kill(world: &World, rng: &mut Rng) {
    let _session = world.in_session();
    let device = Device::open();
    let page = HintPage::new(&device, SLOTS_PER_PAGE);
    let (slot, hint) = (rng.u32(..SLOTS_PER_PAGE), random::hint(rng));
    let child = Child::sleeping(|| {
        device.bind(slot);
        page.slot(slot).store(hint);
    });
    child.kill();
    drop(child);
    in_thread(move || {
        device.bind(slot);
        drop(page);
    });
}
