// SPDX-License-Identifier: GPL-2.0

//! Forked processes, for what no thread of a test can do: change the user of its
//! process, enter another namespace, be killed.

use std::any::Any;
use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::panic::catch_unwind;
use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::process::Stdio;

use nix::unistd::fork;
use nix::unistd::setgroups;
use nix::unistd::setresgid;
use nix::unistd::setresuid;
use nix::unistd::ForkResult;
use nix::unistd::Gid;
use nix::unistd::Uid;
use rustix::event::pause;
use rustix::pipe::pipe_with;
use rustix::pipe::PipeFlags;
use rustix::process::pidfd_open;
use rustix::process::pidfd_send_signal;
use rustix::process::setrlimit;
use rustix::process::waitpid;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;
use rustix::process::WaitOptions;
use rustix::process::WaitStatus;
use rustix::thread::capabilities;
use rustix::thread::set_capabilities;
use rustix::thread::set_keep_capabilities;
use rustix::thread::set_thread_groups;
use rustix::thread::set_thread_res_gid;
use rustix::thread::set_thread_res_uid;
use rustix::thread::unshare_unsafe;
use rustix::thread::CapabilitySet;
use rustix::thread::UnshareFlags;

use crate::deadline::await_program;
use crate::deadline::await_readable;
use crate::deadline::TimedReader;
use crate::device::Device;
use crate::device::SELF;

/// The variable that tells the test in a [`setuid_program`] the test's role.
pub const SETUID_ROLE: &str = "GO_SCHED_SETUID_ROLE";

/// The report of a child whose job is done. After a panic, the report is the panic's
/// message.
const DONE: &[u8] = b"done";

/// A forked process. On drop, the process is killed.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    alive: bool,
}

impl Child {
    /// Starts a process that runs `setup` and then sleeps until it is killed. Returns
    /// when `setup` has ended, or panics as `setup` did.
    #[track_caller]
    pub fn sleeping(setup: impl FnOnce()) -> Self {
        let (child, mut report) = Self::spawn(setup, || loop {
            pause();
        });
        child.await_report(&mut report);
        child
    }

    /// Returns the process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Kills the process and leaves it a zombie.
    pub fn kill(&self) {
        let pidfd = pidfd(self.pid, 0);
        pidfd_send_signal(&pidfd, Signal::KILL).expect("the child has not been waited for");
        await_readable(&pidfd, "the child to die");
    }

    /// Waits for the process to end. Returns the status of the process.
    #[track_caller]
    pub fn wait(mut self) -> WaitStatus {
        let status = await_child(self.pid);
        self.alive = false;
        status
    }

    fn spawn(job: impl FnOnce(), then: impl FnOnce()) -> (Self, File) {
        let (report, writer) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        // SAFETY: Glibc lets the child of a threaded process use the heap, and
        // the child takes no other lock that a thread of the parent may hold.
        match unsafe { fork() }.expect("a process") {
            ForkResult::Parent { child } => {
                let child = Self {
                    pid: child.as_raw(),
                    alive: true,
                };
                (child, report.into())
            }
            ForkResult::Child => {
                drop(report);
                let result = catch_unwind(AssertUnwindSafe(job));
                let message = match &result {
                    Ok(()) => DONE,
                    Err(panic) => panic_message(panic.as_ref()).as_bytes(),
                };
                let written = File::from(writer).write_all(message);
                if result.is_ok() && written.is_ok() {
                    then();
                }
                // SAFETY: Ends the process at once, so that nothing the parent
                // has on its stack is dropped a second time.
                unsafe { libc::_exit(i32::from(result.is_err())) }
            }
        }
    }

    #[track_caller]
    fn await_report(&self, report: &mut File) {
        await_readable(report, "the child's report");
        let mut message = vec![0; 64 << 10];
        let length = report.read(&mut message).expect("a pipe is readable");
        let message = &message[..length];
        assert!(
            message == DONE,
            "in the child: {}",
            String::from_utf8_lossy(message)
        );
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.alive {
            // It may be dead already, which is as well.
            let _ = pidfd_send_signal(pidfd(self.pid, 0), Signal::KILL);
            await_child(self.pid);
        }
    }
}

/// Waits for a child process to end. Returns its status.
#[track_caller]
pub fn await_child(pid: i32) -> WaitStatus {
    await_readable(&pidfd(pid, 0), "the child to end");
    let ended = waitpid(Pid::from_raw(pid), WaitOptions::empty());
    let (_, status) = ended
        .ok()
        .flatten()
        .expect("the child has not been waited for");
    status
}

/// Runs `job` in a process of its own, or panics as `job` did.
#[track_caller]
pub fn in_child(job: impl FnOnce()) {
    let (child, mut report) = Child::spawn(job, || ());
    child.await_report(&mut report);
    let status = child.wait();
    assert_eq!(status.exit_status(), Some(0), "{status:?}");
}

/// Runs `job` in a process of its own, which `job` may end. Returns how the process
/// ended.
#[track_caller]
pub fn end_of_child(job: impl FnOnce()) -> WaitStatus {
    // A report of which nobody wants to know fits into the pipe.
    let (child, _report) = Child::spawn(job, || ());
    child.wait()
}

/// Starts a program that answers its input and ends with the input, such as `cat`. Calls
/// `look` with the process id while the program runs. Returns the result of `look`.
pub fn with_program<R>(program: &mut Command, look: impl FnOnce(i32) -> R) -> R {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the guest has the program");
    let (mut stdin, stdout) = child.stdin.take().zip(child.stdout.take()).expect("pipes");
    let mut stdout = TimedReader::new(stdout);
    // What it says comes from the new program, so exec is over.
    stdin.write_all(b"?").expect("the program reads");
    stdout
        .read_exact(&mut [0])
        .expect("the program says something");
    let result = look(child.id() as i32);
    drop(stdin);
    io::copy(&mut stdout, &mut io::sink()).expect("the program ends");
    assert!(await_program(&mut child).success());
    result
}

/// Returns a test of the calling program as a setuid program of root: busybox would
/// become the user again. The caller is root, and names the test by its path in the
/// source, the crate included.
pub fn setuid_program(test: &str, role: &str) -> Command {
    const PATH: &str = "/tmp/setuid-program";
    let (_, test) = test.split_once("::").expect("a crate, and a path in it");
    if !fs::exists(PATH).expect("a folder") {
        fs::copy("/proc/self/exe", PATH).expect("room in /tmp");
        fs::set_permissions(PATH, Permissions::from_mode(0o4755)).expect("root's own file");
    }
    let mut program = Command::new(PATH);
    program.args(["--exact", test]).env(SETUID_ROLE, role);
    program
}

/// Makes the calling process a user's, for good.
pub fn become_user(uid: u32) {
    let (group, user) = (Gid::from_raw(uid), Uid::from_raw(uid));
    setgroups(&[]).expect("root leaves its groups");
    setresgid(group, group, group).expect("root changes the group");
    setresuid(user, user, user).expect("root changes the user");
}

/// Makes the calling process a user's that keeps `CAP_SYS_NICE`.
pub fn become_user_with_sys_nice(uid: u32) {
    set_keep_capabilities(true).expect("root keeps its capabilities");
    become_user(uid);
    limit_capabilities(|_| CapabilitySet::SYS_NICE);
}

/// Makes the calling process a user's that has been granted a ceiling. The ceiling is
/// granted after the change of the user, which would end the ceiling.
pub fn become_user_with_ceiling(uid: u32, device: &Device, ceiling: u32) {
    become_user_with_sys_nice(uid);
    device.ceiling(SELF, ceiling as i32);
    drop_sys_nice();
}

/// Makes the calling thread a user's, and leaves the rest of its process alone.
pub fn become_user_in_thread(uid: u32) {
    let group = rustix::thread::Gid::from_raw(uid);
    let user = rustix::thread::Uid::from_raw(uid);
    set_thread_groups(&[]).expect("root leaves its groups");
    set_thread_res_gid(group, group, group).expect("root changes the group");
    set_thread_res_uid(user, user, user).expect("root changes the user");
}

/// Makes the calling thread a user's that keeps `CAP_SYS_NICE`.
pub fn become_user_with_sys_nice_in_thread(uid: u32) {
    set_keep_capabilities(true).expect("root keeps its capabilities");
    become_user_in_thread(uid);
    limit_capabilities(|_| CapabilitySet::SYS_NICE);
}

/// Takes `CAP_SYS_NICE` from the calling process.
pub fn drop_sys_nice() {
    limit_capabilities(|permitted| permitted - CapabilitySet::SYS_NICE);
}

/// Sets both limits of a resource for the calling process, as root may.
pub fn set_limit(resource: Resource, limit: u64) {
    let limit = Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    setrlimit(resource, limit).expect("root changes its limits");
}

/// Moves the calling thread to new namespaces.
pub fn unshare(namespaces: UnshareFlags) {
    // SAFETY: No table of file descriptors is unshared.
    unsafe { unshare_unsafe(namespaces) }.expect("a new namespace");
}

/// Opens a pidfd that names a process or, with `PIDFD_THREAD`, a thread.
#[track_caller]
pub fn pidfd(tid: i32, flags: u32) -> OwnedFd {
    let tid = Pid::from_raw(tid).expect("a thread id is positive");
    pidfd_open(tid, PidfdFlags::from_bits_retain(flags))
        .unwrap_or_else(|error| panic!("pidfd_open({tid}): {error}"))
}

fn limit_capabilities(kept: impl FnOnce(CapabilitySet) -> CapabilitySet) {
    let mut sets = capabilities(None).expect("a process reads its capabilities");
    sets.permitted = kept(sets.permitted);
    sets.effective = sets.permitted;
    set_capabilities(None, sets).expect("a process gives up capabilities");
}

/// Returns the message of a panic.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}
