// SPDX-License-Identifier: GPL-2.0

//! Counts the delays of a process's threads from runnable to running, in the kernel.

use std::mem::MaybeUninit;

use libbpf_rs::skel::OpenSkel;
use libbpf_rs::skel::SkelBuilder;
use libbpf_rs::Link;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::OpenObject;
use zerocopy::FromBytes;

use self::skeleton::DelaySkel;
use self::skeleton::DelaySkelBuilder;
use crate::heat::Counts;
use crate::heat::BOUNDS;
use crate::heat::CLASSES;
use crate::record::has_go_sched;
use crate::record::prepare;
use crate::record::unmapped;
use crate::record::RecordError;

#[expect(warnings, reason = "libbpf-cargo makes this file")]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/delay.skel.rs"));
}

/// The number of keys of the map: one for no Go priority, and one for each of 0 to 63.
const PRIORITIES: u8 = 65;

/// The delays of one Go priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes)]
#[repr(C)]
pub struct Delays {
    /// How many there were of each class.
    pub counts: Counts,
    /// What they add up to, in ns.
    pub sum: u64,
}

/// Counts delays of a process until it is dropped.
pub struct Counter<'a> {
    skeleton: DelaySkel<'a>,
    /// What keeps the programs attached; empty while nothing is counted.
    links: Vec<Link>,
    has_go_sched: bool,
    /// The counts of the last read, by Go priority plus 1; 0: no priority.
    before: [Counts; PRIORITIES as usize],
}

impl<'a> Counter<'a> {
    /// Counts the delays of a process's threads that begin from now on. `storage` is for libbpf.
    pub fn attach(
        process: i32,
        storage: &'a mut MaybeUninit<OpenObject>,
    ) -> Result<Self, RecordError> {
        let mut counter = Self::load(process, storage)?;
        counter.resume()?;
        Ok(counter)
    }

    /// Loads what counts, and counts nothing until [`Counter::resume`]. No other method takes a
    /// capability, since Linux 5.19.
    pub fn load(
        process: i32,
        storage: &'a mut MaybeUninit<OpenObject>,
    ) -> Result<Self, RecordError> {
        let has_go_sched = has_go_sched(&prepare()?);
        let builder = DelaySkelBuilder::default();
        let mut open = builder.open(storage).map_err(RecordError::Load)?;
        let constants = open.maps.rodata_data.as_deref_mut();
        let constants = constants.ok_or_else(unmapped)?;
        constants.target = process;
        constants.bounds = BOUNDS;
        Ok(Self {
            skeleton: open.load().map_err(RecordError::Load)?,
            links: Vec::new(),
            has_go_sched,
            before: [[0; CLASSES]; PRIORITIES as usize],
        })
    }

    /// Counts, besides what was counted before, the delays that begin from now on.
    pub fn resume(&mut self) -> Result<(), RecordError> {
        if self.is_counting() {
            return Ok(());
        }
        // Nobody saw since then when these waits ended.
        let waits = &self.skeleton.maps.runnable;
        for tid in waits.keys().collect::<Vec<_>>() {
            waits.delete(&tid).map_err(RecordError::Read)?;
        }
        let programs = &self.skeleton.progs;
        let programs = [
            &programs.on_switch,
            &programs.on_wakeup,
            &programs.on_wakeup_new,
        ];
        let links: Result<_, _> = programs.iter().map(|program| program.attach()).collect();
        self.links = links.map_err(RecordError::Load)?;
        Ok(())
    }

    /// Counts nothing until [`Counter::resume`], and keeps what was counted.
    pub fn pause(&mut self) {
        self.links.clear();
    }

    /// Returns whether delays are counted.
    pub fn is_counting(&self) -> bool {
        !self.links.is_empty()
    }

    /// Returns whether the kernel has go_sched. Without, no thread has a Go priority.
    pub fn has_go_sched(&self) -> bool {
        self.has_go_sched
    }

    /// Returns the delays that have ended since they were last read, by the Go priority in force
    /// when they did. Priorities without any are left out.
    pub fn read(&mut self) -> Result<Vec<(Option<u8>, Counts)>, RecordError> {
        let mut new = Vec::new();
        for (go_prio, delays) in self.totals()? {
            let before = &mut self.before[go_prio.map_or(0, |prio| usize::from(prio) + 1)];
            let now = delays.counts;
            let counts = std::array::from_fn(|class| now[class].wrapping_sub(before[class]));
            *before = now;
            if counts != [0; CLASSES] {
                new.push((go_prio, counts));
            }
        }
        Ok(new)
    }

    /// Returns all delays that were counted, by the Go priority in force when they ended.
    /// Priorities without any are left out. No figure is ever less than before.
    pub fn totals(&self) -> Result<Vec<(Option<u8>, Delays)>, RecordError> {
        let mut totals = Vec::new();
        for key in 0..PRIORITIES {
            let map = &self.skeleton.maps.delays;
            let of_cpus = map
                .lookup_percpu(&u32::from(key).to_ne_bytes(), MapFlags::ANY)
                .map_err(RecordError::Read)?;
            let delays = sum(&of_cpus.unwrap_or_default());
            if delays != Delays::default() {
                totals.push((key.checked_sub(1), delays));
            }
        }
        Ok(totals)
    }

    /// Returns how many delays could not be counted, as too many threads waited.
    pub fn unkept(&self) -> u64 {
        let variables = self.skeleton.maps.bss_data.as_deref();
        variables.map_or(0, |variables| variables.unkept)
    }
}

/// Adds up the histograms of all CPUs, each as the kernel has it.
fn sum(of_cpus: &[Vec<u8>]) -> Delays {
    let mut total = Delays::default();
    for bytes in of_cpus {
        let of_cpu =
            Delays::read_from_prefix(bytes).map_or_else(|_| Delays::default(), |read| read.0);
        for (total, count) in total.counts.iter_mut().zip(of_cpu.counts) {
            *total += count;
        }
        total.sum = total.sum.wrapping_add(of_cpu.sum);
    }
    total
}
