// SPDX-License-Identifier: GPL-2.0

//! Records by tracepoints of tracefs, where no BPF program can. The buffer has each switch and
//! wakeup of the machine; what `bpf/record.bpf.c` tells of them is chosen here.

mod said;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::hash_map::Entry as MapEntry;
use std::collections::HashMap;
use std::fs;
use std::num::NonZeroU32;
use std::process;
use std::str::FromStr;
use std::time::Duration;

use go_sched_tracefs::Instance;
use go_sched_tracefs::TracefsError;
use gosched::trace::Entry;
use gosched::trace::EventKind as GoSchedKind;
use gosched::trace::Line;
use gosched::Device;
use zerocopy::IntoBytes;

use self::said::Said;
use self::said::Who;
use self::said::EXIT_DEAD;
use self::said::EXIT_ZOMBIE;
use crate::event::Event;
use crate::event::EventKind;
use crate::event::Thread;
use crate::layout::GoProgram;
use crate::layout::LayoutError;
use crate::record::Control;
use crate::record::Fallback;
use crate::record::Outcome;
use crate::record::Programs;
use crate::record::RecordError;
use crate::record::Target;
use crate::record::READ_EVERY;

/// Room for events on each CPU, in KiB: some 25000.
const BUFFER_KB: NonZeroU32 = NonZeroU32::new(2048).unwrap();

/// The tracepoints, as few as tell what BPF programs do.
const TRACEPOINTS: [&str; 7] = [
    "task/task_newtask",
    EXEC,
    "sched/sched_process_exit",
    "sched/sched_migrate_task",
    "sched/sched_wakeup",
    "sched/sched_wakeup_new",
    "sched/sched_switch",
];
const EXEC: &str = "sched/sched_process_exec";
/// Not there without go_sched in the kernel.
const OF_GO_SCHED: &str = "go_sched/go_sched_apply";

/// The most reads between two looks for the end: events may come faster than they are read.
const MOST_READS: usize = 256;

/// A line has fewer bytes: it has three names at most, which have 15 bytes each. A line feed in a
/// name splits a line.
const LONGEST_LINE: usize = 512;

/// Files whose name has a line feed could write whole lines of their own: those are not told.
const OF_ONE_LINE: &str = "!(filename ~ \"*\n*\")";

/// Starts the buffer.
pub(crate) fn start() -> Result<Instance, TracefsError> {
    let instance = Instance::new(BUFFER_KB)?;
    instance.filter(EXEC, OF_ONE_LINE)?;
    for tracepoint in TRACEPOINTS {
        instance.enable(tracepoint)?;
    }
    match instance.enable(OF_GO_SCHED) {
        Ok(()) | Err(TracefsError::NoTracepoint(_)) => Ok(instance),
        Err(error) => Err(error),
    }
}

/// Records a process until `control` says that it ends. `why` tells what is wrong with BPF.
pub(crate) fn record(
    mut instance: Instance,
    why: String,
    target: &Target,
    control: &mut dyn Control,
) -> Result<Outcome, RecordError> {
    let mut programs = Programs::default();
    let mut tracer = Tracer::new(Device::open().ok());
    match target {
        Target::Process(pid) => {
            control.program(unread(Programs::of_process(*pid)));
            tracer.take_process(*pid);
        }
        Target::Next(executable) => {
            if let Some(path) = executable {
                programs.expect(path);
            }
            tracer.starter = i32::try_from(process::id()).ok();
        }
    }
    control.start()?;
    let mut behind = false;
    loop {
        let pause = if behind { Duration::ZERO } else { READ_EVERY };
        // The end is looked for first: then the last events are in the buffer.
        let ends = control.pause(pause)?;
        if ends {
            instance.stop()?;
        }
        let mut goes_on = true;
        behind = true;
        let mut reads = if ends { usize::MAX } else { MOST_READS };
        while behind && goes_on && reads > 0 {
            reads -= 1;
            let lines = instance.read()?;
            behind = !lines.is_empty();
            for event in lines.iter().filter_map(|line| tracer.take(line)) {
                goes_on = goes_on && control.take(&event, event.as_bytes())?;
            }
        }
        if std::mem::take(&mut tracer.executes) {
            control.program(unread(programs.executed(tracer.target).0));
        }
        if !goes_on || (ends && !behind) {
            break;
        }
    }
    instance.stop()?;
    let lost = instance.lost()? + tracer.unread;
    Ok(Outcome {
        lost,
        target: tracer.target,
        tracefs: Some(Fallback {
            why,
            not_removed: instance.remove().err(),
        }),
    })
}

/// Tells that goroutines are not read, if there are any.
fn unread(program: Result<GoProgram, LayoutError>) -> Result<GoProgram, LayoutError> {
    Err(program.err().unwrap_or(LayoutError::Tracefs))
}

/// What is known of a thread.
#[derive(Clone, Debug)]
struct Known {
    tgid: i32,
    of_kernel: bool,
    prio: i16,
    go_prio: i8,
    name: String,
}

/// Chooses the events of one process, and of the CPUs that its threads wait for.
#[derive(Debug, Default)]
struct Tracer {
    /// The process that is recorded, or -1 as long as there is none.
    target: i32,
    /// The recorder, while the next process that it starts is to be the target.
    starter: Option<i32>,
    threads: HashMap<i32, Known>,
    /// The CPU in whose queue a thread of the program waits.
    queued: HashMap<i32, u32>,
    /// How many threads of the program wait in the queue of each CPU.
    waiting: HashMap<u32, u32>,
    /// Whether the process has executed a program.
    executes: bool,
    /// The beginning of a line that a line feed in a name has split.
    cut: String,
    /// The number of lines that were not understood.
    unread: u64,
    /// What tells the Go priority of a thread that ran before.
    device: Option<Device>,
}

impl Tracer {
    fn new(device: Option<Device>) -> Self {
        Self {
            target: -1,
            device,
            ..Self::default()
        }
    }

    /// Has a process that runs be the target.
    fn take_process(&mut self, pid: i32) {
        self.target = pid;
        // Those that end before their first event is read cannot be looked up then.
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            if let Some(tid) = task.file_name().to_str().and_then(|tid| tid.parse().ok()) {
                self.known(tid);
            }
        }
    }

    /// Takes a line of the buffer; returns an event if there is one to be told.
    fn take(&mut self, line: &str) -> Option<Event> {
        if line.starts_with("CPU:") {
            // Lost events are counted in the end.
            return None;
        }
        let cut = std::mem::take(&mut self.cut);
        let mut whole = Cow::Borrowed(line);
        if !cut.is_empty() {
            // The rest of a line that is cut never looks like one: names are too short.
            match Line::parse(line) {
                Some(_) => self.unread += 1,
                None => whole = Cow::Owned(format!("{cut}\n{line}")),
            }
        }
        let parsed = Line::parse(&whole);
        if let Some(line) = parsed.filter(|line| line.name == "go_sched_apply") {
            return self.applied(&whole, &line);
        }
        let said = parsed.and_then(|line| {
            let said = Said::parse(line.name, line.text)?;
            Some((said, line, line.nanoseconds()?))
        });
        match said {
            Some((said, line, time)) => self.said(said, &line, time),
            None if whole.len() < LONGEST_LINE => {
                self.cut = whole.into_owned();
                None
            }
            None => {
                self.unread += 1;
                None
            }
        }
    }

    fn said(&mut self, said: Said<'_>, line: &Line<'_>, time: u64) -> Option<Event> {
        match said {
            Said::Switch {
                from,
                to,
                state,
                preempted,
            } => {
                let event = self.switch(&from, &to, state, line.cpu, time);
                if matches!(state, EXIT_DEAD | EXIT_ZOMBIE) {
                    self.threads.remove(&from.tid);
                }
                event.map(|event| event.with_state(state, preempted))
            }
            Said::Wakeup { who, cpu } => {
                if !self.is_of_target(who.tid) {
                    return None;
                }
                self.enqueue(who.tid, cpu);
                let thread = self.thread(&who);
                let waker = match line.is_in_interrupt() {
                    true => Thread::NONE,
                    false => self.thread_of(line.by),
                };
                Some(Event::new(EventKind::Wakeup, time, cpu, thread, waker))
            }
            Said::Migrate { who, cpu } => {
                // Who is about to be woken is told of then.
                if !self.is_of_target(who.tid) || !self.dequeue(who.tid) {
                    return None;
                }
                self.enqueue(who.tid, cpu);
                let thread = self.thread(&who);
                Some(Event::new(
                    EventKind::Migrate,
                    time,
                    cpu,
                    thread,
                    Thread::NONE,
                ))
            }
            Said::Birth {
                child,
                name,
                is_thread,
            } => {
                self.born(line.by, child, name, is_thread);
                None
            }
            Said::Exec { tid, before } => {
                if !self.is_of_target(tid) {
                    return None;
                }
                self.executes = true;
                self.dequeue(before);
                // It goes on by the id of the first thread.
                if let Some(known) = self.threads.remove(&before) {
                    self.threads.insert(tid, known);
                }
                let thread = self.thread_of(tid);
                let other = Thread::new(before, self.target, 0, false, "");
                Some(Event::new(EventKind::Exec, time, line.cpu, thread, other))
            }
            Said::Exit(who) => {
                if !self.is_of_target(who.tid) {
                    return None;
                }
                self.dequeue(who.tid);
                let thread = self.thread(&who);
                Some(Event::new(
                    EventKind::Exit,
                    time,
                    line.cpu,
                    thread,
                    Thread::NONE,
                ))
            }
        }
    }

    fn switch(
        &mut self,
        from: &Who<'_>,
        to: &Who<'_>,
        state: u32,
        cpu: u32,
        time: u64,
    ) -> Option<Event> {
        let (leaves, comes) = (self.is_of_target(from.tid), self.is_of_target(to.tid));
        if !leaves && !comes && !self.waiting.contains_key(&cpu) {
            return None;
        }
        if comes {
            self.dequeue(to.tid);
        }
        if leaves && state == 0 {
            self.enqueue(from.tid, cpu);
        } else if leaves {
            // It was woken before it slept.
            self.dequeue(from.tid);
        }
        let (from, to) = (self.thread(from), self.thread(to));
        Some(Event::new(EventKind::Switch, time, cpu, from, to))
    }

    /// Takes a change of the Go priority in force.
    fn applied(&mut self, text: &str, line: &Line<'_>) -> Option<Event> {
        let Some(Entry::Event(event)) = Entry::parse(text) else {
            self.unread += 1;
            return None;
        };
        let GoSchedKind::Apply {
            old_priority,
            new_priority,
            ..
        } = event.kind
        else {
            return None;
        };
        let number = |prio: Option<u32>| prio.and_then(|prio| i8::try_from(prio).ok());
        let [before, after] = [old_priority, new_priority].map(|prio| number(prio).unwrap_or(-1));
        let known = self.known(event.tid);
        known.go_prio = after;
        let tgid = known.tgid;
        if tgid != self.target {
            return None;
        }
        let mut thread = self.thread_of(event.tid);
        thread.go_prio = before;
        let mut other = Thread::NONE;
        other.go_prio = after;
        let time = line.nanoseconds()?;
        Some(Event::new(
            EventKind::Priority,
            time,
            line.cpu,
            thread,
            other,
        ))
    }

    /// Takes the birth of a thread, or of a process with its first thread.
    fn born(&mut self, parent: i32, child: i32, name: &str, is_thread: bool) {
        let parent = self.known(parent).clone();
        // The kernel has told before if a priority is inherited.
        let go_prio = self.threads.get(&child).map_or(-1, |known| known.go_prio);
        let born = Known {
            tgid: if is_thread { parent.tgid } else { child },
            of_kernel: parent.of_kernel,
            prio: parent.prio,
            go_prio,
            name: name.to_owned(),
        };
        self.threads.insert(child, born);
        if !is_thread && self.starter == Some(parent.tgid) {
            self.target = child;
            self.starter = None;
        }
    }

    fn is_of_target(&mut self, tid: i32) -> bool {
        self.target >= 0 && self.known(tid).tgid == self.target
    }

    /// Returns what is known of a thread, which is looked up at first.
    fn known(&mut self, tid: i32) -> &mut Known {
        match self.threads.entry(tid) {
            MapEntry::Occupied(known) => known.into_mut(),
            MapEntry::Vacant(unknown) => unknown.insert(Known::look_up(tid, self.device.as_ref())),
        }
    }

    fn thread(&mut self, who: &Who<'_>) -> Thread {
        let known = self.known(who.tid);
        known.prio = who.prio;
        who.name.clone_into(&mut known.name);
        self.thread_of(who.tid)
    }

    fn thread_of(&mut self, tid: i32) -> Thread {
        let known = self.known(tid);
        let mut thread = Thread::new(tid, known.tgid, known.prio, known.of_kernel, &known.name);
        thread.go_prio = known.go_prio;
        thread
    }

    /// Notes that a thread waits in the queue of a CPU.
    fn enqueue(&mut self, tid: i32, cpu: u32) {
        if let MapEntry::Vacant(queued) = self.queued.entry(tid) {
            queued.insert(cpu);
            *self.waiting.entry(cpu).or_default() += 1;
        }
    }

    /// Notes that a thread waits no more; returns whether it did.
    fn dequeue(&mut self, tid: i32) -> bool {
        let Some(cpu) = self.queued.remove(&tid) else {
            return false;
        };
        if let MapEntry::Occupied(mut waiting) = self.waiting.entry(cpu) {
            *waiting.get_mut() -= 1;
            if *waiting.get() == 0 {
                waiting.remove();
            }
        }
        true
    }
}

impl Known {
    /// Reads what a thread is. One that has ended is taken for a process of its own.
    fn look_up(tid: i32, device: Option<&Device>) -> Self {
        const PF_KTHREAD: u32 = 0x0020_0000;
        if tid == 0 {
            return Self {
                tgid: 0,
                of_kernel: true,
                prio: 120,
                go_prio: -1,
                name: "swapper".to_owned(),
            };
        }
        let read = |file| fs::read(format!("/proc/{tid}/{file}")).unwrap_or_default();
        let [stat, status] = ["stat", "status"].map(read);
        let [stat, status] = [&stat, &status].map(|text| String::from_utf8_lossy(text));
        let (start, fields) = stat.rsplit_once(") ").unwrap_or_default();
        let mut fields = fields.split(' ');
        // See proc_pid_stat(5); the fields count from that after the name, the third one.
        let flags: u32 = fields.nth(6).map_or(0, parse_or_default);
        let prio: i16 = fields.nth(8).map_or(20, parse_or_default);
        let tgid = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
        let priority = device.and_then(|device| device.get(gosched::Target::Tid(tid)).ok());
        let priority = priority.and_then(|status| status.applied);
        Self {
            tgid: tgid.map_or(tid, parse_or_default),
            of_kernel: flags & PF_KTHREAD != 0,
            prio: prio.saturating_add(100),
            go_prio: priority.map_or(-1, |prio| i8::try_from(prio.get()).unwrap_or(-1)),
            name: start.split_once('(').unwrap_or_default().1.to_owned(),
        }
    }
}

fn parse_or_default<T: FromStr + Default>(text: &str) -> T {
    text.trim().parse().unwrap_or_default()
}
