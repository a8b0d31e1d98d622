// SPDX-License-Identifier: GPL-2.0

//! The scheduling that new threads and processes start with.

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread;

use common::attr::timer_slack_ns;
use common::child::in_child;
use common::child::with_program;
use common::child::Child;
use common::deadline::join;
use common::deadline::scope;
use common::deadline::TimedReader;
use common::device::Device;
use common::device::SELF;
use common::state::State;
use common::worker::in_thread;
use common::worker::Worker;
use common::StopOnDrop;
use common::SAMPLE;
use go_sched_policy::TABLE;
use gosched::uapi::GO_SCHED_INHERIT;
use rustix::io::Errno;
use rustix::pipe::pipe_with;
use rustix::pipe::PipeFlags;
use rustix::thread::gettid;

use crate::inherit::child_of_caller;
use crate::inherit::start_of;
use crate::inherit::Creation;

const CREATIONS: [Creation; 3] = [Creation::Thread, Creation::Fork, Creation::Exec];

#[test]
fn the_timer_slack_of_an_rt_priority_is_0_and_its_childrens_is_not() {
    in_thread(|| {
        let device = Device::open();
        let ordinary = timer_slack_ns();
        assert!(ordinary > 0);
        device.set(SELF, 50);
        assert_eq!(timer_slack_ns(), 0);
        assert_eq!(in_thread(timer_slack_ns), ordinary);
        device.set_inherited(SELF, 50);
        in_thread(move || {
            assert_eq!(timer_slack_ns(), 0);
            Device::open().clear(SELF);
            assert_eq!(timer_slack_ns(), ordinary);
        });
        device.clear(SELF);
        assert_eq!(timer_slack_ns(), ordinary);
    });
}

#[test]
fn with_inherit_the_childrens_children_start_at_the_priority_too() {
    for creation in CREATIONS {
        in_thread(move || {
            let device = Device::open();
            for prio in SAMPLE {
                device.set_inherited(SELF, prio);
                let expected = start_of(gettid().as_raw_pid(), None);
                in_child(|| {
                    in_thread(move || assert_eq!(child_of_caller(creation, None), expected));
                });
            }
        });
    }
}

#[test]
fn an_inherited_priority_is_the_childs_own() {
    in_thread(|| {
        let device = Device::open();
        let base = State::of(&device, SELF);
        for prio in SAMPLE {
            device.set_inherited(SELF, prio);
            let mine = State::of(&device, SELF);
            in_child(|| {
                device.clear(SELF);
                assert_eq!(State::of(&device, SELF), base);
                device.set(SELF, 20);
            });
            assert_eq!(State::of(&device, SELF), mine);
            device.clear(SELF);
        }
    });
}

#[test]
fn a_priority_survives_exec_with_and_without_inherit() {
    let device = Device::open();
    for prio in SAMPLE {
        for flags in [0, GO_SCHED_INHERIT] {
            let mut program = Command::new("cat");
            // SAFETY: Between fork and exec glibc allows the two system calls
            // that the closure makes.
            unsafe {
                program.pre_exec(move || {
                    let device = Device::try_open()?;
                    Ok(device.try_set(SELF, prio, flags)?)
                })
            };
            let record = with_program(&mut program, |pid| device.get(pid));
            assert_eq!(record.prio, Some(prio));
            assert_eq!(record.inherit, flags == GO_SCHED_INHERIT);
        }
    }
}

#[test]
fn the_thread_that_calls_exec_brings_its_own_priority() {
    let device = Device::open();
    let (stdin, to_program) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (from_program, stdout) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let child = Child::sleeping(|| {
        Device::open().set(SELF, 50);
        thread::spawn(move || {
            Device::open().set(SELF, 20);
            let error = Command::new("cat").stdin(stdin).stdout(stdout).exec();
            panic!("exec of cat: {error}");
        });
    });

    // An echo comes from the new program, so exec is over.
    let mut to_program = File::from(to_program);
    to_program.write_all(b"?").unwrap();
    let mut echo = [0];
    let mut from_program = TimedReader::new(File::from(from_program));
    from_program.read_exact(&mut echo).unwrap();
    assert_eq!(device.prio(child.pid()), Some(20));
}

#[test]
fn thousands_of_children_start_and_end_at_all_priorities() {
    const CHILDREN: u32 = 130;
    scope(|scope| {
        for prio in SAMPLE {
            scope.spawn(move || {
                let device = Device::open();
                device.set_inherited(SELF, prio);
                for _ in 0..CHILDREN {
                    in_child(|| assert_eq!(device.prio(SELF), Some(prio)));
                    // In time, or the outer scope ends the process.
                    thread::scope(|scope| {
                        scope.spawn(|| assert_eq!(device.prio(SELF), Some(prio)));
                    });
                }
            });
        }
    });
}

#[test]
fn a_child_of_a_thread_being_changed_starts_with_one_of_its_priorities() {
    const CHILDREN: u32 = 300;
    let parent = Worker::spawn();
    let tid = parent.tid();
    let device = Device::open();
    let base = State::of(&device, tid);
    let done = AtomicBool::new(false);

    scope(|scope| {
        scope.spawn(|| {
            for i in (0..).take_while(|_| !done.load(Ordering::Relaxed)) {
                device.set_inherited(tid, i * 37 % 64);
                if i % 5 == 0 {
                    device.clear(tid);
                }
            }
        });
        let _stop = StopOnDrop(&done);
        for _ in 0..CHILDREN {
            let (child, _) = parent.run(|| child_of_caller(Creation::Thread, None));
            assert_eq!(child.record.base, base.record.base);
            let expected = match child.record.prio {
                Some(prio) => base.attr.mapped(&TABLE[prio as usize]),
                None => base.attr,
            };
            assert_eq!(child.attr, expected);
        }
    });
}

#[test]
fn a_thread_may_end_while_it_is_being_changed() {
    const THREADS: u32 = 1000;
    let (sender, tids) = channel();
    let changer = thread::spawn(move || {
        let device = Device::open();
        let mut ended = 0;
        for tid in tids {
            for prio in SAMPLE {
                match device.try_set(tid, prio, 0) {
                    Ok(()) => (),
                    Err(Errno::SRCH) => ended += 1,
                    Err(error) => panic!("SET of {tid}: {error}"),
                }
            }
        }
        ended
    });
    for _ in 0..THREADS {
        let sender = sender.clone();
        in_thread(move || sender.send(gettid().as_raw_pid()).unwrap());
    }
    drop(sender);
    assert!(join(changer) > 0, "no thread ended meanwhile");
}
