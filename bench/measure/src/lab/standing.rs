// SPDX-License-Identifier: GPL-2.0

//! Gives threads the scheduling that a set-up asks for.

use std::fs;
use std::path::Path;
use std::thread;

use anyhow::anyhow;
use anyhow::Context;
use anyhow::Result;
use common::attr::setpriority;
use common::attr::Attr;
use common::cgroup;
use common::cgroup::Cgroup;
use common::cgroup::ROOT;
use common::device::SELF;
use common::syscall::set_schedprio;
use go_sched_bench_data::lab::Standing;
use gosched::uapi::GO_SCHED_INHERIT;
use rustix::io::Errno;
use rustix::thread::gettid;

/// The group of threads that are lowered by their group.
const GROUP: &str = "go_sched_lab_threads";

/// Returns why a standing cannot be had here, if so.
pub(super) fn obstacle(standing: Standing) -> Result<Option<String>> {
    let why = match standing {
        Standing::Go(_) if !common::module::is_loaded() => "the module is not loaded",
        Standing::Uclamp => match Attr::utilization_only(0, 1024).try_apply(0) {
            Err(Errno::OPNOTSUPP) => "the kernel is built without UCLAMP_TASK",
            other => return other.map(|()| None).context("sched_setattr"),
        },
        // systemd has the threads of a process in one group.
        Standing::Weight | Standing::IdleGroup => {
            let tried = thread::scope(|scope| scope.spawn(|| take(standing)).join());
            let tried = tried.map_err(|_| anyhow!("{standing:?}: panic"))?;
            return Ok(tried.err().map(|why| format!("{why:#}")));
        }
        _ => return Ok(None),
    };
    Ok(Some(why.to_owned()))
}

/// Has the calling thread take a standing, which its children inherit.
pub(super) fn take(standing: Standing) -> Result<()> {
    let attr = |attr: Attr| attr.try_apply(0).context("sched_setattr");
    match standing {
        Standing::Ordinary => Ok(()),
        Standing::Go(prio) => {
            set_schedprio(SELF, prio, GO_SCHED_INHERIT).context("go_set_schedprio")
        }
        Standing::Nice(nice) => setpriority(0, nice).context("setpriority"),
        Standing::Batch => attr(Attr::batch(0)),
        Standing::Idle => attr(Attr::idle()),
        Standing::RoundRobin => attr(Attr::rr(1)),
        Standing::Uclamp => attr(Attr::utilization_only(0, 0)),
        Standing::Weight => join("cpu.weight", "1"),
        Standing::IdleGroup => join("cpu.idle", "1"),
    }
}

/// Moves the calling thread to a group with a setting. The group stays, for the next thread.
fn join(file: &str, value: &str) -> Result<()> {
    let name = format!("{GROUP}.{file}");
    let group = Path::new(ROOT).join(name);
    if !group.exists() {
        cgroup::pass_on(Path::new(ROOT), "+cpu").context(ROOT)?;
        // Siblings may make the group at the same time.
        match fs::create_dir(&group) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error.into())
            }
            _ => {}
        }
    }
    let write =
        |file: &str, value: &str| fs::write(group.join(file), value).context(file.to_owned());
    write("cgroup.type", "threaded")?;
    write(file, value)?;
    write("cgroup.threads", &gettid().as_raw_pid().to_string())
}

/// A group with a quota for one process. The drop removes the group; the process must have ended.
pub(super) fn quota_group(quota: &str) -> Result<Cgroup> {
    let group = Cgroup::try_new(Path::new(ROOT), "go_sched_lab", "+cpu").context(ROOT)?;
    group.try_set("cpu.max", quota).context("cpu.max")?;
    Ok(group)
}

/// A setting of the kernel that is changed until the drop.
#[derive(Debug)]
pub(super) struct Changed {
    path: &'static str,
    before: String,
}

impl Changed {
    pub(super) fn new(path: &'static str, value: &str) -> Result<Self> {
        let before = fs::read_to_string(path).context(path)?;
        fs::write(path, value).context(path)?;
        Ok(Self { path, before })
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        if let Err(error) = fs::write(self.path, self.before.trim_end()) {
            eprintln!("{}: {error}", self.path);
        }
    }
}
