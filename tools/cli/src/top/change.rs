// SPDX-License-Identifier: GPL-2.0

//! Changes of the priority of the selected thread.

use gosched::error::FindError;
use gosched::policy::GoPrio;
use gosched::policy::ORDINARY;
use gosched::thread::Thread;
use gosched::thread::ThreadId;
use gosched::Device;
use gosched::Status;
use procfs::process::Process;

use super::sample::Row;
use crate::error::ThreadError;
use crate::facts::Facts;

/// A change of a priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Raise,
    Lower,
    Clear,
}

impl Change {
    /// Changes the thread that is shown as `row`, and returns its state after the change.
    pub(super) fn apply(self, device: &Device, row: &Row) -> Result<Facts, ThreadError> {
        let thread = Thread::open(ThreadId {
            pid: row.tid,
            inode: None,
        })?;
        // The thread shown is older than the pidfd. If it still has the id, the pidfd is its.
        let task = Process::new(row.pid)?.task_from_tid(row.tid)?;
        if task.stat()?.starttime != row.started {
            return Err(FindError::Recycled.into());
        }

        let status = device.get(thread.target())?;
        match self.after(&status) {
            Some(prio) => device.set(thread.target(), prio, status.children)?,
            None => device.clear(thread.target())?,
        }
        Ok(Facts::of(device, &thread)?)
    }

    /// Returns the priority after the change of a thread, `None` for no priority.
    fn after(self, status: &Status) -> Option<GoPrio> {
        let step = match self {
            Self::Raise => 1,
            Self::Lower => -1,
            Self::Clear => return None,
        };
        // A first priority is one that its user may give the thread.
        let first = || GoPrio::new(ORDINARY).map(|prio| prio.min(status.ceiling.prio));
        let Some(prio) = status.prio else {
            return first();
        };
        let next = prio.get().checked_add_signed(step).and_then(GoPrio::new);
        next.or(Some(prio))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::fixture;

    fn after(change: Change, prio: Option<u32>) -> Option<u32> {
        let status = fixture::row(1, prio).facts.status;
        change.after(&status).map(GoPrio::get)
    }

    #[test]
    fn a_priority_moves_by_one_within_its_range() {
        assert_eq!(after(Change::Raise, Some(47)), Some(48));
        assert_eq!(after(Change::Lower, Some(48)), Some(47));
        assert_eq!(after(Change::Raise, Some(63)), Some(63));
        assert_eq!(after(Change::Lower, Some(0)), Some(0));
        assert_eq!(after(Change::Clear, Some(20)), None);
    }

    #[test]
    fn the_first_priority_is_an_ordinary_one_that_the_ceiling_allows() {
        for change in [Change::Raise, Change::Lower] {
            assert_eq!(after(change, None), Some(32));
            let mut status = fixture::row(1, None).facts.status;
            status.ceiling.prio = GoPrio::new(27).expect("a priority");
            assert_eq!(change.after(&status), GoPrio::new(27));
        }
    }
}
