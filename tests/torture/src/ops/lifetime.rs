// SPDX-License-Identifier: GPL-2.0

//! Start and end of threads, processes and programs.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

use clap::ValueEnum;
use common::child::in_child;
use common::child::Child;
use common::deadline::output_of;
use common::device::Device;
use common::device::SELF;
use common::hint::HintPage;
use common::hint::SLOTS_PER_PAGE;
use common::worker::in_thread;
use fastrand::Rng;

use crate::args::Args;
use crate::args::Role;
use crate::context::Context;
use crate::in_force;
use crate::operation::Operation;
use crate::random;

pub(super) static OPERATIONS: [Operation; 5] = [
    Operation::new("thread", 8, |context, rng| {
        as_parent(context, rng, |device, inherited| {
            in_thread(move || assert_eq!(device.prio(SELF), inherited));
        });
    }),
    Operation::new("fork", 4, |context, rng| {
        as_parent(context, rng, |device, inherited| {
            in_child(|| assert_eq!(device.prio(SELF), inherited));
        });
    }),
    Operation::new("vfork-exec", 2, |context, rng| {
        as_parent(context, rng, |_device, inherited| {
            run_program(Role::Exec, inherited, 0)
        });
    }),
    Operation::new("exec", 2, |context, rng| {
        let _session = context.read_session();
        run_program(Role::Bound, Some(random::prio(rng)), rng.u64(..));
    }),
    Operation::new("kill", 3, kill),
];

/// Runs `create` in a thread with a random priority. The argument of `create` is the priority
/// that new threads must start with.
fn as_parent(
    context: &Context,
    rng: &mut Rng,
    create: impl FnOnce(Device, Option<u32>) + Send + 'static,
) {
    let _session = context.read_session();
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

/// Returns a command that runs this program in another role.
pub(super) fn program(role: Role) -> Command {
    let mut program = Command::new(env::current_exe().expect("/proc has it"));
    let role = role.to_possible_value().expect("no role is skipped");
    program.arg(format!("--role={}", role.get_name()));
    program
}

fn run_program(role: Role, prio: Option<u32>, seed: u64) {
    let mut program = program(role);
    program.arg(format!("--prio={}", prio.map_or(-1, |prio| prio as i32)));
    let output = output_of(program.arg(format!("--seed={seed}")));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{role:?} at {prio:?}: {message}");
}

/// Binds a thread, the leader of the process or another thread, and has the thread exec.
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

/// Checks the calling thread after exec.
pub(crate) fn check_after_exec(prio: i32) -> String {
    let record = Device::open().get(SELF);
    assert_eq!(record.slot, None, "exec ends the binding");
    assert_eq!(record.prio, u32::try_from(prio).ok());
    assert_eq!(record.current, in_force::expected(&record));
    String::new()
}

/// Kills a process that is bound to a slot, and binds another thread to that slot.
fn kill(context: &Context, rng: &mut Rng) {
    let _session = context.read_session();
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
