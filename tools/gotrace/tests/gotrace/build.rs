// SPDX-License-Identifier: MIT OR GPL-2.0

//! Traces that are made up.

/// Events by their numbers in the format.
pub(crate) mod event {
    pub(crate) const PROC_START: u8 = 10;
    pub(crate) const PROC_STEAL: u8 = 12;
    pub(crate) const PROC_STATUS: u8 = 13;
    pub(crate) const GO_START: u8 = 16;
    pub(crate) const GO_BLOCK: u8 = 20;
    pub(crate) const GO_UNBLOCK: u8 = 21;
    pub(crate) const GO_SYSCALL_BEGIN: u8 = 22;
    pub(crate) const GO_SYSCALL_END_BLOCKED: u8 = 24;
    pub(crate) const GO_STATUS: u8 = 25;
    pub(crate) const STW_BEGIN: u8 = 26;
    pub(crate) const STW_END: u8 = 27;
    pub(crate) const GO_SWITCH: u8 = 45;
}

/// Status of a P.
pub(crate) mod proc {
    pub(crate) const RUNNING: u64 = 1;
    pub(crate) const IDLE: u64 = 2;
    pub(crate) const ABANDONED: u64 = 4;
}

/// Status of a goroutine.
pub(crate) mod go {
    pub(crate) const RUNNABLE: u64 = 1;
    pub(crate) const RUNNING: u64 = 2;
    pub(crate) const WAITING: u64 = 4;
}

/// The one string of a generation, number 1.
pub(crate) const STRING: &str = "a reason";

/// An event of a thread: the kind, the time since the last one in units of 64 ns, and the
/// arguments.
pub(crate) type Made<'a> = (u8, u64, &'a [u64]);

/// A thread, the time of its batch in units of 64 ns, and its events.
pub(crate) type Thread<'a> = (u64, u64, &'a [Made<'a>]);

/// A trace that is being made.
pub(crate) struct Builder {
    minor: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Builder {
    pub(crate) fn new(minor: u32) -> Self {
        Self {
            minor,
            bytes: format!("go 1.{minor} trace\0\0\0").into_bytes(),
        }
    }

    /// Adds a generation.
    pub(crate) fn generation(mut self, number: u64, threads: &[Thread<'_>]) -> Self {
        let mut sync = number_of(&[15_625_000]);
        sync.insert(0, 8);
        if self.minor >= 25 {
            sync.insert(0, 50);
        }
        self.batch(number, u64::MAX, 1, &sync);
        for (thread, time, events) in threads {
            let mut data = Vec::new();
            for (kind, since, arguments) in *events {
                data.push(*kind);
                data.extend(number_of(&[*since]));
                data.extend(number_of(arguments));
            }
            self.batch(number, *thread, *time, &data);
        }
        let mut strings = vec![4, 5, 1];
        strings.extend(number_of(&[STRING.len() as u64]));
        strings.extend(STRING.bytes());
        self.batch(number, u64::MAX, 1, &strings);
        if self.minor >= 26 {
            self.bytes.push(52);
        }
        self
    }

    pub(crate) fn batch(&mut self, generation: u64, thread: u64, time: u64, data: &[u8]) {
        self.bytes.push(1);
        let header = [generation, thread, time, data.len() as u64];
        self.bytes.extend(number_of(&header));
        self.bytes.extend(data);
    }
}

/// Returns numbers as a trace has them.
pub(crate) fn number_of(numbers: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &number in numbers {
        let mut rest = number;
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }
    bytes
}
