// SPDX-License-Identifier: MIT OR GPL-2.0

//! The next event of each thread, with the earliest one first.
//!
//! This is a binary heap by time. Events at the same time come in the order that Go's own
//! reader finds with such a heap, so that both agree on which is the next one: clocks tick
//! every 64 ns, and equal times are common.

use crate::bytes::Bytes;
use crate::clock::Frequency;
use crate::error::Fault;
use crate::event::ThreadId;
use crate::generation::Generation;
use crate::generation::ThreadBatches;
use crate::wire;

/// An event as a thread wrote it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RawEvent {
    pub(crate) kind: u8,
    /// In ns.
    pub(crate) time: u64,
    pub(crate) arguments: [u64; wire::MAX_ARGUMENTS],
}

/// A thread's next event, and where the one after that is.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    /// An index of [`Generation::threads`].
    thread: usize,
    batch: usize,
    offset: usize,
    event: RawEvent,
}

/// The next event of each thread of a generation.
#[derive(Debug)]
pub(crate) struct Frontier {
    /// No parent, at `(i - 1) / 2`, is later than its child.
    heap: Vec<Cursor>,
}

impl Cursor {
    /// Reads the next event; returns whether there was one.
    fn advance(&mut self, thread: &ThreadBatches, frequency: Frequency) -> Result<bool, Fault> {
        while let Some(batch) = thread.batches.get(self.batch) {
            let mut rest = Bytes(batch.data.get(self.offset..).unwrap_or_default());
            if rest.is_empty() {
                self.batch += 1;
                self.offset = 0;
                continue;
            }
            if self.offset == 0 {
                self.event.time = frequency.ns(batch.time);
            }
            let kind = rest.byte()?;
            let count = wire::arguments(kind)?;
            let since = frequency.ns(rest.number()?);
            let mut arguments = [0; wire::MAX_ARGUMENTS];
            for argument in arguments.iter_mut().take(count) {
                *argument = rest.number()?;
            }
            self.event = RawEvent {
                kind,
                time: self.event.time.saturating_add(since),
                arguments,
            };
            self.offset = batch.data.len() - rest.len();
            return Ok(true);
        }
        Ok(false)
    }
}

impl Frontier {
    /// Begins a generation.
    pub(crate) fn new(generation: &Generation) -> Result<Self, Fault> {
        let mut frontier = Self { heap: Vec::new() };
        for (index, thread) in generation.threads.iter().enumerate() {
            let mut cursor = Cursor {
                thread: index,
                batch: 0,
                offset: 0,
                event: RawEvent::default(),
            };
            if cursor.advance(thread, generation.frequency)? {
                frontier.heap.push(cursor);
                frontier.sift_up(frontier.heap.len() - 1);
            }
        }
        Ok(frontier)
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Returns an event and its thread. The event at 0 is the earliest one; after
    /// [`sort`](Self::sort) the others follow by time.
    pub(crate) fn get<'a>(
        &self,
        at: usize,
        generation: &'a Generation,
    ) -> Option<(RawEvent, &'a ThreadBatches)> {
        let cursor = self.heap.get(at)?;
        Some((cursor.event, generation.threads.get(cursor.thread)?))
    }

    /// Returns the threads of the events that are left, the earliest first.
    pub(crate) fn threads<'a>(
        &'a self,
        generation: &'a Generation,
    ) -> impl Iterator<Item = (RawEvent, Option<ThreadId>)> + 'a {
        (0..self.len()).filter_map(move |at| {
            let (event, thread) = self.get(at, generation)?;
            Some((event, thread.thread))
        })
    }

    /// Sorts all events by time, which keeps the earliest one first.
    pub(crate) fn sort(&mut self) {
        self.heap.sort_by_key(|cursor| cursor.event.time);
    }

    /// Replaces an event by the next one of its thread.
    pub(crate) fn replace(&mut self, at: usize, generation: &Generation) -> Result<(), Fault> {
        let Some(cursor) = self.heap.get_mut(at) else {
            return Ok(());
        };
        let left = match generation.threads.get(cursor.thread) {
            Some(thread) => cursor.advance(thread, generation.frequency)?,
            None => false,
        };
        if !left {
            self.remove(at);
        } else if self.sift_up(at) == at {
            self.sift_down(at);
        }
        Ok(())
    }

    /// Takes out a thread: moves it to the top, along its parents, and puts the last one there.
    fn remove(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            self.heap.swap(at, parent);
            at = parent;
        }
        self.heap.swap_remove(0);
        self.sift_down(0);
    }

    /// Moves an event up while it is earlier than its parent; returns where it is then.
    fn sift_up(&mut self, mut at: usize) -> usize {
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.time(parent) <= self.time(at) {
                break;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
        at
    }

    /// Moves an event down while one of its children is earlier. Of two that are equal, the
    /// left one moves up.
    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.time(child) < self.time(least) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }

    fn time(&self, at: usize) -> u64 {
        self.heap
            .get(at)
            .map_or(u64::MAX, |cursor| cursor.event.time)
    }
}
