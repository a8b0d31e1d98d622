// SPDX-License-Identifier: GPL-2.0

//! Checks of what else on the system limits the effect of a priority.

use std::fs;
use std::io;
use std::path::Path;

use gosched::cgroup::Group;
use gosched::cgroup::Hierarchies;
use gosched::policy::level;
use gosched::policy::GoPrio;
use schemars::JsonSchema;
use serde::Serialize;

use super::finding::Finding;

/// Checks whether a scheduler loaded through `sched_ext` runs the threads.
pub(super) fn sched_ext() -> Finding {
    const CHECK: &str = "sched_ext";

    match SchedExt::read() {
        Ok(None) => Finding::ok(CHECK, "not in this kernel"),
        Ok(Some(SchedExt::Off)) => Finding::ok(CHECK, "no scheduler is loaded through it"),
        Ok(Some(SchedExt::Partial)) => Finding::ok(
            CHECK,
            "a scheduler is loaded for SCHED_EXT threads, and leaves all others alone",
        ),
        Ok(Some(SchedExt::Full)) => Finding::warn(
            CHECK,
            "a scheduler is loaded that runs all threads: no priority can be set beside it",
            "end its program, or type Alt-SysRq-S",
        ),
        Err(error) => {
            let detail = format!("unknown whether a scheduler is loaded: {error}");
            Finding::unknown(CHECK, detail, "mount sysfs on /sys")
        }
    }
}

/// The threads that a scheduler loaded through `sched_ext` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SchedExt {
    /// No thread, as no scheduler is loaded.
    Off,
    /// Threads of the policy `SCHED_EXT`.
    Partial,
    /// All threads.
    Full,
}

impl SchedExt {
    /// Asks the kernel. Returns `None` from a kernel without `sched_ext`.
    pub(crate) fn read() -> io::Result<Option<Self>> {
        Self::read_at(Path::new("/sys/kernel/sched_ext"))
    }

    fn read_at(dir: &Path) -> io::Result<Option<Self>> {
        let read = |name| read_or_absent(&dir.join(name), dir);
        let Some(state) = read("state")? else {
            return Ok(None);
        };
        Ok(Some(if state == "disabled" {
            Self::Off
        } else if read("switch_all")?.is_some_and(|all| all == "0") {
            Self::Partial
        } else {
            Self::Full
        }))
    }
}

/// Reads a file of the kernel. Returns `None` where `feature`, the file or a directory around
/// it, is not there and its own directory is: then this kernel has no such feature.
fn read_or_absent(file: &Path, feature: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let around = feature.parent().is_some_and(Path::is_dir);
            if around && !feature.is_dir() {
                Ok(None)
            } else {
                Err(io::Error::new(
                    error.kind(),
                    format!("there is no {}", file.display()),
                ))
            }
        }
        Err(error) => Err(error),
    }
}

/// Checks that the fair server keeps some CPU time for fair threads beside a spinning rt
/// thread. Since Linux 6.12 it does what `sched_rt_runtime_us` did.
pub(super) fn fair_server() -> Finding {
    fair_server_at(Path::new("/sys/kernel/debug/sched/fair_server"))
}

fn fair_server_at(dir: &Path) -> Finding {
    const CHECK: &str = "rt";

    match fair_server_shares(dir) {
        Ok(shares) if shares.is_empty() => unknown(CHECK, "no CPU in debugfs", "mount debugfs"),
        Ok(shares) => match shares.iter().find(|share| share.runtime_ns == 0) {
            Some(share) => Finding::warn(
                CHECK,
                format!("the fair server is off on {}: a thread at 48..63 that spins there stops all others", share.cpu),
                format!("write 50000000 to {}/{}/runtime", dir.display(), share.cpu),
            ),
            None => Finding::ok(CHECK, "fair threads keep a share of each CPU beside rt threads that spin"),
        },
        Err(error) => unknown(
            CHECK,
            &format!("cannot read {}: {error}", dir.display()),
            "run as root with debugfs mounted on /sys/kernel/debug",
        ),
    }
}

fn unknown(check: &'static str, reason: &str, advice: &str) -> Finding {
    Finding::unknown(
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

/// Checks that threads of RCU, where it has some on each CPU, run before rt threads that spin:
/// else a grace period, which many system calls wait for, has no end. Returns `None` for kernels
/// without `PREEMPT_RT`: there RCU works in softirqs.
pub(super) fn rcu() -> Option<Finding> {
    let uname = rustix::system::uname();
    let is_realtime = uname.version().to_string_lossy().contains("PREEMPT_RT");
    is_realtime.then(|| rcu_at(Path::new("/sys/module/rcutree/parameters/kthread_prio")))
}

fn rcu_at(file: &Path) -> Finding {
    const CHECK: &str = "rcu";

    let wanted = level(GoPrio::MAX).rt_priority + 1;
    let advice = format!("boot with rcutree.kthread_prio={wanted}");
    let read =
        fs::read_to_string(file).and_then(|text| text.trim().parse().map_err(io::Error::other));
    match read {
        Ok(prio) if wanted <= prio => Finding::ok(CHECK, "its threads run before rt threads that spin"),
        Ok(prio) => Finding::warn(
            CHECK,
            format!("rcutree.kthread_prio is {prio}: beside a thread at 49..63 that spins, others may wait in system calls for ever"),
            advice,
        ),
        Err(error) => {
            let detail = format!("unknown whether rt threads that spin keep others in system calls: cannot read {}: {error}", file.display());
            Finding::unknown(CHECK, detail, advice)
        }
    }
}

/// Checks whether a quota of this process's control group, or of one above that, limits
/// fair threads.
pub(super) fn quota() -> Finding {
    let group = Hierarchies::find().and_then(|all| all.group_of(Path::new("/proc/self/cgroup")));
    let quota = group.and_then(|group| quota_of(group.as_ref()));
    quota.unwrap_or_else(|error| {
        let detail = format!("unknown whether one applies: {error}");
        Finding::unknown("quota", detail, "mount /proc and /sys/fs/cgroup")
    })
}

fn quota_of(group: Option<&Group>) -> io::Result<Finding> {
    const CHECK: &str = "quota";

    let quota = group.map(Group::tightest_quota).transpose()?.flatten();
    Ok(match (quota, group) {
        (Some(quota), _) => {
            let file = format!("{}/{}", quota.group.display(), quota.file);
            Finding::warn(
                CHECK,
                format!(
                    "{} of {} allows {:.0}% of one CPU: 0..47 cannot lift it, 48..63 escapes it",
                    quota.file,
                    quota.group.display(),
                    quota.cpus * 100.0
                ),
                format!("write \"{}\" to {file} to lift it", quota.lifted),
            )
        }
        (None, Some(group)) if group.hides_groups_above() => Finding::ok(
            CHECK,
            "none limits the control groups of this process that this container shows",
        ),
        _ => Finding::ok(CHECK, "none limits the control group of this process"),
    })
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
        Err(error) => Finding::unknown(
            CHECK,
            format!("unknown whether on: {error}"),
            format!("read {AUTOGROUP_ENABLED} where the whole of /proc is mounted"),
        ),
    }
}

const AUTOGROUP_ENABLED: &str = "/proc/sys/kernel/sched_autogroup_enabled";

/// Reads whether each session is a group to the scheduler.
pub(crate) fn autogroup_enabled() -> io::Result<bool> {
    let file = Path::new(AUTOGROUP_ENABLED);
    Ok(read_or_absent(file, file)?.is_some_and(|enabled| enabled != "0"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_explained;
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
            let read = SchedExt::read_at(dir.path());
            assert_eq!(read.expect("readable"), Some(mode));
        }
    }

    #[test]
    fn a_feature_is_absent_where_its_surroundings_are_there_and_otherwise_unknown() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let feature = dir.path().join("sched_ext");
        assert_eq!(SchedExt::read_at(&feature).expect("absent"), None);
        let nowhere = dir.path().join("kernel/sched_ext");
        let error = SchedExt::read_at(&nowhere).expect_err("unknown");
        assert!(
            error.to_string().contains("kernel/sched_ext/state"),
            "{error}"
        );
        fs::create_dir(&feature).expect("directory");
        assert!(SchedExt::read_at(&feature).is_err());

        let file = dir.path().join("autogroup");
        assert_eq!(read_or_absent(&file, &file).expect("absent"), None);
        let file = dir.path().join("kernel/autogroup");
        assert!(read_or_absent(&file, &file).is_err());
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

    #[test]
    fn a_fair_server_that_is_off_is_told_by_its_cpu() {
        let dir = tempfile::tempdir().expect("temporary directory");
        fs::create_dir(dir.path().join("cpu3")).expect("directory");
        fs::write(dir.path().join("cpu3/runtime"), "0\n").expect("file");
        let finding = fair_server_at(dir.path());
        assert_eq!(finding.verdict.label(), "warn");
        assert!(finding.detail.contains("off on cpu3"), "{}", finding.detail);
        assert_explained(&finding);
    }

    #[test]
    fn threads_of_rcu_that_rt_threads_outrank_are_told() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("kthread_prio");
        for (prio, verdict) in [("1", "warn"), ("16", "warn"), ("17", "ok")] {
            fs::write(&file, format!("{prio}\n")).expect("file");
            let finding = rcu_at(&file);
            assert_eq!(finding.verdict.label(), verdict, "{prio}");
            if verdict != "ok" {
                assert_explained(&finding);
            }
        }
        let finding = rcu_at(&dir.path().join("none"));
        assert_eq!(finding.verdict.label(), "?");
        assert_explained(&finding);
    }
}
