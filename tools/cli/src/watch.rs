// SPDX-License-Identifier: GPL-2.0

//! `gosched watch`: prints changes of threads.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use gosched::error::FindError;
use gosched::error::RequestError;
use gosched::thread::Thread;
use gosched::thread::ThreadId;
use gosched::thread::Threads;
use gosched::Device;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::time::clock_gettime;
use rustix::time::ClockId;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::ThreadArgs;
use crate::args::Watch;
use crate::device;
use crate::error::Error;
use crate::exit;
use crate::facts::words;
use crate::facts::Facts;
use crate::facts::ThreadJson;
use crate::interrupt::Interrupt;
use crate::output::complain;
use crate::output::print;
use crate::output::print_json_line;

/// One line of `gosched watch --json`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WatchJson {
    /// The time when gosched saw the event, in seconds of CLOCK_MONOTONIC.
    seconds: f64,
    #[serde(flatten)]
    event: EventJson,
}

/// An event in the life of a thread.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
enum EventJson {
    /// gosched has begun to watch the thread.
    Found(ThreadJson),
    /// The priority, ceiling or scheduling of the thread has changed.
    Changed(ThreadJson),
    /// The thread has ended.
    Ended {
        /// Thread id in the pid namespace of gosched.
        tid: i32,
    },
}

pub(crate) fn watch(args: &Watch, json: bool) -> Result<ExitCode, Error> {
    let mut interrupt = Interrupt::catch()?;
    raise_descriptor_limit();
    let mut watcher = Watcher {
        device: device::open()?,
        known: HashMap::new(),
        json,
    };

    let ThreadArgs { ids, all_tasks } = &args.threads;
    let mut code = ExitCode::SUCCESS;
    let mut processes = Vec::new();
    for id in ids {
        match watcher.add(*id, *all_tasks)? {
            Ok(()) => processes.push(*id),
            Err(error) => {
                complain(&format_args!("pid {id}: {error}"));
                code = ExitCode::from(exit::FAILURE);
            }
        }
    }
    while !watcher.known.is_empty() && interrupt.wait(args.interval.0)?.is_none() {
        watcher.look()?;
        if *all_tasks {
            processes = watcher.add_new(processes)?;
        }
    }
    Ok(code)
}

/// Raises the limit of open files as far as that takes no privilege: each thread takes
/// a descriptor.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // An error of finding the threads tells of a limit that is too low.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// The watched threads, each with its last known state.
struct Watcher {
    device: Device,
    known: HashMap<i32, (Thread, Facts)>,
    json: bool,
}

impl Watcher {
    /// Watches the threads of an id. The inner result is that of finding them.
    fn add(&mut self, id: ThreadId, all: bool) -> Result<Result<(), FindError>, Error> {
        if !all {
            return match Thread::open(id) {
                Ok(thread) => self.add_thread(thread).map(Ok),
                Err(error) => Ok(Err(error)),
            };
        }
        let threads = match Threads::of(id) {
            Ok(threads) => threads,
            Err(error) => return Ok(Err(error)),
        };
        // One at a time: each takes a descriptor, which known threads give back at once.
        for thread in threads {
            match thread {
                Ok(thread) => self.add_thread(thread)?,
                // The next look finds the rest.
                Err(FindError::NeverComplete) => break,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    /// Watches the new threads of processes; returns the processes that are alive.
    fn add_new(&mut self, processes: Vec<ThreadId>) -> Result<Vec<ThreadId>, Error> {
        let mut alive = Vec::new();
        for id in processes {
            match self.add(id, true)? {
                Ok(()) => alive.push(id),
                // The process has ended, and another one may get its id.
                Err(FindError::NotFound | FindError::Recycled) => (),
                Err(error) => return Err(Error::of_thread(id, error)),
            }
        }
        Ok(alive)
    }

    fn add_thread(&mut self, thread: Thread) -> Result<(), Error> {
        let tid = thread.tid();
        if self.known.contains_key(&tid) {
            return Ok(());
        }
        match Facts::of(&self.device, &thread) {
            Ok(facts) => {
                self.print(tid, &Change::Found(&facts))?;
                self.known.insert(tid, (thread, facts));
                Ok(())
            }
            Err(RequestError::NoSuchThread) => Ok(()),
            Err(error) => Err(Error::of_thread(tid, error)),
        }
    }

    /// Prints what has changed since the last look.
    fn look(&mut self) -> Result<(), Error> {
        let mut tids: Vec<i32> = self.known.keys().copied().collect();
        tids.sort_unstable();
        for tid in tids {
            let Some((thread, before)) = self.known.get_mut(&tid) else {
                continue;
            };
            match Facts::of(&self.device, thread) {
                Ok(now) => {
                    let changed = now.status != before.status;
                    *before = now;
                    if changed {
                        self.print(tid, &Change::Changed(&now))?;
                    }
                }
                Err(RequestError::NoSuchThread) => {
                    self.known.remove(&tid);
                    self.print(tid, &Change::Ended)?;
                }
                Err(error) => return Err(Error::of_thread(tid, error)),
            }
        }
        Ok(())
    }

    /// Prints a change as a line of text or JSON.
    fn print(&self, tid: i32, change: &Change<'_>) -> Result<(), Error> {
        let time = clock_gettime(ClockId::Monotonic);
        let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
        if self.json {
            let event = match change {
                Change::Found(facts) => EventJson::Found(ThreadJson::new(tid, facts)),
                Change::Changed(facts) => EventJson::Changed(ThreadJson::new(tid, facts)),
                Change::Ended => EventJson::Ended { tid },
            };
            print_json_line(&WatchJson { seconds, event })?;
        } else {
            print(|out| writeln!(out, "[{seconds:13.6}] pid {tid}{change}"))?;
        }
        Ok(())
    }
}

/// A change of a thread, with its new state.
enum Change<'a> {
    Found(&'a Facts),
    Changed(&'a Facts),
    Ended,
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = match self {
            Self::Found(facts) => {
                write!(f, " found: ")?;
                facts
            }
            Self::Changed(facts) => {
                write!(f, " changed: ")?;
                facts
            }
            Self::Ended => return write!(f, " ended"),
        };
        let Facts { status, stats } = facts;
        write!(f, "Go priority {}", words(status.prio))?;
        if status.applied != status.prio {
            write!(f, ", in force {}", words(status.applied))?;
        }
        let ceiling = words(Some(status.ceiling.prio));
        write!(f, "; ceiling {ceiling}; {}", status.current)?;
        match stats.last_cause {
            Some(cause) => write!(f, "; last change {cause}"),
            None => Ok(()),
        }
    }
}
