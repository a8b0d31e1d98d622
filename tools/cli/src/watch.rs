// SPDX-License-Identifier: GPL-2.0

//! `gosched watch`: says when what is known of a thread changes.

use std::collections::HashMap;
use std::fmt;
use std::io;
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
use crate::complain;
use crate::facts::words;
use crate::facts::Facts;
use crate::facts::ThreadJson;
use crate::interrupt::Interrupt;
use crate::print_json_line;
use crate::Failure;
use crate::EXIT_FAILURE;

/// One line of `gosched watch --json`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WatchJson {
    /// When it was seen, on CLOCK_MONOTONIC, in seconds.
    seconds: f64,
    #[serde(flatten)]
    seen: Seen,
}

/// What was seen.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Seen {
    /// The thread is watched from now on.
    Found(ThreadJson),
    /// Something of the thread is not as it was.
    Changed(ThreadJson),
    /// The thread is no more.
    Ended {
        /// Thread id in the pid namespace of gosched.
        tid: i32,
    },
}

pub(crate) fn watch(args: &Watch, json: bool) -> Result<ExitCode, Failure> {
    let mut interrupt = Interrupt::catch()?;
    raise_descriptor_limit();
    let mut watcher = Watcher {
        device: Device::open()?,
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
                code = ExitCode::from(EXIT_FAILURE);
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

/// Makes room for a descriptor of each thread, as far as that takes no privilege.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // If it is too low, finding the threads will say so.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// The threads that are watched, and what was seen of each last.
struct Watcher {
    device: Device,
    known: HashMap<i32, (Thread, Facts)>,
    json: bool,
}

impl Watcher {
    /// Watches what an id names, from now on; the inner result is that of finding it.
    fn add(&mut self, id: ThreadId, all: bool) -> Result<Result<(), FindError>, Failure> {
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
        // One by one: each has a descriptor, which those known already give back.
        for thread in threads {
            match thread {
                Ok(thread) => self.add_thread(thread)?,
                // The rest is found the next time.
                Err(FindError::NeverComplete) => break,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    /// Watches what processes have started since; returns those that have not ended.
    fn add_new(&mut self, processes: Vec<ThreadId>) -> Result<Vec<ThreadId>, Failure> {
        let mut alive = Vec::new();
        for id in processes {
            match self.add(id, true)? {
                Ok(()) => alive.push(id),
                // Its id is another's sooner or later.
                Err(FindError::NotFound | FindError::Recycled) => (),
                Err(error) => return Err(format!("pid {id}: {error}").into()),
            }
        }
        Ok(alive)
    }

    fn add_thread(&mut self, thread: Thread) -> Result<(), Failure> {
        let tid = thread.tid();
        if self.known.contains_key(&tid) {
            return Ok(());
        }
        match Facts::of(&self.device, &thread) {
            Ok(facts) => {
                self.tell(tid, &News::Found(&facts))?;
                self.known.insert(tid, (thread, facts));
                Ok(())
            }
            Err(RequestError::NoSuchThread) => Ok(()),
            Err(error) => Err(format!("pid {tid}: {error}").into()),
        }
    }

    /// Tells what has become of each thread.
    fn look(&mut self) -> Result<(), Failure> {
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
                        self.tell(tid, &News::Changed(&now))?;
                    }
                }
                Err(RequestError::NoSuchThread) => {
                    self.known.remove(&tid);
                    self.tell(tid, &News::Ended)?;
                }
                Err(error) => return Err(format!("pid {tid}: {error}").into()),
            }
        }
        Ok(())
    }

    fn tell(&self, tid: i32, news: &News<'_>) -> Result<(), Failure> {
        let time = clock_gettime(ClockId::Monotonic);
        let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
        if self.json {
            let seen = match news {
                News::Found(facts) => Seen::Found(ThreadJson::new(tid, facts)),
                News::Changed(facts) => Seen::Changed(ThreadJson::new(tid, facts)),
                News::Ended => Seen::Ended { tid },
            };
            return print_json_line(&WatchJson { seconds, seen });
        }
        writeln!(io::stdout(), "[{seconds:13.6}] pid {tid}{news}")?;
        Ok(())
    }
}

/// What there is to tell of a thread.
enum News<'a> {
    Found(&'a Facts),
    Changed(&'a Facts),
    Ended,
}

impl fmt::Display for News<'_> {
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
