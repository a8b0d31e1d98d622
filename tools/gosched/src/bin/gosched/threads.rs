// SPDX-License-Identifier: GPL-2.0

//! `gosched set`, `get` and `clear`.

use std::fmt::Display;
use std::io;
use std::io::Write;
use std::process::ExitCode;

use gosched::error::FindError;
use gosched::error::RequestError;
use gosched::sched::Params;
use gosched::thread::Thread;
use gosched::thread::ThreadId;
use gosched::thread::Threads;
use gosched::Children;
use gosched::Device;
use gosched::Status;
use serde::Serialize;

use crate::args::Set;
use crate::args::ThreadArgs;
use crate::complain;
use crate::print_json;
use crate::Failure;
use crate::EXIT_FAILURE;

pub(crate) fn set(set: Set, json: bool) -> Result<ExitCode, Failure> {
    let children = if set.inherit {
        Children::Inherit
    } else {
        Children::StartAtBase
    };
    for_threads(&set.threads, json, Shown::New, |device, thread| {
        device.set(thread.target(), set.prio.0, children)
    })
}

pub(crate) fn get(threads: ThreadArgs, json: bool) -> Result<ExitCode, Failure> {
    for_threads(&threads, json, Shown::Current, |_, _| Ok(()))
}

pub(crate) fn clear(threads: ThreadArgs, json: bool) -> Result<ExitCode, Failure> {
    for_threads(&threads, json, Shown::New, |device, thread| {
        device.clear(thread.target())
    })
}

/// What to print of a thread.
#[derive(Clone, Copy)]
enum Shown {
    /// The priority it has now, because of us.
    New,
    /// All there is to know.
    Current,
}

/// One thread of the JSON answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Thread {
        tid: i32,
        priority: Option<u32>,
        band: Option<&'static str>,
        inherit: bool,
        current: Params,
        base: Params,
    },
    Failed {
        /// As the user wrote it, unless only this thread of it failed.
        id: String,
        error: String,
    },
}

#[derive(Debug, thiserror::Error)]
enum ThreadError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("cannot read its scheduling parameters: {0}")]
    Params(#[from] io::Error),
}

/// Does `work` on each thread, and then shows it; a thread that fails does not
/// keep the others from their turn.
fn for_threads(
    args: &ThreadArgs,
    json: bool,
    shown: Shown,
    work: impl Fn(&Device, &Thread) -> Result<(), RequestError>,
) -> Result<ExitCode, Failure> {
    let device = Device::open()?;
    let mut sink = Sink {
        shown,
        json: json.then(Vec::new),
        failed: false,
    };
    let work = |thread: &Thread| {
        work(&device, thread)?;
        read(&device, thread)
    };

    for id in &args.ids {
        if args.all_tasks {
            for_all_threads(*id, work, &mut sink)?;
        } else {
            match Thread::open(*id)
                .map_err(ThreadError::from)
                .and_then(|thread| {
                    let (status, current) = work(&thread)?;
                    Ok((thread, status, current))
                }) {
                Ok((thread, status, current)) => sink.show(&thread, status, current)?,
                Err(error) => sink.fail(id, &error),
            }
        }
    }
    sink.finish()
}

fn for_all_threads(
    id: ThreadId,
    work: impl Fn(&Thread) -> Result<(Status, Params), ThreadError>,
    sink: &mut Sink,
) -> io::Result<()> {
    let threads = match Threads::of(id) {
        Ok(threads) => threads,
        Err(error) => {
            sink.fail(&id, &error);
            return Ok(());
        }
    };

    let mut none_found = true;
    for thread in threads {
        let thread = match thread {
            Ok(thread) => thread,
            Err(error) => {
                none_found = false;
                sink.fail(&id, &error);
                continue;
            }
        };
        match work(&thread) {
            Ok((status, current)) => sink.show(&thread, status, current)?,
            // It ended before its turn.
            Err(ThreadError::Request(RequestError::NoSuchThread)) => continue,
            Err(error) => sink.fail(&thread.tid(), &error),
        }
        none_found = false;
    }
    if none_found {
        sink.fail(&id, &FindError::NotFound);
    }
    Ok(())
}

fn read(device: &Device, thread: &Thread) -> Result<(Status, Params), ThreadError> {
    // The parameters can only be had by id. The device answers by pidfd, which
    // proves that the thread was still there and the id its own.
    let current = Params::in_force(thread.tid());
    let status = device.get(thread.target())?;
    Ok((status, current?))
}

/// Where answers go: to standard output at once, or collected for JSON.
struct Sink {
    shown: Shown,
    json: Option<Vec<Answer>>,
    failed: bool,
}

impl Sink {
    fn show(&mut self, thread: &Thread, status: Status, current: Params) -> io::Result<()> {
        let tid = thread.tid().as_raw_nonzero().get();
        let Some(answers) = &mut self.json else {
            return print(&mut io::stdout().lock(), tid, status, current, self.shown);
        };
        answers.push(Answer::Thread {
            tid,
            priority: status.prio.map(|prio| prio.get()),
            band: status.prio.map(|prio| prio.band().name()),
            inherit: status.children == Children::Inherit,
            current,
            base: status.base,
        });
        Ok(())
    }

    fn fail(&mut self, id: &dyn Display, error: &dyn Display) {
        self.failed = true;
        complain(&format_args!("pid {id}: {error}"));
        if let Some(answers) = &mut self.json {
            answers.push(Answer::Failed {
                id: id.to_string(),
                error: error.to_string(),
            });
        }
    }

    fn finish(self) -> Result<ExitCode, Failure> {
        if let Some(answers) = &self.json {
            print_json(answers)?;
        }
        Ok(if self.failed {
            ExitCode::from(EXIT_FAILURE)
        } else {
            ExitCode::SUCCESS
        })
    }
}

fn print(
    out: &mut impl Write,
    tid: i32,
    status: Status,
    current: Params,
    shown: Shown,
) -> io::Result<()> {
    let prio = match status.prio {
        Some(prio) => format!("{} ({})", prio.get(), prio.band().name()),
        None => "none".to_owned(),
    };
    let inherit = match status.children {
        Children::Inherit => ", inherited by what it starts",
        Children::StartAtBase => "",
    };
    match shown {
        Shown::New => writeln!(out, "pid {tid}'s new Go priority: {prio}{inherit}"),
        Shown::Current => {
            writeln!(out, "pid {tid}'s current Go priority: {prio}{inherit}")?;
            writeln!(out, "pid {tid}'s current scheduling: {current}")?;
            writeln!(out, "pid {tid}'s base scheduling: {}", status.base)
        }
    }
}

#[cfg(test)]
mod tests {
    use gosched::policy::GoPrio;
    use gosched::sched::SchedPolicy;

    use super::*;

    fn printed(status: Status, shown: Shown) -> String {
        let current = Params {
            policy: SchedPolicy::from_number(2),
            nice: 0,
            rt_priority: 13,
            slice_ns: 0,
        };
        let mut out = Vec::new();
        print(&mut out, 123, status, current, shown).expect("a vector takes all");
        String::from_utf8(out).expect("text")
    }

    fn status(prio: Option<u32>, children: Children) -> Status {
        Status {
            prio: prio.and_then(GoPrio::new),
            children,
            base: Params {
                policy: SchedPolicy::from_number(0),
                nice: 5,
                rt_priority: 0,
                slice_ns: 0,
            },
        }
    }

    #[test]
    fn get_shows_priority_current_and_base() {
        assert_eq!(
            printed(status(Some(60), Children::Inherit), Shown::Current),
            "pid 123's current Go priority: 60 (rt), inherited by what it starts\n\
             pid 123's current scheduling: SCHED_RR, priority 13\n\
             pid 123's base scheduling: SCHED_OTHER, nice 5\n"
        );
    }

    #[test]
    fn set_and_clear_show_the_new_priority() {
        assert_eq!(
            printed(status(Some(32), Children::StartAtBase), Shown::New),
            "pid 123's new Go priority: 32 (fair)\n"
        );
        assert_eq!(
            printed(status(None, Children::StartAtBase), Shown::New),
            "pid 123's new Go priority: none\n"
        );
    }
}
