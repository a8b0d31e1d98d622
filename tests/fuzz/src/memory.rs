// SPDX-License-Identifier: GPL-2.0

//! The part of the address space that a program's operations use. A range that a program
//! unmaps is reserved again at once, so that no other mapping gets there.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr;

use common::hint::PAGE_SIZE;
use rustix::fs::memfd_create;
use rustix::fs::MemfdFlags;
use rustix::mm::mmap;
use rustix::mm::mmap_anonymous;
use rustix::mm::MapFlags;
use rustix::mm::ProtFlags;

use crate::op::Area;
use crate::op::Pages;
use crate::op::Place;
use crate::op::Range;
use crate::op::AREAS;

/// Length of an area in bytes: twice what the device allows to map.
pub(crate) const AREA_SIZE: usize = 2 * gosched::uapi::GO_SCHED_HINT_MAX_SIZE as usize;

/// Page of the file with each byte, for stores to the areas.
const BYTES: usize = 0;
/// Page of the file with the structure of a request.
const STRUCTURE: usize = 1;
/// Page of the file for bytes that are loaded from the areas.
const DUMP: usize = 2;

/// Pages of the mapping of a structure: a writable page, a gap, the same page read-only, and a
/// gap.
const STRUCTURE_PAGES: usize = 4;

/// The areas, and the mapping of the structure.
#[derive(Debug)]
pub(crate) struct Memory {
    start: usize,
    file: File,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let file = File::from(memfd_create(c"fuzz", MemfdFlags::CLOEXEC).expect("a file"));
        let bytes: Vec<_> = (0..=u8::MAX).collect();
        file.write_all_at(&bytes, 0).expect("memory");
        file.set_len(3 * PAGE_SIZE as u64).expect("memory");

        let length = AREAS * AREA_SIZE + STRUCTURE_PAGES * PAGE_SIZE;
        let (access, flags) = (ProtFlags::empty(), MapFlags::PRIVATE);
        // SAFETY: The kernel places a new mapping where no other is.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), length, access, flags) };
        let memory = Self {
            start: start.expect("address space").expose_provenance(),
            file,
        };
        let writable = ProtFlags::READ | ProtFlags::WRITE;
        for (page, access) in [(0, writable), (2, ProtFlags::READ)] {
            // SAFETY: The range is part of the mapping that was made above.
            unsafe {
                mmap(
                    ptr::with_exposed_provenance_mut(memory.structure() + page * PAGE_SIZE),
                    PAGE_SIZE,
                    access,
                    MapFlags::SHARED | MapFlags::FIXED,
                    memory.file.as_fd(),
                    (STRUCTURE * PAGE_SIZE) as u64,
                )
            }
            .expect("memory");
        }
        memory
    }

    /// Returns the address of an area.
    pub(crate) fn area(&self, area: Area) -> usize {
        self.start + area.0 * AREA_SIZE
    }

    /// Returns the address and the length of a range, which ends at the latest with its area.
    pub(crate) fn range(&self, range: Range) -> (usize, usize) {
        let from = length(range.from).min(AREA_SIZE);
        let bytes = length(range.pages).min(AREA_SIZE - from);
        (self.area(range.area) + from, bytes)
    }

    /// Replaces what is mapped in a range of the areas by inaccessible memory.
    pub(crate) fn reserve(&self, start: usize, length: usize) {
        if length == 0 {
            return;
        }
        let start = ptr::with_exposed_provenance_mut(start);
        let length = length.next_multiple_of(PAGE_SIZE);
        let flags = MapFlags::PRIVATE | MapFlags::FIXED;
        // SAFETY: The callers pass ranges of the areas, to which there are no references.
        unsafe { mmap_anonymous(start, length, ProtFlags::empty(), flags) }.expect("address space");
    }

    /// Writes a structure of `size` bytes, and the rest of its page. Returns the address of the
    /// structure.
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
                // By libc, as rustix takes a slice, which may not be of memory that is not
                // writable.
                // SAFETY: Nothing refers to the area. If it is not writable, the kernel
                // returns an error.
                unsafe {
                    libc::pread(
                        self.file.as_raw_fd(),
                        ptr::with_exposed_provenance_mut(start),
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

    /// Returns the arguments of the `pread64(2)` that stores a byte. Where nothing is mapped,
    /// `pread64(2)` fails, while a store by the CPU would end the process.
    pub(crate) fn store(&self, address: usize, byte: u8) -> [usize; 4] {
        let position = BYTES * PAGE_SIZE + usize::from(byte);
        [self.file.as_raw_fd() as usize, address, 1, position]
    }

    /// Returns the arguments of the `pwrite64(2)` that loads a byte.
    pub(crate) fn load(&self, address: usize) -> [usize; 4] {
        [self.file.as_raw_fd() as usize, address, 1, DUMP * PAGE_SIZE]
    }

    fn structure(&self) -> usize {
        self.start + AREAS * AREA_SIZE
    }
}

/// Returns the size of pages in bytes.
pub(crate) fn length(pages: Pages) -> usize {
    pages.0 * PAGE_SIZE
}
