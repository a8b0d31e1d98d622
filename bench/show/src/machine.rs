// SPDX-License-Identifier: GPL-2.0

//! Describes the machine and the version measured.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use crate::report::Machine;

/// Describes this machine. What cannot be found out stays empty.
pub(crate) fn this() -> Machine {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |(_, model)| model.trim());
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Machine {
        cpu: model.to_owned(),
        cpus: available_parallelism().map_or(1, usize::from),
        kernel: release.trim().to_owned(),
        qemu: first_line(Command::new("qemu-system-x86_64").arg("--version")),
    }
}

/// Returns git's name for the version measured; none outside a clone.
pub(crate) fn describe(tree: &Path) -> Option<String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(tree);
    first_line(git.args(["describe", "--always", "--dirty", "--tags"]))
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
