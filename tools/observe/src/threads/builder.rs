// SPDX-License-Identifier: GPL-2.0

//! What events tell of threads.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;

use super::state;
use super::Delay;
use super::Doing;
use super::Interval;
use super::Occupant;
use super::ThreadHistory;
use super::Threads;
use crate::event::Event;
use crate::event::EventKind;
use crate::event::Thread;

/// The state of a thread since a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    since: u64,
    doing: Doing,
    /// Time at which the thread became runnable, in ns, if the thread waits.
    runnable: u64,
    /// Whether the thread is a real-time one, which no CPU quota holds up.
    realtime: bool,
}

/// The threads as events tell of them, one after the other.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) threads: Threads,
    indices: HashMap<Occupant, usize>,
    pub(super) now: HashMap<i32, Now>,
    /// The threads that wait for each CPU.
    waiting: HashMap<u32, BTreeSet<i32>>,
    /// The CPUs on which the group has used up its quota.
    throttled: HashSet<u32>,
}

fn is_realtime(thread: &Thread) -> bool {
    (0..100).contains(&thread.prio)
}

fn go_prio(thread: &Thread) -> Option<u8> {
    u8::try_from(thread.go_prio).ok()
}

impl Builder {
    pub(super) fn take(&mut self, event: &Event, process: i32) {
        let (time, cpu) = (event.time, event.cpu);
        let thread = &event.thread;
        match event.kind() {
            EventKind::Switch => {
                let occupant = self.occupant(thread);
                let until = self.threads.until.entry(cpu).or_default();
                until.push((time, occupant));
                if thread.tgid == process {
                    self.leaves(event);
                }
                if event.other.tgid == process {
                    if !is_realtime(&event.other) {
                        self.set_throttled(cpu, time, false);
                    }
                    self.comes(&event.other, cpu, time);
                }
            }
            EventKind::Wakeup => {
                // It may have been woken before it slept.
                let sleeps = match self.now.get(&thread.tid) {
                    Some(now) => matches!(now.doing, Doing::Sleeping { .. }),
                    None => true,
                };
                if sleeps {
                    self.close(thread.tid, time, None);
                    let throttled = self.is_throttled(event);
                    self.wait(thread, cpu, time, time, throttled);
                }
            }
            EventKind::Migrate => {
                if let Some(now) = self.now.get(&thread.tid).copied() {
                    if let Doing::Waiting { .. } = now.doing {
                        let throttled = self.throttled.contains(&cpu) && !now.realtime;
                        self.close(thread.tid, time, None);
                        self.wait(thread, cpu, time, now.runnable, throttled);
                    }
                }
            }
            EventKind::Priority => {
                let new = go_prio(&event.other);
                let history = self.history(thread);
                history.priorities.push((time, new));
                history.go_prio = new;
            }
            EventKind::Exec => {
                // The thread that does goes on as the first one of the process.
                self.close(event.other.tid, time, None);
                self.close(thread.tid, time, None);
                self.comes(thread, cpu, time);
            }
            EventKind::Exit => (),
        }
    }

    fn history(&mut self, thread: &Thread) -> &mut ThreadHistory {
        let history = self.threads.histories.entry(thread.tid).or_default();
        history.name = thread.name();
        history
    }

    fn occupant(&mut self, thread: &Thread) -> usize {
        let occupant = Occupant {
            tid: thread.tid,
            tgid: thread.tgid,
            name: thread.name(),
            go_prio: go_prio(thread),
            realtime: is_realtime(thread),
            kernel: thread.is_of_kernel(),
        };
        *self.indices.entry(occupant).or_insert_with_key(|occupant| {
            self.threads.occupants.push(occupant.clone());
            self.threads.occupants.len() - 1
        })
    }

    fn leaves(&mut self, event: &Event) {
        let thread = &event.thread;
        self.close(thread.tid, event.time, Some(event.cpu));
        let history = self.history(thread);
        history.go_prio = go_prio(thread);
        let state = event.state & state::MASK;
        if state::has_ended(state) {
            return;
        }
        let throttled = self.is_throttled(event);
        if event.state == 0 {
            self.wait(thread, event.cpu, event.time, event.time, throttled);
            return;
        }
        self.begin(
            thread,
            event.time,
            Doing::Sleeping {
                syscall: event.syscall,
                uninterruptible: state::is_uninterruptible(state),
            },
            event.time,
        );
    }

    /// Returns whether a thread is held up by a quota of its group, and notes that for the others
    /// on the CPU.
    fn is_throttled(&mut self, event: &Event) -> bool {
        let throttled = event.is_throttled() && !is_realtime(&event.thread);
        if throttled {
            self.set_throttled(event.cpu, event.time, true);
        }
        throttled
    }

    /// Notes whether the group has used up its quota on a CPU. The kernel tells of the thread that
    /// leaves the CPU by that alone, and of no thread that waits there already.
    fn set_throttled(&mut self, cpu: u32, time: u64, throttled: bool) {
        let changed = if throttled {
            self.throttled.insert(cpu)
        } else {
            self.throttled.remove(&cpu)
        };
        if !changed {
            return;
        }
        let other = Doing::Waiting {
            cpu,
            throttled: !throttled,
        };
        let mut ended = Vec::new();
        for tid in self.waiting.get(&cpu).into_iter().flatten() {
            let now = self.now.get_mut(tid);
            if let Some(now) = now.filter(|now| now.doing == other && !now.realtime) {
                ended.push((*tid, now.since));
                now.since = time;
                now.doing = Doing::Waiting { cpu, throttled };
            }
        }
        for (tid, since) in ended {
            self.push(tid, since, time, other);
        }
    }

    fn comes(&mut self, thread: &Thread, cpu: u32, time: u64) {
        let before = self.now.get(&thread.tid).copied();
        self.close(thread.tid, time, None);
        let history = self.history(thread);
        history.go_prio = go_prio(thread);
        if let Some(Now {
            doing: Doing::Waiting { .. },
            runnable,
            ..
        }) = before
        {
            history.delays.push(Delay {
                at: time,
                takes: time.saturating_sub(runnable),
                go_prio: go_prio(thread),
            });
        }
        self.begin(thread, time, Doing::Running { cpu }, time);
    }

    fn wait(&mut self, thread: &Thread, cpu: u32, time: u64, runnable: u64, throttled: bool) {
        self.history(thread);
        self.begin(thread, time, Doing::Waiting { cpu, throttled }, runnable);
    }

    fn begin(&mut self, thread: &Thread, since: u64, doing: Doing, runnable: u64) {
        self.forget(thread.tid);
        if let Doing::Waiting { cpu, .. } = doing {
            self.waiting.entry(cpu).or_default().insert(thread.tid);
        }
        let realtime = is_realtime(thread);
        self.now.insert(
            thread.tid,
            Now {
                since,
                doing,
                runnable,
                realtime,
            },
        );
    }

    /// Takes away the state of a thread.
    fn forget(&mut self, tid: i32) -> Option<Now> {
        let now = self.now.remove(&tid)?;
        if let Doing::Waiting { cpu, .. } = now.doing {
            self.waiting.entry(cpu).or_default().remove(&tid);
        }
        Some(now)
    }

    /// Ends the state of a thread. A thread without a known state that leaves a CPU ran there.
    pub(super) fn close(&mut self, tid: i32, time: u64, leaves: Option<u32>) {
        let Some(now) = self.forget(tid) else {
            return;
        };
        let doing = match (now.doing, leaves) {
            // Events are missing.
            (Doing::Waiting { .. } | Doing::Sleeping { .. }, Some(_)) => return,
            (doing, _) => doing,
        };
        self.push(tid, now.since, time, doing);
    }

    fn push(&mut self, tid: i32, from: u64, to: u64, doing: Doing) {
        if from < to {
            let history = self.threads.histories.entry(tid).or_default();
            history.intervals.push(Interval { from, to, doing });
        }
    }
}
