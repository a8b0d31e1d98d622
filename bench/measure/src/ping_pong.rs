// SPDX-License-Identifier: GPL-2.0

//! Two threads that wait for each other in turn.

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread;

use anyhow::Context;
use anyhow::Result;
use go_sched_bench_data::Setup;
use gosched::Children;
use rustix::io::Errno;
use rustix::pipe::pipe;
use rustix::thread::futex;

use crate::sample::per_operation;
use crate::sample::Effort;
use crate::setup::prepare;

const QUESTION: u32 = 1;
const GOODBYE: u32 = 2;

/// One direction: numbers above 0 that one thread sends, and another waits for.
trait Wire: Sync + Sized {
    fn new() -> Result<Self>;
    fn say(&self, number: u32) -> Result<()>;
    fn hear(&self) -> Result<u32>;
}

struct Pipe {
    reader: File,
    writer: File,
}

impl Wire for Pipe {
    fn new() -> Result<Self> {
        let (reader, writer) = pipe().context("pipe(2)")?;
        Ok(Self {
            reader: reader.into(),
            writer: writer.into(),
        })
    }

    fn say(&self, number: u32) -> Result<()> {
        let bytes = number.to_ne_bytes();
        (&self.writer).write_all(&bytes).context("write(2)")
    }

    fn hear(&self) -> Result<u32> {
        let mut bytes = [0; 4];
        (&self.reader).read_exact(&mut bytes).context("read(2)")?;
        Ok(u32::from_ne_bytes(bytes))
    }
}

/// Holds the number that was sent and not received yet, otherwise 0.
struct Word(AtomicU32);

impl Wire for Word {
    fn new() -> Result<Self> {
        Ok(Self(AtomicU32::new(0)))
    }

    fn say(&self, number: u32) -> Result<()> {
        self.0.store(number, Ordering::Release);
        futex::wake(&self.0, futex::Flags::PRIVATE, 1).context("FUTEX_WAKE")?;
        Ok(())
    }

    fn hear(&self) -> Result<u32> {
        loop {
            let number = self.0.swap(0, Ordering::Acquire);
            if number != 0 {
                return Ok(number);
            }
            match futex::wait(&self.0, futex::Flags::PRIVATE, 0, None) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => (),
                Err(error) => return Err(error).context("FUTEX_WAIT"),
            }
        }
    }
}

/// Measures the nanoseconds of a round trip between two threads in `setup`, through
/// pipes.
pub(crate) fn by_pipe(setup: Setup, effort: Effort) -> Result<f64> {
    round_trip::<Pipe>(setup, effort)
}

/// Measures the nanoseconds of a round trip between two threads in `setup`, through
/// futexes.
pub(crate) fn by_futex(setup: Setup, effort: Effort) -> Result<f64> {
    round_trip::<Word>(setup, effort)
}

fn round_trip<W: Wire>(setup: Setup, effort: Effort) -> Result<f64> {
    let (entry, there, back) = (prepare(setup)?, W::new()?, W::new()?);
    let (ready, is_ready) = channel();
    thread::scope(|scope| {
        let answering = scope.spawn(|| {
            ready.send(entry.enter(1, Children::StartAtBase))?;
            while there.hear()? == QUESTION {
                back.say(QUESTION)?;
            }
            anyhow::Ok(())
        });
        is_ready.recv()??;
        let result = entry.enter(0, Children::StartAtBase).and_then(|()| {
            // One round trip a sample: then the median is that of a plain one, and those
            // in which a slice ends or a tick comes are others.
            per_operation(effort.samples, 1, || {
                there.say(QUESTION)?;
                back.hear().map(drop)
            })
        });
        // It ends however this went, or the scope would wait for it for ever.
        there.say(GOODBYE)?;
        match answering.join() {
            Ok(answered) => answered.and(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
