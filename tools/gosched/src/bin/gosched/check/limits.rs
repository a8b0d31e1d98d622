// SPDX-License-Identifier: GPL-2.0

//! What else on the system limits the effect of a priority.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use procfs::process::Process;
use procfs::ProcResult;

use super::Finding;

/// Whether a scheduler loaded through `sched_ext` has taken the threads over.
pub(super) fn sched_ext() -> Finding {
    const CHECK: &str = "sched_ext";
    const DIR: &str = "/sys/kernel/sched_ext";

    match sched_ext_mode(Path::new(DIR)) {
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

#[derive(Debug, PartialEq)]
enum SchedExt {
    Off,
    Partial,
    Full,
}

fn sched_ext_mode(dir: &Path) -> io::Result<SchedExt> {
    let read = |name| fs::read_to_string(dir.join(name));
    Ok(if read("state")?.trim() == "disabled" {
        SchedExt::Off
    } else if read("switch_all")?.trim() == "0" {
        SchedExt::Partial
    } else {
        SchedExt::Full
    })
}

/// Whether fair threads get some CPU beside a spinning rt thread: since Linux
/// 6.12 the fair server sees to it, and `sched_rt_runtime_us` no longer does.
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

/// Whether a quota of this process's control group, or one above it, limits its
/// fair threads.
pub(super) fn quota() -> Finding {
    const CHECK: &str = "quota";

    match own_cgroup() {
        Ok(Some(own)) => match tightest_quota(&own.mount, &own.path) {
            Some(quota) => Finding::warn(
                CHECK,
                format!(
                    "cpu.max of {} allows {:.0}% of one CPU: 0..47 cannot lift it, 48..63 escapes it",
                    quota.cgroup.display(),
                    quota.cpus * 100.0
                ),
                format!("write \"max\" to {}/cpu.max to lift it", quota.cgroup.display()),
            ),
            None => Finding::ok(CHECK, "no cpu.max limits the control group of this process"),
        },
        Ok(None) => Finding::ok(CHECK, "no control groups of version 2"),
        Err(error) => Finding::warn(
            CHECK,
            format!("unknown whether a cpu.max applies: {error}"),
            "mount /proc and /sys/fs/cgroup",
        ),
    }
}

struct OwnCgroup {
    mount: PathBuf,
    path: PathBuf,
}

fn own_cgroup() -> ProcResult<Option<OwnCgroup>> {
    let process = Process::myself()?;
    let Some(mount) = process
        .mountinfo()?
        .into_iter()
        .find(|mount| mount.fs_type == "cgroup2")
    else {
        return Ok(None);
    };
    Ok(process
        .cgroups()?
        .into_iter()
        .find(|cgroup| cgroup.hierarchy == 0)
        .map(|cgroup| OwnCgroup {
            path: mount
                .mount_point
                .join(cgroup.pathname.trim_start_matches('/')),
            mount: mount.mount_point,
        }))
}

#[derive(Debug, PartialEq)]
struct Quota {
    cgroup: PathBuf,
    /// How many CPUs' worth of time.
    cpus: f64,
}

fn tightest_quota(mount: &Path, path: &Path) -> Option<Quota> {
    path.ancestors()
        .take_while(|cgroup| cgroup.starts_with(mount))
        .filter_map(|cgroup| {
            let cpu_max = fs::read_to_string(cgroup.join("cpu.max")).ok()?;
            Some(Quota {
                cgroup: cgroup.to_owned(),
                cpus: parse_cpu_max(&cpu_max)?,
            })
        })
        .min_by(|a, b| a.cpus.total_cmp(&b.cpus))
}

/// Reads "QUOTA PERIOD", in microseconds; nothing when the quota is "max".
fn parse_cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    Some(quota / period)
}

/// Whether the scheduler weighs sessions before it weighs threads.
pub(super) fn autogroup() -> Finding {
    const CHECK: &str = "autogroup";
    const PATH: &str = "/proc/sys/kernel/sched_autogroup_enabled";

    match fs::read_to_string(PATH) {
        Ok(enabled) if enabled.trim() != "0" => Finding::warn(
            CHECK,
            "on: 0..47 orders threads within a session only, and sessions among each other as before",
            format!("run \"echo 0 >{PATH}\" as root to order them all"),
        ),
        Ok(_) => Finding::ok(CHECK, "off"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::ok(CHECK, "not in this kernel")
        }
        Err(error) => Finding::warn(
            CHECK,
            format!("unknown whether on: {error}"),
            "run as root",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_max_is_quota_by_period() {
        assert_eq!(parse_cpu_max("50000 100000\n"), Some(0.5));
        assert_eq!(parse_cpu_max("max 100000\n"), None);
    }

    #[test]
    fn the_tightest_quota_of_all_groups_above_counts() {
        let mount = tempfile::tempdir().expect("temporary directory");
        let above = mount.path().join("above");
        let own = above.join("own");
        fs::create_dir_all(&own).expect("directories");
        assert_eq!(tightest_quota(mount.path(), &own), None);

        fs::write(own.join("cpu.max"), "200000 100000\n").expect("file");
        fs::write(above.join("cpu.max"), "25000 100000\n").expect("file");
        let quota = Quota {
            cgroup: above,
            cpus: 0.25,
        };
        assert_eq!(tightest_quota(mount.path(), &own), Some(quota));
    }

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
            assert_eq!(sched_ext_mode(dir.path()).expect("readable"), mode);
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
