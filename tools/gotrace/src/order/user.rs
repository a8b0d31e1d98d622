// SPDX-License-Identifier: MIT OR GPL-2.0

//! What the program told the trace, and figures of the runtime. These change nothing.

use super::Context;
use super::Order;
use super::Step;
use super::Within;
use crate::error::Fault;
use crate::event::EventKind;
use crate::event::TaskId;
use crate::frontier::RawEvent;
use crate::wire;

impl Order {
    /// Takes an event that is always possible.
    pub(super) fn annotation(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [first, second, third, fourth] = event.arguments;
        let task = TaskId(first);
        let (stack, kind) = match event.kind {
            wire::PROCS_CHANGE => (second, EventKind::Procs(first)),
            wire::HEAP_ALLOC => (0, EventKind::HeapAlloc(first)),
            wire::HEAP_GOAL => (0, EventKind::HeapGoal(first)),
            wire::GO_LABEL => (0, EventKind::Label(within.string(first)?)),
            wire::TASK_BEGIN => {
                let (parent, name) = (TaskId(second), within.string(third)?);
                (fourth, EventKind::TaskBegin { task, parent, name })
            }
            wire::TASK_END => (second, EventKind::TaskEnd(task)),
            wire::REGION_BEGIN => {
                let name = within.string(second)?;
                (third, EventKind::RegionBegin { task, name })
            }
            wire::REGION_END => {
                let name = within.string(second)?;
                (third, EventKind::RegionEnd { task, name })
            }
            _ => {
                let (category, message) = (within.string(second)?, within.string(third)?);
                let log = EventKind::Log {
                    task,
                    category,
                    message,
                };
                (fourth, log)
            }
        };
        self.tell(at.event(event.time, within.stack(stack)?, kind));
        Ok(Step::Done(at.held))
    }
}
