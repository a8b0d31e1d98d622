// SPDX-License-Identifier: GPL-2.0

//! Records by tracepoints of tracefs, where no BPF program can. The buffer has each switch and
//! wakeup of the machine; what `bpf/record.bpf.c` tells of them is chosen here.

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

const EXIT_DEAD: u32 = 0x10;
const EXIT_ZOMBIE: u32 = 0x20;
/// `CLONE_THREAD` of clone(2).
const CLONE_THREAD: u64 = 0x10000;

/// A thread as a tracepoint names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Who<'a> {
    name: &'a str,
    tid: i32,
    prio: i16,
}

/// What a tracepoint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said<'a> {
    Switch {
        from: Who<'a>,
        to: Who<'a>,
        /// As the kernel has it, 0 if the thread is runnable.
        state: u32,
        preempted: bool,
    },
    Wakeup {
        who: Who<'a>,
        cpu: u32,
    },
    Migrate {
        who: Who<'a>,
        cpu: u32,
    },
    Birth {
        child: i32,
        name: &'a str,
        is_thread: bool,
    },
    Exec {
        tid: i32,
        before: i32,
    },
    Exit(Who<'a>),
}

impl<'a> Said<'a> {
    /// Reads the text of a tracepoint of [`TRACEPOINTS`]. Fields are taken from the end: names
    /// may be any text, and are too short for two fields.
    fn parse(tracepoint: &str, text: &'a str) -> Option<Self> {
        match tracepoint {
            "sched_switch" => {
                const ARROW: &str = " ==> ";
                // A name may have an arrow in it.
                let mut arrows = text.match_indices(ARROW);
                arrows.find_map(|(at, _)| Self::switch(&text[..at], &text[at + ARROW.len()..]))
            }
            "sched_wakeup" | "sched_wakeup_new" => {
                let (rest, cpu) = last(text, " target_cpu=")?;
                let who = who(rest, ["comm=", " pid=", " prio="])?;
                Some(Self::Wakeup { who, cpu })
            }
            "sched_migrate_task" => {
                let (rest, cpu) = last(text, " dest_cpu=")?;
                let (rest, _) = last::<u32>(rest, " orig_cpu=")?;
                let who = who(rest, ["comm=", " pid=", " prio="])?;
                Some(Self::Migrate { who, cpu })
            }
            "task_newtask" => {
                let (child, rest) = text.strip_prefix("pid=")?.split_once(" comm=")?;
                let (rest, _) = last::<i32>(rest, " oom_score_adj=")?;
                let (name, flags) = rest.rsplit_once(" clone_flags=")?;
                Some(Self::Birth {
                    child: child.parse().ok()?,
                    name,
                    is_thread: u64::from_str_radix(flags, 16).ok()? & CLONE_THREAD != 0,
                })
            }
            "sched_process_exec" => {
                let (rest, before) = last(text, " old_pid=")?;
                let (_, tid) = last(rest, " pid=")?;
                Some(Self::Exec { tid, before })
            }
            "sched_process_exit" => {
                // Linux 6.16 and later say whether it is the last thread.
                let own = text
                    .rsplit_once(" group_dead=")
                    .map_or(text, |(own, _)| own);
                Some(Self::Exit(who(own, ["comm=", " pid=", " prio="])?))
            }
            _ => None,
        }
    }

    fn switch(from: &'a str, to: &'a str) -> Option<Self> {
        let (from, reported) = from.rsplit_once(" prev_state=")?;
        let letters = reported.strip_suffix('+');
        Some(Self::Switch {
            from: who(from, ["prev_comm=", " prev_pid=", " prev_prio="])?,
            to: who(to, ["next_comm=", " next_pid=", " next_prio="])?,
            state: state(letters.unwrap_or(reported))?,
            preempted: letters.is_some(),
        })
    }
}

/// Returns a number at the end of a text, and what is before its field.
fn last<'a, T: FromStr>(text: &'a str, field: &str) -> Option<(&'a str, T)> {
    let (rest, number) = text.rsplit_once(field)?;
    Some((rest, number.parse().ok()?))
}

fn who<'a>(text: &'a str, [name, tid, prio]: [&str; 3]) -> Option<Who<'a>> {
    let (rest, prio) = last(text, prio)?;
    let (rest, tid) = last(rest, tid)?;
    Some(Who {
        name: rest.strip_prefix(name)?,
        tid,
        prio,
    })
}

/// Returns the state for the letters that the kernel writes for it, see
/// include/trace/events/sched.h.
fn state(letters: &str) -> Option<u32> {
    let mut state = 0;
    for letter in letters.split('|') {
        state |= match letter {
            "R" => 0,
            "S" => 1,
            "D" => 2,
            "T" => 4,
            "t" => 8,
            "X" => EXIT_DEAD,
            "Z" => EXIT_ZOMBIE,
            "P" => 0x40,
            // TASK_IDLE.
            "I" => 0x402,
            _ => return None,
        };
    }
    Some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The process of the record, which has the threads 10 and 11.
    const OWN: i32 = 10;

    fn line(flags: &str, time: &str, said: &str) -> String {
        format!(
            "{:>16}-99      [003] {flags} {time}: {said}",
            "a b-1 [0] x: y"
        )
    }

    fn switch(time: &str, from: (i32, &str), to: i32) -> String {
        let (from, state) = from;
        let said = format!(
            "sched_switch: prev_comm=t prev_pid={from} prev_prio=120 prev_state={state} ==> \
             next_comm=t next_pid={to} next_prio=120"
        );
        line("d..2.", time, &said)
    }

    fn born(time: &str, tid: i32, flags: &str) -> String {
        let said = format!("task_newtask: pid={tid} comm=t clone_flags={flags} oom_score_adj=0");
        line(".....", time, &said)
    }

    /// Returns a tracer that has seen the recorder 99 start the process.
    fn tracer() -> Tracer {
        let mut tracer = Tracer::new(None);
        let known = Known {
            tgid: 99,
            of_kernel: false,
            prio: 120,
            go_prio: -1,
            name: "gosched".to_owned(),
        };
        tracer.threads.insert(99, known.clone());
        tracer.starter = Some(99);
        for (tid, flags) in [
            (98, "10f00"),
            (OWN, "1200011"),
            (7, "1200011"),
            (8, "1200011"),
        ] {
            assert_eq!(tracer.take(&born("1.000000", tid, flags)), None);
        }
        tracer.threads.insert(99, Known { tgid: OWN, ..known });
        assert_eq!(tracer.take(&born("1.000001", 11, "3d0f00")), None);
        tracer
    }

    #[test]
    fn the_first_process_that_the_recorder_starts_is_the_target_with_its_threads() {
        let mut tracer = tracer();
        assert_eq!(tracer.target, OWN);
        assert!(tracer.is_of_target(11));
        assert!(!tracer.is_of_target(98) && !tracer.is_of_target(7));
    }

    #[test]
    fn of_others_those_are_told_that_have_a_cpu_which_the_program_waits_for() {
        let mut tracer = tracer();
        let taken = |tracer: &mut Tracer, line: &str| {
            let event = tracer.take(line)?;
            Some((event.time, event.thread.tid, event.other.tid, event.state))
        };
        let mut take = |line: &str| taken(&mut tracer, line);
        assert_eq!(take(&switch("2.000001", (7, "S"), 8)), None);
        let woken = line(
            "d..4.",
            "2.000002",
            "sched_wakeup: comm=t pid=10 prio=120 target_cpu=003",
        );
        assert_eq!(take(&woken), Some((2_000_002_000, 10, 99, 0)));
        assert_eq!(
            take(&switch("2.000003", (8, "R+"), 7)),
            Some((2_000_003_000, 8, 7, 0))
        );
        assert_eq!(
            take(&switch("2.000004", (7, "D"), 10)),
            Some((2_000_004_000, 7, 10, 2))
        );
        assert_eq!(
            take(&switch("2.000005", (10, "S"), 7)).map(|told| told.3),
            Some(1)
        );
        assert_eq!(take(&switch("2.000006", (7, "S"), 8)), None);
    }

    #[test]
    fn an_interrupt_wakes_for_nobody_and_a_queue_is_left_for_another_one() {
        let mut tracer = tracer();
        let said = "sched_wakeup: comm=t pid=11 prio=120 target_cpu=001";
        let woken = tracer
            .take(&line("d.h4.", "2.000001", said))
            .expect("an event");
        assert_eq!((woken.thread.tgid, woken.other.tid, woken.cpu), (OWN, 0, 1));
        let moves = "sched_migrate_task: comm=t pid=11 prio=120 orig_cpu=1 dest_cpu=2";
        let moved = tracer
            .take(&line("d..3.", "2.000002", moves))
            .expect("an event");
        assert_eq!((moved.kind(), moved.cpu), (EventKind::Migrate, 2));
        assert!(tracer.waiting.contains_key(&2) && !tracer.waiting.contains_key(&1));
        assert!(tracer.take(&switch("2.000003", (0, "R"), 11)).is_some());
        assert!(tracer.waiting.is_empty());
        // Who is about to be woken is told of then.
        assert_eq!(tracer.take(&line("d..3.", "2.000004", moves)), None);
    }

    #[test]
    fn a_priority_is_that_of_the_thread_from_then_on() {
        let mut tracer = tracer();
        let said = "go_sched_apply: pid=11 old_prio=-1 new_prio=50 old_policy=other \
                    new_policy=rr cause=ioctl";
        let told = tracer
            .take(&line("d..2.", "2.000001", said))
            .expect("an event");
        assert_eq!(told.kind(), EventKind::Priority);
        assert_eq!((told.thread.go_prio, told.other.go_prio), (-1, 50));
        let told = tracer
            .take(&switch("2.000002", (11, "S"), 0))
            .expect("an event");
        assert_eq!(told.thread.go_prio, 50);
    }

    #[test]
    fn names_are_whatever_they_are() {
        for name in [
            "",
            " ==> next_comm=",
            " next_pid=1 nex",
            "a\nb",
            "\n\n\n",
            "prev_state=S ==",
            " prev_pid=1\n",
        ] {
            let said = format!(
                "sched_switch: prev_comm={name} prev_pid=10 prev_prio=139 prev_state=R+ ==> \
                 next_comm={name} next_pid=11 next_prio=-1"
            );
            let mut tracer = tracer();
            let text = line("d..2.", "2.000001", &said);
            let mut told = text.split('\n').filter_map(|line| tracer.take(line));
            let event = told.next().unwrap_or_else(|| panic!("{name:?}"));
            assert_eq!(told.next(), None);
            assert_eq!((event.thread.tid, event.other.tid), (10, 11), "{name:?}");
            assert_eq!((event.thread.prio, event.other.prio), (139, -1));
            assert_eq!(
                [event.thread, event.other].map(|of| of.name()),
                [name, name]
            );
            assert!(event.is_preempted_in_kernel());
            assert_eq!((tracer.unread, &*tracer.cut), (0, ""));
        }
    }

    #[test]
    fn what_is_not_understood_is_counted_and_hides_nothing() {
        let mut tracer = tracer();
        let cut = line("d..2.", "2.000001", "sched_wakeup: comm=a");
        assert_eq!(tracer.take(&cut), None);
        assert!(tracer.take(&switch("2.000002", (10, "S"), 7)).is_some());
        assert_eq!(tracer.unread, 1);
        for _ in 0..LONGEST_LINE {
            assert_eq!(tracer.take("x"), None);
            assert!(tracer.cut.len() < LONGEST_LINE);
        }
        assert!(tracer.unread > 1);
        assert_eq!(tracer.take("CPU:1 [LOST 12 EVENTS]"), None);
        assert!(tracer.take(&switch("2.000003", (7, "S"), 10)).is_some());
    }

    #[test]
    fn who_executes_goes_on_by_the_id_of_the_process() {
        let mut tracer = tracer();
        let said = "sched_process_exec: filename=/tmp/a pid=1 old_pid=2 pid=10 old_pid=11";
        let told = tracer
            .take(&line(".....", "2.000001", said))
            .expect("an event");
        assert_eq!(told.kind(), EventKind::Exec);
        assert_eq!((told.thread.tid, told.other.tid), (10, 11));
        assert!(std::mem::take(&mut tracer.executes));
        for said in [
            "sched_process_exit: comm=t pid=10 prio=120",
            "sched_process_exit: comm=t pid=10 prio=120 group_dead=true",
        ] {
            let told = tracer
                .take(&line(".....", "2.000002", said))
                .expect("an event");
            assert_eq!((told.kind(), told.thread.tid), (EventKind::Exit, 10));
        }
        assert_eq!(tracer.unread, 0);
    }
}
