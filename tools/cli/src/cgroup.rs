// SPDX-License-Identifier: GPL-2.0

//! CPU limits of control groups of version 2, see cgroup-v2.rst of the kernel.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use procfs::process::Process;
use procfs::FromRead;
use procfs::ProcResult;
use procfs::ProcessCGroups;

/// The mounted hierarchy of control groups.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    mount: PathBuf,
}

/// A CPU limit of a group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quota {
    /// The directory of the group.
    pub(crate) cgroup: PathBuf,
    /// CPU time that the group may use, in CPUs.
    pub(crate) cpus: f64,
    /// The number of periods in which the group used up its time.
    pub(crate) throttled: u64,
}

impl Hierarchy {
    /// Finds the hierarchy, if this system has one.
    pub(crate) fn find() -> ProcResult<Option<Self>> {
        Ok(Process::myself()?
            .mountinfo()?
            .into_iter()
            .find(|mount| mount.fs_type == "cgroup2")
            .map(|mount| Self {
                mount: mount.mount_point,
            }))
    }

    /// Reads the path of a group below the root of the hierarchy, from `/proc/PID/cgroup`
    /// or the file of a thread.
    pub(crate) fn path(file: &Path) -> ProcResult<Option<String>> {
        Ok(ProcessCGroups::from_file(file)?
            .into_iter()
            .find(|cgroup| cgroup.hierarchy == 0)
            .map(|cgroup| cgroup.pathname))
    }

    /// Returns the lowest limit of a group and of those above it.
    pub(crate) fn tightest_quota(&self, path: &str) -> Option<Quota> {
        self.and_above(&self.dir(path))
            .filter_map(|cgroup| {
                let cpu_max = fs::read_to_string(cgroup.join("cpu.max")).ok()?;
                Some(Quota {
                    cgroup: cgroup.to_owned(),
                    cpus: parse_cpu_max(&cpu_max)?,
                    throttled: nr_throttled(cgroup).unwrap_or_default(),
                })
            })
            .min_by(|a, b| a.cpus.total_cmp(&b.cpus))
    }

    /// Returns the path of the group that the scheduler has the threads of a group in:
    /// the nearest one with the controller `cpu`. `None` is the root of the system.
    pub(crate) fn cpu_cgroup(&self, path: &str) -> Option<String> {
        let dir = self.dir(path);
        // The root of the system has no weight, as nothing is beside it.
        let group = self
            .and_above(&dir)
            .find(|cgroup| cgroup.join("cpu.weight").exists())?;
        let path = group.strip_prefix(&self.mount).ok()?;
        Some(format!("/{}", path.display()))
    }

    fn dir(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
    }

    /// Returns the directories of a group and of all groups above it.
    fn and_above<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = &'a Path> {
        dir.ancestors()
            .take_while(|cgroup| cgroup.starts_with(&self.mount))
    }
}

/// Reads "QUOTA PERIOD", in microseconds; returns CPUs, or `None` for the quota "max".
fn parse_cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    Some(quota / period)
}

/// Reads the line "nr_throttled COUNT" of `cpu.stat`.
fn nr_throttled(cgroup: &Path) -> io::Result<u64> {
    let stat = fs::read_to_string(cgroup.join("cpu.stat"))?;
    stat.lines()
        .find_map(|line| line.strip_prefix("nr_throttled "))
        .and_then(|count| count.parse().ok())
        .ok_or(io::ErrorKind::InvalidData.into())
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
        let hierarchy = Hierarchy {
            mount: mount.path().to_owned(),
        };
        assert_eq!(hierarchy.tightest_quota("/above/own"), None);

        fs::write(own.join("cpu.max"), "200000 100000\n").expect("file");
        fs::write(above.join("cpu.max"), "25000 100000\n").expect("file");
        let stat = "usage_usec 7\nnr_periods 9\nnr_throttled 5\n";
        fs::write(above.join("cpu.stat"), stat).expect("file");
        let quota = Quota {
            cgroup: above,
            cpus: 0.25,
            throttled: 5,
        };
        assert_eq!(hierarchy.tightest_quota("/above/own"), Some(quota));
    }

    #[test]
    fn threads_compete_in_the_nearest_group_that_has_the_controller() {
        let mount = tempfile::tempdir().expect("temporary directory");
        let above = mount.path().join("above");
        fs::create_dir_all(above.join("between/own")).expect("directories");
        let hierarchy = Hierarchy {
            mount: mount.path().to_owned(),
        };
        let cpu_cgroup = |path| hierarchy.cpu_cgroup(path);
        assert_eq!(cpu_cgroup("/above/between/own"), None);
        assert_eq!(cpu_cgroup("/"), None);
        fs::write(above.join("cpu.weight"), "100\n").expect("file");
        assert_eq!(cpu_cgroup("/above/between/own").as_deref(), Some("/above"));
        assert_eq!(cpu_cgroup("/above").as_deref(), Some("/above"));
        assert_eq!(cpu_cgroup("/"), None);
        // The root of a container has a weight.
        fs::write(mount.path().join("cpu.weight"), "100\n").expect("file");
        assert_eq!(cpu_cgroup("/").as_deref(), Some("/"));
    }
}
