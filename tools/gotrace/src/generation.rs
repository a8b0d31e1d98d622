// SPDX-License-Identifier: MIT OR GPL-2.0

//! Generations: batches sorted by what is in them.
//!
//! Since Go 1.26 a mark ends a generation. Before, the first batch of the next one does, or
//! the end of the trace. The runtime writes the strings last, so a trace that ends otherwise
//! was cut off.

use std::collections::HashMap;
use std::io::Read;
use std::mem;
use std::sync::Arc;

use crate::bytes::Bytes;
use crate::clock::ClockSnapshot;
use crate::clock::Frequency;
use crate::error::Error;
use crate::error::Fault;
use crate::event::GoId;
use crate::event::ProcId;
use crate::event::ThreadId;
use crate::input::Batch;
use crate::input::Input;
use crate::input::Part;
use crate::tables::Tables;
use crate::wire;

/// A generation that is whole.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) frequency: Frequency,
    pub(crate) clock: Option<ClockSnapshot>,
    /// The earliest time of a batch, in ns.
    pub(crate) start: u64,
    pub(crate) tables: Arc<Tables>,
    /// The batches of each thread, in the order in which the threads appear.
    pub(crate) threads: Vec<ThreadBatches>,
    /// By time.
    pub(crate) samples: Vec<Sample>,
    /// The length of all batches in bytes.
    pub(crate) size: u64,
}

/// The events of a thread.
#[derive(Debug)]
pub(crate) struct ThreadBatches {
    pub(crate) thread: Option<ThreadId>,
    pub(crate) batches: Vec<Batch>,
}

/// A sample of a CPU profile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// In units of the clock at first, then in ns.
    pub(crate) time: u64,
    pub(crate) thread: Option<ThreadId>,
    pub(crate) proc: Option<ProcId>,
    pub(crate) goroutine: Option<GoId>,
    pub(crate) stack: u64,
}

/// Reads generations.
#[derive(Debug)]
pub(crate) struct Generations<R> {
    input: Input<R>,
    minor: u32,
    /// The first batch of the next generation, and where it began.
    next: Option<(Batch, u64)>,
    /// What comes after the generation that was read last, if that is the end.
    after: Option<Result<End, Error>>,
}

/// The end of a trace.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The trace is whole.
    Whole,
    /// This many bytes at the end belong to a generation that is not whole.
    Truncated(u64),
}

/// What comes next in a trace.
#[derive(Debug)]
pub(crate) enum Next {
    Generation(Box<Generation>),
    End(End),
}

/// The first version with a mark at the end of a generation.
const MARKS_ENDS: u32 = 26;

impl<R: Read> Generations<R> {
    /// Reads the header.
    pub(crate) fn new(input: R) -> Result<Self, Error> {
        let (input, minor) = Input::new(input)?;
        Ok(Self {
            input,
            minor,
            next: None,
            after: None,
        })
    }

    /// Returns the minor version in the header.
    pub(crate) fn minor(&self) -> u32 {
        self.minor
    }

    /// Reads the next generation.
    pub(crate) fn read(&mut self) -> Result<Next, Error> {
        if let Some(after) = self.after.take() {
            return after.map(Next::End);
        }
        let mut begin = self.input.position();
        let mut parts = None;
        if let Some((batch, position)) = self.next.take() {
            begin = position;
            self.add(&mut parts, batch)?;
        }
        loop {
            let position = self.input.position();
            let number = parts.as_ref().map_or(0, |parts: &Parts| parts.number);
            match self.input.part() {
                Ok(Part::Batch(batch)) if number == 0 || batch.generation == number => {
                    self.add(&mut parts, batch)?;
                }
                Ok(Part::Batch(batch)) => {
                    if self.minor >= MARKS_ENDS || Some(batch.generation) != number.checked_add(1) {
                        let found = batch.generation;
                        let fault = Fault::new(format!("a batch of generation {found} is in it"));
                        return Err(fault.at(number, self.minor));
                    }
                    self.next = Some((batch, position));
                    break;
                }
                Ok(Part::EndOfGeneration) => break,
                Ok(Part::EndOfInput) => {
                    let Some(parts) = &parts else {
                        return Ok(Next::End(End::Whole));
                    };
                    self.after = Some(Ok(End::Whole));
                    if self.minor >= MARKS_ENDS || !parts.may_be_whole() {
                        return Ok(self.truncated(begin));
                    }
                    break;
                }
                Ok(Part::Cut(of)) => {
                    let ended = match (&parts, of) {
                        (Some(_), Some(of)) => number.checked_add(1) == Some(of),
                        (Some(parts), None) => parts.may_be_whole(),
                        (None, _) => false,
                    };
                    if self.minor >= MARKS_ENDS || !ended {
                        return Ok(self.truncated(begin));
                    }
                    self.after = Some(Ok(self.end_at(position)));
                    break;
                }
                Err(fault) => {
                    let error = fault.at(number, self.minor);
                    match &parts {
                        // Something else follows the trace.
                        Some(parts) if self.minor < MARKS_ENDS && parts.may_be_whole() => {
                            self.after = Some(Err(error));
                            break;
                        }
                        _ => return Err(error),
                    }
                }
            }
        }
        let Some(parts) = parts else {
            return Err(Fault::new("a generation has no batches").at(0, self.minor));
        };
        let number = parts.number;
        let whole = parts
            .finish()
            .map_err(|fault| fault.at(number, self.minor))?;
        Ok(Next::Generation(Box::new(whole)))
    }

    /// Adds a batch to the parts of a generation, which begins with the first one.
    fn add(&self, parts: &mut Option<Parts>, batch: Batch) -> Result<(), Error> {
        let number = batch.generation;
        parts
            .get_or_insert_with(|| Parts::new(number))
            .add(batch)
            .map_err(|fault| fault.at(number, self.minor))
    }

    fn truncated(&mut self, begin: u64) -> Next {
        self.after = Some(Ok(End::Whole));
        Next::End(self.end_at(begin))
    }

    /// Returns the end of a trace whose bytes from `begin` on are not whole.
    fn end_at(&self, begin: u64) -> End {
        End::Truncated(self.input.position().saturating_sub(begin))
    }
}

/// The parts of a generation so far.
#[derive(Debug, Default)]
struct Parts {
    number: u64,
    size: u64,
    frequency: Option<Frequency>,
    /// Units of the trace's clock at the snapshot, and the snapshot without them.
    clock: Option<(u64, ClockSnapshot)>,
    /// The earliest time of a batch, in units of the clock.
    start: Option<u64>,
    tables: Tables,
    threads: Vec<ThreadBatches>,
    by_thread: HashMap<Option<ThreadId>, usize>,
    samples: Vec<Sample>,
    last_is_strings: bool,
}

impl Parts {
    fn new(number: u64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// Adds a batch of this generation.
    fn add(&mut self, batch: Batch) -> Result<(), Fault> {
        if self.number == 0 {
            return Err(Fault::new("generations count from 1"));
        }
        self.size = self.size.saturating_add(batch.data.len() as u64);
        self.start = Some(self.start.map_or(batch.time, |start| start.min(batch.time)));
        if batch.experimental {
            return Ok(());
        }
        let rest = Bytes(&batch.data);
        let first = batch.data.first().copied();
        self.last_is_strings = first == Some(wire::STRINGS);
        match first {
            Some(wire::STRINGS) => self.tables.add_strings(rest),
            Some(wire::STACKS) => self.tables.add_stacks(rest),
            Some(wire::CPU_SAMPLES) => self.add_samples(rest),
            // Before 1.25 a frequency stands alone.
            Some(wire::SYNC | wire::FREQUENCY) => self.synchronize(rest, batch.time),
            _ => {
                let count = self.threads.len();
                let at = *self.by_thread.entry(batch.thread).or_insert(count);
                match self.threads.get_mut(at) {
                    Some(thread) => thread.batches.push(batch),
                    None => self.threads.push(ThreadBatches {
                        thread: batch.thread,
                        batches: vec![batch],
                    }),
                }
                Ok(())
            }
        }
    }

    fn add_samples(&mut self, mut rest: Bytes<'_>) -> Result<(), Fault> {
        rest.expect(wire::CPU_SAMPLES)?;
        while !rest.is_empty() {
            rest.expect(wire::CPU_SAMPLE)?;
            self.samples.push(Sample {
                time: rest.number()?,
                thread: ThreadId::told(rest.number()?),
                proc: ProcId::told(rest.number()?),
                goroutine: Some(rest.number()?).filter(|g| *g != 0).map(GoId),
                stack: rest.number()?,
            });
        }
        Ok(())
    }

    /// Reads what the clock of the trace is.
    fn synchronize(&mut self, mut rest: Bytes<'_>, mut time: u64) -> Result<(), Fault> {
        while !rest.is_empty() {
            match rest.byte()? {
                wire::SYNC => (),
                wire::FREQUENCY => {
                    let frequency = Frequency::new(rest.number()?);
                    if frequency.is_none() || self.frequency.is_some() {
                        return Err(Fault::new("a frequency is 0 or told twice"));
                    }
                    self.frequency = frequency;
                }
                wire::CLOCK_SNAPSHOT => {
                    time = time.saturating_add(rest.number()?);
                    let snapshot = ClockSnapshot {
                        trace: 0,
                        monotonic: rest.number()?,
                        wall_seconds: rest.number()?,
                        wall_nanoseconds: rest.number()?,
                    };
                    if self.clock.replace((time, snapshot)).is_some() {
                        return Err(Fault::new("clocks are told twice"));
                    }
                }
                other => {
                    return Err(Fault::new(format!("part {other} is among the clocks")));
                }
            }
        }
        Ok(())
    }

    /// Returns whether the runtime wrote its last batch, unless it marks the end otherwise.
    fn may_be_whole(&self) -> bool {
        self.last_is_strings && self.frequency.is_some()
    }

    fn finish(mut self) -> Result<Generation, Fault> {
        let frequency = self
            .frequency
            .ok_or_else(|| Fault::new("the frequency of its clock is missing"))?;
        self.tables.check()?;
        let mut samples = mem::take(&mut self.samples);
        for sample in &mut samples {
            sample.time = frequency.ns(sample.time);
        }
        samples.sort_by_key(|sample| sample.time);
        Ok(Generation {
            number: self.number,
            frequency,
            clock: self.clock.map(|(units, snapshot)| ClockSnapshot {
                trace: frequency.ns(units),
                ..snapshot
            }),
            start: frequency.ns(self.start.unwrap_or(0)),
            tables: Arc::new(self.tables),
            threads: self.threads,
            samples,
            size: self.size,
        })
    }
}
