// SPDX-License-Identifier: MIT OR GPL-2.0

//! The kernel's tracepoints `go_sched:*`, as tracefs shows them.
//!
//! Lines of `trace` and `trace_pipe` are "TASK-PID \[CPU\] FLAGS TIME: NAME: FIELDS", as
//! `trace_print_context()` of kernel/trace/trace_output.c writes them.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Width of the task's name, which ends where the dash before its id is, whatever
/// it contains.
const NAME_WIDTH: usize = 16;

/// A line of the trace buffer.
///
/// ```
/// use gosched::trace::Entry;
///
/// let line = "              sh-7       [003] d..2.    12.345678: \
///     go_sched_set: pid=42 prio=20 cause=ioctl";
/// let Some(Entry::Event(event)) = Entry::parse(line) else {
///     panic!("no event");
/// };
/// assert_eq!((event.by, event.tid), (7, 42));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Entry {
    /// An event of go_sched.
    Event(Event),
    /// A thread was created: the event `task:task_newtask`.
    Birth {
        /// The thread that created it.
        parent: i32,
        /// The new thread.
        child: i32,
    },
    /// The buffer had no room for this many, if the kernel knows.
    Lost(Option<u64>),
}

/// An event of go_sched.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Event {
    /// Time of the event on CLOCK_MONOTONIC, in seconds.
    // With the clock "mono", which the reader of trace_pipe chooses.
    pub seconds: f64,
    /// Number of the CPU on which the event happened.
    pub cpu: u32,
    /// The thread that ran on that CPU. All ids are those of the initial pid namespace.
    pub by: i32,
    /// The thread that the event is about.
    pub tid: i32,
    /// The kind of the event, with its values.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The kind of an event, with its values. A priority is above the highest there is if such
/// a priority was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "lowercase")]
#[non_exhaustive]
pub enum EventKind {
    /// A request for a priority.
    Set {
        /// The priority asked for, null for none.
        priority: Option<u32>,
        /// The interface of the request: ioctl, syscall and so on.
        cause: String,
    },
    /// The scheduling of the thread has changed.
    Apply {
        /// The priority in force before, null for the base.
        old_priority: Option<u32>,
        /// The priority in force now, null for the base.
        new_priority: Option<u32>,
        /// The policy in force before.
        old_policy: String,
        /// The policy in force now.
        new_policy: String,
        /// The cause of the change: ioctl, syscall, hint and so on.
        cause: String,
    },
    /// A request or a hint was refused.
    Reject {
        /// The priority asked for, null for none.
        priority: Option<u32>,
        /// The error number, as in errno(3).
        errno: i32,
        /// The reason of the refusal.
        reason: String,
    },
}

impl EventKind {
    /// Returns whether a thread has begun to run with a priority that it inherited.
    pub fn is_inherited(&self) -> bool {
        matches!(self, Self::Apply { cause, .. } if cause == "fork")
    }
}

/// The line of an event of any tracepoint.
///
/// ```
/// use gosched::trace::Line;
///
/// let line = "              sh-7       [003] d.h3.    12.345678: \
///     sched_wakeup: comm=cat pid=42 prio=120 target_cpu=001";
/// let line = Line::parse(line).expect("an event");
/// assert_eq!((line.name, line.by, line.cpu), ("sched_wakeup", 7, 3));
/// assert_eq!(line.nanoseconds(), Some(12_345_678_000));
/// assert!(line.is_in_interrupt());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line<'a> {
    /// The thread that ran on that CPU, 0 if the CPU was idle.
    pub by: i32,
    /// Number of the CPU on which the event happened.
    pub cpu: u32,
    /// Flags of the context, such as `d..2.`.
    flags: &'a str,
    /// Time of the event in seconds, with the fraction down to microseconds.
    seconds: &'a str,
    /// Name of the tracepoint, without its system.
    pub name: &'a str,
    /// What the tracepoint tells.
    pub text: &'a str,
}

impl<'a> Line<'a> {
    /// Reads a line without its line feed; returns `None` if the line is none of an event.
    pub fn parse(line: &'a str) -> Option<Self> {
        let rest = line.get(NAME_WIDTH..)?.strip_prefix('-')?;
        let (by, rest) = rest.split_once(' ')?;
        let (cpu, rest) = rest.trim_start().strip_prefix('[')?.split_once(']')?;
        let (context, rest) = rest.split_once(": ")?;
        let (name, text) = rest.split_once(": ")?;
        let mut context = context.split_whitespace();
        let seconds = context.next_back()?;
        Some(Self {
            by: by.parse().ok()?,
            cpu: cpu.parse().ok()?,
            flags: context.next().unwrap_or_default(),
            seconds,
            name,
            text,
        })
    }

    /// Returns the time of the event on the trace's clock in ns, if the clock counts seconds.
    pub fn nanoseconds(&self) -> Option<u64> {
        let (seconds, micro) = self.seconds.split_once('.')?;
        let seconds = seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?;
        match micro.len() {
            6 => seconds.checked_add(u64::from(micro.parse::<u32>().ok()?) * 1000),
            _ => None,
        }
    }

    /// Returns whether an interrupt had the CPU, and not the thread.
    pub fn is_in_interrupt(&self) -> bool {
        // `trace_print_lat_fmt()` of kernel/trace/trace_output.c.
        self.flags
            .chars()
            .nth(2)
            .is_some_and(|context| matches!(context, 'h' | 'H' | 's' | 'z' | 'Z'))
    }
}

impl Entry {
    /// Reads a line without its line feed; returns `None` if the line is no [`Entry`].
    pub fn parse(line: &str) -> Option<Self> {
        if let Some(lost) = line.strip_prefix("CPU:") {
            let (_, words) = lost.split_once(" [LOST ")?;
            let count = words.strip_suffix("EVENTS]")?.trim();
            return Some(Self::Lost(count.parse().ok()));
        }

        let line = Line::parse(line)?;
        let fields = Fields(line.text);
        if line.name == "task_newtask" {
            return Some(Self::Birth {
                parent: line.by,
                child: fields.get("pid")?,
            });
        }
        Some(Self::Event(Event {
            seconds: line.seconds.parse().ok()?,
            cpu: line.cpu,
            by: line.by,
            tid: fields.get("pid")?,
            kind: EventKind::parse(line.name, &fields)?,
        }))
    }

    /// Returns whether this can only be the start of a line, cut by a name that has a
    /// line feed in it.
    pub fn is_cut(line: &str) -> bool {
        line.len() < NAME_WIDTH
    }
}

impl EventKind {
    fn parse(name: &str, fields: &Fields<'_>) -> Option<Self> {
        Some(match name {
            "go_sched_set" => Self::Set {
                priority: fields.prio("prio")?,
                cause: fields.get("cause")?,
            },
            "go_sched_apply" => Self::Apply {
                old_priority: fields.prio("old_prio")?,
                new_priority: fields.prio("new_prio")?,
                old_policy: fields.policy("old_policy")?,
                new_policy: fields.policy("new_policy")?,
                cause: fields.get("cause")?,
            },
            "go_sched_reject" => Self::Reject {
                priority: fields.prio("prio")?,
                errno: fields.get::<i32>("error")?.checked_neg()?,
                // The last field, whose text has blanks.
                reason: fields.0.split_once("reason=")?.1.to_owned(),
            },
            _ => return None,
        })
    }
}

/// The fields of an event: "NAME=VALUE NAME=VALUE".
struct Fields<'a>(&'a str);

impl Fields<'_> {
    fn get<T: FromStr>(&self, name: &str) -> Option<T> {
        self.0
            .split(' ')
            .filter_map(|field| field.split_once('='))
            .find_map(|(field, value)| (field == name).then(|| value.parse().ok())?)
    }

    /// A priority; -1 is none.
    fn prio(&self, name: &str) -> Option<Option<u32>> {
        Some(u32::try_from(self.get::<i32>(name)?).ok())
    }

    /// A policy by the name that the system calls have for it.
    fn policy(&self, name: &str) -> Option<String> {
        let short: String = self.get(name)?;
        Some(format!("SCHED_{}", short.to_uppercase()))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seconds, cpu, by, ..
        } = self;
        write!(f, "[{seconds:13.6}] cpu {cpu} pid {}: ", self.tid)?;
        match &self.kind {
            EventKind::Set { priority, cause } => {
                write!(f, "set {} by pid {by}, {cause}", Shown(*priority))
            }
            EventKind::Apply {
                old_priority,
                new_priority,
                old_policy,
                new_policy,
                cause,
            } => {
                let (old, new) = (Shown(*old_priority), Shown(*new_priority));
                write!(f, "apply {old} {old_policy} -> {new} {new_policy}, {cause}")
            }
            EventKind::Reject {
                priority, reason, ..
            } => write!(f, "reject {}: {reason}", Shown(*priority)),
        }
    }
}

/// A priority, or the lack of one.
struct Shown(Option<u32>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(prio) => write!(f, "{prio}"),
            None => write!(f, "none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLY: &str = "pid=42 old_prio=-1 new_prio=50 old_policy=other new_policy=rr \
                         cause=hint";

    fn event(name: &str, event: &str) -> String {
        format!("{name:>16}-7       [003] d..2.    12.345678: {event}")
    }

    #[test]
    fn an_event_is_told_by_names() {
        let line = event("sh", &format!("go_sched_apply: {APPLY}"));
        let Some(Entry::Event(event)) = Entry::parse(&line) else {
            panic!("no event: {line}");
        };
        assert_eq!(
            event.to_string(),
            "[    12.345678] cpu 3 pid 42: apply none SCHED_OTHER -> 50 SCHED_RR, hint"
        );
        assert_eq!((event.by, event.tid), (7, 42));
    }

    #[test]
    fn a_refusal_keeps_its_reason() {
        let line = event(
            "sh",
            "go_sched_reject: pid=42 prio=60 error=-1 reason=above the ceiling",
        );
        let Some(Entry::Event(event)) = Entry::parse(&line) else {
            panic!("no event: {line}");
        };
        let expected = EventKind::Reject {
            priority: Some(60),
            errno: 1,
            reason: "above the ceiling".to_owned(),
        };
        assert_eq!(event.kind, expected);
        assert_eq!(
            event.to_string(),
            "[    12.345678] cpu 3 pid 42: reject 60: above the ceiling"
        );
    }

    #[test]
    fn the_name_of_a_task_is_never_read() {
        for name in ["a b-1 [000] x", ": go_sched_set:", "[0] 1: a: pid=9"] {
            let line = event(name, "go_sched_set: pid=42 prio=-1 cause=ioctl");
            let Some(Entry::Event(event)) = Entry::parse(&line) else {
                panic!("no event: {line}");
            };
            assert_eq!((event.by, event.tid), (7, 42), "{name}");
        }
        let born = "task_newtask: pid=8 comm=: go_sched_set: clone_flags=0 oom_score_adj=0";
        let birth = Entry::Birth {
            parent: 7,
            child: 8,
        };
        assert_eq!(Entry::parse(&event("sh", born)), Some(birth));
    }

    #[test]
    fn lost_events_are_counted() {
        let lost = Entry::parse("CPU:1 [LOST 12 EVENTS]");
        assert_eq!(lost, Some(Entry::Lost(Some(12))));
        assert_eq!(Entry::parse("CPU:1 [LOST EVENTS]"), Some(Entry::Lost(None)));
    }
}
