// SPDX-License-Identifier: GPL-2.0

//! Kernel memory that this process has taken.
//!
//! The memory controller of a cgroup counts what the kernel allocates on behalf of the
//! processes in it, by the byte where that comes from the slab allocator, and with the
//! pointer by which it finds the cgroup again. Services run like that. The kernel's
//! /proc/slabinfo needs CONFIG_SLUB_DEBUG, which changes paths that are measured.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use common::hint::be_scheduled;

/// Longer than the 2 s after which the kernel adds up what each CPU has counted.
const FLUSH: Duration = Duration::from_millis(2500);

/// Longer than a few ticks.
const BUSY: Duration = Duration::from_millis(20);

const ROOT: &str = "/sys/fs/cgroup";

/// A cgroup that this process is in.
#[derive(Debug)]
pub(crate) struct Account(());

impl Account {
    const DIRECTORY: &str = "/sys/fs/cgroup/go_sched_bench";

    /// Moves this process to a cgroup of its own. That is left behind: it cannot be
    /// removed while this process lives.
    pub(crate) fn open() -> Result<Self> {
        let root = Path::new(ROOT);
        write(&root.join("cgroup.subtree_control"), "+memory")?;
        match fs::create_dir(Self::DIRECTORY) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).context(Self::DIRECTORY);
            }
            _ => (),
        }
        let members = Path::new(Self::DIRECTORY).join("cgroup.procs");
        write(&members, &process::id().to_string())?;
        Ok(Self(()))
    }

    /// Bytes of slab memory in use that cannot be reclaimed, but for less than a page
    /// that each CPU has not reported yet. Takes some seconds.
    pub(crate) fn bytes(&self) -> Result<u64> {
        thread::sleep(FLUSH);
        // The kernel's work that adds it up waits for a CPU that is busy, and then for this one.
        let start = Instant::now();
        while start.elapsed() < BUSY {
            be_scheduled();
        }
        let path = Path::new(Self::DIRECTORY).join("memory.stat");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix("slab_unreclaimable "));
        let value = value.with_context(|| format!("{}: no slab memory", path.display()))?;
        value.parse().with_context(|| path.display().to_string())
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}
