// SPDX-License-Identifier: GPL-2.0

//! Threaded cgroups, between which single threads are moved.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::sync::Mutex;

use common::eventually;

/// Of cgroup v2.
const ROOT: &str = "/sys/fs/cgroup";

/// The domain of this process, and the groups in it.
#[derive(Debug)]
pub(crate) struct Cgroups {
    domain: PathBuf,
    /// Where nothing is limited.
    pub(crate) home: Group,
    /// Each of these is limited now and then.
    pub(crate) groups: [Group; 2],
    /// This one is frozen now and then, by one actor at a time.
    pub(crate) freezer: Mutex<Group>,
}

/// One group. Its files are kept open, so that using them takes no memory: a frozen
/// thread may hold the allocator's lock.
#[derive(Debug)]
pub(crate) struct Group {
    path: PathBuf,
    threads: File,
    freeze: File,
    events: File,
}

impl Cgroups {
    /// Makes the groups and moves this process there, or says why not.
    pub(crate) fn new() -> Result<Self, String> {
        Self::try_new().map_err(|error| format!("cgroup v2 at {ROOT}: {error}"))
    }

    fn try_new() -> io::Result<Self> {
        let root = Path::new(ROOT);
        let domain = root.join("torture");
        fs::write(root.join("cgroup.subtree_control"), "+cpu +cpuset")?;
        fs::create_dir(&domain)?;
        fs::write(domain.join("cgroup.procs"), process::id().to_string())?;
        let groups = [Group::new(&domain, "a")?, Group::new(&domain, "b")?];
        let freezer = Mutex::new(Group::new(&domain, "freezer")?);
        fs::write(domain.join("cgroup.subtree_control"), "+cpu +cpuset")?;
        Ok(Self {
            home: Group::open(domain.clone())?,
            domain,
            groups,
            freezer,
        })
    }

    /// Removes what `new` made, once no thread is in the groups.
    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::write(
            Path::new(ROOT).join("cgroup.procs"),
            process::id().to_string(),
        )?;
        for name in ["a", "b", "freezer"] {
            fs::remove_dir(self.domain.join(name))?;
        }
        fs::remove_dir(&self.domain)
    }
}

impl Group {
    fn new(domain: &Path, name: &str) -> io::Result<Self> {
        let path = domain.join(name);
        fs::create_dir(&path)?;
        fs::write(path.join("cgroup.type"), "threaded")?;
        Self::open(path)
    }

    fn open(path: PathBuf) -> io::Result<Self> {
        let writable = |name| File::options().write(true).open(path.join(name));
        Ok(Self {
            threads: writable("cgroup.threads")?,
            freeze: writable("cgroup.freeze")?,
            events: File::open(path.join("cgroup.events"))?,
            path,
        })
    }

    /// Moves a thread here.
    pub(crate) fn take(&self, tid: i32) -> io::Result<()> {
        write!(&self.threads, "{tid}")
    }

    /// Writes one of the group's files.
    pub(crate) fn set(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.path.join(file), value)
    }

    /// Freezes the threads of the group for as long as `action` runs, which must not
    /// wait for anything that such a thread may hold: not even for memory.
    #[track_caller]
    pub(crate) fn while_frozen(&self, action: impl FnOnce()) {
        let _thaw = Thaw(self);
        (&self.freeze).write_all(b"1").expect("the group is frozen");
        eventually("the group is frozen", || {
            let mut events = [0; 64];
            let length = self.events.read_at(&mut events, 0);
            let length = length.expect("cgroup.events is readable");
            events[..length].windows(8).any(|word| word == b"frozen 1")
        });
        action();
    }
}

/// Thaws a group when it goes out of scope, a failure included.
struct Thaw<'a>(&'a Group);

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        // The group lives as long as its file is open, and thawing takes no memory.
        let _ = (&self.0.freeze).write_all(b"0");
    }
}
