// SPDX-License-Identifier: GPL-2.0

//! The tracepoints of `go_sched`, through a buffer of their own in tracefs.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::str::FromStr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use nix::mount::mount;
use nix::mount::MsFlags;

/// Where it is.
pub const TRACEFS: &str = "/sys/kernel/tracing";

/// One event, with the fields of its tracepoint. A priority of -1 is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `go_sched_set`: somebody asked for a priority.
    Set {
        /// The thread.
        pid: i32,
        /// The priority asked for.
        prio: i32,
        /// How.
        cause: String,
    },
    /// `go_sched_apply`: the scheduling of a thread has changed.
    Apply {
        /// The thread.
        pid: i32,
        /// The priority in force before.
        old_prio: i32,
        /// The one in force now.
        new_prio: i32,
        /// The policy in force before.
        old_policy: String,
        /// The one in force now.
        new_policy: String,
        /// Why.
        cause: String,
    },
    /// `go_sched_reject`: a request or a hint was refused.
    Reject {
        /// The thread.
        pid: i32,
        /// The priority asked for.
        prio: i32,
        /// The error number, negative.
        error: i32,
        /// What is wrong.
        reason: String,
    },
}

impl Event {
    /// Returns the thread the event is about.
    pub fn pid(&self) -> i32 {
        match self {
            Self::Set { pid, .. } | Self::Apply { pid, .. } | Self::Reject { pid, .. } => *pid,
        }
    }

    /// Reads a line of the file `trace`: "TASK-PID [CPU] FLAGS TIME: NAME: FIELDS".
    fn parse(line: &str) -> Option<Self> {
        let (_, event) = line.split_once(": go_sched_")?;
        let (name, text) = event.split_once(": ")?;
        let fields = Fields(text);
        Some(match name {
            "set" => Self::Set {
                pid: fields.get("pid")?,
                prio: fields.get("prio")?,
                cause: fields.get("cause")?,
            },
            "apply" => Self::Apply {
                pid: fields.get("pid")?,
                old_prio: fields.get("old_prio")?,
                new_prio: fields.get("new_prio")?,
                old_policy: fields.get("old_policy")?,
                new_policy: fields.get("new_policy")?,
                cause: fields.get("cause")?,
            },
            "reject" => Self::Reject {
                pid: fields.get("pid")?,
                prio: fields.get("prio")?,
                error: fields.get("error")?,
                // The last field, whose text has blanks.
                reason: text.split_once("reason=")?.1.to_owned(),
            },
            _ => return None,
        })
    }
}

/// "NAME=VALUE NAME=VALUE".
struct Fields<'a>(&'a str);

impl Fields<'_> {
    fn get<T: FromStr>(&self, name: &str) -> Option<T> {
        self.0
            .split(' ')
            .filter_map(|field| field.split_once('='))
            .find_map(|(field, value)| (field == name).then(|| value.parse().ok())?)
    }
}

/// Records all events of go_sched while it lives.
#[derive(Debug)]
pub struct Trace(PathBuf);

impl Trace {
    /// Starts to record.
    pub fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);

        mount_tracefs();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let instance = format!("{TRACEFS}/instances/go_sched-{}-{number}", process::id());
        fs::create_dir(&instance).unwrap_or_else(|error| panic!("{instance}: {error}"));
        let new = Self(instance.into());
        new.write("buffer_size_kb", "4096");
        new.write("events/go_sched/enable", "1");
        new
    }

    /// Records another event of the kernel as well, named "SYSTEM/EVENT".
    pub fn add(&self, event: &str) {
        self.write(&format!("events/{event}/enable"), "1");
    }

    /// Returns the events so far, the first one first.
    #[track_caller]
    pub fn events(&self) -> Vec<Event> {
        self.lines()
            .iter()
            .map(|line| Event::parse(line).unwrap_or_else(|| panic!("not an event: {line}")))
            .collect()
    }

    /// Returns the lines of the events so far, of others than go_sched's too.
    #[track_caller]
    pub fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.join("trace")).expect("the trace is readable");
        assert_eq!(lost(&text), Some(0), "events were lost");
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }

    /// Returns the events about one thread.
    #[track_caller]
    pub fn events_of(&self, tid: i32) -> Vec<Event> {
        let mut events = self.events();
        events.retain(|event| event.pid() == tid);
        events
    }

    /// Forgets the events so far.
    pub fn clear(&self) {
        self.write("trace", "");
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.0.join(file);
        fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).expect("nobody else uses the instance");
    }
}

/// Sees to it that there is a tracefs.
pub fn mount_tracefs() {
    if Path::new(TRACEFS).join("instances").exists() {
        return;
    }
    match fs::create_dir(TRACEFS) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            panic!("{TRACEFS}: {error}: is the kernel built with CONFIG_FTRACE?")
        }
        _ => mount(
            Some("tracefs"),
            TRACEFS,
            Some("tracefs"),
            MsFlags::empty(),
            None::<&str>,
        )
        .unwrap_or_else(|error| panic!("mounting {TRACEFS}: {error}")),
    }
}

/// How many events the buffer had no room for, from the header's
/// "entries-in-buffer/entries-written: 2/2".
fn lost(trace: &str) -> Option<u64> {
    let (_, numbers) = trace.split_once("entries-written: ")?;
    let (kept, written) = numbers.split_whitespace().next()?.split_once('/')?;
    let [kept, written] = [kept, written].map(|number| number.parse::<u64>().ok());
    Some(written? - kept?)
}
