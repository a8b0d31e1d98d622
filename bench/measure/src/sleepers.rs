// SPDX-License-Identifier: GPL-2.0

//! Many threads that sleep.

use std::fs;
use std::sync::mpsc::channel;
use std::thread;
use std::thread::Builder;
use std::thread::JoinHandle;

use anyhow::Context;
use anyhow::Result;
use common::device::Device;
use go_sched_bench_data::ORDINARY;
use rustix::thread::gettid;

/// Bytes of a stack. The default, 2 MiB, is a lot of address space for thousands.
const STACK: usize = 64 << 10;

/// The kernel's limit on threads, which it derives from its memory.
const THREADS_MAX: &str = "/proc/sys/kernel/threads-max";

/// A number above the threads that may be asked for and those that a system has besides.
const ENOUGH_THREADS: u32 = 20_000;

/// Threads of this process that do nothing until the process ends.
#[derive(Debug)]
pub(crate) struct Sleepers {
    tids: Vec<i32>,
    /// Number of threads, from the first on, that the kernel has a record of.
    recorded: usize,
}

impl Sleepers {
    /// Starts with no threads.
    pub(crate) fn new() -> Result<Self> {
        let limit = fs::read_to_string(THREADS_MAX).context(THREADS_MAX)?;
        if limit.trim().parse::<u32>().context(THREADS_MAX)? < ENOUGH_THREADS {
            fs::write(THREADS_MAX, ENOUGH_THREADS.to_string()).context(THREADS_MAX)?;
        }
        Ok(Self {
            tids: Vec::new(),
            recorded: 0,
        })
    }

    /// Returns the number of threads.
    pub(crate) fn len(&self) -> u32 {
        self.tids.len() as u32
    }

    /// Adds threads until there are `threads`.
    pub(crate) fn grow(&mut self, threads: u32) -> Result<()> {
        let (sender, tid) = channel();
        while self.len() < threads {
            let sender = sender.clone();
            spawn_small(move || {
                // Nobody listens any more once this has failed elsewhere.
                let _ = sender.send(gettid().as_raw_pid());
                drop(sender);
                loop {
                    thread::park();
                }
            })?;
            self.tids.push(tid.recv()?);
        }
        Ok(())
    }

    /// Returns the number of threads that have never been managed, so that the kernel has
    /// no record of them yet.
    pub(crate) fn without_record(&self) -> u32 {
        (self.tids.len() - self.recorded) as u32
    }

    /// Gives all threads a priority.
    pub(crate) fn manage(&mut self, device: &Device) -> Result<()> {
        for tid in &self.tids {
            device.try_set(*tid, ORDINARY, 0).context("GO_SCHED_SET")?;
        }
        self.recorded = self.tids.len();
        Ok(())
    }

    /// Takes the priority of all threads away.
    pub(crate) fn release(&self, device: &Device) -> Result<()> {
        for tid in &self.tids {
            device.try_clear(*tid, 0).context("GO_SCHED_CLEAR")?;
        }
        Ok(())
    }
}

/// Starts a thread with a small stack.
pub(crate) fn spawn_small(job: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let builder = Builder::new().stack_size(STACK);
    builder
        .spawn(job)
        .context("a thread more: memory and pid limits must allow for it")
}
