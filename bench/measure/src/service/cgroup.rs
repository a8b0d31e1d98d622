// SPDX-License-Identifier: GPL-2.0

//! A server without a limit, and beside it a neighbour with a quota.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;

/// Of cgroup v2.
const ROOT: &str = "/sys/fs/cgroup";
/// Half a CPU: microseconds in each period, and the period's.
const QUOTA: &str = "50000 100000";

/// The two cgroups; removed when dropped, by when their processes must have ended.
#[derive(Debug)]
pub(super) struct Neighbours {
    server: PathBuf,
    hogs: PathBuf,
}

impl Neighbours {
    /// Makes them.
    pub(super) fn new() -> Result<Self> {
        let root = Path::new(ROOT);
        write(&root.join("cgroup.subtree_control"), "+cpu")?;
        let new = Self {
            server: root.join("go_sched_bench_server"),
            hogs: root.join("go_sched_bench_hogs"),
        };
        for path in [&new.server, &new.hogs] {
            fs::create_dir(path).with_context(|| path.display().to_string())?;
        }
        write(&new.hogs.join("cpu.max"), QUOTA)?;
        Ok(new)
    }

    /// Moves each process to its own.
    pub(super) fn divide(&self, server: u32, hogs: u32) -> Result<()> {
        write(&self.server.join("cgroup.procs"), &server.to_string())?;
        write(&self.hogs.join("cgroup.procs"), &hogs.to_string())
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        for path in [&self.server, &self.hogs] {
            if let Err(error) = fs::remove_dir(path) {
                eprintln!("{}: {error}", path.display());
            }
        }
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {text:?} to {}", path.display()))
}
