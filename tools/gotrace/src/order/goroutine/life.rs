// SPDX-License-Identifier: MIT OR GPL-2.0

//! Goroutines that a generation tells of, and new ones.

use std::collections::hash_map::Entry;

use super::Change;
use super::Goroutine;
use crate::error::Fault;
use crate::event::GoId;
use crate::event::GoState;
use crate::event::ThreadId;
use crate::frontier::RawEvent;
use crate::order::Context;
use crate::order::Held;
use crate::order::Order;
use crate::order::Step;
use crate::order::Within;
use crate::wire;

impl Order {
    /// Takes the state of a goroutine, which each generation tells before all else of it.
    pub(in crate::order) fn go_status(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [id, thread, status, stack] = event.arguments;
        let id = GoId(id);
        let to = match status {
            1 => GoState::Runnable,
            2 => GoState::Running,
            3 => GoState::Syscall,
            4 => GoState::Waiting,
            _ => return Err(Fault::new(format!("a goroutine has the status {status}"))),
        };
        let is_first = self.is_first(within);
        let from = match self.goroutines.entry(id) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                if known.state != to {
                    let from = known.state;
                    return Err(Fault::new(format!(
                        "goroutine {id} is {to}, and was {from}"
                    )));
                }
                known.sequence = within.sequence(0);
                to
            }
            Entry::Vacant(place) if is_first => {
                place.insert(Goroutine::new(to, within));
                GoState::Undetermined
            }
            Entry::Vacant(_) => {
                return Err(Fault::new(format!(
                    "goroutine {id} exists, and nobody created it"
                )));
            }
        };

        let mut now = at.held;
        let mut told_at = at;
        if to == GoState::Running {
            now.goroutine = Some(id);
        } else if to == GoState::Syscall {
            let thread = ThreadId::told(thread).ok_or_else(|| {
                Fault::new(format!("goroutine {id} is in a system call of no thread"))
            })?;
            let here = at.thread == Some(thread);
            // A thread that was in a system call all the time holds no P, and did not write
            // this.
            let known = self.threads.get(&thread).copied();
            let inconsistent = match known {
                Some(held) if here => !is_first && held.goroutine != Some(id),
                Some(held) => held.goroutine != Some(id),
                None => false,
            };
            if inconsistent {
                return Err(Fault::new(format!(
                    "goroutine {id} is in a system call of thread {thread}, which has another"
                )));
            }
            if here {
                now.goroutine = Some(id);
            } else {
                told_at.thread = Some(thread);
                if known.is_some() {
                    told_at.held.goroutine = Some(id);
                } else {
                    let held = Held {
                        proc: None,
                        goroutine: Some(id),
                    };
                    self.threads.insert(thread, held);
                }
            }
        }
        // The format of 1.22 has no stack here.
        let stack = within.stack(stack)?;
        let change = Change {
            stack: stack.clone(),
            ..Change::new(id, from, to)
        };
        self.tell_go(event, told_at, change, stack);
        Ok(Step::Done(now))
    }

    /// A goroutine is created, by another one or by the runtime.
    pub(in crate::order) fn go_create(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [id, begins_with, stack, _] = event.arguments;
        at.proc(event)?;
        if let Some(creator) = at.held.goroutine {
            self.must_be(creator, GoState::Running, event)?;
        }
        let to = if event.kind == wire::GO_CREATE {
            GoState::Runnable
        } else {
            GoState::Waiting
        };
        let id = GoId(id);
        self.insert_new(id, to, within)?;
        let change = Change {
            stack: within.stack(begins_with)?,
            ..Change::new(id, GoState::NotExist, to)
        };
        self.tell_go(event, at, change, within.stack(stack)?);
        Ok(Step::Done(at.held))
    }

    /// A thread of another language calls Go for the first time.
    pub(in crate::order) fn go_create_syscall(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [id, ..] = event.arguments;
        let id = GoId(id);
        at.thread(event)?;
        if let Some(other) = at.held.goroutine {
            return Err(Fault::new(format!(
                "goroutine {id} appears where {other} runs"
            )));
        }
        self.insert_new(id, GoState::Syscall, within)?;
        let change = Change::new(id, GoState::NotExist, GoState::Syscall);
        self.tell_go(event, at, change, None);
        Ok(Step::Done(Held {
            goroutine: Some(id),
            ..at.held
        }))
    }

    fn insert_new(&mut self, id: GoId, state: GoState, within: Within<'_>) -> Result<(), Fault> {
        match self.goroutines.entry(id) {
            Entry::Vacant(place) => {
                place.insert(Goroutine::new(state, within));
                Ok(())
            }
            Entry::Occupied(_) => Err(Fault::new(format!("goroutine {id} is created twice"))),
        }
    }
}
