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

use std::io;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::device::Device;
use crate::device::Target;
use crate::error::BindError;
use crate::error::MapError;
use crate::raw::Mapping;
pub use crate::slot::Slot;
pub use crate::slot::MAX_SLOTS;
pub use crate::slot::SLOT_SIZE;
use crate::uapi;

/// Slots of one open device, mapped, and the device to bind threads with.
///
/// The page keeps the device open by a descriptor of its own.
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
