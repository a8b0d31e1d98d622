// SPDX-License-Identifier: MIT OR GPL-2.0

//! Goroutines in system calls, or in code of other languages. Their threads keep the P, from
//! which another thread may take it meanwhile.

use super::Change;
use crate::error::Fault;
use crate::event::GoState;
use crate::event::ProcId;
use crate::event::ProcState;
use crate::frontier::RawEvent;
use crate::order::proc::ProcStatus;
use crate::order::Context;
use crate::order::Held;
use crate::order::Order;
use crate::order::Step;
use crate::order::Within;

impl Order {
    /// The running goroutine begins a system call.
    pub(in crate::order) fn syscall_begin(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [number, stack, ..] = event.arguments;
        let id = self.running(event, at)?;
        let proc = at.proc(event)?;
        // The number tells which system call of this P it is, for whoever takes the P.
        let sequence = within.sequence(number);
        match self.procs.get_mut(&proc) {
            Some(known) if sequence.follows(known.sequence) => {
                known.status = ProcStatus::Syscall;
                known.sequence = sequence;
            }
            _ => {
                return Err(Fault::new(format!(
                    "a system call of P {proc} is out of its sequence"
                )));
            }
        }
        let stack = within.stack(stack)?;
        let change = Change {
            stack: stack.clone(),
            ..Change::new(id, GoState::Running, GoState::Syscall)
        };
        self.leave(id, GoState::Syscall);
        self.tell_go(event, at, change, stack);
        Ok(Step::Done(at.held))
    }

    /// A system call ends, and the thread has kept its P.
    pub(in crate::order) fn syscall_end(
        &mut self,
        event: &RawEvent,
        at: Context,
    ) -> Result<Step, Fault> {
        let id = at.goroutine(event)?;
        let proc = at.proc(event)?;
        self.must_be(id, GoState::Syscall, event)?;
        match self.procs.get_mut(&proc) {
            Some(known) if known.status == ProcStatus::Syscall => {
                known.status = ProcStatus::Running;
            }
            _ => {
                return Err(Fault::new(format!(
                    "a system call ends on P {proc}, which is in none"
                )));
            }
        }
        self.leave(id, GoState::Running);
        let change = Change::new(id, GoState::Syscall, GoState::Running);
        self.tell_go(event, at, change, None);
        Ok(Step::Done(at.held))
    }

    /// A system call ends, and the thread has lost its P.
    pub(in crate::order) fn syscall_end_blocked(
        &mut self,
        event: &RawEvent,
        at: Context,
    ) -> Result<Step, Fault> {
        // The loss comes first. A P that the thread got since is in no system call.
        if let Some(proc) = at.held.proc {
            if self.is_in_syscall(proc)? {
                return Ok(Step::Wait);
            }
        }
        let id = at.goroutine(event)?;
        self.must_be(id, GoState::Syscall, event)?;
        self.leave(id, GoState::Runnable);
        let change = Change::new(id, GoState::Syscall, GoState::Runnable);
        self.tell_go(event, at, change, None);
        Ok(Step::Done(Held {
            goroutine: None,
            ..at.held
        }))
    }

    /// A thread of another language has ended its call of Go, or ends.
    pub(in crate::order) fn go_destroy_syscall(
        &mut self,
        event: &RawEvent,
        at: Context,
    ) -> Result<Step, Fault> {
        let id = at.goroutine(event)?;
        let thread = at.thread(event)?;
        self.must_be(id, GoState::Syscall, event)?;
        // The system may give the thread's number to a new one, which the P is not to be
        // taken from. So it is the last that is known of that P's thread.
        if let Some(proc) = at.held.proc {
            if !self.is_in_syscall(proc)? {
                return Err(Fault::new(format!("P {proc} is in no system call")));
            }
            if let Some(known) = self.procs.get_mut(&proc) {
                known.status = ProcStatus::Abandoned;
            }
            let change = (proc, ProcState::Running, ProcState::Idle);
            self.tell_proc(event, at, change, Some(thread));
        }
        self.leave(id, GoState::NotExist);
        let change = Change::new(id, GoState::Syscall, GoState::NotExist);
        self.tell_go(event, at, change, None);
        Ok(Step::Done(Held::default()))
    }

    fn is_in_syscall(&self, proc: ProcId) -> Result<bool, Fault> {
        match self.procs.get(&proc) {
            Some(known) => Ok(known.status == ProcStatus::Syscall),
            None => Err(Fault::new(format!("P {proc} is held, and not told of"))),
        }
    }
}
