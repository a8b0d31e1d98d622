// SPDX-License-Identifier: GPL-2.0

//! Failures of each memory allocation that the kernel makes for a caller: the call fails
//! with ENOMEM and has changed nothing, or does without the memory.
//!
//! The allocations fail by fault injection, see
//! Documentation/fault-injection/fault-injection.rst. Only the debug kernel has it.
//! Which kernel runs is known in the guest alone: hence a harness that decides there
//! whether its tests are ignored.

use std::fmt::Debug;
use std::fs;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::ExitCode;

use common::child::await_child;
use common::child::pidfd;
use common::deadline::scope;
use common::device::Device;
use common::device::SELF;
use common::hint::HintPage;
use common::module;
use common::module::is_loaded;
use common::module::load;
use common::module::try_unload;
use common::module::unload;
use common::module::Reloaded;
use common::proc_sched::ProcSched;
use common::state::State;
use common::syscall::result_of;
use common::syscall::set_schedprio;
use common::worker::Worker;
use gosched::uapi::GO_SCHED_TARGET_PIDFD;
use libtest_mimic::Arguments;
use libtest_mimic::Trial;
use nix::unistd::fork;
use nix::unistd::ForkResult;
use nix::unistd::Pid;
use rustix::io::Errno;
use rustix::mm::MapFlags;
use rustix::mm::ProtFlags;
use rustix::system::finit_module;

/// The file that sets which allocation of the calling thread fails: 1 is the next one.
const FAIL_NTH: &str = "/proc/thread-self/fail-nth";

/// The settings of the two kinds of faults. With the defaults, only allocations that
/// cannot wait and allocations of more than one page fail, and each failure leaves a
/// stack trace in the log.
const SETTINGS: [(&str, &str); 5] = [
    ("/sys/kernel/debug/failslab/ignore-gfp-wait", "N"),
    ("/sys/kernel/debug/failslab/verbose", "0"),
    ("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N"),
    ("/sys/kernel/debug/fail_page_alloc/min-order", "0"),
    ("/sys/kernel/debug/fail_page_alloc/verbose", "0"),
];

const TESTS: &[(&str, fn())] = &[
    ("a_first_set", a_first_set),
    ("a_first_set_by_pidfd", a_first_set_by_pidfd),
    ("a_first_set_by_system_call", a_first_set_by_system_call),
    ("a_first_ceiling", a_first_ceiling),
    ("a_change_of_a_managed_thread", a_change_of_a_managed_thread),
    ("a_first_bind", a_first_bind),
    (
        "the_requests_that_only_answer",
        the_requests_that_only_answer,
    ),
    ("an_open", an_open),
    ("a_mapping", a_mapping),
    (
        "a_first_touch_of_a_mapped_page",
        a_first_touch_of_a_mapped_page,
    ),
    (
        "a_fork_that_inherits_priority_and_ceiling",
        a_fork_that_inherits_priority_and_ceiling,
    ),
    ("loading_the_module", loading_the_module),
    ("unloading_the_module", unloading_the_module),
];

fn main() -> ExitCode {
    let missing = [FAIL_NTH, SETTINGS[0].0, SETTINGS[2].0]
        .into_iter()
        .find(|path| !Path::new(path).exists());
    match missing {
        Some(path) => eprintln!(
            "SKIPPED: no allocation can be made to fail, there is no {path}: this is for a \
             kernel with CONFIG_FAULT_INJECTION, CONFIG_FAILSLAB and CONFIG_FAIL_PAGE_ALLOC"
        ),
        None => {
            for (path, value) in SETTINGS {
                fs::write(path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
            }
        }
    }
    let mut arguments = Arguments::from_args();
    // One of them unloads the module.
    arguments.test_threads = Some(1);
    let trials = TESTS.iter().map(|(name, test)| {
        let trial = Trial::test(*name, || {
            test();
            Ok(())
        });
        trial.with_ignored_flag(missing.is_some())
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Runs `operation` with the `n`th allocation of the calling thread failing.
/// Returns the result, and whether there were that many allocations.
fn with_failure<R>(n: u32, operation: impl FnOnce() -> R) -> (R, bool) {
    let file = File::options().read(true).write(true).open(FAIL_NTH);
    let file = file.unwrap_or_else(|error| panic!("{FAIL_NTH}: {error}"));
    let arm = |n: u32| {
        let number = n.to_string();
        file.write_all_at(number.as_bytes(), 0)
    };
    arm(n).expect("a thread sets its own");
    let result = operation();
    let mut left = [0; 16];
    let length = file.read_at(&mut left, 0);
    arm(0).expect("a thread sets its own");
    let length = length.expect("a thread reads its own");
    (result, &left[..length] == b"0\n")
}

/// Runs an operation with its first allocation failing, then with its second, until there
/// is no such allocation. Each time, the subject and the thread are new. Returns how many
/// of these failures made the operation fail.
#[track_caller]
fn exhaust<S, R, O: Debug + PartialEq>(
    subject: impl Fn() -> S + Sync,
    observe: impl Fn(&S) -> O + Sync,
    operation: impl Fn(&S) -> Result<R, Errno> + Sync,
) -> u32 {
    let mut refused = 0;
    for n in 1.. {
        let attempt = || {
            let subject = subject();
            let before = observe(&subject);
            let (result, failed) = with_failure(n, || operation(&subject));
            match result {
                Ok(_) => (),
                Err(Errno::NOMEM) if failed => {
                    assert_eq!(observe(&subject), before, "allocation {n} failed");
                    if let Err(error) = operation(&subject) {
                        panic!("with memory again, after allocation {n} had failed: {error}");
                    }
                    return (true, true);
                }
                Err(error) => panic!("allocation {n} (failed: {failed}): {error}"),
            }
            (failed, false)
        };
        let result = scope(|scope| scope.spawn(attempt).join());
        match result.unwrap_or_else(|panic| resume_unwind(panic)) {
            (false, _) => return refused,
            (true, was_refused) => refused += u32::from(was_refused),
        }
    }
    unreachable!("there are not as many allocations as numbers");
}

/// A thread that never had a priority, a ceiling or a slot.
struct Fresh {
    device: Device,
    worker: Worker,
    pidfd: OwnedFd,
}

impl Fresh {
    fn new() -> Self {
        let worker = Worker::spawn();
        Self {
            device: Device::open(),
            pidfd: pidfd(worker.tid(), libc::PIDFD_THREAD),
            worker,
        }
    }

    fn state(&self) -> State {
        State::of(&self.device, self.worker.tid())
    }
}

fn own_state(device: &Device) -> State {
    State::of(device, SELF)
}

fn a_first_set() {
    let refused = exhaust(Fresh::new, Fresh::state, |fresh| {
        fresh.device.try_set(fresh.worker.tid(), 20, 0)
    });
    assert_ne!(refused, 0, "there is a record to allocate");
}

fn a_first_set_by_pidfd() {
    let refused = exhaust(Fresh::new, Fresh::state, |fresh| {
        let target = fresh.pidfd.as_raw_fd();
        fresh.device.try_set(target, 20, GO_SCHED_TARGET_PIDFD)
    });
    assert_ne!(refused, 0, "there is a record to allocate");
}

fn a_first_set_by_system_call() {
    let refused = exhaust(Fresh::new, Fresh::state, |fresh| {
        set_schedprio(fresh.worker.tid(), 20, 0)
    });
    assert_ne!(refused, 0, "there is a record to allocate");
}

fn a_first_ceiling() {
    let refused = exhaust(Fresh::new, Fresh::state, |fresh| {
        fresh.device.try_ceiling(fresh.worker.tid(), 50, 0)
    });
    assert_ne!(refused, 0, "there is a record to allocate");
}

fn a_change_of_a_managed_thread() {
    let managed = || {
        let fresh = Fresh::new();
        fresh.device.set(fresh.worker.tid(), 20);
        fresh
    };
    exhaust(managed, Fresh::state, |fresh| {
        fresh.device.try_set(fresh.worker.tid(), 50, 0)
    });
    exhaust(managed, Fresh::state, |fresh| {
        fresh.device.try_ceiling(fresh.worker.tid(), 10, 0)
    });
    exhaust(managed, Fresh::state, |fresh| {
        fresh.device.try_clear(fresh.worker.tid(), 0)
    });
}

fn a_first_bind() {
    let subject = || {
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        (device, page)
    };
    let observe = |(device, page): &(Device, HintPage)| {
        (
            own_state(device),
            page.slot(0).wanted(),
            page.slot(0).applied(),
        )
    };
    let refused = exhaust(subject, observe, |(device, _)| device.try_bind(0));
    assert_ne!(refused, 0, "there is a record to allocate");
}

fn the_requests_that_only_answer() {
    exhaust(Device::open, own_state, |device| device.try_get(SELF, 0));
    exhaust(Device::open, own_state, |device| device.try_stats(SELF, 0));
    exhaust(Device::open, own_state, Device::try_class_info);
    exhaust(Device::open, own_state, Device::try_unbind);
}

fn an_open() {
    let refused = exhaust(Device::open, own_state, |_| {
        Device::try_open().map_err(errno)
    });
    assert_ne!(refused, 0, "there is a file to allocate");
}

fn a_mapping() {
    let refused = exhaust(Device::open, own_state, |device| {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        HintPage::try_new(device, 1, 0, access, MapFlags::SHARED)
    });
    assert_ne!(refused, 0, "there is an area to allocate");
}

fn a_first_touch_of_a_mapped_page() {
    let subject = || {
        let device = Device::open();
        let page = HintPage::new(&device, 1);
        let zeroes = File::open("/dev/zero").expect("the guest has it");
        (device, page, zeroes)
    };
    let refused = exhaust(
        subject,
        |(device, ..)| own_state(device),
        |(_, page, zeroes)| {
            let (start, _) = page.range();
            // By a system call, as the thread itself would get a SIGBUS for the page. By
            // libc, as rustix takes a slice, which may not be of memory that is not there.
            // SAFETY: The kernel writes one byte, to a page that is mapped for writing.
            let read = unsafe { libc::read(zeroes.as_raw_fd(), start, 1) };
            match result_of(read as libc::c_long) {
                Err(Errno::FAULT) => Err(Errno::NOMEM),
                other => other,
            }
        },
    );
    assert_ne!(refused, 0, "there is a page to allocate");
}

/// A child that ends with 0 if all is well. A drop waits for the child, after the
/// allocations that fail: to wait takes allocations as well.
struct Forked(Pid);

impl Drop for Forked {
    fn drop(&mut self) {
        let status = await_child(self.0.as_raw());
        assert_eq!(status.exit_status(), Some(0), "it has inherited");
    }
}

fn a_fork_that_inherits_priority_and_ceiling() {
    let subject = || {
        let device = Device::open();
        device.ceiling(SELF, 40);
        device.set_inherited(SELF, 20);
        device
    };
    let refused = exhaust(subject, own_state, |device| {
        // SAFETY: The child makes system calls and nothing else.
        match unsafe { fork() }.map_err(io::Error::from).map_err(errno)? {
            ForkResult::Child => {
                let inherited = device.try_get(SELF, 0).is_ok_and(|record| {
                    record.prio == Some(20)
                        && record.applied == Some(20)
                        && record.ceiling == 40
                        && record.inherit
                });
                // SAFETY: Ends the child at once.
                unsafe { libc::_exit(i32::from(!inherited)) }
            }
            ForkResult::Parent { child } => Ok(Forked(child)),
        }
    });
    assert_ne!(refused, 0, "there is a process to allocate");
}

fn loading_the_module() {
    let _reloaded = Reloaded;
    let managed = Worker::spawn();
    Device::open().set(managed.tid(), 20);
    let file = File::open(module::FILE).expect("the module is in the guest");
    let subject = || {
        if is_loaded() {
            unload();
        }
    };
    let observe = |(): &()| (is_loaded(), ProcSched::of(managed.tid()));
    let refused = exhaust(subject, observe, |()| finit_module(&file, c"", 0));
    assert_ne!(refused, 0, "there is a module to allocate");
    assert_eq!(Device::open().get(managed.tid()).applied, Some(20));
}

fn unloading_the_module() {
    let _reloaded = Reloaded;
    let managed = Worker::spawn();
    let base = ProcSched::of(managed.tid());
    Device::open().set(managed.tid(), 20);
    let subject = || {
        if !is_loaded() {
            load();
        }
    };
    let observe = |(): &()| (is_loaded(), ProcSched::of(managed.tid()));
    let refused = exhaust(subject, observe, |()| try_unload());
    assert_eq!(refused, 0, "nothing could be done about it");
    assert_eq!(ProcSched::of(managed.tid()), base);
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).expect("it is the kernel's")
}
