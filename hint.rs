// SPDX-License-Identifier: GPL-2.0

//! The hint pages of one open file, and who may map them how.

use kernel::{
    go_sched::HintPage,
    mm::VmaNew,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::Mutex,
};

use crate::uapi;

const MAX_PAGES: usize = uapi::GO_SCHED_HINT_MAX_SIZE as usize / PAGE_SIZE;

/// The hint pages of an open file, as many as have been mapped so far.
///
/// They are never taken away before the file is: a thread may follow a slot of each.
#[pin_data]
pub(crate) struct HintFile {
    #[pin]
    pages: Mutex<KVec<HintPage>>,
}

impl HintFile {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            pages <- new_mutex!(KVec::new(), "HintFile::pages"),
        })
    }

    /// Lets user space map a part of the file, and makes the pages that it lacks.
    pub(crate) fn mmap(&self, vma: &VmaNew) -> Result {
        // The scheduler would not see the stores to a private copy.
        if !vma.is_shared() {
            return Err(EINVAL);
        }
        if vma.is_executable() {
            return Err(EPERM);
        }
        let end = vma
            .first_page()
            .checked_add(vma.page_count())
            .filter(|end| *end <= MAX_PAGES)
            .ok_or(EINVAL)?;

        vma.clear_mayexec();
        vma.set_dontexpand();

        let mut pages = self.pages.lock();
        while pages.len() < end {
            pages.push(HintPage::new()?, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Returns a page of the file, or nothing if it has not been mapped yet.
    pub(crate) fn page(&self, index: usize) -> Option<HintPage> {
        self.pages.lock().get(index).cloned()
    }

    /// Has the current thread follow a slot.
    pub(crate) fn bind(&self, slot: u32) -> Result {
        let index = (slot / HintPage::SLOTS) as usize;
        let page = self.page(index).ok_or(EINVAL)?;

        // Not under the lock of the pages, which page faults take.
        page.bind(slot)
    }
}
