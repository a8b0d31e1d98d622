// SPDX-License-Identifier: GPL-2.0

//! The hint pages of one open file, and who may map them how.

use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    go_sched::{uapi, HintPage},
    mm::VmaNew,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::Mutex,
};

/// The largest number of pages of a file: a power of two, see [`HintFile::page`].
const MAX_PAGES: usize = uapi::GO_SCHED_HINT_MAX_SIZE as usize / PAGE_SIZE;
const _: () = assert!(MAX_PAGES.is_power_of_two());

/// The hint pages of an open file: those that have been touched or bound so far.
///
/// The file keeps each page until the file itself goes: a thread may follow a slot of any page.
#[pin_data]
pub(crate) struct HintFile {
    /// The pages by index: empty before the first page, [`MAX_PAGES`] long from then on.
    #[pin]
    pages: Mutex<KVec<Option<HintPage>>>,
}

impl HintFile {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            pages <- new_mutex!(KVec::new(), "HintFile::pages"),
        })
    }

    /// Lets user space map a part of the file.
    pub(crate) fn mmap(&self, vma: &VmaNew) -> Result {
        // The scheduler would not see the stores to a private copy.
        if !vma.is_shared() {
            return Err(EINVAL);
        }
        if vma.is_executable() {
            return Err(EPERM);
        }
        vma.first_page()
            .checked_add(vma.page_count())
            .filter(|end| *end <= MAX_PAGES)
            .ok_or(EINVAL)?;

        vma.clear_mayexec();
        vma.set_dontexpand();
        Ok(())
    }

    /// Returns a page of the file, and makes the page if nobody has asked for it before.
    ///
    /// Fails with [`EINVAL`] beyond [`MAX_PAGES`], and with [`ENOMEM`].
    pub(crate) fn page(&self, index: usize) -> Result<HintPage> {
        if index >= MAX_PAGES {
            return Err(EINVAL);
        }
        let mut pages = self.pages.lock();
        if pages.is_empty() {
            *pages = KVec::with_capacity(MAX_PAGES, GFP_KERNEL_ACCOUNT)?;
            while pages.len() < MAX_PAGES {
                pages.push(None, GFP_KERNEL_ACCOUNT)?;
            }
        }
        // User space says which: a CPU that runs ahead of the check above stays inside.
        let page = pages.get_mut(index & (MAX_PAGES - 1)).ok_or(EINVAL)?;
        if let Some(page) = page {
            return Ok(page.clone());
        }
        let new = HintPage::new()?;
        *page = Some(new.clone());
        Ok(new)
    }

    /// Has the current thread follow a slot.
    pub(crate) fn bind(&self, slot: u32) -> Result {
        let page = self.page((slot / HintPage::SLOTS) as usize)?;

        // Not under the lock of the pages, which page faults take.
        page.bind(slot)
    }
}
