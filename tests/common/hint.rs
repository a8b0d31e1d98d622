// SPDX-License-Identifier: GPL-2.0

//! The hint page, as a program maps it.

use std::mem::offset_of;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use gosched::uapi;
use nix::errno::Errno;
use nix::sched::sched_yield;
use nix::sys::mman::madvise;
use nix::sys::mman::mmap;
use nix::sys::mman::mmap_anonymous;
use nix::sys::mman::mremap;
use nix::sys::mman::munmap;
use nix::sys::mman::MRemapFlags;
use nix::sys::mman::MapFlags;
use nix::sys::mman::MmapAdvise;
use nix::sys::mman::ProtFlags;

use crate::device::Device;
use crate::eventually;
use crate::state::assert_unchanged;
use crate::worker::Worker;

/// Size of a page of memory, in bytes.
pub const PAGE_SIZE: usize = 4096;

/// Size of a slot, in bytes.
pub const SLOT_SIZE: usize = uapi::GO_SCHED_SLOT_SIZE as usize;

/// Slots in a page of memory.
pub const SLOTS_PER_PAGE: u32 = (PAGE_SIZE / SLOT_SIZE) as u32;

/// In the bytes of a slot: no priority.
pub const NONE: u8 = uapi::GO_SCHED_HINT_NONE as u8;

/// `struct go_sched_slot` as memory that others, the kernel among them, write.
#[derive(Debug)]
#[repr(C)]
pub struct Slot {
    wanted: AtomicU8,
    applied: AtomicU8,
    reserved: [AtomicU8; SLOT_SIZE - 2],
}

const _: () = {
    assert!(size_of::<Slot>() == SLOT_SIZE);
    assert!(offset_of!(Slot, wanted) == offset_of!(uapi::go_sched_slot, wanted));
    assert!(offset_of!(Slot, applied) == offset_of!(uapi::go_sched_slot, applied));
    assert!(offset_of!(Slot, reserved) == offset_of!(uapi::go_sched_slot, reserved));
};

impl Slot {
    /// Asks for a priority.
    pub fn store(&self, wanted: u8) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Reads the priority asked for.
    pub fn wanted(&self) -> u8 {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Reads the priority in force, as the kernel wrote it.
    pub fn applied(&self) -> u8 {
        self.applied.load(Ordering::Relaxed)
    }

    /// Writes to the byte that is the kernel's.
    pub fn forge_applied(&self, applied: u8) {
        self.applied.store(applied, Ordering::Relaxed);
    }

    /// Writes to the bytes that mean nothing yet.
    pub fn fill_reserved(&self, value: u8) {
        for byte in &self.reserved {
            byte.store(value, Ordering::Relaxed);
        }
    }

    /// Reads the bytes that mean nothing yet.
    pub fn reserved(&self) -> Vec<u8> {
        let bytes = self.reserved.iter();
        bytes.map(|byte| byte.load(Ordering::Relaxed)).collect()
    }

    /// Has the calling thread, which is bound to the slot, ask for a priority and
    /// wait until `applied` is in force.
    #[track_caller]
    pub fn take(&self, wanted: u8, applied: u8) {
        self.store(wanted);
        // The scheduler may put it off while another CPU looks at the thread.
        eventually("the hint is in force", || {
            be_scheduled();
            self.applied() == applied
        });
    }
}

/// Lets the scheduler read the slot of the calling thread.
pub fn be_scheduled() {
    sched_yield().expect("it always succeeds");
}

/// Slots of one open device, mapped; unmapped when dropped.
#[derive(Debug)]
pub struct HintPage {
    start: NonNull<Slot>,
    slots: u32,
}

// SAFETY: The memory belongs to the value alone and is accessed as atomics.
unsafe impl Send for HintPage {}
// SAFETY: The same.
unsafe impl Sync for HintPage {}

impl HintPage {
    /// Maps the first slots of a device where that must succeed.
    #[track_caller]
    pub fn new(device: &Device, slots: u32) -> Self {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        Self::try_new(device, slots, 0, access, MapFlags::MAP_SHARED)
            .unwrap_or_else(|error| panic!("mmap of {slots} slots: {error}"))
    }

    /// Maps slots of a file, from a byte on, in any way.
    pub fn try_new(
        file: &impl AsFd,
        slots: u32,
        offset: i64,
        access: ProtFlags,
        flags: MapFlags,
    ) -> Result<Self, Errno> {
        let length = NonZeroUsize::new(slots as usize * SLOT_SIZE).ok_or(Errno::EINVAL)?;
        // SAFETY: A new mapping is in nobody's way.
        let start = unsafe { mmap(None, length, access, flags, file, offset) }?;
        Ok(Self {
            start: start.cast(),
            slots,
        })
    }

    /// Returns one of the slots, counted from the first that is mapped here.
    #[track_caller]
    pub fn slot(&self, index: u32) -> &Slot {
        assert!(index < self.slots, "slot {index} of {}", self.slots);
        // SAFETY: The slot is inside the mapping, which lives as long as `self`,
        // and all its bytes are atomics.
        unsafe { self.start.add(index as usize).as_ref() }
    }

    /// Moves the mapping to another address and resizes it to `slots`, or leaves
    /// it as it is.
    pub fn try_move(&mut self, slots: u32) -> Result<(), Errno> {
        let (from, length) = self.range();
        let new_length = NonZeroUsize::new(slots as usize * SLOT_SIZE).ok_or(Errno::EINVAL)?;
        // SAFETY: A new mapping is in nobody's way.
        let to = unsafe {
            mmap_anonymous(
                None,
                new_length,
                ProtFlags::PROT_NONE,
                MapFlags::MAP_PRIVATE,
            )
        }?;
        let flags = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
        // SAFETY: No slot is borrowed, and at `to` is the mapping just made.
        unsafe { mremap(from, length, new_length.get(), flags, Some(to)) }?;
        self.start = to.cast();
        self.slots = slots;
        Ok(())
    }

    /// Leaves the mapping out of what `fork(2)` copies.
    pub fn keep_from_children(&self) -> Result<(), Errno> {
        let (start, length) = self.range();
        // SAFETY: This process keeps what it has.
        unsafe { madvise(start, length, MmapAdvise::MADV_DONTFORK) }
    }

    /// Returns where the mapping starts, and its length in bytes.
    pub fn range(&self) -> (NonNull<libc::c_void>, usize) {
        (self.start.cast(), self.slots as usize * SLOT_SIZE)
    }
}

impl Drop for HintPage {
    fn drop(&mut self) {
        let (start, length) = self.range();
        // SAFETY: The mapping is ours, and no slot of it is borrowed any more.
        unsafe { munmap(start, length) }.expect("a mapped page");
    }
}

/// A worker that is bound to a slot; unbound when dropped, by its end.
#[derive(Debug)]
pub struct HintedWorker {
    worker: Worker,
    device: Arc<Device>,
    page: Arc<HintPage>,
    slot: u32,
}

impl HintedWorker {
    /// Starts a thread and binds it to a slot.
    #[track_caller]
    pub fn spawn(device: &Arc<Device>, page: &Arc<HintPage>, slot: u32) -> Self {
        let new = Self {
            worker: Worker::spawn(),
            device: Arc::clone(device),
            page: Arc::clone(page),
            slot,
        };
        let device = Arc::clone(device);
        new.worker.run(move || device.bind(slot));
        new
    }

    /// Starts a thread that is bound to the first slot of a page of its own and
    /// may have any priority.
    #[track_caller]
    pub fn free() -> Self {
        let device = Arc::new(Device::open());
        let page = Arc::new(HintPage::new(&device, 1));
        let new = Self::spawn(&device, &page, 0);
        device.ceiling(new.tid(), uapi::GO_SCHED_LEVELS as i32 - 1);
        new
    }

    /// Returns the thread.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Returns the thread's id.
    pub fn tid(&self) -> i32 {
        self.worker.tid()
    }

    /// Returns the device that the thread is bound through.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the page that has the thread's slot.
    pub fn page(&self) -> &Arc<HintPage> {
        &self.page
    }

    /// Returns the thread's slot.
    pub fn slot(&self) -> &Slot {
        self.page.slot(self.slot)
    }

    /// Has the thread ask for a priority and wait until `applied` is in force.
    #[track_caller]
    pub fn take(&self, wanted: u8, applied: u8) {
        let (page, slot) = (Arc::clone(&self.page), self.slot);
        self.worker
            .run(move || page.slot(slot).take(wanted, applied));
    }

    /// Has the thread store a value, which must change nothing.
    #[track_caller]
    pub fn assert_ignores(&self, wanted: u8) {
        let applied = self.slot().applied();
        assert_unchanged(&self.device, self.tid(), || {
            self.slot().store(wanted);
            self.worker
                .run(|| (0..SCHEDULED_OFTEN).for_each(|_| be_scheduled()));
        });
        assert_eq!(self.slot().applied(), applied);
    }
}

/// Makes it most unlikely that the scheduler put off reading a slot each time.
const SCHEDULED_OFTEN: u32 = 20;
