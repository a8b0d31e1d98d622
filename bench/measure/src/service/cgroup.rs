// SPDX-License-Identifier: GPL-2.0

//! A server without a limit, and beside it a neighbour with a quota.

use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use common::cgroup::Cgroup;
use common::cgroup::ROOT;

/// Half a CPU: microseconds in each period, and those of the period.
const QUOTA: &str = "50000 100000";

/// The two cgroups. The drop removes them; their processes must have ended by then.
#[derive(Debug)]
pub(super) struct Neighbours {
    server: Cgroup,
    hogs: Cgroup,
}

impl Neighbours {
    /// Makes the two cgroups.
    pub(super) fn new() -> Result<Self> {
        let new = |name| Cgroup::try_new(Path::new(ROOT), name, "+cpu").context(ROOT);
        let server = new("go_sched_bench_server")?;
        let hogs = new("go_sched_bench_hogs")?;
        hogs.try_set("cpu.max", QUOTA).context("cpu.max")?;
        Ok(Self { server, hogs })
    }

    /// Moves each process to its own cgroup.
    pub(super) fn divide(&self, server: u32, hogs: u32) -> Result<()> {
        self.server.try_add(server).context("the server's cgroup")?;
        self.hogs.try_add(hogs).context("the cgroup of the hogs")
    }
}
