// SPDX-License-Identifier: GPL-2.0

//! `gosched set`, `get`, `clear` and `ceiling`.

mod sink;

use std::cell::RefCell;
use std::io;
use std::io::Write;
use std::process::ExitCode;

use gosched::error::FindError;
use gosched::error::RequestError;
use gosched::policy::GoPrio;
use gosched::thread::Thread;
use gosched::thread::ThreadId;
use gosched::thread::Threads;
use gosched::Children;
use gosched::Device;
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use self::sink::Answer;
pub(crate) use self::sink::Form;
pub(crate) use self::sink::Outcome;
use self::sink::Sink;
use crate::args::Ceiling;
use crate::args::Set;
use crate::args::Show;
use crate::args::ThreadArgs;
use crate::device;
use crate::error::Error;
use crate::error::ThreadError;
use crate::facts::words;
use crate::facts::Facts;
use crate::facts::ThreadJson;
use crate::program::Hints;
use crate::program::HintsJson;
use crate::program::HintsOf;
use crate::program::Runtimes;
use crate::table::or_dash;

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

pub(crate) fn get(show: &Show, json: bool) -> Result<ExitCode, Error> {
    let runtimes = RefCell::default();
    for_threads(&show.threads, Form::of(show, json), |device, thread| {
        ThreadReport::new(device, thread, Detail::All, &runtimes)
    })
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
    let form = if json { Form::Json } else { Form::Lines };
    let runtimes = RefCell::default();
    for_threads(threads, form, |device, thread| {
        work(device, thread)?;
        ThreadReport::new(device, thread, detail, &runtimes)
    })
}

/// A thread and its state.
struct ThreadReport {
    tid: i32,
    facts: Facts,
    hints: Option<Hints>,
    detail: Detail,
}

impl ThreadReport {
    fn new(
        device: &Device,
        thread: &Thread,
        detail: Detail,
        runtimes: &RefCell<Runtimes>,
    ) -> Result<Self, ThreadError> {
        let facts = Facts::of(device, thread)?;
        let hints = Hints::of(thread.tid(), &facts.status, &mut runtimes.borrow_mut());
        if hints.is_some() {
            // It still lives: the id, by which /proc has the executable, was no other's.
            device.get(thread.target())?;
        }
        Ok(Self {
            tid: thread.tid(),
            facts,
            hints,
            detail,
        })
    }
}

/// A thread, and whose hints it has.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ThreadReportJson {
    #[serde(flatten)]
    thread: ThreadJson,
    #[serde(flatten)]
    hints: HintsJson,
}

/// The part of the state that is printed as text.
#[derive(Clone, Copy)]
enum Detail {
    /// The priority that this command gave the thread.
    NewPrio,
    /// The ceiling that this command gave the thread.
    NewCeiling,
    /// All that is known.
    All,
}

impl Answer for ThreadReport {
    type Json = ThreadReportJson;

    const COLUMNS: &'static [(&'static str, bool)] = &[
        ("GO", true),
        ("APPLIED", true),
        ("CEILING", true),
        ("POLICY", false),
        ("NICE", true),
        ("RT", true),
        ("SLICE-MS", true),
        ("CHANGE", false),
        ("HINTS", false),
    ];

    const LAST_IS_OPTIONAL: bool = true;

    fn tid(&self) -> i32 {
        self.tid
    }

    fn cells(&self) -> Vec<String> {
        let Facts { status, stats } = &self.facts;
        let hints = self.hints.as_ref().map(|hints| hints.of);
        let current = &status.current;
        let (fair, rt) = (current.policy.is_fair(), current.policy.is_rt());
        let slice = format!("{:.3}", current.slice_ns as f64 / 1e6);
        vec![
            or_dash(status.prio.map(GoPrio::get)),
            or_dash(status.applied.map(GoPrio::get)),
            status.ceiling.prio.get().to_string(),
            current.policy.to_string(),
            or_dash(fair.then_some(current.nice)),
            or_dash(rt.then_some(current.rt_priority)),
            or_dash((current.slice_ns != 0).then_some(slice)),
            or_dash(stats.last_cause),
            or_dash(hints.map(HintsOf::word)),
        ]
    }

    fn json(&self) -> ThreadReportJson {
        ThreadReportJson {
            thread: ThreadJson::new(self.tid, &self.facts),
            hints: HintsJson::new(self.hints.as_ref()),
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        describe(out, self.tid, &self.facts, self.detail)?;
        match (&self.hints, self.detail) {
            (Some(hints), Detail::All) => writeln!(out, "pid {}'s hints: {hints}", self.tid),
            _ => Ok(()),
        }
    }
}

/// Does `work` on each thread, and prints the results. A thread that fails does not
/// keep the others from their turn.
pub(crate) fn for_threads<A: Answer>(
    args: &ThreadArgs,
    form: Form,
    work: impl Fn(&Device, &Thread) -> Result<A, ThreadError>,
) -> Result<ExitCode, Error> {
    let device = device::open()?;
    let mut sink = Sink::new(form);
    let work = |thread: &Thread| work(&device, thread);

    for id in &args.ids {
        if args.all_tasks {
            for_all_threads(*id, work, &mut sink);
        } else {
            match Thread::open(*id)
                .map_err(ThreadError::from)
                .and_then(|thread| work(&thread))
            {
                Ok(answer) => sink.show(answer),
                Err(error) => sink.fail(id, &error),
            }
        }
    }
    sink.finish()
}

fn for_all_threads<A: Answer>(
    id: ThreadId,
    work: impl Fn(&Thread) -> Result<A, ThreadError>,
    sink: &mut Sink<A>,
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
            Ok(answer) => sink.show(answer),
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

fn describe(out: &mut dyn Write, tid: i32, facts: &Facts, detail: Detail) -> io::Result<()> {
    let status = &facts.status;
    let prio = words(status.prio);
    let inherit = match status.children {
        Children::Inherit => ", inherited by what it starts",
        Children::StartAtBase => "",
    };
    let ceiling = words(Some(status.ceiling.prio));
    let set = if status.ceiling.granted { ", set" } else { "" };
    match detail {
        Detail::NewPrio => writeln!(out, "pid {tid}'s new Go priority: {prio}{inherit}"),
        Detail::NewCeiling => writeln!(out, "pid {tid}'s new ceiling: {ceiling}{set}"),
        Detail::All => {
            writeln!(out, "pid {tid}'s current Go priority: {prio}{inherit}")?;
            if status.applied != status.prio {
                let applied = words(status.applied);
                writeln!(out, "pid {tid}'s Go priority in force: {applied}")?;
            }
            let kernel_work = if status.kernel_work {
                ", raised for kernel work"
            } else {
                ""
            };
            let current = &status.current;
            writeln!(
                out,
                "pid {tid}'s current scheduling: {current}{kernel_work}"
            )?;
            writeln!(out, "pid {tid}'s base scheduling: {}", status.base)?;
            writeln!(out, "pid {tid}'s ceiling: {ceiling}{set}")?;
            match facts.stats.last_cause {
                Some(cause) => writeln!(out, "pid {tid}'s last change: {cause}"),
                None => writeln!(out, "pid {tid}'s last change: none"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
             pid 123's ceiling: 63 (rt), set\n\
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
    fn get_says_that_a_thread_is_raised_for_kernel_work() {
        let mut status = status(Some(8), Children::StartAtBase);
        status.kernel_work = true;
        let said = printed(status, uapi::GO_SCHED_CAUSE_IOCTL, Detail::All);
        let current = "current scheduling: SCHED_RR, priority 13, raised for kernel work\n";
        assert!(said.contains(current), "{said}");
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
            "pid 123's new ceiling: 63 (rt), set\n"
        );
        status.ceiling.granted = false;
        assert_eq!(
            printed(status, cause, Detail::NewCeiling),
            "pid 123's new ceiling: 63 (rt)\n"
        );
    }
}
