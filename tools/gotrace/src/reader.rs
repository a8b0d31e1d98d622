// SPDX-License-Identifier: MIT OR GPL-2.0

//! The reader, which merges the events of all threads.

use std::io::Read;
use std::iter::Peekable;
use std::mem;
use std::vec;

use crate::error::Error;
use crate::error::Fault;
use crate::event::Event;
use crate::event::EventKind;
use crate::frontier::Frontier;
use crate::generation::End;
use crate::generation::Generation;
use crate::generation::Generations;
use crate::generation::Next;
use crate::generation::Sample;
use crate::order::Order;
use crate::order::Within;

/// Reads the events of a trace, in one order for all threads. It keeps one generation of the
/// trace in memory, about a second.
///
/// As an iterator it ends after an error.
///
/// ```no_run
/// use std::fs::File;
///
/// use go_sched_gotrace::EventKind;
/// use go_sched_gotrace::Reader;
///
/// let mut reader = Reader::new(File::open("trace.out")?)?;
/// for event in reader.by_ref() {
///     let event = event?;
///     if let EventKind::Goroutine(change) = &event.kind {
///         println!("{} {} -> {}", change.id, change.from, change.to);
///     }
/// }
/// if let Some(bytes) = reader.truncated() {
///     eprintln!("the last {bytes} bytes of the trace are not whole");
/// }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    generations: Generations<R>,
    current: Option<Current>,
    order: Order,
    /// The time of the last event.
    last: u64,
    truncated: Option<u64>,
    is_done: bool,
}

/// A generation, and what is left of it.
#[derive(Debug)]
struct Current {
    generation: Box<Generation>,
    frontier: Frontier,
    samples: Peekable<vec::IntoIter<Sample>>,
    /// How many events may yet be tried in vain, so that reading takes a time in proportion
    /// to the length of a trace, whatever that contains.
    tries: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the header of a trace. `input` need not be buffered.
    ///
    /// # Errors
    ///
    /// `input` cannot be read, is no trace, or is one of a Go before 1.22.
    pub fn new(input: R) -> Result<Self, Error> {
        Ok(Self {
            generations: Generations::new(input)?,
            current: None,
            order: Order::default(),
            last: 0,
            truncated: None,
            is_done: false,
        })
    }

    /// Returns the minor version of the format: 22 for that of Go 1.22. Go changes it with the
    /// format alone: 1.24 writes 23.
    pub fn minor_version(&self) -> u32 {
        self.generations.minor()
    }

    /// Returns how many bytes at the end of the trace belong to a generation that is not
    /// whole, once all events were read. They were not read: the program was killed, or the
    /// trace was cut.
    pub fn truncated(&self) -> Option<u64> {
        self.truncated
    }

    /// Reads the next event; returns `None` at the end of the trace.
    ///
    /// # Errors
    ///
    /// The input cannot be read, or the trace is broken or of a newer version. No more events
    /// can be read then.
    pub fn next_event(&mut self) -> Result<Option<Event>, Error> {
        if self.is_done {
            return Ok(None);
        }
        let event = self.merge();
        match event {
            Ok(Some(mut event)) => {
                // Clocks of CPUs differ: a cause must not be later than what it causes.
                event.time = event.time.max(self.last.saturating_add(1));
                self.last = event.time;
                Ok(Some(event))
            }
            end => {
                self.is_done = true;
                self.current = None;
                end
            }
        }
    }

    fn merge(&mut self) -> Result<Option<Event>, Error> {
        if let Some(event) = self.order.next() {
            return Ok(Some(event));
        }
        let minor = self.minor_version();
        if let Some(current) = &mut self.current {
            let number = current.generation.number;
            let event = current
                .next(&mut self.order)
                .map_err(|fault| fault.at(number, minor))?;
            if event.is_some() {
                return Ok(event);
            }
            // Not both generations at a time.
            self.current = None;
        }
        match self.generations.read()? {
            Next::Generation(generation) => {
                let number = generation.number;
                let (current, event) =
                    Current::new(generation).map_err(|fault| fault.at(number, minor))?;
                self.current = Some(current);
                Ok(Some(event))
            }
            Next::End(End::Whole) => Ok(None),
            Next::End(End::Truncated(bytes)) => {
                self.truncated = Some(bytes);
                Ok(None)
            }
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_event().transpose()
    }
}

impl Current {
    /// Begins a generation; returns the event that tells so.
    fn new(mut generation: Box<Generation>) -> Result<(Self, Event), Fault> {
        let event = Event {
            time: generation.start,
            thread: None,
            proc: None,
            goroutine: None,
            stack: None,
            kind: EventKind::Generation {
                number: generation.number,
                clock: generation.clock,
            },
        };
        let current = Self {
            frontier: Frontier::new(&generation)?,
            samples: mem::take(&mut generation.samples).into_iter().peekable(),
            tries: generation
                .size
                .saturating_mul(Self::TRIES_PER_BYTE)
                .saturating_add(Self::MORE_TRIES),
            generation,
        };
        Ok((current, event))
    }

    /// Far more than traces of thousands of threads take.
    const TRIES_PER_BYTE: u64 = 256;
    const MORE_TRIES: u64 = 1 << 22;

    /// Finds the next event; returns `None` at the end of the generation.
    fn next(&mut self, order: &mut Order) -> Result<Option<Event>, Fault> {
        let head = self.frontier.get(0, &self.generation);
        let before = |time| head.is_none_or(|(event, _)| time < event.time);
        if let Some(sample) = self.samples.next_if(|sample| before(sample.time)) {
            return Ok(Some(self.sampled(sample)?));
        }
        if self.frontier.is_empty() {
            return Ok(None);
        }
        if !self.take(0, order)? {
            // Another thread's event comes first, although its clock is behind.
            self.frontier.sort();
            self.spend(self.frontier.len())?;
            let mut found = false;
            for at in 1..self.frontier.len() {
                found = self.take(at, order)?;
                if found {
                    break;
                }
                self.spend(1)?;
            }
            if !found {
                return Err(self.stuck());
            }
        }
        Ok(order.next())
    }

    /// Takes an event of the frontier, if it can have happened now; returns whether so.
    fn take(&mut self, at: usize, order: &mut Order) -> Result<bool, Fault> {
        let within = Within {
            generation: self.generation.number,
            tables: &self.generation.tables,
        };
        let Some((event, thread)) = self.frontier.get(at, &self.generation) else {
            return Ok(false);
        };
        if !order.take(&event, thread.thread, within)? {
            return Ok(false);
        }
        self.frontier.replace(at, &self.generation)?;
        Ok(true)
    }

    fn spend(&mut self, tries: usize) -> Result<(), Fault> {
        self.tries = self
            .tries
            .checked_sub(tries as u64)
            .ok_or_else(|| Fault::new("the events of its threads are in no order"))?;
        Ok(())
    }

    /// Returns the fault that no event can be the next one.
    fn stuck(&self) -> Fault {
        /// How many threads are told.
        const TOLD: usize = 3;
        let threads: Vec<_> = self
            .frontier
            .threads(&self.generation)
            .take(TOLD)
            .map(|(event, thread)| {
                let thread = thread.map_or("no thread".to_owned(), |id| format!("thread {id}"));
                format!("event {} of {thread} at {} ns", event.kind, event.time)
            })
            .collect();
        Fault::new(format!(
            "none of the {} events that are left can be the next one: {}",
            self.frontier.len(),
            threads.join(", ")
        ))
    }

    fn sampled(&self, sample: Sample) -> Result<Event, Fault> {
        Ok(Event {
            time: sample.time,
            thread: sample.thread,
            proc: sample.proc,
            goroutine: sample.goroutine,
            stack: self.generation.tables.stack(sample.stack)?,
            kind: EventKind::Sample,
        })
    }
}
