// SPDX-License-Identifier: GPL-2.0

//! Checks of what else on the system limits the effect of a priority.

use std::fs;
use std::io;
use std::path::Path;

use procfs::ProcResult;
use schemars::JsonSchema;
use serde::Serialize;

use super::Finding;
use crate::cgroup::Hierarchy;
use crate::cgroup::Quota;

/// Checks whether a scheduler loaded through `sched_ext` runs the threads.
pub(super) fn sched_ext() -> Finding {
    const CHECK: &str = "sched_ext";

    match SchedExt::read() {
        Ok(SchedExt::Off) => Finding::ok(CHECK, "no scheduler is loaded through it"),
        Ok(SchedExt::Partial) => Finding::ok(
            CHECK,
            "a scheduler is loaded for SCHED_EXT threads, and leaves all others alone",
        ),
        Ok(SchedExt::Full) => Finding::warn(
            CHECK,
            "a scheduler is loaded that runs all threads: no priority can be set beside it",
            "end its program, or type Alt-SysRq-S",
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::ok(CHECK, "not in this kernel")
        }
        Err(error) => Finding::warn(
            CHECK,
            format!("unknown whether a scheduler is loaded: {error}"),
            "mount sysfs on /sys",
        ),
    }
}

/// The threads that a scheduler loaded through `sched_ext` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SchedExt {
    /// None, as no scheduler is loaded.
    Off,
    /// Threads of the policy `SCHED_EXT`.
    Partial,
    /// All threads.
    Full,
}

impl SchedExt {
    /// Asks the kernel. The error is `NotFound` on a kernel without `sched_ext`.
    pub(crate) fn read() -> io::Result<Self> {
        Self::read_at(Path::new("/sys/kernel/sched_ext"))
    }

    fn read_at(dir: &Path) -> io::Result<Self> {
        let read = |name| fs::read_to_string(dir.join(name));
        Ok(if read("state")?.trim() == "disabled" {
            Self::Off
        } else if read("switch_all")?.trim() == "0" {
            Self::Partial
        } else {
            Self::Full
        })
    }
}

/// Checks that the fair server keeps some CPU time for fair threads beside a spinning rt
/// thread. Since Linux 6.12 it does what `sched_rt_runtime_us` did.
pub(super) fn fair_server() -> Finding {
    const CHECK: &str = "rt";
    const DIR: &str = "/sys/kernel/debug/sched/fair_server";

    match fair_server_shares(Path::new(DIR)) {
        Ok(shares) if shares.is_empty() => unknown(CHECK, "no CPU in debugfs", "mount debugfs"),
        Ok(shares) => match shares.iter().find(|share| share.runtime_ns == 0) {
            Some(share) => Finding::warn(
                CHECK,
                format!("the fair server is off on {}: a thread at 48..63 that spins there stops all others", share.cpu),
                format!("write 50000000 to {DIR}/{}/runtime", share.cpu),
            ),
            None => Finding::ok(CHECK, "fair threads keep a share of each CPU beside rt threads that spin"),
        },
        Err(error) => unknown(
            CHECK,
            &format!("cannot read {DIR}: {error}"),
            "run as root with debugfs mounted on /sys/kernel/debug",
        ),
    }
}

fn unknown(check: &'static str, reason: &str, advice: &str) -> Finding {
    Finding::warn(
        check,
        format!("unknown whether rt threads that spin leave CPU to others: {reason}"),
        advice,
    )
}

struct Share {
    cpu: String,
    runtime_ns: u64,
}

fn fair_server_shares(dir: &Path) -> io::Result<Vec<Share>> {
    fs::read_dir(dir)?
        .map(|cpu| {
            let cpu = cpu?;
            let runtime = fs::read_to_string(cpu.path().join("runtime"))?;
            Ok(Share {
                cpu: cpu.file_name().to_string_lossy().into_owned(),
                runtime_ns: runtime.trim().parse().map_err(io::Error::other)?,
            })
        })
        .collect()
}

/// Checks whether a quota of this process's control group, or of one above that, limits
/// fair threads.
pub(super) fn quota() -> Finding {
    const CHECK: &str = "quota";

    match own_quota() {
        Ok(Some(quota)) => Finding::warn(
            CHECK,
            format!(
                "cpu.max of {} allows {:.0}% of one CPU: 0..47 cannot lift it, 48..63 escapes it",
                quota.cgroup.display(),
                quota.cpus * 100.0
            ),
            format!(
                "write \"max\" to {}/cpu.max to lift it",
                quota.cgroup.display()
            ),
        ),
        Ok(None) => Finding::ok(CHECK, "no cpu.max limits the control group of this process"),
        Err(error) => Finding::warn(
            CHECK,
            format!("unknown whether a cpu.max applies: {error}"),
            "mount /proc and /sys/fs/cgroup",
        ),
    }
}

fn own_quota() -> ProcResult<Option<Quota>> {
    let Some(hierarchy) = Hierarchy::find()? else {
        return Ok(None);
    };
    let own = Hierarchy::path(Path::new("/proc/self/cgroup"))?;
    Ok(own.and_then(|path| hierarchy.tightest_quota(&path)))
}

/// Checks whether the scheduler divides CPU time among sessions before threads.
pub(super) fn autogroup() -> Finding {
    const CHECK: &str = "autogroup";

    match autogroup_enabled() {
        Ok(true) => Finding::warn(
            CHECK,
            "on: 0..47 orders threads within a session only, and sessions among each other as before",
            format!("run \"echo 0 >{AUTOGROUP_ENABLED}\" as root to order them all"),
        ),
        Ok(false) => Finding::ok(CHECK, "off, or not in this kernel"),
        Err(error) => Finding::warn(
            CHECK,
            format!("unknown whether on: {error}"),
            "run as root",
        ),
    }
}

const AUTOGROUP_ENABLED: &str = "/proc/sys/kernel/sched_autogroup_enabled";

/// Reads whether each session is a group to the scheduler.
pub(crate) fn autogroup_enabled() -> io::Result<bool> {
    match fs::read_to_string(AUTOGROUP_ENABLED) {
        Ok(enabled) => Ok(enabled.trim() != "0"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sched_ext_scheduler_is_told_by_its_mode() {
        let dir = tempfile::tempdir().expect("temporary directory");
        for (state, switch_all, mode) in [
            ("disabled", "0", SchedExt::Off),
            ("enabled", "0", SchedExt::Partial),
            ("enabled", "1", SchedExt::Full),
        ] {
            fs::write(dir.path().join("state"), format!("{state}\n")).expect("file");
            fs::write(dir.path().join("switch_all"), format!("{switch_all}\n")).expect("file");
            assert_eq!(SchedExt::read_at(dir.path()).expect("readable"), mode);
        }
    }

    #[test]
    fn the_share_of_each_cpu_is_read() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let cpu = dir.path().join("cpu3");
        fs::create_dir(&cpu).expect("directory");
        fs::write(cpu.join("runtime"), "50000000\n").expect("file");
        let shares = fair_server_shares(dir.path()).expect("readable");
        assert_eq!(shares.len(), 1);
        assert_eq!(shares[0].cpu, "cpu3");
        assert_eq!(shares[0].runtime_ns, 50_000_000);
    }
}
