// SPDX-License-Identifier: GPL-2.0

//! `gosched watch`: says when what is known of a thread changes.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::io::Write;
use std::process::ExitCode;

use gosched::error::FindError;
use gosched::thread::Thread;
use gosched::thread::ThreadId;
use gosched::thread::Threads;
use gosched::Device;
use rustix::process::Pid;
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
    let mut watcher = Watcher {
        device: Device::open()?,
        known: HashMap::new(),
        json,
    };

    let ThreadArgs { ids, all_tasks } = &args.threads;
    let mut code = ExitCode::SUCCESS;
    for id in ids {
        match threads(*id, *all_tasks) {
            Ok(threads) => watcher.add(threads)?,
            Err(error) => {
                complain(&format_args!("pid {id}: {error}"));
                code = ExitCode::from(EXIT_FAILURE);
            }
        }
    }
    while !watcher.known.is_empty() && interrupt.wait(args.interval.0)?.is_none() {
        watcher.look()?;
        if *all_tasks {
            for id in ids {
                // A process that has ended starts nothing any more.
                watcher.add(threads(*id, true).unwrap_or_default())?;
            }
        }
    }
    Ok(code)
}

fn threads(id: ThreadId, all: bool) -> Result<Vec<Thread>, FindError> {
    if all {
        Threads::of(id)?.collect()
    } else {
        Ok(vec![Thread::open(id)?])
    }
}

/// The threads that are watched, and what was seen of each last.
struct Watcher {
    device: Device,
    known: HashMap<Pid, (Thread, Facts)>,
    json: bool,
}

impl Watcher {
    /// Watches threads from now on, but for those that are watched already.
    fn add(&mut self, threads: Vec<Thread>) -> Result<(), Failure> {
        for thread in threads {
            let tid = thread.tid();
            if self.known.contains_key(&tid) {
                continue;
            }
            match Facts::of(&self.device, &thread) {
                Ok(facts) => {
                    self.tell(tid, &News::Found(&facts))?;
                    self.known.insert(tid, (thread, facts));
                }
                Err(error) if error.is_end() => (),
                Err(error) => return Err(format!("pid {tid}: {error}").into()),
            }
        }
        Ok(())
    }

    /// Tells what has become of each thread.
    fn look(&mut self) -> Result<(), Failure> {
        let mut tids: Vec<Pid> = self.known.keys().copied().collect();
        tids.sort_unstable_by_key(|tid| tid.as_raw_nonzero());
        for tid in tids {
            let Some((thread, before)) = self.known.get_mut(&tid) else {
                continue;
            };
            match Facts::of(&self.device, thread) {
                Ok(now) => {
                    let changed = (now.status, now.current) != (before.status, before.current);
                    *before = now;
                    if changed {
                        self.tell(tid, &News::Changed(&now))?;
                    }
                }
                Err(error) if error.is_end() => {
                    self.known.remove(&tid);
                    self.tell(tid, &News::Ended)?;
                }
                Err(error) => return Err(format!("pid {tid}: {error}").into()),
            }
        }
        Ok(())
    }

    fn tell(&self, tid: Pid, news: &News<'_>) -> Result<(), Failure> {
        let time = clock_gettime(ClockId::Monotonic);
        let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
        let tid = tid.as_raw_nonzero().get();
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
        let Facts {
            status,
            current,
            stats,
        } = facts;
        write!(f, "Go priority {}", words(status.prio))?;
        if status.applied != status.prio {
            write!(f, ", in force {}", words(status.applied))?;
        }
        let ceiling = words(Some(status.ceiling.prio));
        write!(f, "; ceiling {ceiling}; {current}")?;
        match stats.last_cause {
            Some(cause) => write!(f, "; last change {cause}"),
            None => Ok(()),
        }
    }
}
