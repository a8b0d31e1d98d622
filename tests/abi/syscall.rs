// SPDX-License-Identifier: GPL-2.0

//! `go_set_schedprio(2)`, which does without the device the same as `GO_SCHED_SET`.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;

use common::attr::Attr;
use common::child::become_user;
use common::child::become_user_with_ceiling;
use common::child::become_user_with_sys_nice;
use common::child::in_child;
use common::child::pidfd;
use common::child::Child;
use common::device::Device;
use common::device::PublicDevice;
use common::device::PATH;
use common::device::SELF;
use common::hint::HintPage;
use common::hint::NONE;
use common::module::load;
use common::module::unload;
use common::module::Reconfigured;
use common::module::Reloaded;
use common::proc_sched::ProcSched;
use common::state::assert_refused;
use common::state::assert_unchanged;
use common::state::State;
use common::syscall::set_schedprio;
use common::worker::in_thread;
use common::worker::Worker;
use common::KTHREADD;
use common::NO_PRIO;
use common::NO_TID;
use common::OTHER_USER;
use common::SAMPLE;
use common::USER;
use go_sched_policy::LEVELS;
use gosched::uapi::GO_SCHED_FOLLOW_HINT;
use gosched::uapi::GO_SCHED_INHERIT;
use gosched::uapi::GO_SCHED_TARGET_PIDFD;
use rustix::io::Errno;
use rustix::process::getpid;

use crate::targets::assert_in_pid_namespace;

/// Bases that differ in what a priority has to save.
fn bases() -> [Attr; 5] {
    [
        Attr::normal(7).slice_ns(10_000_000),
        Attr::batch(-7),
        Attr::idle(),
        Attr::fifo(9),
        Attr::rr(9).reset_on_fork(),
    ]
}

#[test]
fn it_does_what_set_does() {
    let device = Device::open();
    for base in bases() {
        for prio in 0..LEVELS {
            for flags in [0, GO_SCHED_INHERIT] {
                let [by_request, by_call] = [Worker::spawn(), Worker::spawn()];
                base.apply(by_request.tid());
                base.apply(by_call.tid());
                device.try_set(by_request.tid(), prio, flags).unwrap();
                set_schedprio(by_call.tid(), prio, flags).unwrap();
                let state = State::of(&device, by_call.tid());
                assert_eq!(state, State::of(&device, by_request.tid()));
                assert_eq!(state.record.prio, Some(prio));
                assert_eq!(state.record.inherit, flags != 0);
            }
        }
    }
}

#[test]
fn pid_0_is_the_calling_thread() {
    let device = Device::open();
    let worker = Worker::spawn();
    for prio in SAMPLE {
        assert_unchanged(&device, getpid().as_raw_pid(), || {
            worker.run(move || set_schedprio(SELF, prio, 0)).unwrap();
        });
        assert_eq!(device.prio(worker.tid()), Some(prio));
    }
}

#[test]
fn it_reaches_other_threads_and_processes() {
    let device = Device::open();
    let thread = Worker::spawn();
    let process = Child::sleeping(|| ());
    for tid in [thread.tid(), process.pid()] {
        for prio in SAMPLE {
            assert_unchanged(&device, SELF, || set_schedprio(tid, prio, 0).unwrap());
            assert_eq!(device.prio(tid), Some(prio));
        }
    }
}

#[test]
fn a_thread_id_is_one_of_the_callers_pid_namespace() {
    assert_in_pid_namespace(|outside| {
        set_schedprio(1, 44, 0).unwrap();
        assert_eq!(set_schedprio(outside, 44, 0), Err(Errno::SRCH));
    });
}

#[test]
fn a_pidfd_names_its_process_or_its_thread() {
    let device = Device::open();
    let process = Child::sleeping(|| ());
    let thread = Worker::spawn();
    for (tid, flags) in [(process.pid(), 0), (thread.tid(), libc::PIDFD_THREAD)] {
        let fd = pidfd(tid, flags);
        assert_unchanged(&device, SELF, || {
            set_schedprio(fd.as_raw_fd(), 21, GO_SCHED_TARGET_PIDFD).unwrap();
        });
        assert_eq!(device.prio(tid), Some(21));
        let both = GO_SCHED_TARGET_PIDFD | GO_SCHED_INHERIT;
        set_schedprio(fd.as_raw_fd(), 22, both).unwrap();
        assert!(device.get(tid).inherit);
    }
}

#[test]
fn with_the_inherit_flag_a_child_starts_as_its_parent_is() {
    in_thread(|| {
        let device = Device::open();
        for prio in SAMPLE {
            set_schedprio(SELF, prio, GO_SCHED_INHERIT).unwrap();
            let mine = State::of(&device, SELF);
            let (thread, process) = (Worker::spawn(), Child::sleeping(|| ()));
            for child in [thread.tid(), process.pid()] {
                assert_eq!(State::of(&device, child), mine);
            }
            set_schedprio(SELF, prio, 0).unwrap();
            assert_eq!(device.prio(Worker::spawn().tid()), None);
        }
    });
}

#[test]
fn a_priority_above_63_is_einval() {
    let device = Device::open();
    for prio in NO_PRIO {
        assert_refused(&device, SELF, Errno::INVAL, || set_schedprio(SELF, prio, 0));
    }
}

#[test]
fn an_unknown_flag_is_einval() {
    let device = Device::open();
    for flag in (0..u32::BITS).map(|bit| 1 << bit) {
        let known = GO_SCHED_TARGET_PIDFD | GO_SCHED_INHERIT | GO_SCHED_FOLLOW_HINT;
        if flag & known == 0 {
            assert_refused(&device, SELF, Errno::INVAL, || {
                set_schedprio(SELF, 40, flag)
            });
        }
    }
}

#[test]
fn a_negative_thread_id_is_einval() {
    for pid in [-1, -64, i32::MIN] {
        assert_eq!(set_schedprio(pid, 40, 0), Err(Errno::INVAL));
    }
}

#[test]
fn no_thread_is_esrch_and_no_pidfd_is_ebadf() {
    let dead = Child::sleeping(|| ());
    dead.kill();
    for pid in [NO_TID, i32::MAX, dead.pid()] {
        assert_eq!(set_schedprio(pid, 40, 0), Err(Errno::SRCH));
    }
    let file = File::open("/dev/null").unwrap();
    for fd in [file.as_raw_fd(), 1 << 20, -1, i32::MIN] {
        assert_eq!(
            set_schedprio(fd, 40, GO_SCHED_TARGET_PIDFD),
            Err(Errno::BADF)
        );
    }
}

#[test]
fn a_kernel_thread_is_eperm() {
    let device = Device::open();
    for prio in SAMPLE {
        assert_refused(&device, KTHREADD, Errno::PERM, || {
            set_schedprio(KTHREADD, prio, 0)
        });
    }
}

#[test]
fn a_deadline_thread_is_ebusy() {
    let device = Device::open();
    let worker = Worker::spawn();
    Attr::deadline().apply(worker.tid());
    for prio in SAMPLE {
        assert_refused(&device, worker.tid(), Errno::BUSY, || {
            set_schedprio(worker.tid(), prio, 0)
        });
    }
    Attr::normal(0).apply(worker.tid());
}

#[test]
fn it_needs_no_access_to_the_device() {
    let device = Device::open();
    in_child(|| {
        become_user(USER);
        let error = Device::try_open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{PATH}");
        for prio in (0..LEVELS).rev() {
            if prio <= 32 {
                set_schedprio(SELF, prio, 0).unwrap();
                assert_eq!(device.prio(SELF), Some(prio));
            } else {
                assert_refused(&device, SELF, Errno::PERM, || set_schedprio(SELF, prio, 0));
            }
        }
    });
}

#[test]
fn access_to_the_device_adds_no_permission() {
    let _public = PublicDevice::new();
    in_child(|| {
        become_user(USER);
        let device = Device::open();
        assert_refused(&device, SELF, Errno::PERM, || set_schedprio(SELF, 33, 0));
    });
}

#[test]
fn the_ceiling_holds() {
    let _unlimited = Reconfigured::unlimited();
    let device = Device::open();
    for ceiling in [33, 47, 48, 62] {
        in_child(|| {
            become_user_with_ceiling(USER, &device, ceiling);
            for prio in SAMPLE {
                if prio <= ceiling {
                    set_schedprio(SELF, prio, 0).unwrap();
                    assert_eq!(device.prio(SELF), Some(prio));
                }
            }
            set_schedprio(SELF, ceiling, 0).unwrap();
            for prio in ceiling + 1..LEVELS {
                assert_refused(&device, SELF, Errno::PERM, || set_schedprio(SELF, prio, 0));
            }
        });
    }
}

#[test]
fn the_thread_of_another_user_is_eperm() {
    let device = Device::open();
    let other = Child::sleeping(|| become_user(OTHER_USER));
    device.ceiling(other.pid(), 63);
    in_child(|| {
        become_user(USER);
        for prio in SAMPLE {
            assert_refused(&device, other.pid(), Errno::PERM, || {
                set_schedprio(other.pid(), prio, 0)
            });
        }
    });
    in_child(|| {
        become_user_with_sys_nice(USER);
        for prio in SAMPLE {
            set_schedprio(other.pid(), prio, 0).unwrap();
        }
    });
    assert_eq!(device.prio(other.pid()), SAMPLE.last().copied());
}

#[test]
fn it_wins_over_the_hint_before_it() {
    in_thread(|| {
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        device.ceiling(SELF, 63);
        device.bind(0);
        page.slot(0).take(40, 40);
        set_schedprio(SELF, 20, 0).unwrap();
        assert_eq!(device.prio(SELF), Some(20));
        assert_eq!(page.slot(0).applied(), 20);
        page.slot(0).take(45, 45);
        assert_eq!(device.prio(SELF), Some(45));
        page.slot(0).take(NONE, 20);
        assert_eq!(device.prio(SELF), Some(20));
        device.unbind();
    });
}

#[test]
fn without_the_module_it_is_eopnotsupp() {
    let _reloaded = Reloaded;
    let worker = Worker::spawn();
    let tid = worker.tid();
    set_schedprio(tid, 40, 0).unwrap();
    let before = State::of(&Device::open(), tid);
    unload();
    let base = ProcSched::of(tid);
    for prio in SAMPLE {
        assert_eq!(set_schedprio(tid, prio, 0), Err(Errno::OPNOTSUPP));
        assert_eq!(
            worker.run(move || set_schedprio(SELF, prio, 0)),
            Err(Errno::OPNOTSUPP)
        );
        assert_eq!(ProcSched::of(tid), base);
    }
    load();
    assert_eq!(State::of(&Device::open(), tid), before);
    set_schedprio(tid, 41, 0).unwrap();
}
