// SPDX-License-Identifier: MIT OR GPL-2.0

//! Hints: a thread changes its priority by a store to memory, without a system call.
//!
//! The scheduler reads the slot of a bound thread whenever it is about to switch, on the
//! tick, and when another thread wakes up on the same CPU.
//!
//! ```no_run
#![doc = include_str!("../examples/hint.rs")]
//! ```
//!
//! # Threads
//!
//! A binding is of one thread: [`HintPage::bind`] binds the calling thread, and the
//! [`Hint`] that it returns stays there. A [`HintPage`] and its [`Slot`]s may be shared
//! with all threads: any of them may store to any slot, and the store is for the thread
//! that is bound to the slot. A store orders no other memory accesses.
//!
//! # Lifetime of a binding
//!
//! A binding ends when its [`Hint`] is dropped, when its thread ends, by `execve(2)`, and
//! in no other way: a thread that has forgotten its [`Hint`], see [`std::mem::forget`],
//! keeps what the slot said last, and [`Device::unbind`] ends that. Nothing inherits a
//! binding; after `fork(2)` the child has the memory, and is bound to none of it.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ops::Deref;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

use go_sched_policy::GoPrio;

use crate::error::BindError;
use crate::error::MapError;
use crate::raw::Mapping;
use crate::uapi;
use crate::uapi::go_sched_slot;
use crate::Device;
use crate::Target;

/// Size of a slot, in bytes.
pub const SLOT_SIZE: usize = uapi::GO_SCHED_SLOT_SIZE as usize;

/// The most slots that one open device has.
pub const MAX_SLOTS: u32 = uapi::GO_SCHED_HINT_MAX_SIZE / uapi::GO_SCHED_SLOT_SIZE;

const WANTED: usize = offset_of!(go_sched_slot, wanted);
const APPLIED: usize = offset_of!(go_sched_slot, applied);

/// One slot, which the kernel and all threads that have it mapped access.
#[repr(transparent)]
pub struct Slot([AtomicU8; SLOT_SIZE]);

impl Slot {
    /// Asks for a priority, by a single store. A priority above what the thread may
    /// have counts as the highest that it may have. A thread that does not run sees the
    /// store when it runs, or by [`Device::follow`].
    #[inline]
    pub fn set(&self, prio: GoPrio) {
        // A priority is below 64.
        self.0[WANTED].store(prio.get() as u8, Ordering::Relaxed);
    }

    /// Asks for no priority, by a single store: the thread has what [`Device::set`] said
    /// last, or its base.
    #[inline]
    pub fn clear(&self) {
        self.0[WANTED].store(uapi::GO_SCHED_HINT_NONE as u8, Ordering::Relaxed);
    }

    /// Reads the priority asked for.
    #[inline]
    pub fn wanted(&self) -> Option<GoPrio> {
        self.prio(WANTED)
    }

    /// Reads the priority in force, which the kernel writes while a thread is bound to
    /// the slot. It follows what was asked for once the thread is scheduled.
    #[inline]
    pub fn applied(&self) -> Option<GoPrio> {
        self.prio(APPLIED)
    }

    /// Returns the bytes of the slot, in the order of `struct go_sched_slot`.
    #[inline]
    pub fn bytes(&self) -> &[AtomicU8; SLOT_SIZE] {
        &self.0
    }

    fn prio(&self, byte: usize) -> Option<GoPrio> {
        GoPrio::new(self.0[byte].load(Ordering::Relaxed).into())
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("wanted", &self.wanted())
            .field("applied", &self.applied())
            .finish_non_exhaustive()
    }
}

/// Slots of one open device, mapped, and the device to bind threads with.
///
/// It keeps the device open by a descriptor of its own.
#[derive(Debug)]
pub struct HintPage {
    device: Device,
    mapping: Mapping,
}

impl HintPage {
    /// Maps the first `slots` slots of a device, 1 to [`MAX_SLOTS`]. All pages of one
    /// open device show the same slots.
    ///
    /// # Errors
    ///
    /// See [`MapError`].
    pub fn map(device: &Device, slots: u32) -> Result<Self, MapError> {
        if !(1..=MAX_SLOTS).contains(&slots) {
            return Err(MapError::SlotCount { slots });
        }
        let mapped = || -> io::Result<_> {
            Ok(Self {
                device: device.try_clone()?,
                mapping: Mapping::new(device, slots)?,
            })
        };
        mapped().map_err(MapError::Os)
    }

    /// Returns the number of slots.
    pub fn slots(&self) -> u32 {
        self.mapping.slots()
    }

    /// Returns a slot, to store to on behalf of the thread that is bound to it.
    #[inline]
    pub fn slot(&self, index: u32) -> Option<&Slot> {
        self.mapping.slot(index)
    }

    /// Binds the calling thread to a slot, which asks for no priority at first.
    ///
    /// # Errors
    ///
    /// See [`BindError`]; after an error nothing has changed.
    pub fn bind(&self, index: u32) -> Result<Hint<'_>, BindError> {
        let slot = self
            .slot(index)
            .ok_or(BindError::NoSuchSlot { slot: index })?;
        let bind = uapi::go_sched_bind {
            slot: index,
            ..Default::default()
        };
        match self.device.request(bind) {
            Ok(_) => Ok(Hint {
                device: &self.device,
                slot,
                of_this_thread: PhantomData,
            }),
            Err(error) => {
                let status = self.device.get(Target::CallingThread).ok();
                Err(BindError::new(error, status))
            }
        }
    }
}

/// The binding of the calling thread to a [`Slot`], which this dereferences to; it ends
/// when dropped, and with it the priority asked for.
#[derive(Debug)]
pub struct Hint<'page> {
    device: &'page Device,
    slot: &'page Slot,
    /// Keeps the value in the thread that was bound.
    of_this_thread: PhantomData<*const ()>,
}

impl Deref for Hint<'_> {
    type Target = Slot;

    #[inline]
    fn deref(&self) -> &Slot {
        self.slot
    }
}

impl Drop for Hint<'_> {
    fn drop(&mut self) {
        // It succeeds on every device, also for a thread that is not bound any more.
        let _ = self.device.unbind();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> Slot {
        Slot([const { AtomicU8::new(uapi::GO_SCHED_HINT_NONE as u8) }; SLOT_SIZE])
    }

    #[test]
    fn a_slot_is_as_large_as_the_kernel_s() {
        assert_eq!(size_of::<Slot>(), size_of::<go_sched_slot>());
        assert_eq!(MAX_SLOTS, 16384);
    }

    #[test]
    fn a_slot_keeps_what_is_asked_for_in_its_first_byte() {
        let slot = slot();
        assert_eq!(slot.wanted(), None);
        slot.set(GoPrio::MAX);
        assert_eq!(slot.wanted(), Some(GoPrio::MAX));
        assert_eq!(slot.bytes()[0].load(Ordering::Relaxed), 63);
        slot.clear();
        assert_eq!(slot.bytes()[0].load(Ordering::Relaxed), 0xff);
    }

    #[test]
    fn a_slot_tells_what_the_kernel_has_written() {
        let slot = slot();
        assert_eq!(slot.applied(), None);
        slot.bytes()[1].store(0, Ordering::Relaxed);
        assert_eq!(slot.applied(), Some(GoPrio::MIN));
        let shown = format!("{slot:?}");
        assert!(shown.contains("wanted: None, applied: Some("), "{shown}");
    }

    #[test]
    fn what_is_no_priority_is_none() {
        let slot = slot();
        slot.bytes()[0].store(64, Ordering::Relaxed);
        assert_eq!(slot.wanted(), None);
    }
}
