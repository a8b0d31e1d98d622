// SPDX-License-Identifier: MIT OR GPL-2.0

//! CPU limits of control groups, as the kernel has them: see cgroup-v2.rst of its
//! documentation, and sched-bwc.rst for version 1.

mod mount;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use self::mount::has_cpu;
use self::mount::Mount;
use self::mount::Version;

/// The mounted hierarchies of control groups that may have the controller `cpu`.
#[derive(Debug)]
pub struct Hierarchies(Vec<Mount>);

/// The group that a thread has its CPU time from.
#[derive(Debug)]
pub struct Group {
    /// Path of the group below the root of its hierarchy, as the caller sees that.
    pub path: PathBuf,
    version: Version,
    /// The place where the group is mounted, if that can be seen.
    mount: Option<Mount>,
}

/// A CPU limit of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// The directory of the group.
    pub group: PathBuf,
    /// The name of the file that has the limit.
    pub file: &'static str,
    /// The text that lifts the limit when it is written to the file.
    pub lifted: &'static str,
    /// CPU time that the group may use, in CPUs.
    pub cpus: f64,
    /// The number of periods in which the group used up its time.
    pub throttled: u64,
}

impl Hierarchies {
    /// Finds what is mounted.
    ///
    /// # Errors
    ///
    /// Fails when the mounts cannot be read from `/proc`.
    pub fn find() -> io::Result<Self> {
        Ok(Self::parse(&fs::read("/proc/self/mountinfo")?))
    }

    fn parse(mountinfo: &[u8]) -> Self {
        Self(lines(mountinfo).filter_map(Mount::parse).collect())
    }

    /// Reads the group of a process or thread from `file`, such as `/proc/PID/cgroup`.
    /// Returns `None` on a kernel without control groups.
    ///
    /// # Errors
    ///
    /// Fails when the file cannot be read.
    pub fn group_of(&self, file: &Path) -> io::Result<Option<Group>> {
        match fs::read(file) {
            Ok(groups) => Ok(self.group(&groups)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds the group in lines "NUMBER:CONTROLLERS:PATH". A controller that a hierarchy of
    /// version 1 has, version 2 lacks.
    fn group(&self, groups: &[u8]) -> Option<Group> {
        let (mut v1, mut v2) = (None, None);
        for line in lines(groups) {
            let mut fields = line.splitn(3, |byte| *byte == b':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
                continue;
            };
            if controllers.is_empty() {
                v2 = Some((Version::V2, path));
            } else if has_cpu(controllers) {
                v1 = Some((Version::V1, path));
            }
        }
        let (version, path) = v1.or(v2)?;
        let path = PathBuf::from(OsStr::from_bytes(path));
        let shows = |mount: &&Mount| {
            let dir = mount.dir(&path);
            // Each group has the file. Something else may be mounted above the hierarchy.
            mount.version == version && dir.is_some_and(|dir| dir.join("cgroup.procs").exists())
        };
        // That which shows the most of the groups above.
        let mount = self
            .0
            .iter()
            .filter(shows)
            .min_by_key(|mount| mount.root.as_os_str().len());
        Some(Group {
            version,
            mount: mount.cloned(),
            path,
        })
    }
}

impl Group {
    /// Returns the lowest limit of the group and of those above it, as far as they are
    /// mounted.
    ///
    /// # Errors
    ///
    /// Fails when the group is not mounted where the caller can see it, and when the limit
    /// cannot be read.
    pub fn tightest_quota(&self) -> io::Result<Option<Quota>> {
        let mut tightest: Option<Quota> = None;
        for group in self.and_above()? {
            let quota = self.version.quota(&group)?;
            if let Some(quota) = quota {
                if tightest
                    .as_ref()
                    .is_none_or(|other| quota.cpus < other.cpus)
                {
                    tightest = Some(quota);
                }
            }
        }
        Ok(tightest)
    }

    /// Returns the path of the group that the scheduler has the threads of the group in:
    /// the nearest one with the controller `cpu`. `None` is the root of the system.
    ///
    /// # Errors
    ///
    /// Fails when the group is not mounted where the caller can see it.
    pub fn cpu_group(&self) -> io::Result<Option<PathBuf>> {
        let groups = self.and_above()?;
        let Some(group) = groups.iter().find(|group| self.version.has_cpu(group)) else {
            return Ok(None);
        };
        let mount = self.mount.as_ref();
        Ok(mount.and_then(|mount| {
            let below = group.strip_prefix(&mount.point).ok()?;
            // Without a slash at its end where it is the root itself.
            Some(mount.root.join(below).components().collect())
        }))
    }

    /// Returns whether there may be groups above that the caller does not see.
    pub fn hides_groups_above(&self) -> bool {
        let top = self
            .and_above()
            .ok()
            .and_then(|groups| groups.last().cloned());
        top.is_some_and(|top| self.version.has_parent(&top))
    }

    /// Returns the directories of the group and of all groups above it.
    fn and_above(&self) -> io::Result<Vec<PathBuf>> {
        let mount = self.mount.as_ref();
        let (mount, dir) = mount
            .and_then(|mount| Some((mount, mount.dir(&self.path)?)))
            .ok_or_else(|| {
                let path = self.path.display();
                io::Error::other(format!("the control group {path} is not mounted here"))
            })?;
        let above = dir
            .ancestors()
            .take_while(|dir| dir.starts_with(&mount.point));
        Ok(above.map(Path::to_owned).collect())
    }
}

impl Version {
    /// Reads the limit of one group. A group without the controller `cpu` has none.
    fn quota(self, group: &Path) -> io::Result<Option<Quota>> {
        let (file, lifted) = match self {
            Self::V1 => ("cpu.cfs_quota_us", "-1"),
            Self::V2 => ("cpu.max", "max"),
        };
        let Some(limit) = read(&group.join(file))? else {
            return Ok(None);
        };
        let mut limit = limit.split_whitespace();
        let quota = limit.next().unwrap_or_default();
        if quota == lifted {
            return Ok(None);
        }
        let period = match self {
            Self::V1 => read(&group.join("cpu.cfs_period_us"))?,
            Self::V2 => limit.next().map(str::to_owned),
        };
        let stat = read(&group.join("cpu.stat"))?.unwrap_or_default();
        let throttled = stat
            .lines()
            .find_map(|line| line.strip_prefix("nr_throttled "));
        Ok(Some(Quota {
            group: group.to_owned(),
            file,
            lifted,
            cpus: number::<f64>(Some(quota))? / number::<f64>(period.as_deref())?,
            throttled: number(throttled)?,
        }))
    }

    /// Returns whether the scheduler knows the group.
    fn has_cpu(self, group: &Path) -> bool {
        match self {
            Self::V1 => self.has_parent(group),
            // The root of the system has none, as nothing is beside it.
            Self::V2 => group.join("cpu.weight").exists(),
        }
    }

    /// Returns whether the group is not the root of its hierarchy.
    fn has_parent(self, group: &Path) -> bool {
        match self {
            Self::V1 => !group.join("release_agent").exists(),
            Self::V2 => group.join("cgroup.events").exists(),
        }
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// Reads a file, if there is one.
fn read(file: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn number<T: std::str::FromStr>(text: Option<&str>) -> io::Result<T> {
    let number = text.and_then(|text| text.trim().parse().ok());
    number.ok_or(ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hierarchy as a tree of files.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let dir = format!("gosched-cgroup-{}-{name}", std::process::id());
            let tree = Self(std::env::temp_dir().join(dir));
            tree.group("");
            tree
        }

        /// Makes a group; returns its directory.
        fn group(&self, path: impl AsRef<Path>) -> PathBuf {
            let dir = self.0.join(path);
            fs::create_dir_all(&dir).expect("directories");
            fs::write(dir.join("cgroup.procs"), "").expect("file");
            dir
        }

        /// Returns what is known of the group at `path` if `root` of the hierarchy is
        /// mounted where the tree is.
        fn look(&self, version: &str, root: &str, path: &str) -> Group {
            let (kind, groups) = match version {
                "v1" => (
                    "cgroup none rw,cpu,cpuacct",
                    format!("5:cpuacct,cpu:{path}\n0::/else\n"),
                ),
                _ => (
                    "cgroup2 none rw",
                    format!("1:name=systemd:/else\n0::{path}\n"),
                ),
            };
            let point = self.0.display();
            let mountinfo = format!(
                "26 24 0:24 / /dev/shm rw shared:2 - tmpfs  rw,cpu\n30 23 0:26 {root} {point} rw - {kind}\n"
            );
            let group = Hierarchies::parse(mountinfo.as_bytes()).group(groups.as_bytes());
            group.expect("a group")
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("a tree of ours");
        }
    }

    fn write(dir: &Path, files: &[(&str, &str)]) {
        for (file, text) in files {
            fs::write(dir.join(file), text).expect("a file");
        }
    }

    #[test]
    fn the_tightest_quota_of_all_groups_above_counts_in_both_versions() {
        for version in ["v1", "v2"] {
            let tree = Tree::new(&format!("quota-{version}"));
            let [above, own] = ["above", "above/own"].map(|path| tree.group(path));
            let quota = || tree.look(version, "/", "/above/own").tightest_quota();
            assert_eq!(quota().expect("readable"), None);

            let (file, lifted) = if version == "v1" {
                let period = ("cpu.cfs_period_us", "100000\n");
                write(&tree.0, &[period, ("cpu.cfs_quota_us", "-1\n")]);
                write(&own, &[period, ("cpu.cfs_quota_us", "200000\n")]);
                write(&above, &[period, ("cpu.cfs_quota_us", "25000\n")]);
                ("cpu.cfs_quota_us", "-1")
            } else {
                write(&own, &[("cpu.max", "200000 100000\n")]);
                write(&above, &[("cpu.max", "25000 100000\n")]);
                ("cpu.max", "max")
            };
            assert!(quota().is_err(), "without its cpu.stat");
            for dir in [&own, &above] {
                write(dir, &[("cpu.stat", "nr_periods 9\nnr_throttled 5\n")]);
            }
            let expected = Quota {
                group: above,
                file,
                lifted,
                cpus: 0.25,
                throttled: 5,
            };
            assert_eq!(quota().expect("readable"), Some(expected));
        }
    }

    #[test]
    fn a_quota_that_is_lifted_is_none() {
        let tree = Tree::new("lifted");
        let own = tree.group("own");
        let quota = || tree.look("v2", "/", "/own").tightest_quota();
        write(&own, &[("cpu.max", "max 100000\n")]);
        assert_eq!(quota().expect("readable"), None);
        write(&own, &[("cpu.max", "what 100000\n")]);
        assert!(quota().is_err());
    }

    #[test]
    fn threads_compete_in_the_nearest_group_that_has_the_controller() {
        let tree = Tree::new("compete");
        let above = tree.group("above");
        tree.group("above/between/own");
        let group = |path| {
            let group = tree.look("v2", "/", path).cpu_group().expect("mounted");
            group.map(|group| group.display().to_string())
        };
        assert_eq!(group("/above/between/own"), None);
        assert_eq!(group("/"), None);
        write(&above, &[("cpu.weight", "100\n")]);
        assert_eq!(group("/above/between/own").as_deref(), Some("/above"));
        assert_eq!(group("/above").as_deref(), Some("/above"));
        assert_eq!(group("/"), None);
        // The root of a container has a weight.
        write(&tree.0, &[("cpu.weight", "100\n")]);
        assert_eq!(group("/").as_deref(), Some("/"));

        write(&tree.0, &[("release_agent", "")]);
        let group = |path| tree.look("v1", "/", path).cpu_group().expect("mounted");
        assert_eq!(
            group("/above/between/own"),
            Some("/above/between/own".into())
        );
        assert_eq!(group("/"), None);
    }

    #[test]
    fn groups_above_a_container_are_out_of_sight() {
        let tree = Tree::new("sight");
        tree.group("own");
        let hides = |version| tree.look(version, "/", "/own").hides_groups_above();
        write(&tree.0, &[("release_agent", "")]);
        assert!(!hides("v1") && !hides("v2"));
        fs::remove_file(tree.0.join("release_agent")).expect("it is there");
        write(&tree.0, &[("cgroup.events", "")]);
        assert!(hides("v1") && hides("v2"));
    }

    #[test]
    fn a_part_of_a_hierarchy_has_the_groups_in_it_alone() {
        let tree = Tree::new("part");
        let own = tree.group("own");
        write(
            &own,
            &[
                ("cpu.weight", "100\n"),
                ("cpu.max", "1 4\n"),
                ("cpu.stat", "nr_throttled 0\n"),
            ],
        );
        let inside = tree.look("v2", "/docker/a", "/docker/a/own");
        assert_eq!(
            inside.cpu_group().expect("mounted"),
            Some("/docker/a/own".into())
        );
        assert_eq!(
            inside
                .tightest_quota()
                .expect("mounted")
                .expect("a quota")
                .group,
            own
        );
        for (root, path) in [
            ("/docker/a", "/docker/b/own"),
            ("/docker/a", "/docker/ab/own"),
            // Of another cgroup namespace.
            ("/", "/../own"),
            ("/..", "/own"),
            // The place of the mount has been taken by another one.
            ("/", "/own/gone"),
        ] {
            let group = tree.look("v2", root, path);
            let error = group.tightest_quota().expect_err("unknown");
            assert!(error.to_string().contains(path), "{error}");
            assert!(group.cpu_group().is_err(), "{root} {path}");
        }
    }

    #[test]
    fn of_several_mounts_the_one_with_the_group_counts() {
        let tree = Tree::new("several");
        tree.group("whole/a/b");
        tree.group("part/b");
        let at = |name: &str| tree.0.join(name).display().to_string();
        let mountinfo = format!(
            "1 0 0:1 /z {} rw - cgroup2 none rw\n2 0 0:1 /a {} rw - cgroup2 none rw\n\
             3 0 0:1 / {} rw - cgroup2 none rw\n4 0 0:2 / {} rw - cgroup none rw,memory\n",
            at("else"),
            at("part"),
            at("whole"),
            at("whole")
        );
        let group = Hierarchies::parse(mountinfo.as_bytes())
            .group(b"0::/a/b\n")
            .expect("a group");
        assert_eq!(group.and_above().expect("mounted").len(), 3);
        assert!(group.and_above().expect("mounted")[0].starts_with(at("whole")));
    }

    #[test]
    fn names_are_any_bytes_and_places_are_escaped() {
        let tree = Tree::new("names");
        let point = tree.group("a b\\c\n\u{e9}");
        let own = point.join(OsStr::from_bytes(b"caf\xe9: x"));
        tree.group(&own);
        write(
            &own,
            &[("cpu.max", "1 4\n"), ("cpu.stat", "nr_throttled 0\n")],
        );
        let mut mountinfo = b"1 0 0:9 / /pok\xe9mon rw - tmpfs \xe9 rw\n1 0 0:1 / ".to_vec();
        mountinfo.extend(tree.0.as_os_str().as_bytes());
        mountinfo.extend("/a\\040b\\134c\\012\u{e9} rw - cgroup2 none rw\n".as_bytes());
        let group = Hierarchies::parse(&mountinfo).group(b"0::/caf\xe9: x\n");
        let quota = group.expect("a group").tightest_quota().expect("mounted");
        assert_eq!(quota.expect("a quota").group, own);
    }

    #[test]
    fn a_hierarchy_that_is_not_mounted_is_unknown_and_a_kernel_without_groups_has_none() {
        let nothing = Hierarchies::parse(b"");
        let group = nothing.group(b"0::/\n").expect("a group");
        assert!(group.tightest_quota().is_err());
        assert!(nothing.group(b"").is_none());
        let missing = nothing.group_of(Path::new("/no/such/file"));
        assert!(missing.expect("nothing to read").is_none());
    }
}
