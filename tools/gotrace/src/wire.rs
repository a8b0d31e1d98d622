// SPDX-License-Identifier: MIT OR GPL-2.0

//! The numbers of the format.
//!
//! An event is a byte that tells its kind, and numbers of a variable length. A version of
//! the format adds kinds and changes none.

use crate::error::Fault;

// Parts of a trace.
pub(crate) const BATCH: u8 = 1;
pub(crate) const STACKS: u8 = 2;
pub(crate) const STACK: u8 = 3;
pub(crate) const STRINGS: u8 = 4;
pub(crate) const STRING: u8 = 5;
pub(crate) const CPU_SAMPLES: u8 = 6;
pub(crate) const CPU_SAMPLE: u8 = 7;
pub(crate) const FREQUENCY: u8 = 8;
/// Since 1.23.
pub(crate) const EXPERIMENTAL_BATCH: u8 = 49;
/// Since 1.25.
pub(crate) const SYNC: u8 = 50;
pub(crate) const CLOCK_SNAPSHOT: u8 = 51;
/// Since 1.26.
pub(crate) const END_OF_GENERATION: u8 = 52;

// Events of threads.
pub(crate) const PROCS_CHANGE: u8 = 9;
pub(crate) const PROC_START: u8 = 10;
pub(crate) const PROC_STOP: u8 = 11;
pub(crate) const PROC_STEAL: u8 = 12;
pub(crate) const PROC_STATUS: u8 = 13;
pub(crate) const GO_CREATE: u8 = 14;
pub(crate) const GO_CREATE_SYSCALL: u8 = 15;
pub(crate) const GO_START: u8 = 16;
pub(crate) const GO_DESTROY: u8 = 17;
pub(crate) const GO_DESTROY_SYSCALL: u8 = 18;
pub(crate) const GO_STOP: u8 = 19;
pub(crate) const GO_BLOCK: u8 = 20;
pub(crate) const GO_UNBLOCK: u8 = 21;
pub(crate) const GO_SYSCALL_BEGIN: u8 = 22;
pub(crate) const GO_SYSCALL_END: u8 = 23;
pub(crate) const GO_SYSCALL_END_BLOCKED: u8 = 24;
pub(crate) const GO_STATUS: u8 = 25;
pub(crate) const STW_BEGIN: u8 = 26;
pub(crate) const STW_END: u8 = 27;
pub(crate) const GC_ACTIVE: u8 = 28;
pub(crate) const GC_BEGIN: u8 = 29;
pub(crate) const GC_END: u8 = 30;
pub(crate) const SWEEP_ACTIVE: u8 = 31;
pub(crate) const SWEEP_BEGIN: u8 = 32;
pub(crate) const SWEEP_END: u8 = 33;
pub(crate) const ASSIST_ACTIVE: u8 = 34;
pub(crate) const ASSIST_BEGIN: u8 = 35;
pub(crate) const ASSIST_END: u8 = 36;
pub(crate) const HEAP_ALLOC: u8 = 37;
pub(crate) const HEAP_GOAL: u8 = 38;
pub(crate) const GO_LABEL: u8 = 39;
pub(crate) const TASK_BEGIN: u8 = 40;
pub(crate) const TASK_END: u8 = 41;
pub(crate) const REGION_BEGIN: u8 = 42;
pub(crate) const REGION_END: u8 = 43;
pub(crate) const USER_LOG: u8 = 44;
/// Since 1.23.
pub(crate) const GO_SWITCH: u8 = 45;
pub(crate) const GO_SWITCH_DESTROY: u8 = 46;
pub(crate) const GO_CREATE_BLOCKED: u8 = 47;
pub(crate) const GO_STATUS_STACK: u8 = 48;

/// The events of experiments, which a variable of the environment turns on. Since 1.23.
const EXPERIMENTS: std::ops::RangeInclusive<u8> = 128..=136;

/// The most numbers that an event has after its time.
pub(crate) const MAX_ARGUMENTS: usize = 4;

/// Returns how many numbers an event of a thread has after its time.
pub(crate) fn arguments(event: u8) -> Result<usize, Fault> {
    Ok(match event {
        PROC_STOP
        | GO_DESTROY
        | GO_DESTROY_SYSCALL
        | GO_SYSCALL_END
        | GO_SYSCALL_END_BLOCKED
        | STW_END
        | ASSIST_END => 0,
        GO_CREATE_SYSCALL | GC_ACTIVE | GC_END | SWEEP_ACTIVE | SWEEP_BEGIN | ASSIST_ACTIVE
        | ASSIST_BEGIN | HEAP_ALLOC | HEAP_GOAL | GO_LABEL => 1,
        PROCS_CHANGE | PROC_START | PROC_STATUS | GO_START | GO_STOP | GO_BLOCK
        | GO_SYSCALL_BEGIN | STW_BEGIN | GC_BEGIN | SWEEP_END | TASK_END | GO_SWITCH
        | GO_SWITCH_DESTROY => 2,
        PROC_STEAL | GO_CREATE | GO_CREATE_BLOCKED | GO_UNBLOCK | GO_STATUS | REGION_BEGIN
        | REGION_END => 3,
        TASK_BEGIN | USER_LOG | GO_STATUS_STACK => 4,
        // Of spans, of objects, and of stacks of goroutines: each has one that ends it.
        130 | 133 | 136 => 1,
        131 | 132 | 134 | 135 => 2,
        128 | 129 => 3,
        BATCH..=FREQUENCY | EXPERIMENTAL_BATCH..=END_OF_GENERATION => {
            return Err(Fault::new(format!(
                "part {event} is among a thread's events"
            )));
        }
        _ => return Err(Fault::Unknown(event)),
    })
}

/// Returns whether an event belongs to an experiment.
pub(crate) fn is_experimental(event: u8) -> bool {
    EXPERIMENTS.contains(&event)
}
