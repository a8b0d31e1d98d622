// SPDX-License-Identifier: GPL-2.0

//! Measures the cost of a change of a thread's scheduling, by each interface that can
//! make the change.
//!
//! The interfaces that know no Go priority make the change in the kernel's terms: to
//! the policy, the nice value, the slice and the real-time priority it is mapped to.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use common::attr::setpriority;
use common::attr::setscheduler;
use common::attr::Attr;
use common::device::Device;
use common::device::PATH;
use common::device::SELF;
use common::hint::be_scheduled;
use common::hint::HintPage;
use common::module::is_loaded;
use common::syscall::set_schedprio;
use common::worker::Worker;
use go_sched_bench_data::Change;
use go_sched_bench_data::Interface;
use go_sched_bench_data::Subject;
use go_sched_bench_data::ORDINARY;
use go_sched_policy::level;
use go_sched_policy::GoPrio;
use go_sched_policy::Level;
use go_sched_policy::Policy;
use gosched::uapi::GO_SCHED_LEVELS;
use strum::VariantArray;

use crate::output;
use crate::sample::in_new_thread;
use crate::sample::per_operation;
use crate::sample::pin;
use crate::sample::Effort;

/// Changes there and back in a sample, of those that are system calls.
const BATCH: u32 = 8;

/// Changes there and back in a sample of stores: a sample must be long beside the clock's
/// step.
const STORES: u32 = 512;

/// Paths of Debian's `chrt` and of busybox's, the better one first.
const CHRT: [&str; 2] = ["/usr/bin/chrt", "/bin/chrt"];

/// The command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure less
    #[arg(long)]
    quick: bool,
}

/// Returns the levels of a change: there, and back.
fn levels(change: Change) -> Result<[&'static Level; 2]> {
    let of = |prio| GoPrio::new(prio).context("a priority").map(level);
    Ok([of(change.prio())?, of(ORDINARY)?])
}

/// Returns true if the change is to another policy.
fn crosses_bands(change: Change) -> Result<bool> {
    let [there, back] = levels(change)?;
    Ok(there.policy != back.policy)
}

/// Measures in a thread that has been changed in no way; returns nanoseconds of one
/// change, or nothing if the interface cannot express it.
type Measure = fn(Change, Effort) -> Result<Option<f64>>;

fn measure(interface: Interface) -> Measure {
    match interface {
        Interface::HintStore => store,
        Interface::HintStoreApplied => store_and_apply,
        Interface::IoctlSet => ioctl_set,
        Interface::GoSetSchedprio => system_call,
        Interface::SchedSetattr => sched_setattr,
        Interface::Setpriority => by_nice_value,
        Interface::SchedSetscheduler => by_policy,
        Interface::Chrt => by_chrt,
    }
}

/// Measures, and prints the figures.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(is_loaded(), "changes are measured with the module loaded");
    pin()?;
    let effort = Effort::new(arguments.quick);
    output::note(match chrt() {
        Some(path) => format!("chrt is {}", name_of(path)),
        None => "chrt: there is no such program".to_owned(),
    })?;
    for &change in Change::VARIANTS {
        for &interface in Interface::VARIANTS {
            let subject = Subject::Change { change, interface };
            let mut results = Vec::new();
            for _ in 0..effort.repeats {
                let result = in_new_thread(|| measure(interface)(change, effort));
                results.extend(result.with_context(|| subject.to_string())?);
            }
            if results.is_empty() {
                output::omit(subject, "it cannot make this change")?;
            } else {
                output::figure(subject, results)?;
            }
        }
    }
    Ok(())
}

/// A slot of the hint page that the calling thread is bound to.
struct Bound {
    device: Device,
    page: HintPage,
}

impl Bound {
    fn new() -> Result<Self> {
        let device = Device::try_open().context(PATH)?;
        let page = HintPage::new(&device, 1);
        device.try_bind(0).context("GO_SCHED_BIND")?;
        let highest = GO_SCHED_LEVELS as i32 - 1;
        device.try_ceiling(SELF, highest, 0).context("CEILING")?;
        Ok(Self { device, page })
    }

    /// Stores a priority and has the scheduler read it.
    fn apply(&self, prio: u32) {
        self.page.slot(0).store(prio as u8);
        be_scheduled();
    }

    /// Returns the number of changes of the thread's scheduling.
    fn applies(&self) -> Result<u64> {
        let stats = self.device.try_stats(SELF, 0).context("GO_SCHED_STATS")?;
        Ok(stats.applies)
    }
}

fn store(change: Change, effort: Effort) -> Result<Option<f64>> {
    let bound = Bound::new()?;
    let slot = bound.page.slot(0);
    let [there, back] = [change.prio(), ORDINARY].map(|prio| prio as u8);
    per_change(effort.samples, STORES, move || {
        // Each time from memory, which is where a program with many threads has the
        // addresses of their slots.
        black_box(slot).store(there);
        black_box(slot).store(back);
        Ok(())
    })
}

/// Measures what a store and `sched_yield(2)` take beyond a `sched_yield(2)` by itself.
fn store_and_apply(change: Change, effort: Effort) -> Result<Option<f64>> {
    let bound = Bound::new()?;
    let [there, back] = [change.prio(), ORDINARY];
    let mut changes = 0;
    let before = bound.applies()?;
    let with = per_operation(effort.samples, BATCH, || {
        bound.apply(there);
        bound.apply(back);
        changes += 2;
        Ok(())
    })?;
    let applies = bound.applies()? - before;
    // It may put off a change now and then, until the next time it reads the slot.
    ensure!(
        applies * 100 >= changes * 99,
        "of {changes} changes {applies} came into force"
    );
    let mut without = 0.0;
    for prio in [there, back] {
        bound.apply(prio);
        without += per_operation(effort.samples, BATCH, || {
            be_scheduled();
            Ok(())
        })?;
    }
    Ok(Some((with - without) / 2.0))
}

fn ioctl_set(change: Change, effort: Effort) -> Result<Option<f64>> {
    let device = Device::try_open().context(PATH)?;
    let [there, back] = [change.prio(), ORDINARY];
    per_change(effort.samples, BATCH, || {
        device.try_set(SELF, there, 0)?;
        Ok(device.try_set(SELF, back, 0)?)
    })
}

fn system_call(change: Change, effort: Effort) -> Result<Option<f64>> {
    let [there, back] = [change.prio(), ORDINARY];
    per_change(effort.samples, BATCH, || {
        set_schedprio(SELF, there, 0)?;
        Ok(set_schedprio(SELF, back, 0)?)
    })
}

fn sched_setattr(change: Change, effort: Effort) -> Result<Option<f64>> {
    let [there, back] = levels(change)?.map(|level| Attr::normal(0).mapped(level));
    per_change(effort.samples, BATCH, || {
        there.try_apply(SELF)?;
        Ok(back.try_apply(SELF)?)
    })
}

fn by_nice_value(change: Change, effort: Effort) -> Result<Option<f64>> {
    if crosses_bands(change)? {
        return Ok(None);
    }
    let [there, back] = levels(change)?.map(|level| level.nice);
    per_change(effort.samples, BATCH, || {
        setpriority(SELF, there)?;
        Ok(setpriority(SELF, back)?)
    })
}

fn by_policy(change: Change, effort: Effort) -> Result<Option<f64>> {
    if !crosses_bands(change)? {
        return Ok(None);
    }
    let [there, back] = levels(change)?;
    let set = |level: &Level| {
        let policy = level.policy.number() as i32;
        setscheduler(SELF, policy, level.rt_priority as i32)
    };
    per_change(effort.samples, BATCH, || {
        set(there)?;
        Ok(set(back)?)
    })
}

/// Changes another thread, because `chrt` would start with the scheduling of this one.
fn by_chrt(change: Change, effort: Effort) -> Result<Option<f64>> {
    let (Some(chrt), true) = (chrt(), crosses_bands(change)?) else {
        return Ok(None);
    };
    let target = Worker::spawn();
    let [there, back] = levels(change)?;
    let set = |level: &Level| {
        let policy = match level.policy {
            Policy::Idle => "-i",
            Policy::Normal => "-o",
            Policy::RoundRobin => "-r",
        };
        let status = Command::new(chrt)
            .args([policy, "-p", &level.rt_priority.to_string()])
            .arg(target.tid().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .context(chrt)?;
        ensure!(status.success(), "{chrt}: {status}");
        Ok(())
    };
    set(there)?;
    let policy = Attr::base_of(target.tid()).policy();
    ensure!(policy == there.policy.number() as i32, "{chrt} did nothing");
    per_change(effort.few_samples(), 1, || {
        set(there)?;
        set(back)
    })
}

/// Measures one change in nanoseconds, where `operation` is one there and one back.
fn per_change(
    samples: usize,
    batch: u32,
    operation: impl FnMut() -> Result<()>,
) -> Result<Option<f64>> {
    Ok(Some(per_operation(samples, batch, operation)? / 2.0))
}

fn chrt() -> Option<&'static str> {
    CHRT.into_iter().find(|path| Path::new(path).exists())
}

/// Returns a path, and the target if the path is a link.
fn name_of(path: &str) -> String {
    match fs::canonicalize(path) {
        Ok(file) if file != Path::new(path) => format!("{path}: {}", file.display()),
        _ => path.to_owned(),
    }
}
