// SPDX-License-Identifier: GPL-2.0

//! What go_sched is to a thread, and to the kernel it runs on.

use std::sync::Arc;

use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use clap::ValueEnum;
use common::device::Device;
use common::device::PATH;
use common::device::SELF;
use common::hint::be_scheduled;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::hint::SLOTS_PER_PAGE;
use common::module::is_loaded;
use common::syscall::set_schedprio;
use gosched::uapi::GO_SCHED_INHERIT;
use nix::errno::Errno;

/// The priority that is nice 0, which a thread has without one.
pub(crate) const ORDINARY: u32 = 32;

/// How often a thread yields until its hint must be in force: the scheduler puts it
/// off now and then.
const YIELDS: u32 = 1000;

/// What go_sched is to the threads under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// The kernel does not have it
    Unpatched,
    /// The kernel has it, and the module is not loaded
    Patched,
    /// The module is loaded, and nobody has ever followed a slot
    Unmanaged,
    /// The threads have the priority of an ordinary thread, and nobody follows a slot
    Managed,
    /// Another thread follows a slot, and the threads have nothing to do with it
    Beside,
    /// The threads have it from their slots, where it stays
    Hint,
}

impl State {
    /// Its name in a record.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unpatched => "unpatched",
            Self::Patched => "patched",
            Self::Unmanaged => "unmanaged",
            Self::Managed => "managed",
            Self::Beside => "beside",
            Self::Hint => "hint",
        }
    }

    /// Fails unless the kernel is one to have threads in this state.
    pub(crate) fn check(self) -> Result<()> {
        let here = if is_loaded() {
            Self::Unmanaged
        } else {
            match set_schedprio(SELF, ORDINARY, 0) {
                Err(Errno::ENOSYS) => Self::Unpatched,
                Err(Errno::EOPNOTSUPP) => Self::Patched,
                Err(error) => bail!("go_set_schedprio: {error}: this kernel is in no known state"),
                Ok(()) => bail!("a mapping is in force without the module: was it handed over?"),
            }
        };
        let needed = match self {
            Self::Managed | Self::Beside | Self::Hint => Self::Unmanaged,
            other => other,
        };
        let explain = |state| match state {
            Self::Unpatched => "is without go_sched",
            Self::Patched => "has go_sched, and the module is not loaded",
            _ => "has the module loaded",
        };
        ensure!(
            here == needed,
            "the state {} is for a kernel that {}; this one {}",
            self.name(),
            explain(needed),
            explain(here)
        );
        Ok(())
    }

    /// Gets ready for threads to enter this state.
    pub(crate) fn prepare(self) -> Result<Entry> {
        let device = match self {
            Self::Managed | Self::Hint => Some(Device::try_open().context(PATH)?),
            _ => None,
        };
        let page = match (self, &device) {
            (Self::Hint, Some(device)) => Some(HintPage::new(device, SLOTS_PER_PAGE)),
            _ => None,
        };
        if let Some(page) = &page {
            // As a program does that forks and has no use for it there.
            page.keep_from_children().context("MADV_DONTFORK")?;
        }
        Ok(Entry { device, page })
    }
}

/// A thread that follows a slot, and sleeps, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Neighbour {
    _worker: HintedWorker,
}

impl Neighbour {
    /// Starts it, if one of the states is for a kernel that has one.
    pub(crate) fn of(states: &[State]) -> Option<Self> {
        let takes_one = |state: &State| matches!(state, State::Beside | State::Hint);
        states.iter().any(takes_one).then(|| {
            let device = Arc::new(Device::open());
            let page = Arc::new(HintPage::new(&device, SLOTS_PER_PAGE));
            Self {
                _worker: HintedWorker::spawn(&device, &page, 0),
            }
        })
    }
}

/// What the threads of a new process start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Children {
    /// Nothing.
    StartAtBase,
    /// Their creator's priority, where it has one that can be inherited.
    Inherit,
}

/// The way into a [`State`].
#[derive(Debug)]
pub(crate) struct Entry {
    device: Option<Device>,
    page: Option<HintPage>,
}

impl Entry {
    /// Brings the calling thread into the state, for the rest of its life; no two
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
