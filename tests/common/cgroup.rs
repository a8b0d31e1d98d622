// SPDX-License-Identifier: GPL-2.0

//! Control groups, of version 2.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process;

use crate::eventually;

/// The root of all groups.
pub const ROOT: &str = "/sys/fs/cgroup";

/// Moves the calling process out of all groups.
pub fn leave() -> io::Result<()> {
    fs::write(
        Path::new(ROOT).join("cgroup.procs"),
        process::id().to_string(),
    )
}

/// Has a group pass controllers on to the groups in it, as `cgroup.subtree_control` takes
/// them: "+cpu -memory".
pub fn pass_on(group: &Path, controllers: &str) -> io::Result<()> {
    fs::write(group.join("cgroup.subtree_control"), controllers)
}

/// A control group. On drop, the group is removed once its last process is gone.
#[derive(Debug)]
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes a group below the root where that must succeed. The root is to pass
    /// `controllers` on to the group, see [`pass_on`].
    #[track_caller]
    pub fn new(name: impl AsRef<Path>, controllers: &str) -> Self {
        Self::try_new(Path::new(ROOT), name, controllers)
            .unwrap_or_else(|error| panic!("cgroup v2 at {ROOT} with {controllers}: {error}"))
    }

    /// Makes a group in `parent`, which passes controllers on to the group.
    pub fn try_new(parent: &Path, name: impl AsRef<Path>, controllers: &str) -> io::Result<Self> {
        if !controllers.is_empty() {
            pass_on(parent, controllers)?;
        }
        let path = parent.join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Returns the group's folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Moves a process into the group.
    pub fn try_add(&self, pid: u32) -> io::Result<()> {
        self.try_set("cgroup.procs", &pid.to_string())
    }

    /// Moves a process into the group where that must succeed.
    #[track_caller]
    pub fn add(&self, pid: u32) {
        self.try_add(pid)
            .unwrap_or_else(|error| panic!("{pid} to {}: {error}", self.0.display()));
    }

    /// Writes one of the group's files.
    pub fn try_set(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.0.join(file), value)
    }

    /// Writes one of the group's files where that must succeed.
    #[track_caller]
    pub fn set(&self, file: &str, value: &str) {
        self.try_set(file, value)
            .unwrap_or_else(|error| panic!("{value} to {file}: {error}"));
    }

    /// Reads one of the group's files, without blanks at its ends.
    #[track_caller]
    pub fn get(&self, file: &str) -> String {
        let value = fs::read_to_string(self.0.join(file));
        let value = value.unwrap_or_else(|error| panic!("{file}: {error}"));
        value.trim().to_owned()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last process may be dead and not gone.
        eventually("the group is empty", || fs::remove_dir(&self.0).is_ok());
    }
}
