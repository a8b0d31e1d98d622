// SPDX-License-Identifier: GPL-2.0

//! Inheritance of a new thread or process by each way to make one, down to the ceiling,
//! the timer slack and the utilization clamps.

use std::env;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use common::attr::Attr;
use common::child;
use common::child::await_child;
use common::child::become_user_with_ceiling;
use common::child::in_child;
use common::child::with_program;
use common::child::Child;
use common::child::SETUID_ROLE;
use common::device::Device;
use common::device::SELF;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::module::Reconfigured;
use common::state::assert_refused;
use common::state::assert_unchanged;
use common::state::State;
use common::worker::in_thread;
use common::worker::Worker;
use common::USER;
use go_sched_policy::TABLE;
use nix::sched::clone;
use nix::sched::CloneFlags;
use rustix::io::Errno;
use rustix::thread::gettid;
use rustix::thread::set_current_timer_slack;
use std::num::NonZero;

/// A thread's scheduling, and its timer slack in nanoseconds.
pub(crate) type Start = (State, u64);

/// A ceiling that no base below has of itself.
const GRANTED: u32 = 45;

/// Priorities of all bands, below and above most of the bases.
const SAMPLE: [u32; 4] = [7, 20, 40, 50];

/// A way to make a child.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Creation {
    Thread,
    Fork,
    /// A child by vfork(2), which borrows its parent's memory.
    Vfork,
    Exec,
    /// An execve(2) of a setuid program of root, as a user.
    SetuidExec,
}

impl Creation {
    /// Returns whether the child stays its parent's user, and so has its granted ceiling.
    fn keeps_user(self) -> bool {
        !matches!(self, Self::SetuidExec)
    }
}

const CREATIONS: [Creation; 5] = [
    Creation::Thread,
    Creation::Fork,
    Creation::Vfork,
    Creation::Exec,
    Creation::SetuidExec,
];

/// Bases that a child could inherit wrongly, each in its own way.
fn bases() -> [Attr; 6] {
    [
        Attr::normal(-7),
        Attr::normal(7).slice_ns(10_000_000),
        Attr::batch(3),
        Attr::idle(),
        Attr::fifo(9),
        Attr::rr(9),
    ]
}

/// Gives the calling thread a base, and all else that a child inherits.
fn prepare(base: Attr) {
    base.apply(SELF);
    Attr::utilization_only(100, 900).apply(SELF);
    set_current_timer_slack(NonZero::new(70_000)).expect("it always succeeds");
}

/// Returns the state of a new child, which is first given `prio` if there is one.
pub(crate) fn start_of(tid: i32, prio: Option<u32>) -> Start {
    let device = Device::open();
    if let Some(prio) = prio {
        device.set_inherited(tid, prio);
    }
    let slack = fs::read_to_string(format!("/proc/{tid}/timerslack_ns"))
        .expect("/proc has the timer slack of each thread");
    let slack = slack.trim().parse().expect("the timer slack is a number");
    (State::of(&device, tid), slack)
}

/// Starts a child of the calling thread. Returns the state of the child, which is first
/// given `prio` if there is one.
pub(crate) fn child_of_caller(creation: Creation, prio: Option<u32>) -> Start {
    match creation {
        Creation::Thread => start_of(Worker::spawn().tid(), prio),
        Creation::Fork => start_of(Child::sleeping(|| ()).pid(), prio),
        Creation::Vfork => in_vfork(|| start_of(gettid().as_raw_pid(), prio)),
        Creation::Exec => with_program(&mut Command::new("cat"), |pid| start_of(pid, prio)),
        Creation::SetuidExec => with_program(&mut setuid_program(), |pid| start_of(pid, prio)),
    }
}

/// Runs `job` in a process that shares the memory of this process.
fn in_vfork<R>(job: impl FnOnce() -> R) -> R {
    let mut job = Some(job);
    let mut result = None;
    let mut stack = vec![0; 1 << 20];
    let run = Box::new(|| {
        result = job.take().map(|job| job());
        0
    });
    let flags = CloneFlags::CLONE_VFORK | CloneFlags::CLONE_VM;
    // SAFETY: The stack is far larger than a job needs, and until the child has
    // ended, the calling thread does not run.
    let child = unsafe { clone(run, &mut stack, flags, Some(libc::SIGCHLD)) }.expect("a process");
    let status = await_child(child.as_raw());
    assert_eq!(status.exit_status(), Some(0), "{status:?}");
    result.expect("the job has run")
}

/// Returns a setuid program of root, to be started as a user. Unless the caller is that
/// user, the change of the user ends a granted ceiling.
fn setuid_program() -> Command {
    const TEST: &str = concat!(module_path!(), "::a_setuid_program_is_root");
    let mut program = child::setuid_program(TEST, "");
    program.uid(USER).gid(USER);
    program
}

#[test]
fn a_setuid_program_is_root() {
    if env::var_os(SETUID_ROLE).is_some() {
        io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
        return;
    }
    let status = with_program(&mut setuid_program(), |pid| {
        fs::read_to_string(format!("/proc/{pid}/status")).unwrap()
    });
    assert!(status.contains("\nUid:\t1000\t0\t0\t0\n"), "{status}");
}

#[test]
fn a_child_has_of_its_parent_what_it_had_without_go_priorities_and_the_ceiling() {
    for base in bases() {
        for creation in CREATIONS {
            in_thread(move || {
                let device = Device::open();
                prepare(base);
                let (mut state, slack) = child_of_caller(creation, None);
                assert_eq!(state.record.prio, None);
                assert!(!state.record.ceiling_granted);

                device.ceiling(SELF, GRANTED as i32);
                if creation.keeps_user() {
                    state.record.ceiling = GRANTED;
                    state.record.ceiling_granted = true;
                }
                for prio in SAMPLE.map(Some).into_iter().chain([None]) {
                    match prio {
                        Some(prio) => device.set(SELF, prio),
                        None => device.clear(SELF),
                    }
                    let start = child_of_caller(creation, None);
                    assert_eq!(
                        start,
                        (state, slack),
                        "{creation:?} of {base:?} at {prio:?}"
                    );
                    assert_eq!(device.prio(SELF), prio, "the parent keeps it");
                }
            });
        }
    }
}

#[test]
fn with_inherit_a_child_is_as_if_it_had_been_given_the_priority() {
    for base in bases() {
        for creation in CREATIONS {
            in_thread(move || {
                let device = Device::open();
                prepare(base);
                device.ceiling(SELF, GRANTED as i32);
                for prio in SAMPLE {
                    device.clear(SELF);
                    let expected = child_of_caller(creation, Some(prio));
                    device.set_inherited(SELF, prio);
                    let start = child_of_caller(creation, None);
                    assert_eq!(start, expected, "{creation:?} of {base:?} at {prio}");
                    let mut parent = State::of(&device, SELF);
                    if !creation.keeps_user() {
                        parent.record.ceiling = expected.0.record.ceiling;
                        parent.record.ceiling_granted = false;
                    }
                    assert_eq!(start.0, parent);
                }
            });
        }
    }
}

#[test]
fn reset_on_fork_keeps_everything_from_a_child() {
    for base in bases().map(Attr::reset_on_fork) {
        for creation in CREATIONS {
            in_thread(move || {
                let device = Device::open();
                prepare(base);
                let expected = child_of_caller(creation, None);
                device.ceiling(SELF, GRANTED as i32);
                for prio in SAMPLE {
                    device.set(SELF, prio);
                    let start = child_of_caller(creation, None);
                    assert_eq!(start, expected, "{creation:?} of {base:?} at {prio}");
                    device.set_inherited(SELF, prio);
                    let start = child_of_caller(creation, None);
                    assert_eq!(start, expected, "{creation:?} of {base:?} at {prio}");
                }
            });
        }
    }
}

#[test]
fn a_child_of_a_bound_thread_has_no_slot_and_no_hint() {
    let _unlimited = Reconfigured::unlimited();
    for creation in CREATIONS {
        for inherit in [false, true] {
            let hinted = HintedWorker::free();
            let (device, tid) = (hinted.device(), hinted.tid());
            let born = move || child_of_caller(creation, None);
            if inherit {
                device.set_inherited(tid, 20);
            } else {
                device.set(tid, 20);
            }
            let expected = hinted.worker().run(born);
            let record = expected.0.record;
            assert_eq!((record.prio, record.slot), (inherit.then_some(20), None));
            for hint in SAMPLE {
                hinted.take(hint as u8, hint as u8);
                let start = assert_unchanged(device, tid, || hinted.worker().run(born));
                assert_eq!(start, expected, "{creation:?} at {hint}");
                assert_eq!(hinted.slot().applied(), hint as u8);
            }
        }
    }
}

#[test]
fn a_setuid_program_keeps_priority_and_ceiling_and_loses_the_slot() {
    let _unlimited = Reconfigured::unlimited();
    for (prio, inherit) in [(5, true), (32, false), (40, true), (GRANTED, false)] {
        let mut program = setuid_program();
        in_child(|| {
            let [device, to_look] = [(); 2].map(|()| Device::open());
            become_user_with_ceiling(USER, &device, GRANTED);
            let page = HintPage::new(&device, 1);
            // SAFETY: Between fork and exec glibc allows the few system calls
            // that the closure makes.
            unsafe {
                program.pre_exec(move || {
                    if inherit {
                        device.set_inherited(SELF, prio);
                    } else {
                        device.set(SELF, prio);
                    }
                    device.bind(0);
                    page.slot(0).take(30, 30);
                    Ok(())
                })
            };
            let State { attr, record, .. } =
                with_program(&mut program, |pid| State::of(&to_look, pid));
            assert_eq!((record.prio, record.applied), (Some(prio), Some(prio)));
            assert_eq!(record.inherit, inherit);
            assert_eq!((record.ceiling, record.ceiling_granted), (GRANTED, true));
            assert_eq!(record.slot, None);
            assert_eq!(attr, Attr::base_of(SELF).mapped(&TABLE[prio as usize]));
        });
    }
}

#[test]
fn a_setuid_program_is_out_of_its_users_reach() {
    let mut program = setuid_program();
    in_child(|| {
        let device = Device::open();
        become_user_with_ceiling(USER, &device, GRANTED);
        with_program(&mut program, |pid| {
            assert_eq!(device.get(pid).ceiling, GRANTED);
            for prio in SAMPLE {
                assert_refused(&device, pid, Errno::PERM, || device.try_set(pid, prio, 0));
            }
            assert_refused(&device, pid, Errno::PERM, || {
                Attr::normal(19).try_apply(pid)
            });
            assert_refused(&device, pid, Errno::PERM, || device.try_ceiling(pid, 0, 0));
            assert_refused(&device, pid, Errno::PERM, || device.try_clear(pid, 0));
        });
    });
}
