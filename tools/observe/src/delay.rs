// SPDX-License-Identifier: GPL-2.0

//! Counts the delays of a process's threads from runnable to running, in the kernel.

use std::mem::MaybeUninit;

use libbpf_rs::skel::OpenSkel;
use libbpf_rs::skel::Skel;
use libbpf_rs::skel::SkelBuilder;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::OpenObject;
use zerocopy::FromBytes;

use self::skeleton::DelaySkel;
use self::skeleton::DelaySkelBuilder;
use crate::heat::Counts;
use crate::heat::BOUNDS;
use crate::heat::CLASSES;
use crate::record::prepare;
use crate::record::unmapped;
use crate::record::RecordError;

#[expect(warnings, reason = "libbpf-cargo makes this file")]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/delay.skel.rs"));
}

/// The number of keys of the map: one for no Go priority, and one for each of 0 to 63.
const PRIORITIES: u8 = 65;

/// Counts delays until it is dropped.
pub struct Counter<'a> {
    skeleton: DelaySkel<'a>,
    /// The counts of the last read, by Go priority plus 1; 0: no priority.
    before: [Counts; PRIORITIES as usize],
}

impl<'a> Counter<'a> {
    /// Counts the delays of a process's threads that begin from now on. `storage` is for libbpf.
    pub fn attach(
        process: i32,
        storage: &'a mut MaybeUninit<OpenObject>,
    ) -> Result<Self, RecordError> {
        drop(prepare()?);
        let builder = DelaySkelBuilder::default();
        let mut open = builder.open(storage).map_err(RecordError::Load)?;
        let constants = open.maps.rodata_data.as_deref_mut();
        let constants = constants.ok_or_else(unmapped)?;
        constants.target = process;
        constants.bounds = BOUNDS;
        let mut skeleton = open.load().map_err(RecordError::Load)?;
        skeleton.attach().map_err(RecordError::Load)?;
        Ok(Self {
            skeleton,
            before: [[0; CLASSES]; PRIORITIES as usize],
        })
    }

    /// Returns the delays that have ended since they were last read, by the Go priority in force
    /// when they did. Priorities without any are left out.
    pub fn read(&mut self) -> Result<Vec<(Option<u8>, Counts)>, RecordError> {
        let mut new = Vec::new();
        for (key, before) in (0..PRIORITIES).zip(&mut self.before) {
            let map = &self.skeleton.maps.delays;
            let of_cpus = map
                .lookup_percpu(&u32::from(key).to_ne_bytes(), MapFlags::ANY)
                .map_err(RecordError::Read)?;
            let now = sum(&of_cpus.unwrap_or_default());
            let counts = std::array::from_fn(|class| now[class].wrapping_sub(before[class]));
            *before = now;
            if counts != [0; CLASSES] {
                new.push((key.checked_sub(1), counts));
            }
        }
        Ok(new)
    }

    /// Returns how many delays could not be counted, as too many threads waited.
    pub fn unkept(&self) -> u64 {
        let variables = self.skeleton.maps.bss_data.as_deref();
        variables.map_or(0, |variables| variables.unkept)
    }
}

/// Adds up the histograms of all CPUs, each as the kernel has it.
fn sum(of_cpus: &[Vec<u8>]) -> Counts {
    let mut sum = [0; CLASSES];
    for bytes in of_cpus {
        let (counts, _) = Counts::read_from_prefix(bytes).unwrap_or(([0; CLASSES], &[]));
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    sum
}
