// SPDX-License-Identifier: MIT OR GPL-2.0

//! Ranges of time: of the garbage collector, and those in which the world is stopped.

use super::Context;
use super::Order;
use super::Step;
use super::Within;
use crate::error::Fault;
use crate::event::EventKind;
use crate::event::GoId;
use crate::event::ProcId;
use crate::event::Range;
use crate::frontier::RawEvent;
use crate::wire;

/// The garbage collector. Begin and end of its cycles have sequence numbers, as they can be on
/// different threads.
#[derive(Debug, Default)]
pub(super) struct Collector {
    sequence: u64,
    marks: Marks,
}

/// Whether the collector marks.
#[derive(Debug, Default, PartialEq, Eq)]
enum Marks {
    #[default]
    Unknown,
    No,
    Yes,
}

impl Order {
    /// The collector begins or ends to mark, or marks while a generation begins.
    pub(super) fn mark(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [sequence, stack, ..] = event.arguments;
        let is_first = self.is_first(within);
        let collector = &mut self.collector;
        let begins_known = match event.kind {
            wire::GC_ACTIVE => is_first,
            wire::GC_BEGIN => collector.marks == Marks::Unknown,
            _ => false,
        };
        if begins_known {
            if collector.marks != Marks::Unknown {
                return Err(Fault::new("the collector is told of twice"));
            }
        } else {
            if collector.sequence.checked_add(1) != Some(sequence) {
                return Ok(Step::Wait);
            }
            let needed = if event.kind == wire::GC_BEGIN {
                Marks::No
            } else {
                Marks::Yes
            };
            if collector.marks != needed {
                return Err(Fault::new(format!(
                    "event {} while the collector marks: {:?}",
                    event.kind, collector.marks
                )));
            }
        }
        collector.sequence = sequence;
        collector.marks = if event.kind == wire::GC_END {
            Marks::No
        } else {
            Marks::Yes
        };
        let stack = match event.kind {
            wire::GC_BEGIN => within.stack(stack)?,
            _ => None,
        };
        let kind = match event.kind {
            wire::GC_ACTIVE => EventKind::RangeActive(Range::Mark),
            wire::GC_BEGIN => EventKind::RangeBegin(Range::Mark),
            _ => EventKind::RangeEnd(Range::Mark),
        };
        self.tell(at.event(event.time, stack, kind));
        Ok(Step::Done(at.held))
    }

    /// The running goroutine stops all others, or lets them go on.
    pub(super) fn stop_the_world(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [reason, stack, ..] = event.arguments;
        let id = at.goroutine(event)?;
        let Some(goroutine) = self.goroutines.get_mut(&id) else {
            return Err(Fault::new(format!(
                "goroutine {id} stops all, and does not exist"
            )));
        };
        let begins = event.kind == wire::STW_BEGIN;
        // The end does not tell the reason again, and may be in another generation.
        let reason = if begins {
            goroutine.stops_world = within.string(reason)?;
            goroutine.stops_world.clone()
        } else {
            goroutine.stops_world.take()
        };
        let range = Range::StopTheWorld {
            goroutine: Some(id),
            reason,
        };
        let told = if begins {
            at.event(
                event.time,
                within.stack(stack)?,
                EventKind::RangeBegin(range),
            )
        } else {
            at.event(event.time, None, EventKind::RangeEnd(range))
        };
        self.tell(told);
        Ok(Step::Done(at.held))
    }

    /// A range of sweeping or of a mark assist begins or ends, or had begun.
    pub(super) fn collector_range(
        &mut self,
        event: &RawEvent,
        at: Context,
        within: Within<'_>,
    ) -> Result<Step, Fault> {
        let [first, ..] = event.arguments;
        let sweep = |proc| Range::Sweep { proc };
        let assist = |goroutine| Range::MarkAssist { goroutine };
        let (here, running) = (at.held.proc, at.held.goroutine);
        let (stack, kind) = match event.kind {
            wire::SWEEP_ACTIVE => (0, EventKind::RangeActive(sweep(Some(ProcId(first))))),
            wire::SWEEP_BEGIN => (first, EventKind::RangeBegin(sweep(here))),
            wire::SWEEP_END => (0, EventKind::RangeEnd(sweep(here))),
            wire::ASSIST_ACTIVE => (0, EventKind::RangeActive(assist(Some(GoId(first))))),
            wire::ASSIST_BEGIN => (first, EventKind::RangeBegin(assist(running))),
            _ => (0, EventKind::RangeEnd(assist(running))),
        };
        // A generation tells of a range after it has told of the goroutine or P.
        self.tell(at.event(event.time, within.stack(stack)?, kind));
        Ok(Step::Done(at.held))
    }
}
