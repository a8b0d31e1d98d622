// SPDX-License-Identifier: GPL-2.0

//! The kernel that the program runs on.

use std::fs;
use std::thread::available_parallelism;

use anyhow::Context;
use anyhow::Result;
use common::device::Device;
use go_sched_bench_data::Kernel;
use go_sched_bench_data::Mapping;
use go_sched_bench_data::Record;

const COMMAND_LINE: &str = "/proc/cmdline";
const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// Describes the kernel.
pub(crate) fn describe() -> Result<Record> {
    let cpus = available_parallelism().context("the number of CPUs is unknown")?;
    Ok(Record::Kernel(Kernel {
        release: read_line("/proc/sys/kernel/osrelease")?,
        version: read_line("/proc/sys/kernel/version")?,
        command_line: read_line(COMMAND_LINE)?,
        cpus: u32::try_from(cpus.get())?,
        clock_source: read_line(CLOCK_SOURCE)?,
        mapping: mapping()?,
    }))
}

/// Returns the mapping in force; none without the module.
fn mapping() -> Result<Option<Mapping>> {
    if !common::module::is_loaded() {
        return Ok(None);
    }
    let device = Device::try_open().context(common::device::PATH)?;
    let info = device.try_class_info().context("GO_SCHED_CLASS_INFO")?;
    Ok(Some(Mapping {
        version: info.version,
        hash: format!("{:016x}", info.hash),
    }))
}

fn read_line(path: &str) -> Result<String> {
    let text = fs::read_to_string(path).context(path.to_owned())?;
    Ok(text.trim_end().to_owned())
}
