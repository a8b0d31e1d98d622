// SPDX-License-Identifier: GPL-2.0

//! Records as files for Perfetto's viewer: the CPUs, the states of threads, goroutines, who made
//! whom runnable, Go priorities, and latency spikes.

mod message;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use go_sched_gotrace::GoState;
use prost::Message;

use self::message::Annotation;
use self::message::Bundle;
use self::message::Counter;
use self::message::FtraceEvent;
use self::message::Packet;
use self::message::Process;
use self::message::Switch;
use self::message::ThreadOf;
use self::message::Trace;
use self::message::Track;
use self::message::TrackEvent;
use self::message::Waking;
use crate::event::Event;
use crate::event::EventKind;
use crate::goroutines::Stretch;
use crate::spikes::Cluster;
use crate::summary::Timeline;

/// The viewer shows a bundle of events that are not in order as damaged, and a large one slowly.
const EVENTS_IN_BUNDLE: usize = 1000;
/// All packets are of one writer.
const SEQUENCE: u32 = 1;

/// Tracks, which are numbers that say nothing: a kind, and the number of what they are of.
#[derive(Clone, Copy)]
enum TrackId {
    Process,
    Goroutines,
    Goroutine(u64),
    Priority(i32),
    Thread(i32),
    Spikes,
}

impl TrackId {
    fn number(self) -> u64 {
        const KIND: u64 = 1 << 56;
        match self {
            Self::Process => KIND,
            Self::Goroutines => 2 * KIND,
            Self::Goroutine(id) => 3 * KIND + (id & (KIND - 1)),
            Self::Priority(tid) => 4 * KIND + u64::from(tid.unsigned_abs()),
            Self::Thread(tid) => 5 * KIND + u64::from(tid.unsigned_abs()),
            Self::Spikes => 6 * KIND,
        }
    }
}

/// Makes the file of a record, with clusters of outliers if there are any.
pub fn file(timeline: &Timeline, spikes: &[Cluster]) -> Vec<u8> {
    let mut writer = Writer {
        timeline,
        trace: Trace::default(),
    };
    writer.process();
    writer.kernel();
    writer.priorities();
    writer.goroutines();
    writer.spikes(spikes);
    writer.trace.encode_to_vec()
}

struct Writer<'a> {
    timeline: &'a Timeline,
    trace: Trace,
}

impl Writer<'_> {
    fn push(&mut self, packet: Packet) {
        self.trace.packet.push(Packet {
            sequence: Some(SEQUENCE),
            ..packet
        });
    }

    /// Returns a time on Perfetto's clock, which also counts while the machine sleeps.
    fn time(&self, monotonic: u64) -> u64 {
        monotonic.saturating_add_signed(self.timeline.meta.boottime_offset)
    }

    fn describe(&mut self, track: Track) {
        self.push(Packet {
            track: Some(track),
            ..Packet::default()
        });
    }

    fn process(&mut self) {
        let meta = &self.timeline.meta;
        let name = meta
            .command
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        let pid = meta.pid;
        self.describe(Track {
            uuid: Some(TrackId::Process.number()),
            process: Some(Process {
                pid: Some(pid),
                name: Some(name),
            }),
            ..Track::default()
        });
        let threads: Vec<_> = self
            .timeline
            .threads
            .histories
            .iter()
            .map(|(tid, history)| (*tid, history.name.clone()))
            .collect();
        for (tid, name) in threads {
            self.describe(Track {
                uuid: Some(TrackId::Thread(tid).number()),
                thread: Some(ThreadOf {
                    pid: Some(pid),
                    tid: Some(tid.into()),
                    name: Some(name),
                }),
                ..Track::default()
            });
        }
    }

    /// Writes switches and wakeups, from which the viewer makes the tracks of the CPUs and the
    /// states of threads.
    fn kernel(&mut self) {
        let mut of_cpu: BTreeMap<u32, Vec<FtraceEvent>> = BTreeMap::new();
        for event in &self.timeline.events {
            if let Some(ftrace) = self.ftrace(event) {
                of_cpu.entry(event.cpu).or_default().push(ftrace);
            }
        }
        for (cpu, events) in of_cpu {
            for part in events.chunks(EVENTS_IN_BUNDLE) {
                self.push(Packet {
                    ftrace: Some(Bundle {
                        cpu: Some(cpu),
                        event: part.to_vec(),
                    }),
                    ..Packet::default()
                });
            }
        }
    }

    fn ftrace(&self, event: &Event) -> Option<FtraceEvent> {
        let (thread, other) = (&event.thread, &event.other);
        let common = |pid: i32| FtraceEvent {
            timestamp: Some(self.time(event.time)),
            pid: Some(pid.unsigned_abs()),
            ..FtraceEvent::default()
        };
        match event.kind() {
            EventKind::Switch => Some(FtraceEvent {
                switch: Some(Switch {
                    prev_name: Some(thread.name()),
                    prev_pid: Some(thread.tid),
                    prev_prio: Some(thread.prio.into()),
                    prev_state: Some(reported_state(event)),
                    next_name: Some(other.name()),
                    next_pid: Some(other.tid),
                    next_prio: Some(other.prio.into()),
                }),
                ..common(thread.tid)
            }),
            EventKind::Wakeup => Some(FtraceEvent {
                waking: Some(Waking {
                    name: Some(thread.name()),
                    pid: Some(thread.tid),
                    prio: Some(thread.prio.into()),
                    success: Some(1),
                    cpu: i32::try_from(event.cpu).ok(),
                }),
                ..common(other.tid)
            }),
            _ => None,
        }
    }

    fn priorities(&mut self) {
        let mut changes = Vec::new();
        for (tid, history) in &self.timeline.threads.histories {
            if !history.priorities.is_empty() {
                changes.push((*tid, history.priorities.clone()));
            }
        }
        for (tid, priorities) in changes {
            let track = TrackId::Priority(tid).number();
            self.describe(Track {
                uuid: Some(track),
                name: Some(format!("Go priority of thread {tid}")),
                parent: Some(TrackId::Process.number()),
                counter: Some(Counter {}),
                ..Track::default()
            });
            for (time, prio) in priorities {
                let event = TrackEvent {
                    kind: Some(TrackEvent::COUNTER),
                    track: Some(track),
                    counter: Some(prio.map_or(-1, i64::from)),
                    ..TrackEvent::default()
                };
                self.event(time, event);
            }
        }
    }

    fn event(&mut self, time: u64, event: TrackEvent) {
        self.push(Packet {
            timestamp: Some(self.time(time)),
            event: Some(event),
            ..Packet::default()
        });
    }

    fn goroutines(&mut self) {
        let Some(goroutines) = &self.timeline.goroutines else {
            return;
        };
        self.describe(Track {
            uuid: Some(TrackId::Goroutines.number()),
            name: Some("Goroutines".to_owned()),
            parent: Some(TrackId::Process.number()),
            ..Track::default()
        });
        let known: BTreeSet<u64> = goroutines.histories.keys().copied().collect();
        // All of them before an arrow that begins in another's track.
        for (id, history) in &goroutines.histories {
            let function = match history.function.as_str() {
                "" => String::new(),
                function => format!(" {function}"),
            };
            self.describe(Track {
                uuid: Some(TrackId::Goroutine(*id).number()),
                name: Some(format!("G {id}{function}")),
                parent: Some(TrackId::Goroutines.number()),
                ..Track::default()
            });
        }
        let mut flow = 0;
        for (id, history) in &goroutines.histories {
            let track = TrackId::Goroutine(*id).number();
            // An arrow from who made it runnable to where it runs.
            let mut arrow = None;
            for stretch in &history.stretches {
                if stretch.state == GoState::Runnable {
                    if let Some(by) = stretch.by.filter(|by| known.contains(by)) {
                        flow += 1;
                        arrow = Some(flow);
                        let event = TrackEvent {
                            kind: Some(TrackEvent::INSTANT),
                            track: Some(TrackId::Goroutine(by).number()),
                            name: Some(format!("makes G {id} runnable")),
                            flows: vec![flow],
                            ..TrackEvent::default()
                        };
                        self.event(stretch.from, event);
                    }
                }
                let ends = match stretch.state {
                    GoState::Running => arrow.take(),
                    _ => None,
                };
                let event = TrackEvent {
                    kind: Some(TrackEvent::BEGIN),
                    track: Some(track),
                    name: Some(title(stretch)),
                    annotations: annotations(stretch),
                    ending_flows: ends.into_iter().collect(),
                    ..TrackEvent::default()
                };
                self.slice(stretch.from, stretch.to, event);
            }
        }
    }

    fn spikes(&mut self, spikes: &[Cluster]) {
        let track = TrackId::Spikes.number();
        if !spikes.is_empty() {
            self.describe(Track {
                uuid: Some(track),
                name: Some("latency spikes".to_owned()),
                parent: Some(TrackId::Process.number()),
                ..Track::default()
            });
        }
        for spike in spikes {
            let name = match (&spike.cause, &spike.unknown) {
                (Some(cause), _) => cause.to_string(),
                (None, Some(why)) => format!("unknown: {why}"),
                (None, None) => "unknown".to_owned(),
            };
            let event = TrackEvent {
                kind: Some(TrackEvent::BEGIN),
                track: Some(track),
                name: Some(name),
                annotations: numbers([
                    ("outliers", i64::try_from(spike.outliers).ok()),
                    ("highest latency, ns", i64::try_from(spike.worst).ok()),
                ]),
                ..TrackEvent::default()
            };
            self.slice(spike.from, spike.to, event);
        }
    }

    /// Writes a slice that begins with an event.
    fn slice(&mut self, from: u64, to: u64, begin: TrackEvent) {
        let end = TrackEvent {
            kind: Some(TrackEvent::END),
            track: begin.track,
            ..TrackEvent::default()
        };
        self.event(from, begin);
        self.event(to, end);
    }
}

/// Returns the state that a thread leaves its CPU in, as the tracepoint of ftrace has it.
fn reported_state(event: &Event) -> i64 {
    // See __trace_sched_switch_state() in include/trace/events/sched.h.
    const PREEMPTED: i64 = 0x100;
    const IDLE: u32 = 0x402;
    const REPORTED_IDLE: i64 = 0x80;
    const REPORTED: u32 = 0x7f;
    match event.state {
        0 if event.is_preempted_in_kernel() => PREEMPTED,
        state if state & IDLE == IDLE => REPORTED_IDLE,
        state => i64::from(state & REPORTED),
    }
}

/// Returns what the viewer writes into the bar of a stretch.
fn title(stretch: &Stretch) -> String {
    let state = match stretch.state {
        GoState::Running => "running",
        GoState::Runnable => "runnable",
        GoState::Syscall => "system call",
        GoState::Waiting => "waiting",
        _ => "unknown",
    };
    match &stretch.reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state.to_owned(),
    }
}

fn annotations(stretch: &Stretch) -> Vec<Annotation> {
    numbers([
        ("thread", stretch.tid.map(i64::from)),
        ("P", stretch.p.and_then(|p| i64::try_from(p).ok())),
        (
            "made runnable by G",
            stretch.by.and_then(|by| i64::try_from(by).ok()),
        ),
    ])
}

fn numbers<const N: usize>(numbers: [(&str, Option<i64>); N]) -> Vec<Annotation> {
    numbers
        .into_iter()
        .filter_map(|(name, value)| {
            Some(Annotation {
                name: Some(name.to_owned()),
                int: Some(value?),
            })
        })
        .collect()
}
