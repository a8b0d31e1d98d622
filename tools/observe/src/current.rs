// SPDX-License-Identifier: GPL-2.0

//! Reads which goroutine each thread of Go programs has now, as `bpf/current.h` defines it.

use std::collections::HashMap;
use std::io::Read;
use std::mem::MaybeUninit;

use libbpf_rs::skel::OpenSkel;
use libbpf_rs::skel::Skel;
use libbpf_rs::skel::SkelBuilder;
use libbpf_rs::Iter;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::OpenObject;
use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

use self::skeleton::CurrentSkel;
use self::skeleton::CurrentSkelBuilder;
use crate::event::Goroutine;
use crate::layout::Layout;
use crate::record::prepare;
use crate::record::unmapped;
use crate::record::RecordError;

#[expect(warnings, reason = "libbpf-cargo makes this file")]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/current.skel.rs"));
}

/// The state of a goroutine, as Go's runtime has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Just made.
    Idle,
    /// Waits for a P.
    Runnable,
    /// Runs, as the runtime sees it: its thread may wait for a CPU.
    Running,
    /// Is in a system call or in cgo.
    Syscall,
    /// Waits for something in the runtime.
    Waiting,
    /// Has ended, or is kept for threads that cgo makes.
    Dead,
    /// Has its stack moved.
    CopyStack,
    /// Has stopped itself for another one.
    Preempted,
}

/// A thread that has a goroutine, at the moment when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Thread {
    /// The id of the thread in the first pid namespace.
    pub tid: i32,
    status: u32,
    goroutine: Goroutine,
}

impl Thread {
    /// Returns the number of the goroutine.
    pub fn id(&self) -> u64 {
        self.goroutine.id
    }

    /// Returns the number of the P that the thread has; `None` if it has none.
    pub fn p(&self) -> Option<u32> {
        u32::try_from(self.goroutine.p).ok()
    }

    /// Returns the state of the goroutine; `None` if no release of Go that is known has it.
    pub fn state(&self) -> Option<State> {
        /// The garbage collector, or a debugger, is at the stack meanwhile.
        const SCAN: u32 = 0x1000;
        Some(match self.status & !SCAN {
            0 => State::Idle,
            1 => State::Runnable,
            2 => State::Running,
            3 => State::Syscall,
            4 => State::Waiting,
            // Since Go 1.26, those for cgo have a number of their own.
            6 | 11 => State::Dead,
            8 => State::CopyStack,
            9 => State::Preempted,
            _ => return None,
        })
    }
}

/// The place for a [`Reader`]'s BPF program.
pub type Storage = MaybeUninit<OpenObject>;

/// Reads threads.
pub struct Reader<'a> {
    skeleton: CurrentSkel<'a>,
    /// The processes that the BPF program knows.
    known: HashMap<i32, Layout>,
}

impl<'a> Reader<'a> {
    /// Loads the BPF program.
    pub fn load(storage: &'a mut Storage) -> Result<Self, RecordError> {
        drop(prepare()?);
        let open = CurrentSkelBuilder::default().open(storage);
        let mut skeleton = open.and_then(OpenSkel::load).map_err(RecordError::Load)?;
        skeleton.attach().map_err(RecordError::Load)?;
        Ok(Self {
            skeleton,
            known: HashMap::new(),
        })
    }

    /// Reads the threads that have a goroutine, of all these processes.
    pub fn read(&mut self, processes: HashMap<i32, Layout>) -> Result<Vec<Thread>, RecordError> {
        self.tell(processes).map_err(RecordError::Load)?;
        let link = self.skeleton.links.read_current.as_ref();
        let mut bytes = Vec::new();
        Iter::new(link.ok_or_else(unmapped)?)
            .map_err(RecordError::Load)?
            .read_to_end(&mut bytes)?;
        let threads = bytes.chunks_exact(size_of::<Thread>());
        Ok(threads
            .filter_map(|bytes| Thread::read_from_bytes(bytes).ok())
            .collect())
    }

    /// Tells the BPF program what has changed.
    fn tell(&mut self, processes: HashMap<i32, Layout>) -> Result<(), libbpf_rs::Error> {
        let map = &self.skeleton.maps.layouts;
        for pid in self.known.keys() {
            if !processes.contains_key(pid) {
                map.delete(&pid.to_ne_bytes())?;
            }
        }
        self.known.retain(|pid, _| processes.contains_key(pid));
        for (pid, layout) in processes {
            if self.known.get(&pid) != Some(&layout) {
                map.update(&pid.to_ne_bytes(), layout.as_bytes(), MapFlags::ANY)?;
                self.known.insert(pid, layout);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(status: u32, p: i32) -> Thread {
        let bytes = [7, status, 24, 0, p.cast_unsigned(), 0x0101];
        Thread::read_from_bytes(bytes.as_bytes()).expect("the size of one")
    }

    #[test]
    fn a_thread_has_the_goroutine_that_is_told() {
        let thread = thread(2, 3);
        assert_eq!((thread.tid, thread.id(), thread.p()), (7, 24, Some(3)));
        assert_eq!(self::thread(2, -1).p(), None);
    }

    #[test]
    fn states_are_those_of_the_runtime_also_while_a_stack_is_scanned() {
        for (status, state) in [
            (0, Some(State::Idle)),
            (1, Some(State::Runnable)),
            (2, Some(State::Running)),
            (3, Some(State::Syscall)),
            (4, Some(State::Waiting)),
            (5, None),
            (6, Some(State::Dead)),
            (7, None),
            (8, Some(State::CopyStack)),
            (9, Some(State::Preempted)),
            (10, None),
            (11, Some(State::Dead)),
            (0xeff, None),
        ] {
            assert_eq!(thread(status, 0).state(), state, "{status}");
            assert_eq!(thread(0x1000 | status, 0).state(), state, "{status}");
        }
        assert_eq!(thread(u32::MAX, 0).state(), None);
    }
}
