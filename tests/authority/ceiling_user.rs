// SPDX-License-Identifier: GPL-2.0

//! A granted ceiling is a grant to a user. The grant ends when the thread changes its
//! real or effective user id and is then without `CAP_SYS_NICE`. Nothing else ends the
//! grant.

use std::env;
use std::fs;
use std::fs::File;
use std::io;
use std::process::Command;

use common::child::become_user;
use common::child::become_user_in_thread;
use common::child::become_user_with_ceiling;
use common::child::become_user_with_sys_nice;
use common::child::drop_sys_nice;
use common::child::in_child;
use common::child::set_limit;
use common::child::setuid_program;
use common::child::unshare;
use common::child::with_program;
use common::child::Child;
use common::child::SETUID_ROLE;
use common::device::Device;
use common::device::SELF;
use common::eventually;
use common::hint::HintPage;
use common::module::load;
use common::module::unload;
use common::module::Reconfigured;
use common::module::Reloaded;
use common::state::assert_refused;
use common::state::assert_unchanged;
use common::state::State;
use common::syscall::result_of;
use common::worker::Worker;
use common::OTHER_USER;
use common::USER;
use go_sched_policy::LEVELS;
use go_sched_policy::TABLE;
use nix::unistd::seteuid;
use nix::unistd::Uid;
use rustix::io::Errno;
use rustix::process::set_dumpable_behavior;
use rustix::process::DumpableBehavior;
use rustix::process::Resource;
use rustix::thread::move_into_link_name_space;
use rustix::thread::set_capabilities_secure_bits;
use rustix::thread::CapabilitiesSecureBits;
use rustix::thread::LinkNameSpaceType;
use rustix::thread::UnshareFlags;
use std::os::fd::AsFd;

const GRANTED: u32 = 55;

/// The user id that stays, in calls that set several.
const KEEP: u32 = u32::MAX;

/// A system call that changes the user ids of the calling thread, with the call's
/// arguments.
type Change = (&'static str, libc::c_long, [u32; 3]);

/// All changes from root to a user that leave no capability in effect.
const CHANGES: [Change; 5] = [
    ("setuid", libc::SYS_setuid, [USER, 0, 0]),
    ("setreuid", libc::SYS_setreuid, [USER, USER, 0]),
    ("setresuid", libc::SYS_setresuid, [USER; 3]),
    (
        "of the effective user",
        libc::SYS_setresuid,
        [KEEP, USER, KEEP],
    ),
    (
        "of all but the saved user",
        libc::SYS_setresuid,
        [USER, USER, KEEP],
    ),
];

/// Changes the user ids of the calling thread alone.
fn change((name, number, [first, second, third]): Change) {
    // SAFETY: The calls take no pointers.
    let result = unsafe { libc::syscall(number, first, second, third) };
    assert_eq!(result_of(result), Ok(0), "{name}");
}

/// Checks that a thread still has its granted ceiling, or that the thread has its own
/// ceiling.
#[track_caller]
fn assert_granted(device: &Device, tid: i32, granted: bool) {
    let record = device.get(tid);
    let expected = if granted { GRANTED } else { 32 };
    assert_eq!(
        (record.ceiling, record.ceiling_granted),
        (expected, granted),
        "{record:?}"
    );
}

/// Checks the priority of the calling thread, and the priority in force.
#[track_caller]
fn assert_in_force(device: &Device, prio: u32) {
    let State { attr, record, .. } = State::of(device, SELF);
    assert_eq!((record.prio, record.applied), (Some(prio), Some(prio)));
    assert_eq!(attr, attr.mapped(&TABLE[prio as usize]));
}

/// Runs `job` in a process of root's that has been granted a ceiling.
fn as_granted_root(job: impl FnOnce(&Device)) {
    let device = Device::open();
    in_child(|| {
        device.ceiling(SELF, GRANTED as i32);
        job(&device);
    });
}

#[test]
fn it_ends_with_a_change_of_the_user_that_leaves_no_cap_sys_nice() {
    for way in CHANGES {
        as_granted_root(|device| {
            change(way);
            assert_granted(device, SELF, false);
            device.set(SELF, 32);
            for prio in 33..LEVELS {
                assert_refused(device, SELF, Errno::PERM, || device.try_set(SELF, prio, 0));
            }
        });
    }
}

#[test]
fn it_ends_with_a_change_of_the_real_user_alone() {
    as_granted_root(|device| {
        drop_sys_nice();
        assert_granted(device, SELF, true);
        change(("of the real user", libc::SYS_setresuid, [USER, KEEP, KEEP]));
        assert_granted(device, SELF, false);
    });
}

#[test]
fn it_ends_for_the_thread_that_changes_its_user_alone() {
    let device = Device::open();
    for way in CHANGES {
        let [changed, other] = [(); 2].map(|()| Worker::spawn());
        for worker in [&changed, &other] {
            device.ceiling(worker.tid(), GRANTED as i32);
        }
        assert_unchanged(&device, other.tid(), || changed.run(move || change(way)));
        assert_granted(&device, changed.tid(), false);
    }
}

#[test]
fn it_ends_for_all_threads_of_a_process_that_changes_its_user() {
    as_granted_root(|device| {
        let thread = Worker::spawn();
        assert_granted(device, thread.tid(), true);
        become_user(USER);
        for tid in [SELF, thread.tid()] {
            assert_granted(device, tid, false);
        }
    });
}

#[test]
fn the_dropped_child_of_a_granted_daemon_has_none() {
    as_granted_root(|device| {
        let child = Child::sleeping(|| {
            become_user(USER);
            for prio in 33..LEVELS {
                assert_refused(device, SELF, Errno::PERM, || device.try_set(SELF, prio, 0));
            }
        });
        assert_granted(device, child.pid(), false);
        assert_granted(device, SELF, true);
    });
}

#[test]
fn a_priority_that_it_alone_allowed_falls_at_once_to_what_is_owned() {
    let _unlimited = Reconfigured::unlimited();
    for (rtprio, prio, owned) in [
        (0, 33, 32),
        (0, 47, 32),
        (0, 50, 32),
        (1, 40, 32),
        (1, 47, 32),
        (1, 50, 48),
    ] {
        for way in CHANGES {
            as_granted_root(|device| {
                set_limit(Resource::Rtprio, rtprio);
                // Or it is privilege that sets the priority.
                drop_sys_nice();
                device.set_inherited(SELF, prio);
                change(way);
                assert_in_force(device, owned);
                assert!(device.get(SELF).inherit);
            });
        }
    }
}

#[test]
fn a_hint_falls_at_once_to_what_is_owned() {
    let _unlimited = Reconfigured::unlimited();
    for (rtprio, wanted, owned) in [(0, 33, 32), (0, 50, 32), (1, 47, 32), (1, 50, 48)] {
        for way in CHANGES {
            as_granted_root(|device| {
                set_limit(Resource::Rtprio, rtprio);
                let page = HintPage::new(device, 1);
                device.bind(0);
                page.slot(0).take(wanted, wanted);
                change(way);
                assert_in_force(device, owned.into());
                assert_eq!(page.slot(0).applied(), owned);
                page.slot(0).take(10, 10);
                page.slot(0).take(wanted, owned);
            });
        }
    }
}

#[test]
fn a_priority_that_is_owned_or_that_privilege_set_stays() {
    for prio in [5, 32, 33, 47, 50, 63] {
        for way in CHANGES {
            as_granted_root(|device| {
                device.set(SELF, prio);
                change(way);
                assert_granted(device, SELF, false);
                assert_in_force(device, prio);
            });
        }
    }
}

#[test]
fn a_capability_that_is_only_permitted_does_not_keep_it() {
    as_granted_root(|device| {
        // The capabilities that it keeps are out of effect until it raises them again.
        become_user_with_sys_nice(USER);
        assert_granted(device, SELF, false);
        device.ceiling(SELF, GRANTED as i32);
        drop_sys_nice();
        assert_granted(device, SELF, true);
    });
}

#[test]
fn a_change_of_the_user_that_leaves_cap_sys_nice_keeps_it() {
    let of_the_real_user = ("of the real user", libc::SYS_setresuid, [USER, KEEP, KEEP]);
    as_granted_root(|device| {
        change(of_the_real_user);
        assert_granted(device, SELF, true);
    });
    for way in CHANGES {
        as_granted_root(|device| {
            set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP).unwrap();
            change(way);
            assert_granted(device, SELF, true);
        });
    }
}

#[test]
fn to_give_up_capabilities_keeps_it() {
    let _unlimited = Reconfigured::unlimited();
    as_granted_root(|device| {
        drop_sys_nice();
        assert_granted(device, SELF, true);
        device.set(SELF, GRANTED);
    });
}

#[test]
fn a_change_of_other_ids_and_one_to_the_same_user_keep_it() {
    as_granted_root(|device| {
        drop_sys_nice();
        for other in [
            ("of the saved user", libc::SYS_setresuid, [KEEP, KEEP, USER]),
            ("to the same user", libc::SYS_setresuid, [0, 0, KEEP]),
            ("of the group", libc::SYS_setresgid, [USER; 3]),
        ] {
            change(other);
            assert_granted(device, SELF, true);
        }
    });
    let device = Device::open();
    in_child(|| {
        become_user_with_ceiling(USER, &device, GRANTED);
        change(("to the same user", libc::SYS_setresuid, [USER; 3]));
        assert_granted(&device, SELF, true);
    });
}

#[test]
fn fork_and_execve_keep_it() {
    let device = Device::open();
    in_child(|| {
        become_user_with_ceiling(USER, &device, GRANTED);
        let process = Child::sleeping(|| ());
        assert_granted(&device, process.pid(), true);
        with_program(&mut Command::new("cat"), |pid| {
            assert_granted(&device, pid, true);
        });
    });
}

#[test]
fn a_setuid_program_has_it_until_it_is_its_users_again() {
    const TEST: &str = concat!(
        module_path!(),
        "::a_setuid_program_has_it_until_it_is_its_users_again"
    );
    const RETURN: &str = "return to the user";

    if let Some(role) = env::var_os(SETUID_ROLE) {
        if role == RETURN {
            seteuid(Uid::from_raw(USER)).unwrap();
        }
        io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
        return;
    }
    let mut programs = ["stay root", RETURN].map(|role| setuid_program(TEST, role));
    let device = Device::open();
    in_child(|| {
        become_user_with_ceiling(USER, &device, GRANTED);
        let [stays, returns] = &mut programs;
        with_program(stays, |pid| assert_granted(&device, pid, true));
        with_program(returns, |pid| {
            eventually("the program has returned to its user", || {
                !device.get(pid).ceiling_granted
            });
            assert_granted(&device, pid, false);
        });
    });
}

#[test]
fn a_user_namespace_and_its_root_keep_it() {
    let _unlimited = Reconfigured::unlimited();
    let device = Device::open();
    in_child(|| {
        become_user_with_ceiling(USER, &device, GRANTED);
        unshare(UnshareFlags::NEWUSER);
        assert_granted(&device, SELF, true);
        // Without this, the files of a process that changed its user are root's.
        set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
        fs::write("/proc/self/uid_map", format!("0 {USER} 1")).unwrap();
        // Outside, it is the user that it was.
        change(("setuid", libc::SYS_setuid, [0; 3]));
        assert_granted(&device, SELF, true);
        device.set(SELF, GRANTED);
    });
}

#[test]
fn it_ends_with_a_change_of_the_user_inside_a_user_namespace() {
    let device = Device::open();
    let inside = Child::sleeping(|| {
        become_user(USER);
        unshare(UnshareFlags::NEWUSER);
    });
    let proc = format!("/proc/{}", inside.pid());
    fs::write(
        format!("{proc}/uid_map"),
        format!("0 {USER} 1\n1 {OTHER_USER} 1"),
    )
    .unwrap();
    let namespace = File::open(format!("{proc}/ns/user")).unwrap();
    in_child(|| {
        become_user_with_ceiling(USER, &device, GRANTED);
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User)).unwrap();
        assert_granted(&device, SELF, true);
        // All capabilities of the namespace are none outside.
        change((
            "of the effective user",
            libc::SYS_setresuid,
            [KEEP, 1, KEEP],
        ));
        assert_granted(&device, SELF, false);
        assert_refused(&device, SELF, Errno::PERM, || device.try_set(SELF, 33, 0));
    });
}

#[test]
fn it_ends_while_no_module_is_loaded_too() {
    let _reloaded = Reloaded;
    let worker = Worker::spawn();
    Device::open().ceiling(worker.tid(), GRANTED as i32);
    unload();
    worker.run(|| become_user_in_thread(USER));
    load();
    assert_granted(&Device::open(), worker.tid(), false);
}
