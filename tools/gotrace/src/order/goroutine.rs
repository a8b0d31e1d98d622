// SPDX-License-Identifier: MIT OR GPL-2.0

//! Goroutines: what they wait for, and which thread runs which.

mod life;
mod syscall;

use std::sync::Arc;

use super::Context;
use super::Held;
use super::Order;
use super::Sequence;
use super::Step;
use super::Within;
use crate::error::Fault;
use crate::event::EventKind;
use crate::event::GoId;
use crate::event::GoState;
use crate::event::GoTransition;
use crate::frontier::RawEvent;
use crate::tables::Stack;
use crate::wire;

/// A goroutine that exists.
#[derive(Clone, Debug)]
pub(super) struct Goroutine {
    pub(super) state: GoState,
    pub(super) sequence: Sequence,
    /// The reason for which it stops the world, while it does.
    pub(super) stops_world: Option<Arc<str>>,
}

impl Goroutine {
    fn new(state: GoState, within: Within<'_>) -> Self {
        Self {
            state,
            sequence: within.sequence(0),
            stops_world: None,
        }
    }
}

/// A transition to be told of.
struct Change {
    id: GoId,
    from: GoState,
    to: GoState,
    reason: Option<Arc<str>>,
    /// The stack of the goroutine.
    stack: Option<Stack>,
}

impl Change {
    fn new(id: GoId, from: GoState, to: GoState) -> Self {
        Self {
            id,
            from,
            to,
            reason: None,
            stack: None,
        }
    }
}

impl Order {
    /// A P begins to run a goroutine.
    pub(super) fn go_start(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [id, number, ..] = event.arguments;
        let id = GoId(id);
        if !self.moves(
            id,
            GoState::Runnable,
            within.sequence(number),
            GoState::Running,
        ) {
            return Ok(Step::Wait);
        }
        at.proc(event)?;
        if let Some(other) = at.held.goroutine {
            return Err(Fault::new(format!(
                "goroutine {id} starts where {other} runs"
            )));
        }
        let change = Change::new(id, GoState::Runnable, GoState::Running);
        self.tell_go(event, at, change, None);
        Ok(Step::Done(Held {
            goroutine: Some(id),
            ..at.held
        }))
    }

    /// The running goroutine gives way, waits or ends.
    pub(super) fn go_stop(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let id = self.running(event, at)?;
        let (to, reason, stack) = match (event.kind, event.arguments) {
            (wire::GO_STOP, [reason, stack, ..]) => (GoState::Runnable, reason, stack),
            (wire::GO_BLOCK, [reason, stack, ..]) => (GoState::Waiting, reason, stack),
            _ => (GoState::NotExist, 0, 0),
        };
        let stack = within.stack(stack)?;
        let change = Change {
            reason: within.string(reason)?,
            stack: stack.clone(),
            ..Change::new(id, GoState::Running, to)
        };
        self.leave(id, to);
        self.tell_go(event, at, change, stack);
        Ok(Step::Done(Held {
            goroutine: None,
            ..at.held
        }))
    }

    /// Someone makes a goroutine that waits runnable.
    pub(super) fn go_unblock(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [id, number, stack, _] = event.arguments;
        let id = GoId(id);
        if !self.moves(
            id,
            GoState::Waiting,
            within.sequence(number),
            GoState::Runnable,
        ) {
            return Ok(Step::Wait);
        }
        let change = Change::new(id, GoState::Waiting, GoState::Runnable);
        self.tell_go(event, at, change, within.stack(stack)?);
        Ok(Step::Done(at.held))
    }

    /// The running goroutine hands its P to another one: a coroutine.
    pub(super) fn go_switch(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [next, number, ..] = event.arguments;
        let next = GoId(next);
        let id = self.running(event, at)?;
        at.proc(event)?;
        if !self.moves(
            next,
            GoState::Waiting,
            within.sequence(number),
            GoState::Running,
        ) {
            return Ok(Step::Wait);
        }
        let to = if event.kind == wire::GO_SWITCH {
            GoState::Waiting
        } else {
            GoState::NotExist
        };
        self.leave(id, to);
        // As if it had woken the other, stopped, and the other had started.
        let unblocked = Change::new(next, GoState::Waiting, GoState::Runnable);
        self.tell_go(event, at, unblocked, None);
        self.tell_go(event, at, Change::new(id, GoState::Running, to), None);
        let mut between = at;
        between.held.goroutine = None;
        let started = Change::new(next, GoState::Runnable, GoState::Running);
        self.tell_go(event, between, started, None);
        Ok(Step::Done(Held {
            goroutine: Some(next),
            ..at.held
        }))
    }

    /// Moves a goroutine on if it has a state, and the sequence number before `sequence`;
    /// returns whether so.
    fn moves(&mut self, id: GoId, from: GoState, sequence: Sequence, to: GoState) -> bool {
        match self.goroutines.get_mut(&id) {
            Some(goroutine) if goroutine.state == from && sequence.follows(goroutine.sequence) => {
                goroutine.state = to;
                goroutine.sequence = sequence;
                true
            }
            _ => false,
        }
    }

    /// Returns the goroutine of a thread, which must be running.
    fn running(&self, event: &RawEvent, at: Context) -> Result<GoId, Fault> {
        at.proc(event)?;
        let id = at.goroutine(event)?;
        self.must_be(id, GoState::Running, event)?;
        Ok(id)
    }

    fn must_be(&self, id: GoId, state: GoState, event: &RawEvent) -> Result<(), Fault> {
        let found = self.goroutines.get(&id).map(|goroutine| goroutine.state);
        if found == Some(state) {
            return Ok(());
        }
        let found = found.unwrap_or(GoState::NotExist);
        Err(Fault::new(format!(
            "event {} needs goroutine {id} to be {state}, and it is {found}",
            event.kind
        )))
    }

    /// Gives a goroutine another state, or forgets it as it ends.
    fn leave(&mut self, id: GoId, to: GoState) {
        if to == GoState::NotExist {
            self.goroutines.remove(&id);
        } else if let Some(goroutine) = self.goroutines.get_mut(&id) {
            goroutine.state = to;
        }
    }

    /// Tells that a goroutine has another state. `stack` is that of whoever caused it.
    fn tell_go(&mut self, event: &RawEvent, at: Context, change: Change, stack: Option<Stack>) {
        let transition = GoTransition {
            id: change.id,
            from: change.from,
            to: change.to,
            reason: change.reason,
            stack: change.stack,
        };
        self.tell(at.event(event.time, stack, EventKind::Goroutine(transition)));
    }
}
