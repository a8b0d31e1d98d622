// SPDX-License-Identifier: GPL-2.0

//! Brings a thread into a setup of go_sched, in a kernel that allows for that setup.

use std::sync::Arc;

use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use common::device::Device;
use common::device::PATH;
use common::device::SELF;
use common::hint::be_scheduled;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::hint::SLOTS_PER_PAGE;
use common::module::is_loaded;
use common::syscall::set_schedprio;
use go_sched_bench_data::Setup;
use go_sched_bench_data::ORDINARY;
use gosched::uapi::GO_SCHED_INHERIT;
use gosched::Children;
use rustix::io::Errno;

/// Number of yields until a thread's hint must be in force: the scheduler defers the hint
/// now and then.
const YIELDS: u32 = 1000;

/// Fails unless the kernel allows for a setup.
pub(crate) fn check(setup: Setup) -> Result<()> {
    let here = if is_loaded() {
        Setup::Unmanaged
    } else {
        match set_schedprio(SELF, ORDINARY, 0) {
            Err(Errno::NOSYS) => Setup::Unpatched,
            Err(Errno::OPNOTSUPP) => Setup::Patched,
            Err(error) => bail!("go_set_schedprio: {error}: this kernel is in no known setup"),
            Ok(()) => bail!("a mapping is in force without the module: was it handed over?"),
        }
    };
    let needed = match setup {
        Setup::Managed | Setup::Beside | Setup::Hint => Setup::Unmanaged,
        other => other,
    };
    let explain = |setup| match setup {
        Setup::Unpatched => "is without go_sched",
        Setup::Patched => "has go_sched, and the module is not loaded",
        _ => "has the module loaded",
    };
    ensure!(
        here == needed,
        "the setup {} is for a kernel that {}; this one {}",
        setup,
        explain(needed),
        explain(here)
    );
    Ok(())
}

/// Gets ready for threads to enter a setup.
pub(crate) fn prepare(setup: Setup) -> Result<Entry> {
    let device = match setup {
        Setup::Managed | Setup::Hint => Some(Device::try_open().context(PATH)?),
        _ => None,
    };
    let page = match (setup, &device) {
        (Setup::Hint, Some(device)) => Some(HintPage::new(device, SLOTS_PER_PAGE)),
        _ => None,
    };
    if let Some(page) = &page {
        // As a program does that forks and has no use for it there.
        page.keep_from_children().context("MADV_DONTFORK")?;
    }
    Ok(Entry { device, page })
}

/// A thread that follows a slot, and sleeps until the drop.
#[derive(Debug)]
pub(crate) struct Follower {
    _worker: HintedWorker,
}

impl Follower {
    /// Starts the thread, if one of the setups needs a thread that follows a slot.
    pub(crate) fn of(setups: &[Setup]) -> Option<Self> {
        let takes_one = |setup: &Setup| matches!(setup, Setup::Beside | Setup::Hint);
        setups.iter().any(takes_one).then(|| {
            let device = Arc::new(Device::open());
            let page = Arc::new(HintPage::new(&device, SLOTS_PER_PAGE));
            Self {
                _worker: HintedWorker::spawn(&device, &page, 0),
            }
        })
    }
}

/// The way into a [`Setup`].
#[derive(Debug)]
pub(crate) struct Entry {
    device: Option<Device>,
    page: Option<HintPage>,
}

impl Entry {
    /// Brings the calling thread into the setup, for the rest of its life; no two
    /// threads share a slot.
    pub(crate) fn enter(&self, slot: u32, children: Children) -> Result<()> {
        match (&self.device, &self.page) {
            (Some(device), Some(page)) => enter_by_hint(device, page, slot),
            (Some(device), None) => {
                let flags = match children {
                    Children::StartAtBase => 0,
                    Children::Inherit => GO_SCHED_INHERIT,
                };
                let result = device.try_set(SELF, ORDINARY, flags);
                result.context("GO_SCHED_SET of the calling thread")
            }
            _ => Ok(()),
        }
    }
}

fn enter_by_hint(device: &Device, page: &HintPage, slot: u32) -> Result<()> {
    device.try_bind(slot).context("GO_SCHED_BIND")?;
    let slot = page.slot(slot);
    slot.store(ORDINARY as u8);
    for _ in 0..YIELDS {
        be_scheduled();
        if slot.applied() == ORDINARY as u8 {
            return Ok(());
        }
    }
    bail!("a hint is not in force after {YIELDS} times sched_yield(2)");
}
