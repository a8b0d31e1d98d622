// SPDX-License-Identifier: MIT OR GPL-2.0

//! Ps: which thread holds which.

use super::Context;
use super::Held;
use super::Order;
use super::Sequence;
use super::Step;
use super::Within;
use crate::error::Fault;
use crate::event::EventKind;
use crate::event::ProcId;
use crate::event::ProcState;
use crate::event::ProcTransition;
use crate::event::ThreadId;
use crate::frontier::RawEvent;

/// A P.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proc {
    pub(super) status: ProcStatus,
    pub(super) sequence: Sequence,
    /// The thread that got it last.
    holder: Option<ThreadId>,
}

/// The status of a P, as the trace has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProcStatus {
    Running,
    Idle,
    /// Held by a thread in a system call, from which other threads may take it.
    Syscall,
    /// Like `Syscall`, but which thread that is has been lost.
    Abandoned,
}

impl ProcStatus {
    fn told(number: u64) -> Result<Self, Fault> {
        match number {
            1 => Ok(Self::Running),
            2 => Ok(Self::Idle),
            3 => Ok(Self::Syscall),
            4 => Ok(Self::Abandoned),
            _ => Err(Fault::new(format!("a P has the status {number}"))),
        }
    }

    /// Returns the state that it appears as.
    fn state(self) -> ProcState {
        match self {
            Self::Running | Self::Syscall => ProcState::Running,
            Self::Idle | Self::Abandoned => ProcState::Idle,
        }
    }
}

impl Order {
    /// Takes the status of a P, which each generation tells before all else of it.
    pub(super) fn proc_status(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [id, status, ..] = event.arguments;
        let id = ProcId(id);
        let status = ProcStatus::told(status)?;
        let binds = matches!(status, ProcStatus::Running | ProcStatus::Syscall);
        let known = self.procs.get(&id).copied();
        let from = match known {
            Some(known) => known.status.state(),
            None if self.is_first(within) => ProcState::Undetermined,
            None => ProcState::NotExist,
        };
        let mut to = status.state();
        let mut proc = Proc {
            status,
            sequence: within.sequence(0),
            holder: if binds { at.thread } else { None },
        };
        let mut told_at = at;
        if let Some(known) = known {
            if status == ProcStatus::Abandoned && known.status == ProcStatus::Syscall {
                // Another thread is about to take it. The one in the system call is known,
                // though, so nothing is lost.
                told_at = self.holder_of(id, known)?;
                to = from;
                proc.status = known.status;
                proc.holder = known.holder;
            } else if status != known.status {
                return Err(Fault::new(format!(
                    "P {id} is {status:?}, and was {:?}",
                    known.status
                )));
            } else if !binds {
                proc.holder = known.holder;
            }
        }
        self.procs.insert(id, proc);
        self.tell_proc(event, told_at, (id, from, to), None);
        Ok(Step::Done(Held {
            proc: if binds { Some(id) } else { at.held.proc },
            ..at.held
        }))
    }

    /// Returns the thread that is in a system call with a P.
    fn holder_of(&self, id: ProcId, proc: Proc) -> Result<Context, Fault> {
        proc.holder
            .and_then(|thread| Some((thread, *self.threads.get(&thread)?)))
            .filter(|(_, held)| held.proc == Some(id))
            .map(|(thread, held)| Context {
                thread: Some(thread),
                held,
            })
            .ok_or_else(|| Fault::new(format!("P {id} is in a system call of no thread")))
    }

    /// A thread takes an idle P.
    pub(super) fn proc_start(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [id, number, ..] = event.arguments;
        let id = ProcId(id);
        let sequence = within.sequence(number);
        // A thread that holds another P is about to lose that: it was in a system call.
        let proc = match self.procs.get_mut(&id) {
            Some(proc)
                if proc.status == ProcStatus::Idle
                    && sequence.follows(proc.sequence)
                    && at.held.proc.is_none() =>
            {
                proc
            }
            _ => return Ok(Step::Wait),
        };
        *proc = Proc {
            status: ProcStatus::Running,
            sequence,
            holder: Some(at.thread(event)?),
        };
        self.tell_proc(event, at, (id, ProcState::Idle, ProcState::Running), None);
        Ok(Step::Done(Held {
            proc: Some(id),
            ..at.held
        }))
    }

    /// A thread lets go of its P.
    pub(super) fn proc_stop(&mut self, event: &RawEvent, at: Context) -> Result<Step, Fault> {
        let id = at.proc(event)?;
        let proc = self.procs.get_mut(&id);
        match proc {
            Some(proc) if matches!(proc.status, ProcStatus::Running | ProcStatus::Syscall) => {
                proc.status = ProcStatus::Idle;
                proc.holder = None;
            }
            _ => return Err(Fault::new(format!("P {id} stops, and was not running"))),
        }
        self.tell_proc(event, at, (id, ProcState::Running, ProcState::Idle), None);
        Ok(Step::Done(Held {
            proc: None,
            ..at.held
        }))
    }

    /// A thread takes the P of one that is in a system call.
    pub(super) fn proc_steal(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [id, number, from, ..] = event.arguments;
        let id = ProcId(id);
        let sequence = within.sequence(number);
        let proc = match self.procs.get_mut(&id) {
            Some(proc)
                if matches!(proc.status, ProcStatus::Syscall | ProcStatus::Abandoned)
                    && sequence.follows(proc.sequence) =>
            {
                proc
            }
            _ => return Ok(Step::Wait),
        };
        let thief = at.thread(event)?;
        let status = proc.status;
        *proc = Proc {
            status: ProcStatus::Idle,
            sequence,
            holder: None,
        };
        let mut now = at.held;
        let mut stolen_from = None;
        // The thread of an abandoned P may have gone on.
        if status == ProcStatus::Syscall {
            let owner = ThreadId(from);
            stolen_from = Some(owner);
            let lost = if owner == thief {
                Some(&mut now)
            } else {
                self.threads.get_mut(&owner)
            };
            match lost {
                Some(held) if held.proc == Some(id) => held.proc = None,
                _ => {
                    return Err(Fault::new(format!(
                        "P {id} is taken from thread {owner}, which does not hold it"
                    )));
                }
            }
        }
        self.tell_proc(
            event,
            at,
            (id, status.state(), ProcState::Idle),
            stolen_from,
        );
        Ok(Step::Done(now))
    }

    /// Tells that a P has another state.
    pub(super) fn tell_proc(
        &mut self,
        event: &RawEvent,
        at: Context,
        (id, from, to): (ProcId, ProcState, ProcState),
        stolen_from: Option<ThreadId>,
    ) {
        let transition = ProcTransition {
            id,
            from,
            to,
            stolen_from,
        };
        self.tell(at.event(event.time, None, EventKind::Proc(transition)));
    }
}
