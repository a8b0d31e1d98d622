// SPDX-License-Identifier: MIT OR GPL-2.0

//! The strings and stacks of a generation, which events refer to by number.

use std::collections::hash_map::Entry;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::bytes::Bytes;
use crate::error::Fault;
use crate::wire;

/// The strings and stacks of a generation.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    strings: HashMap<u64, Arc<str>>,
    stacks: HashMap<u64, Box<[Call]>>,
}

/// A frame of a stack, with numbers of strings.
#[derive(Clone, Copy, Debug)]
struct Call {
    pc: u64,
    function: u64,
    file: u64,
    line: u64,
}

/// A stack of a goroutine. It keeps the tables of its generation in memory.
#[derive(Clone)]
pub struct Stack {
    tables: Arc<Tables>,
    id: u64,
}

/// A function call on a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// The address of the instruction.
    pub pc: u64,
    /// The function, with its package.
    pub function: &'a str,
    /// The path of the source file, on the machine where the program was built.
    pub file: &'a str,
    /// The line of the source file, from 1.
    pub line: u64,
}

impl Tables {
    /// Adds the strings of a batch.
    pub(crate) fn add_strings(&mut self, mut rest: Bytes<'_>) -> Result<(), Fault> {
        rest.expect(wire::STRINGS)?;
        while !rest.is_empty() {
            rest.expect(wire::STRING)?;
            let id = rest.number()?;
            let size = rest.number()?;
            // Go cuts long strings at a byte, and so within a character.
            let text = String::from_utf8_lossy(rest.take(size)?);
            match self.strings.entry(id) {
                Entry::Vacant(place) => place.insert(text.into()),
                Entry::Occupied(_) => return Err(Fault::new(format!("string {id} is told twice"))),
            };
        }
        Ok(())
    }

    /// Adds the stacks of a batch.
    pub(crate) fn add_stacks(&mut self, mut rest: Bytes<'_>) -> Result<(), Fault> {
        rest.expect(wire::STACKS)?;
        while !rest.is_empty() {
            rest.expect(wire::STACK)?;
            let id = rest.number()?;
            let count = rest.number()?;
            let mut calls = Vec::new();
            for _ in 0..count {
                calls.push(Call {
                    pc: rest.number()?,
                    function: rest.number()?,
                    file: rest.number()?,
                    line: rest.number()?,
                });
            }
            match self.stacks.entry(id) {
                Entry::Vacant(place) => place.insert(calls.into()),
                Entry::Occupied(_) => return Err(Fault::new(format!("stack {id} is told twice"))),
            };
        }
        Ok(())
    }

    /// Checks that the strings of all stacks are there.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        for call in self.stacks.values().flatten() {
            self.string(call.function)?;
            self.string(call.file)?;
        }
        Ok(())
    }

    /// Returns a string; number 0 is none.
    pub(crate) fn string(&self, id: u64) -> Result<Option<Arc<str>>, Fault> {
        if id == 0 {
            return Ok(None);
        }
        match self.strings.get(&id) {
            Some(text) => Ok(Some(Arc::clone(text))),
            None => Err(Fault::new(format!("there is no string {id}"))),
        }
    }

    /// Returns a stack; number 0 is none.
    pub(crate) fn stack(self: &Arc<Self>, id: u64) -> Result<Option<Stack>, Fault> {
        if id == 0 {
            return Ok(None);
        }
        if !self.stacks.contains_key(&id) {
            return Err(Fault::new(format!("there is no stack {id}")));
        }
        let tables = Arc::clone(self);
        Ok(Some(Stack { tables, id }))
    }

    fn text(&self, id: u64) -> &str {
        self.strings.get(&id).map_or("", |text| text)
    }
}

impl Stack {
    /// The most frames that Go keeps of a stack.
    const MAX_FRAMES: usize = 128;

    /// Returns the calls, the innermost first. Go keeps the first 128.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = Frame<'_>> + ExactSizeIterator {
        self.calls().iter().map(|call| Frame {
            pc: call.pc,
            function: self.tables.text(call.function),
            file: self.tables.text(call.file),
            line: call.line,
        })
    }

    /// Returns the function that a goroutine with this stack began with; `None` if the stack
    /// has more frames than Go keeps.
    pub fn first_function(&self) -> Option<&str> {
        if self.calls().len() >= Self::MAX_FRAMES {
            return None;
        }
        Some(self.tables.text(self.calls().last()?.function))
    }

    fn calls(&self) -> &[Call] {
        self.tables.stacks.get(&self.id).map_or(&[], |calls| calls)
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.frames()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns tables of a string "main.work", and a stack of one frame.
    fn tables() -> Tables {
        let mut tables = Tables::default();
        let strings = b"\x04\x05\x01\x09main.work";
        tables.add_strings(Bytes(strings)).expect("strings");
        let stacks = [2, 3, 7, 1, 0x40, 1, 1, 12];
        tables.add_stacks(Bytes(&stacks)).expect("stacks");
        tables
    }

    #[test]
    fn a_stack_tells_its_frames_and_first_function() {
        let tables = Arc::new(tables());
        let stack = tables.stack(7).expect("a stack").expect("not none");
        let frame = Frame {
            pc: 0x40,
            function: "main.work",
            file: "main.work",
            line: 12,
        };
        assert_eq!(stack.frames().collect::<Vec<_>>(), [frame]);
        assert_eq!(stack.first_function(), Some("main.work"));
    }

    #[test]
    fn number_0_is_none_and_others_must_be_there() {
        let tables = Arc::new(tables());
        assert!(tables.check().is_ok());
        assert!(tables.stack(0).is_ok_and(|stack| stack.is_none()));
        assert!(tables.string(0).is_ok_and(|string| string.is_none()));
        assert!(tables.stack(8).is_err());
        assert!(tables.string(2).is_err());
    }

    #[test]
    fn a_number_is_told_once() {
        let mut tables = tables();
        assert!(tables.add_strings(Bytes(b"\x04\x05\x01\x01x")).is_err());
        assert!(tables.add_stacks(Bytes(&[2, 3, 7, 0])).is_err());
    }

    #[test]
    fn a_count_that_the_batch_has_no_room_for_takes_no_memory() {
        let mut stacks = vec![2, 3, 9];
        stacks.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
        assert!(Tables::default().add_stacks(Bytes(&stacks)).is_err());
    }
}
