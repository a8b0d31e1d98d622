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

use gosched::trace::Entry;
use gosched::trace::Event;
use gosched::trace::EventKind;
use rustix::mount::mount;
use rustix::mount::MountFlags;

/// The folder of tracefs.
pub const TRACEFS: &str = "/sys/kernel/tracing";

/// A recording of all events of go_sched, which ends on drop.
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

    /// Returns the events so far, in the order of time.
    #[track_caller]
    fn events(&self) -> Vec<Event> {
        self.lines()
            .iter()
            .map(|line| match Entry::parse(line) {
                Some(Entry::Event(event)) => event,
                _ => panic!("not an event: {line}"),
            })
            .collect()
    }

    /// Returns the events so far, of other tracepoints too, the first one first.
    #[track_caller]
    pub fn all_events(&self) -> Vec<AnyEvent> {
        let parse =
            |line: &String| AnyEvent::parse(line).unwrap_or_else(|| panic!("not an event: {line}"));
        self.lines().iter().map(parse).collect()
    }

    #[track_caller]
    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.join("trace")).expect("the trace is readable");
        assert_eq!(lost(&text), Some(0), "events were lost");
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }

    /// Returns the events of one thread.
    #[track_caller]
    pub fn events_of(&self, tid: i32) -> Vec<EventKind> {
        let events = self.events().into_iter();
        let events = events.filter(|event| event.tid == tid);
        events.map(|event| event.kind).collect()
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

/// An event of any tracepoint.
#[derive(Clone, Debug)]
pub struct AnyEvent {
    /// The time, in seconds.
    pub seconds: f64,
    /// The number of the CPU.
    pub cpu: usize,
    /// The name of the tracepoint, without its system.
    pub name: String,
    fields: String,
}

impl AnyEvent {
    /// Parses "TASK-PID \[CPU\] FLAGS TIME: NAME: FIELDS". TASK has 16 bytes or more, and
    /// may contain whatever the rest does.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.get(16..)?.split_once(" [")?;
        let (cpu, rest) = rest.split_once("] ")?;
        let (time, rest) = rest.split_once(": ")?;
        let (name, fields) = rest.split_once(": ")?;
        Some(Self {
            seconds: time.split_whitespace().next_back()?.parse().ok()?,
            cpu: cpu.parse().ok()?,
            name: name.to_owned(),
            fields: fields.to_owned(),
        })
    }

    /// Returns the value of a field. The fields are "NAME=VALUE", with blanks in between.
    pub fn field<T: FromStr>(&self, name: &str) -> Option<T> {
        let mut fields = self
            .fields
            .split(' ')
            .filter_map(|field| field.split_once('='));
        fields.find_map(|(field, value)| (field == name).then(|| value.parse().ok())?)
    }
}

/// Mounts tracefs, unless it is mounted.
pub fn mount_tracefs() {
    if Path::new(TRACEFS).join("instances").exists() {
        return;
    }
    match fs::create_dir(TRACEFS) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            panic!("{TRACEFS}: {error}: is the kernel built with CONFIG_FTRACE?")
        }
        _ => mount("tracefs", TRACEFS, "tracefs", MountFlags::empty(), None)
            .unwrap_or_else(|error| panic!("mounting {TRACEFS}: {error}")),
    }
}

/// Returns the number of events that the buffer had no room for, from the header's
/// "entries-in-buffer/entries-written: 2/2".
fn lost(trace: &str) -> Option<u64> {
    let (_, numbers) = trace.split_once("entries-written: ")?;
    let (kept, written) = numbers.split_whitespace().next()?.split_once('/')?;
    let [kept, written] = [kept, written].map(|number| number.parse::<u64>().ok());
    Some(written? - kept?)
}
