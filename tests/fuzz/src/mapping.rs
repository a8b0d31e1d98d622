// SPDX-License-Identifier: GPL-2.0

//! Operations on a program's mappings of the device.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;

use common::hint::PAGE_SIZE;
use common::hint::SLOT_SIZE;
use gosched::uapi;
use rustix::io::Errno;

use crate::memory::length;
use crate::memory::AREA_SIZE;
use crate::op::Advice;
use crate::op::Area;
use crate::op::File;
use crate::op::Hint;
use crate::op::Map;
use crate::op::MemoryOp;
use crate::op::Protection;
use crate::op::Range;
use crate::op::Remap;
use crate::op::Slot;
use crate::op::Thread;
use crate::process::Process;
use crate::tally::Kind;

impl Process<'_> {
    pub(crate) fn change_mapping(&self, op: MemoryOp) -> Result<usize, Errno> {
        match op {
            MemoryOp::Map(map) => self.map(map),
            MemoryOp::Unmap(range) => self.unmap(range),
            MemoryOp::Protect(range, protection) => self.protect(range, protection),
            MemoryOp::Advise(range, advice) => self.advise(range, advice),
            MemoryOp::Remap(remap) => self.remap(remap),
            MemoryOp::Load(area, slot) => self.load(area, slot),
        }
    }

    pub(crate) fn map_page(&self, file: File, area: Area) -> Result<usize, Errno> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        self.map_at(file, area, PAGE_SIZE, 0, protection, libc::MAP_SHARED)
    }

    fn map(&self, map: Map) -> Result<usize, Errno> {
        let bytes = length(map.pages).saturating_sub(map.cut.0);
        let result = self.map_at(
            map.file,
            map.area,
            bytes,
            map.offset.0,
            map.protection.0,
            map.flags.0,
        );
        assert!(
            result.is_err() || map.offset.0 as u64 + bytes as u64 <= MAX_SIZE,
            "{map:?} is beyond the end of the file"
        );
        result
    }

    fn map_at(
        &self,
        file: File,
        area: Area,
        bytes: usize,
        offset: i64,
        protection: i32,
        flags: i32,
    ) -> Result<usize, Errno> {
        let start = self.memory.area(area);
        // Whatever was there is gone, after an error as well.
        self.memory.reserve(start, AREA_SIZE);
        let arguments = [
            start,
            bytes,
            protection as usize,
            (flags | libc::MAP_FIXED) as usize,
            self.files[file.0].as_fd().as_raw_fd() as usize,
            offset as usize,
        ];
        let result = self.call(Thread::Leader, Kind::Mmap, libc::SYS_mmap, &arguments);
        if result.is_err() {
            self.memory.reserve(start, AREA_SIZE);
        }
        result
    }

    fn unmap(&self, range: Range) -> Result<usize, Errno> {
        let (start, bytes) = self.memory.range(range);
        let result = self.call(
            Thread::Leader,
            Kind::Munmap,
            libc::SYS_munmap,
            &[start, bytes],
        );
        self.memory.reserve(start, bytes);
        result
    }

    fn protect(&self, range: Range, protection: Protection) -> Result<usize, Errno> {
        let (start, bytes) = self.memory.range(range);
        let arguments = [start, bytes, protection.0 as usize];
        self.call(
            Thread::Leader,
            Kind::Mprotect,
            libc::SYS_mprotect,
            &arguments,
        )
    }

    fn advise(&self, range: Range, advice: Advice) -> Result<usize, Errno> {
        let (start, bytes) = self.memory.range(range);
        let arguments = [start, bytes, advice.0 as usize];
        self.call(Thread::Leader, Kind::Madvise, libc::SYS_madvise, &arguments)
    }

    fn remap(&self, remap: Remap) -> Result<usize, Errno> {
        let from = self.memory.area(remap.from);
        let to = remap.to.map(|area| self.memory.area(area));
        let (old, new) = (length(remap.old_pages), length(remap.new_pages));
        let mut flags = 0;
        if to.is_some() {
            flags |= libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            if remap.keep_old {
                flags |= libc::MREMAP_DONTUNMAP;
            }
        }
        let arguments = [from, old, new, flags as usize, to.unwrap_or(from)];
        let result = self.call(Thread::Leader, Kind::Mremap, libc::SYS_mremap, &arguments);
        match (result, to) {
            (Ok(_), Some(_)) => self.memory.reserve(from, old),
            (Err(_), Some(to)) if to != from => self.memory.reserve(to, AREA_SIZE),
            _ => {}
        }
        // The first thing it does is to cut off what is not wanted.
        self.memory
            .reserve(from + new.min(old), old.saturating_sub(new));
        result
    }

    pub(crate) fn store(
        &self,
        by: Thread,
        area: Area,
        slot: Slot,
        hint: Hint,
    ) -> Result<usize, Errno> {
        let arguments = self.memory.store(self.slot(area, slot), hint.0);
        self.call(by, Kind::Access, libc::SYS_pread64, &arguments)
    }

    fn load(&self, area: Area, slot: Slot) -> Result<usize, Errno> {
        let arguments = self.memory.load(self.slot(area, slot));
        self.call(Thread::Leader, Kind::Access, libc::SYS_pwrite64, &arguments)
    }

    fn slot(&self, area: Area, slot: Slot) -> usize {
        self.memory.area(area) + slot.0 as usize * SLOT_SIZE % AREA_SIZE
    }
}

const MAX_SIZE: u64 = uapi::GO_SCHED_HINT_MAX_SIZE as u64;
