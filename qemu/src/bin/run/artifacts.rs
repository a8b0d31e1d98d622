// SPDX-License-Identifier: GPL-2.0

//! Files of which the guest is made. The Makefile builds them and prints their paths.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;

/// Paths of the files that go into the guest.
pub(crate) struct Artifacts {
    pub(crate) bz_image: PathBuf,
    pub(crate) module: PathBuf,
    pub(crate) init: PathBuf,
    pub(crate) gosched: PathBuf,
    /// Selftest of the patched kernel.
    pub(crate) selftest: PathBuf,
    /// Folder of what outlives a run.
    pub(crate) cache: PathBuf,
}

impl Artifacts {
    /// Builds what is missing or out of date, for the kernel variant of that name.
    pub(crate) fn build(variant: Option<&str>) -> Result<Self> {
        let tree = env::var_os("GO_SCHED_TREE").context("start this program with qemu/run")?;
        let make = Command::new("make")
            .args(["--silent", "--no-print-directory", "guest", "where"])
            .args(variant.map(|name| format!("VARIANT={name}")))
            .arg("-C")
            .arg(tree)
            .stderr(Stdio::inherit())
            .output()
            .context("make")?;
        anyhow::ensure!(
            make.status.success(),
            "the guest cannot be built, see above"
        );

        let output = String::from_utf8(make.stdout)?;
        let paths: HashMap<_, _> = output
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        let path = |name: &str| {
            let path = paths.get(name).map(PathBuf::from);
            path.with_context(|| format!("make where does not say where {name} is"))
        };
        Ok(Self {
            bz_image: path("bzImage")?,
            module: path("go_sched_class.ko")?,
            init: path("init")?,
            gosched: path("gosched")?,
            selftest: path("go_sched_test")?,
            cache: path("cache")?,
        })
    }

    /// Returns the path for this run's kernel log.
    pub(crate) fn new_log(&self) -> Result<PathBuf> {
        let directory = self.cache.join("log");
        fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        Ok(directory.join(format!("guest-{}.log", process::id())))
    }
}
