// SPDX-License-Identifier: GPL-2.0

//! Checks of the kernel after the command and before the verdict. The host searches
//! the kernel log.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use go_sched_qemu::Spec;
use rustix::io::Errno;

/// Flag of `/proc/sys/kernel/tainted` that is no failure: an out-of-tree module was
/// loaded (bit 12), such as this project's.
/// Source: Documentation/admin-guide/tainted-kernels.rst.
const HARMLESS_TAINT: u64 = 1 << 12;

const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";
/// kmemleak ignores objects younger than 5 s (MSECS_MIN_AGE in mm/kmemleak.c).
const KMEMLEAK_MIN_AGE: Duration = Duration::from_millis(5500);

/// Returns a description of each error that is found.
pub(crate) fn findings(spec: &Spec) -> Vec<String> {
    let unloaded = if spec.load_module {
        unload_module()
    } else {
        Ok(None)
    };
    [unloaded, leaks(), taint()]
        .into_iter()
        .filter_map(|found| found.unwrap_or_else(|error| Some(format!("{error:#}"))))
        .collect()
}

/// Unloads the module, which nothing may hold once all processes have ended. Memory
/// that the module has not freed is then a leak.
fn unload_module() -> Result<Option<String>> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits())?;
    match rustix::system::delete_module(c"go_sched_class", flags) {
        // The command may have unloaded it.
        Ok(()) | Err(Errno::NOENT) => Ok(None),
        Err(Errno::WOULDBLOCK) => Ok(Some(
            "go_sched_class is still in use although every process has ended".to_owned(),
        )),
        Err(error) => Err(error).context("unload go_sched_class"),
    }
}

fn leaks() -> Result<Option<String>> {
    if !Path::new(KMEMLEAK).exists() {
        return Ok(None);
    }
    // kmemleak reports an object only if the object has not changed between two
    // scans.
    for _ in 0..2 {
        thread::sleep(KMEMLEAK_MIN_AGE / 2);
        fs::write(KMEMLEAK, "scan").context(KMEMLEAK)?;
    }
    let report = fs::read_to_string(KMEMLEAK).context(KMEMLEAK)?;
    Ok((!report.is_empty()).then(|| format!("kmemleak reports:\n{report}")))
}

fn taint() -> Result<Option<String>> {
    let path = "/proc/sys/kernel/tainted";
    let flags: u64 = fs::read_to_string(path).context(path)?.trim().parse()?;
    let flags = flags & !HARMLESS_TAINT;
    Ok((flags != 0).then(|| {
        format!(
            "the kernel is tainted with flags {flags:#x}, \
             see Documentation/admin-guide/tainted-kernels.rst"
        )
    }))
}
