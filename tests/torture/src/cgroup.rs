// SPDX-License-Identifier: GPL-2.0

//! Threaded cgroups, between which single threads are moved.

use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process;
use std::sync::Mutex;

use common::cgroup::leave;
use common::cgroup::Cgroup;
use common::cgroup::ROOT;
use common::eventually;

/// All groups. [`Cgroups::home`], which the others are in, is removed last.
#[derive(Debug)]
pub(crate) struct Cgroups {
    /// Groups that are limited now and then.
    pub(crate) groups: [Group; 2],
    /// The group that is frozen now and then, by one actor at a time.
    pub(crate) freezer: Mutex<Group>,
    /// The group that this process and the other groups are in, where nothing is limited.
    pub(crate) home: Group,
}

/// A group. Its files are kept open, so that using them takes no memory: a frozen
/// thread may hold the allocator's lock.
#[derive(Debug)]
pub(crate) struct Group {
    group: Cgroup,
    threads: File,
    freeze: File,
    events: File,
}

impl Cgroups {
    /// Makes the groups and moves this process to [`Cgroups::home`].
    pub(crate) fn new() -> io::Result<Self> {
        let controllers = "+cpu +cpuset";
        let domain = Cgroup::try_new(Path::new(ROOT), "torture", controllers)?;
        let groups = [Group::new(&domain, "a")?, Group::new(&domain, "b")?];
        let freezer = Mutex::new(Group::new(&domain, "freezer")?);
        domain.try_set("cgroup.subtree_control", controllers)?;
        let new = Self {
            home: Group::open(domain)?,
            groups,
            freezer,
        };
        new.home.group.try_add(process::id())?;
        Ok(new)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        leave().expect("root moves its own process");
    }
}

impl Group {
    fn new(domain: &Cgroup, name: &str) -> io::Result<Self> {
        let group = Cgroup::try_new(domain.path(), name, "")?;
        group.try_set("cgroup.type", "threaded")?;
        Self::open(group)
    }

    fn open(group: Cgroup) -> io::Result<Self> {
        let path = group.path();
        let writable = |name| File::options().write(true).open(path.join(name));
        Ok(Self {
            threads: writable("cgroup.threads")?,
            freeze: writable("cgroup.freeze")?,
            events: File::open(path.join("cgroup.events"))?,
            group,
        })
    }

    /// Moves a thread to the group.
    pub(crate) fn take(&self, tid: i32) -> io::Result<()> {
        write!(&self.threads, "{tid}")
    }

    /// Writes one of the group's files.
    pub(crate) fn set(&self, file: &str, value: &str) -> io::Result<()> {
        self.group.try_set(file, value)
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
