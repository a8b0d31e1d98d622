// SPDX-License-Identifier: GPL-2.0

//! The alternatives: remedies that help the server answer in time.

use std::fs;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use common::attr::setpriority;
use common::attr::Attr;
use go_sched_bench_data::Alternative;
use gosched::policy::GoPrio;
use gosched::thread::ThreadId;
use gosched::thread::Threads;
use gosched::Children;
use gosched::Device;
use gosched::Target;
use rustix::io::Errno;

/// Real-time priority of the load generator.
pub(super) const LOAD_PRIORITY: i32 = 90;
/// Real-time priority of this program, which says when to start and when to end.
const OWN_PRIORITY: i32 = 95;
/// Go priority of the server's threads.
const SERVER: u32 = 50;
/// Go priority of the background.
const BACKGROUND: u32 = 8;
/// The value of a clamp of the utilization at full speed.
const FULL_SPEED: u32 = 1024;

/// Returns why an alternative cannot be measured here, if so.
pub(super) fn obstacle(alternative: Alternative) -> Result<Option<&'static str>> {
    match alternative {
        Alternative::Uclamp => match Attr::utilization_only(0, FULL_SPEED).try_apply(0) {
            Err(Errno::OPNOTSUPP) => Ok(Some("the kernel is built without UCLAMP_TASK")),
            other => other.map(|()| None).context("sched_setattr of this thread"),
        },
        Alternative::GoSchedIoctl | Alternative::GoSchedHint if !common::module::is_loaded() => {
            Ok(Some("the module is not loaded"))
        }
        _ => Ok(None),
    }
}

/// Lets the server's user open the device, if the device takes part.
pub(super) fn open_device(alternative: Alternative) -> Result<Option<OpenToAll>> {
    match alternative {
        Alternative::GoSchedHint => OpenToAll::new().map(Some).context(Device::PATH),
        _ => Ok(None),
    }
}

/// Applies an alternative to the threads of a server and to those of the background.
pub(super) fn apply(alternative: Alternative, server: u32, background: &[i32]) -> Result<()> {
    let (of_server, of_background): (Option<&Action>, Option<&Action>) = match alternative {
        Alternative::Nothing | Alternative::GoSchedHint => (None, None),
        Alternative::Nice => (Some(&|tid| nice(tid, -20)), Some(&|tid| nice(tid, 19))),
        Alternative::Batch => (None, Some(&|tid| attr(tid, &Attr::batch(0)))),
        Alternative::Idle => (None, Some(&|tid| attr(tid, &Attr::idle()))),
        Alternative::RoundRobin => (Some(&|tid| attr(tid, &Attr::rr(1))), None),
        Alternative::Uclamp => (
            Some(&|tid| attr(tid, &Attr::utilization_only(FULL_SPEED, FULL_SPEED))),
            Some(&|tid| attr(tid, &Attr::utilization_only(0, 0))),
        ),
        Alternative::GoSchedIoctl => (
            Some(&|tid| go_sched(tid, SERVER)),
            Some(&|tid| go_sched(tid, BACKGROUND)),
        ),
    };
    if let Some(action) = of_background {
        for &tid in background {
            let context = || format!("thread {tid} of the background");
            action(tid).with_context(context)?;
        }
    }
    if let Some(action) = of_server {
        let pid = i32::try_from(server).context("a process id")?;
        for thread in Threads::of(ThreadId { pid, inode: None })? {
            let tid = thread?.tid();
            if !background.contains(&tid) {
                action(tid).with_context(|| format!("thread {tid} of the server"))?;
            }
        }
    }
    Ok(())
}

/// A change of one thread's scheduling.
type Action = dyn Fn(i32) -> Result<()>;

fn nice(tid: i32, nice: i32) -> Result<()> {
    setpriority(tid, nice).context("setpriority")
}

fn attr(tid: i32, attr: &Attr) -> Result<()> {
    attr.try_apply(tid).context("sched_setattr")
}

fn go_sched(tid: i32, prio: u32) -> Result<()> {
    let prio = GoPrio::new(prio).context("a Go priority")?;
    // Go starts threads whenever it needs one.
    Device::open()?.set(Target::Tid(tid), prio, Children::Inherit)?;
    Ok(())
}

/// Puts the calling thread above the load generator. The thread's children are ordinary.
pub(super) fn stand_above_all() -> Result<()> {
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    match common::attr::setscheduler(0, policy, OWN_PRIORITY) {
        Ok(()) => Ok(()),
        Err(error) => bail!("SCHED_FIFO for this program, which takes root: {error}"),
    }
}

/// The device, which everybody may open. The drop restores the device's mode.
#[derive(Debug)]
pub(super) struct OpenToAll {
    before: Permissions,
}

impl OpenToAll {
    fn new() -> io::Result<Self> {
        let before = fs::metadata(Device::PATH)?.permissions();
        fs::set_permissions(Device::PATH, Permissions::from_mode(0o666))?;
        Ok(Self { before })
    }
}

impl Drop for OpenToAll {
    fn drop(&mut self) {
        if let Err(error) = fs::set_permissions(Device::PATH, self.before.clone()) {
            eprintln!("{}: {error}", Device::PATH);
        }
    }
}
