// SPDX-License-Identifier: MIT OR GPL-2.0

//! Slots of a hint page, by which a thread asks for a priority.

use std::fmt;
use std::mem::offset_of;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

use go_sched_policy::GoPrio;

use crate::uapi;
use crate::uapi::go_sched_slot;

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
    /// store when it runs, or by [`Device::follow`](crate::Device::follow).
    #[inline]
    pub fn set(&self, prio: GoPrio) {
        // A priority is below 64.
        self.0[WANTED].store(prio.get() as u8, Ordering::Relaxed);
    }

    /// Asks for no priority, by a single store: the thread has what
    /// [`Device::set`](crate::Device::set) said last, or its base.
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
    /// the slot. That priority follows what was asked for once the thread is scheduled.
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
