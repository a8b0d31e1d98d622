// SPDX-License-Identifier: GPL-2.0

//! Kernel memory that this process has taken.
//!
//! The memory controller of a cgroup counts what the kernel allocates on behalf of the
//! processes in it, by the byte where that comes from the slab allocator, and with the
//! pointer by which it finds the cgroup again. Services run like that. The kernel's
//! /proc/slabinfo needs CONFIG_SLUB_DEBUG, which changes paths that are measured.

use std::path::Path;
use std::process;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use common::cgroup;
use common::cgroup::Cgroup;
use common::cgroup::ROOT;
use common::hint::be_scheduled;

/// Time longer than the 2 s after which the kernel adds up what each CPU has counted.
const FLUSH: Duration = Duration::from_millis(2500);

/// Time longer than a few ticks.
const BUSY: Duration = Duration::from_millis(20);

/// A cgroup that this process is in.
#[derive(Debug)]
pub(crate) struct Account(Cgroup);

impl Account {
    /// Moves this process to a cgroup of its own.
    pub(crate) fn open() -> Result<Self> {
        let group = Cgroup::try_new(Path::new(ROOT), "go_sched_bench", "+memory").context(ROOT)?;
        group.try_add(process::id()).context(ROOT)?;
        Ok(Self(group))
    }

    /// Returns the bytes of slab memory in use that cannot be reclaimed, but for less
    /// than a page that each CPU has not reported yet. Takes some seconds.
    pub(crate) fn bytes(&self) -> Result<u64> {
        thread::sleep(FLUSH);
        // The kernel's work that adds it up waits for a CPU that is busy, and then for this one.
        let start = Instant::now();
        while start.elapsed() < BUSY {
            be_scheduled();
        }
        let value = self
            .0
            .get("memory.stat")
            .lines()
            .find_map(|line| line.strip_prefix("slab_unreclaimable ")?.parse().ok());
        value.context("memory.stat: no slab memory")
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        cgroup::leave().expect("root leaves the group");
    }
}
