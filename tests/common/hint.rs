// SPDX-License-Identifier: GPL-2.0

//! The hint page, mapped in all the ways that a program may, and workers bound to it.

use std::fs;
use std::mem::forget;
use std::mem::replace;
use std::os::fd::AsFd;
use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use gosched::raw::Mapping;
use gosched::uapi;
use rustix::io::Errno;
use rustix::mm::madvise;
use rustix::mm::mmap;
use rustix::mm::mmap_anonymous;
use rustix::mm::mremap_fixed;
use rustix::mm::Advice;
use rustix::mm::MapFlags;
use rustix::mm::MremapFlags;
use rustix::mm::ProtFlags;
use rustix::thread::sched_yield;

use crate::device::Device;
use crate::eventually;
use crate::state::assert_unchanged;
use crate::worker::Worker;

/// Size of a page of memory, in bytes.
pub const PAGE_SIZE: usize = 4096;

/// Size of a slot, in bytes.
pub const SLOT_SIZE: usize = gosched::hint::SLOT_SIZE;

/// Slots in a page of memory.
pub const SLOTS_PER_PAGE: u32 = (PAGE_SIZE / SLOT_SIZE) as u32;

/// The value of a slot's bytes for no priority.
pub const NONE: u8 = uapi::GO_SCHED_HINT_NONE as u8;

/// A slot by its bytes, so that a test can store a number that is no priority.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'page>(&'page gosched::hint::Slot);

impl<'page> Slot<'page> {
    /// Asks for a priority.
    #[inline]
    pub fn store(&self, wanted: u8) {
        self.fields().0.store(wanted, Ordering::Relaxed);
    }

    /// Reads the priority asked for.
    pub fn wanted(&self) -> u8 {
        self.fields().0.load(Ordering::Relaxed)
    }

    /// Reads the priority in force, as the kernel wrote it.
    pub fn applied(&self) -> u8 {
        self.fields().1.load(Ordering::Relaxed)
    }

    /// Writes to the byte that is the kernel's.
    pub fn forge_applied(&self, applied: u8) {
        self.fields().1.store(applied, Ordering::Relaxed);
    }

    /// Writes to the bytes that mean nothing yet.
    pub fn fill_reserved(&self, value: u8) {
        for byte in self.fields().2 {
            byte.store(value, Ordering::Relaxed);
        }
    }

    /// Reads the bytes that mean nothing yet.
    pub fn reserved(&self) -> Vec<u8> {
        let bytes = self.fields().2.iter();
        bytes.map(|byte| byte.load(Ordering::Relaxed)).collect()
    }

    /// Returns the byte of the priority asked for, the byte of the priority in force, and
    /// the rest.
    fn fields(&self) -> (&'page AtomicU8, &'page AtomicU8, &'page [AtomicU8]) {
        let [wanted, applied, reserved @ ..] = self.0.bytes();
        (wanted, applied, reserved)
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
    sched_yield();
}

/// Slots of an open device, mapped. On drop, the slots are unmapped.
#[derive(Debug)]
pub struct HintPage(Mapping);

impl HintPage {
    /// Maps the first slots of a device where that must succeed.
    #[track_caller]
    pub fn new(device: &Device, slots: u32) -> Self {
        let mapping = Mapping::new(device.library(), slots);
        Self(mapping.unwrap_or_else(|error| panic!("mmap of {slots} slots: {error}")))
    }

    /// Maps slots of a file, from a byte on, in any way.
    pub fn try_new(
        file: &impl AsFd,
        slots: u32,
        offset: u64,
        access: ProtFlags,
        flags: MapFlags,
    ) -> Result<Self, Errno> {
        let length = slots as usize * SLOT_SIZE;
        // SAFETY: A new mapping is in nobody's way.
        let start = unsafe { mmap(ptr::null_mut(), length, access, flags, file, offset) }?;
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at 0");
        // SAFETY: That many slots have just been mapped, for this value alone.
        Ok(Self(unsafe { Mapping::from_raw(start, slots) }))
    }

    /// Returns a slot by its number, counted from the first slot of the mapping.
    #[track_caller]
    pub fn slot(&self, index: u32) -> Slot<'_> {
        match self.0.slot(index) {
            Some(slot) => Slot(slot),
            None => panic!("slot {index} of {}", self.0.slots()),
        }
    }

    /// Moves the mapping to another address and resizes the mapping to `slots`, or leaves
    /// the mapping as it is.
    pub fn try_move(&mut self, slots: u32) -> Result<(), Errno> {
        let (from, length) = self.range();
        let new_length = slots as usize * SLOT_SIZE;
        let access = ProtFlags::empty();
        // SAFETY: A new mapping is in nobody's way.
        let to = unsafe { mmap_anonymous(ptr::null_mut(), new_length, access, MapFlags::PRIVATE) }?;
        // SAFETY: No slot is borrowed, and at `to` is the mapping just made.
        unsafe { mremap_fixed(from, length, new_length, MremapFlags::MAYMOVE, to) }?;
        let start = NonNull::new(to.cast()).expect("the kernel maps nothing at 0");
        // SAFETY: The slots have just been moved there, for this value alone.
        let moved = unsafe { Mapping::from_raw(start, slots) };
        // Nothing is left to unmap there.
        forget(replace(&mut self.0, moved));
        Ok(())
    }

    /// Leaves the mapping out of what `fork(2)` copies.
    pub fn keep_from_children(&self) -> Result<(), Errno> {
        let (start, length) = self.range();
        // SAFETY: This process keeps what it has.
        unsafe { madvise(start, length, Advice::LinuxDontFork) }
    }

    /// Returns the start of the mapping, and the length in bytes.
    pub fn range(&self) -> (*mut libc::c_void, usize) {
        let length = self.0.slots() as usize * SLOT_SIZE;
        (self.0.as_ptr().as_ptr().cast(), length)
    }
}

/// A worker that is bound to a slot. The thread, and with the thread the binding, ends on
/// drop.
#[derive(Debug)]
pub struct HintedWorker {
    worker: Worker,
    device: Arc<Device>,
    page: Arc<HintPage>,
    slot: u32,
}

impl HintedWorker {
    /// Starts a thread and binds the thread to a slot.
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
    pub fn slot(&self) -> Slot<'_> {
        self.page.slot(self.slot)
    }

    /// Has the thread ask for a priority and wait until `applied` is in force.
    #[track_caller]
    pub fn take(&self, wanted: u8, applied: u8) {
        let (page, slot) = (Arc::clone(&self.page), self.slot);
        self.worker
            .run(move || page.slot(slot).take(wanted, applied));
    }

    /// Stores a value once the thread sleeps, so that the thread does not read the value
    /// before it runs again.
    #[track_caller]
    pub fn store_while_asleep(&self, wanted: u8) {
        // The kernel says which call a thread sleeps in once it has been switched out.
        let call = format!("/proc/self/task/{}/syscall", self.tid());
        eventually("the thread sleeps", || {
            fs::read_to_string(&call).is_ok_and(|call| !call.starts_with("running"))
        });
        self.slot().store(wanted);
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

/// The number of calls of the scheduler that most unlikely all put off reading a slot.
const SCHEDULED_OFTEN: u32 = 20;
