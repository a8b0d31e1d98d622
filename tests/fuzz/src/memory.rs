// SPDX-License-Identifier: GPL-2.0

//! The part of the address space that a program plays with. Whatever it unmaps is
//! reserved again at once, so that nothing else gets there.

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use common::hint::PAGE_SIZE;
use nix::sys::memfd::memfd_create;
use nix::sys::memfd::MFdFlags;
use nix::sys::mman::mmap;
use nix::sys::mman::mmap_anonymous;
use nix::sys::mman::MapFlags;
use nix::sys::mman::ProtFlags;

use crate::op::Area;
use crate::op::Pages;
use crate::op::Place;
use crate::op::Range;
use crate::op::AREAS;

/// Length of an area: twice what the device lets one map.
pub(crate) const AREA_SIZE: usize = 2 * gosched::uapi::GO_SCHED_HINT_MAX_SIZE as usize;

/// Pages of the file from which everything in the areas is written.
const BYTES: usize = 0;
const STRUCTURE: usize = 1;
const DUMP: usize = 2;

/// A page to write, nothing, the same page to read, nothing.
const STRUCTURE_PAGES: usize = 4;

/// The areas, and a place for structures.
#[derive(Debug)]
pub(crate) struct Memory {
    start: usize,
    file: File,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let file = File::from(memfd_create(c"fuzz", MFdFlags::MFD_CLOEXEC).expect("a file"));
        let bytes: Vec<_> = (0..=u8::MAX).collect();
        file.write_all_at(&bytes, 0).expect("memory");
        file.set_len(3 * PAGE_SIZE as u64).expect("memory");

        let length = AREAS * AREA_SIZE + STRUCTURE_PAGES * PAGE_SIZE;
        let length = NonZeroUsize::new(length).expect("there are areas");
        // SAFETY: A new mapping is in nobody's way.
        let start =
            unsafe { mmap_anonymous(None, length, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) };
        let memory = Self {
            start: start.expect("address space").addr().get(),
            file,
        };
        let writable = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        for (page, access) in [(0, writable), (2, ProtFlags::PROT_READ)] {
            // SAFETY: The range is this value's.
            unsafe {
                mmap(
                    NonZeroUsize::new(memory.structure() + page * PAGE_SIZE),
                    NonZeroUsize::new(PAGE_SIZE).expect("a page has a size"),
                    access,
                    MapFlags::MAP_SHARED | MapFlags::MAP_FIXED,
                    memory.file.as_fd(),
                    (STRUCTURE * PAGE_SIZE) as i64,
                )
            }
            .expect("memory");
        }
        memory
    }

    /// Where an area starts.
    pub(crate) fn area(&self, area: Area) -> usize {
        self.start + area.0 * AREA_SIZE
    }

    /// Where a part of an area starts, and its length. It ends with the area.
    pub(crate) fn range(&self, range: Range) -> (usize, usize) {
        let from = length(range.from).min(AREA_SIZE);
        let bytes = length(range.pages).min(AREA_SIZE - from);
        (self.area(range.area) + from, bytes)
    }

    /// Takes a range inside the areas out of use.
    pub(crate) fn reserve(&self, start: usize, length: usize) {
        let Some(length) = NonZeroUsize::new(length.next_multiple_of(PAGE_SIZE)) else {
            return;
        };
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED;
        // SAFETY: The areas are this value's, and nothing refers to what is there.
        unsafe {
            mmap_anonymous(
                NonZeroUsize::new(start),
                length,
                ProtFlags::PROT_NONE,
                flags,
            )
        }
        .expect("address space");
    }

    /// Writes a structure of `size` bytes, and what follows it in its page.
    /// Returns where it is.
    pub(crate) fn put(&self, place: Place, page: &[u8; PAGE_SIZE], size: usize) -> usize {
        let offset = match place {
            Place::Misaligned => 1,
            Place::EndOfPage => PAGE_SIZE - size,
            Place::Cut(there) => PAGE_SIZE - usize::from(there) % size,
            Place::Ordinary | Place::ReadOnly | Place::Hints(_) | Place::At(_) => 0,
        };
        let position = (STRUCTURE * PAGE_SIZE + offset) as u64;
        let fits = &page[..PAGE_SIZE - offset];
        self.file.write_all_at(fits, position).expect("memory");
        match place {
            Place::ReadOnly => self.structure() + 2 * PAGE_SIZE,
            Place::Hints(area) => {
                let start = self.area(area);
                // SAFETY: The area is this value's. It may not be writable, and
                // then this has no effect.
                unsafe {
                    libc::pread(
                        self.file.as_raw_fd(),
                        std::ptr::with_exposed_provenance_mut(start),
                        size,
                        (STRUCTURE * PAGE_SIZE) as i64,
                    )
                };
                start
            }
            Place::At(address) => address,
            _ => self.structure() + offset,
        }
    }

    /// Arguments of the `pread64(2)` that writes a byte: unlike a store by the
    /// processor, it survives that there is nothing.
    pub(crate) fn store(&self, address: usize, byte: u8) -> [usize; 4] {
        let position = BYTES * PAGE_SIZE + usize::from(byte);
        [self.file.as_raw_fd() as usize, address, 1, position]
    }

    /// Arguments of the `pwrite64(2)` that reads a byte.
    pub(crate) fn load(&self, address: usize) -> [usize; 4] {
        [self.file.as_raw_fd() as usize, address, 1, DUMP * PAGE_SIZE]
    }

    fn structure(&self) -> usize {
        self.start + AREAS * AREA_SIZE
    }
}

/// A number of pages in bytes.
pub(crate) fn length(pages: Pages) -> usize {
    pages.0 * PAGE_SIZE
}
