// SPDX-License-Identifier: GPL-2.0

//! `gosched set`, `get`, `clear` and `ceiling`.

use std::fmt::Display;
use std::io;
use std::io::Write;
use std::process::ExitCode;

use gosched::error::FindError;
use gosched::error::RequestError;
use gosched::thread::Thread;
use gosched::thread::ThreadId;
use gosched::thread::Threads;
use gosched::Children;
use gosched::Device;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::Ceiling;
use crate::args::Set;
use crate::args::ThreadArgs;
use crate::device;
use crate::error::Error;
use crate::error::ThreadError;
use crate::exit;
use crate::facts::words;
use crate::facts::Facts;
use crate::facts::ThreadJson;
use crate::output::complain;
use crate::output::print;
use crate::output::write_json;
use crate::output::OutputError;

pub(crate) fn set(set: &Set, json: bool) -> Result<ExitCode, Error> {
    let children = if set.inherit {
        Children::Inherit
    } else {
        Children::StartAtBase
    };
    change(&set.threads, json, Detail::NewPrio, |device, thread| {
        device.set(thread.target(), set.prio.0, children)
    })
}

pub(crate) fn get(threads: &ThreadArgs, json: bool) -> Result<ExitCode, Error> {
    change(threads, json, Detail::All, |_, _| Ok(()))
}

pub(crate) fn clear(threads: &ThreadArgs, json: bool) -> Result<ExitCode, Error> {
    change(threads, json, Detail::NewPrio, |device, thread| {
        device.clear(thread.target())
    })
}

pub(crate) fn ceiling(ceiling: &Ceiling, json: bool) -> Result<ExitCode, Error> {
    let threads = &ceiling.threads;
    change(threads, json, Detail::NewCeiling, |device, thread| {
        device.set_ceiling(thread.target(), ceiling.prio.0)
    })
}

/// Does `work` on each thread, and then prints the thread.
fn change(
    threads: &ThreadArgs,
    json: bool,
    detail: Detail,
    work: impl Fn(&Device, &Thread) -> Result<(), RequestError>,
) -> Result<ExitCode, Error> {
    for_threads(threads, json, |device, thread| {
        work(device, thread)?;
        Ok(ThreadReport {
            tid: thread.tid(),
            facts: Facts::of(device, thread)?,
            detail,
        })
    })
}

/// A thread and its state.
struct ThreadReport {
    tid: i32,
    facts: Facts,
    detail: Detail,
}

/// The part of the state that is printed as text.
#[derive(Clone, Copy)]
enum Detail {
    /// The priority that this command gave the thread.
    NewPrio,
    /// The ceiling that this command gave the thread.
    NewCeiling,
    /// Everything.
    All,
}

impl Answer for ThreadReport {
    type Json = ThreadJson;

    fn json(&self) -> ThreadJson {
        ThreadJson::new(self.tid, &self.facts)
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        describe(out, self.tid, &self.facts, self.detail)
    }
}

/// The result of a verb for one thread.
pub(crate) trait Answer {
    type Json: Serialize;

    fn json(&self) -> Self::Json;

    /// Writes the result as lines of text.
    fn write(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// One thread: the result for it, or why there is none.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "{T}OrFailure")]
pub(crate) enum Outcome<T> {
    /// The verb has done its work on the thread.
    Thread(T),
    /// The verb could not find the thread, or not do its work.
    Failed {
        /// The id as the user wrote it, or that of the one thread of it that failed.
        id: String,
        /// The reason, for people.
        error: String,
    },
}

/// Does `work` on each thread, and prints the results. A thread that fails does not
/// keep the others from their turn.
pub(crate) fn for_threads<A: Answer>(
    args: &ThreadArgs,
    json: bool,
    work: impl Fn(&Device, &Thread) -> Result<A, ThreadError>,
) -> Result<ExitCode, Error> {
    let device = device::open()?;
    let mut sink = Sink {
        json: json.then(Vec::new),
        failed: false,
        unwritten: None,
    };
    let work = |thread: &Thread| work(&device, thread);

    for id in &args.ids {
        if args.all_tasks {
            for_all_threads(*id, work, &mut sink);
        } else {
            match Thread::open(*id)
                .map_err(ThreadError::from)
                .and_then(|thread| work(&thread))
            {
                Ok(answer) => sink.show(&answer),
                Err(error) => sink.fail(id, &error),
            }
        }
    }
    sink.finish()
}

fn for_all_threads<A: Answer>(
    id: ThreadId,
    work: impl Fn(&Thread) -> Result<A, ThreadError>,
    sink: &mut Sink<A::Json>,
) {
    let threads = match Threads::of(id) {
        Ok(threads) => threads,
        Err(error) => return sink.fail(&id, &error),
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
            Ok(answer) => sink.show(&answer),
            // The thread ended before its turn.
            Err(error) if error.is_end() => continue,
            Err(error) => sink.fail(&thread.tid(), &error),
        }
        none_found = false;
    }
    if none_found {
        sink.fail(&id, &FindError::NotFound);
    }
}

/// The output: text is printed at once, JSON is collected. The work goes on when nothing can
/// be written: a half of the threads changed is what nobody has asked for.
struct Sink<J> {
    json: Option<Vec<Outcome<J>>>,
    failed: bool,
    /// The number of lines that could not be written, and why.
    unwritten: Option<(usize, OutputError)>,
}

impl<J: Serialize> Sink<J> {
    fn show(&mut self, answer: &impl Answer<Json = J>) {
        match &mut self.json {
            Some(answers) => answers.push(Outcome::Thread(answer.json())),
            None => self.write(|out| answer.write(out)),
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        let mut lines = 0;
        let printed = print(|out| {
            write(out)?;
            lines = out.iter().filter(|byte| **byte == b'\n').count();
            Ok(())
        });
        if let Err(error) = printed {
            let before = self.unwritten.take().map_or(0, |(lines, _)| lines);
            self.unwritten = Some((before + lines, error));
        }
    }

    fn fail(&mut self, id: &dyn Display, error: &dyn Display) {
        self.failed = true;
        complain(&format_args!("pid {id}: {error}"));
        if let Some(answers) = &mut self.json {
            answers.push(Outcome::Failed {
                id: id.to_string(),
                error: error.to_string(),
            });
        }
    }

    fn finish(mut self) -> Result<ExitCode, Error> {
        if let Some(answers) = self.json.take() {
            self.write(|out| write_json(out, &answers));
        }
        match self.unwritten {
            // Whoever read the output has seen enough.
            Some((lines, error)) if !error.is_broken_pipe() => {
                Err(Error::Unwritten { lines, error })
            }
            _ if self.failed => Ok(ExitCode::from(exit::FAILURE)),
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}

fn describe(out: &mut dyn Write, tid: i32, facts: &Facts, detail: Detail) -> io::Result<()> {
    let status = &facts.status;
    let prio = words(status.prio);
    let inherit = match status.children {
        Children::Inherit => ", inherited by what it starts",
        Children::StartAtBase => "",
    };
    let ceiling = words(Some(status.ceiling.prio));
    let granted = if status.ceiling.granted {
        ", granted"
    } else {
        ""
    };
    match detail {
        Detail::NewPrio => writeln!(out, "pid {tid}'s new Go priority: {prio}{inherit}"),
        Detail::NewCeiling => writeln!(out, "pid {tid}'s new ceiling: {ceiling}{granted}"),
        Detail::All => {
            writeln!(out, "pid {tid}'s current Go priority: {prio}{inherit}")?;
            if status.applied != status.prio {
                let applied = words(status.applied);
                writeln!(out, "pid {tid}'s Go priority in force: {applied}")?;
            }
            writeln!(out, "pid {tid}'s current scheduling: {}", status.current)?;
            writeln!(out, "pid {tid}'s base scheduling: {}", status.base)?;
            writeln!(out, "pid {tid}'s ceiling: {ceiling}{granted}")?;
            match facts.stats.last_cause {
                Some(cause) => writeln!(out, "pid {tid}'s last change: {cause}"),
                None => writeln!(out, "pid {tid}'s last change: none"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gosched::policy::GoPrio;
    use gosched::uapi;
    use gosched::Stats;
    use gosched::Status;

    use super::*;

    fn printed(status: Status, last_change: u32, detail: Detail) -> String {
        let facts = Facts {
            status,
            stats: Stats::from(uapi::go_sched_stats {
                last_cause: last_change,
                applies: 1,
                ..Default::default()
            }),
        };
        let mut out = Vec::new();
        describe(&mut out, 123, &facts, detail).expect("a vector takes all");
        String::from_utf8(out).expect("text")
    }

    fn status(prio: Option<i32>, children: Children) -> Status {
        let prio = prio.unwrap_or(uapi::GO_SCHED_PRIO_NONE);
        Status::from(uapi::go_sched_get {
            prio,
            applied: prio,
            ceiling: 63,
            ceiling_granted: 1,
            flags: match children {
                Children::Inherit => uapi::GO_SCHED_INHERIT,
                Children::StartAtBase => 0,
            },
            base_nice: 5,
            policy: 2,
            rt_priority: 13,
            ..Default::default()
        })
    }

    #[test]
    fn get_shows_priority_scheduling_ceiling_and_last_change() {
        assert_eq!(
            printed(
                status(Some(60), Children::Inherit),
                uapi::GO_SCHED_CAUSE_HINT,
                Detail::All
            ),
            "pid 123's current Go priority: 60 (rt), inherited by what it starts\n\
             pid 123's current scheduling: SCHED_RR, priority 13\n\
             pid 123's base scheduling: SCHED_OTHER, nice 5\n\
             pid 123's ceiling: 63 (rt), granted\n\
             pid 123's last change: hint\n"
        );
    }

    #[test]
    fn get_shows_a_priority_in_force_that_is_another() {
        let mut status = status(Some(60), Children::StartAtBase);
        status.applied = GoPrio::new(47);
        let said = printed(status, uapi::GO_SCHED_CAUSE_RUNAWAY, Detail::All);
        assert!(
            said.contains("pid 123's Go priority in force: 47 (fair)\n"),
            "{said}"
        );
    }

    #[test]
    fn set_and_clear_show_the_new_priority() {
        let said = |prio| {
            printed(
                status(prio, Children::StartAtBase),
                uapi::GO_SCHED_CAUSE_IOCTL,
                Detail::NewPrio,
            )
        };
        assert_eq!(said(Some(32)), "pid 123's new Go priority: 32 (fair)\n");
        assert_eq!(said(None), "pid 123's new Go priority: none\n");
    }

    #[test]
    fn ceiling_shows_the_new_ceiling() {
        let mut status = status(None, Children::StartAtBase);
        let cause = uapi::GO_SCHED_CAUSE_NONE;
        assert_eq!(
            printed(status, cause, Detail::NewCeiling),
            "pid 123's new ceiling: 63 (rt), granted\n"
        );
        status.ceiling.granted = false;
        assert_eq!(
            printed(status, cause, Detail::NewCeiling),
            "pid 123's new ceiling: 63 (rt)\n"
        );
    }
}
