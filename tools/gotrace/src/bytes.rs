// SPDX-License-Identifier: MIT OR GPL-2.0

//! The contents of a batch, byte by byte.

use crate::error::Fault;

/// The part of a batch that is not yet read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(self) -> usize {
        self.0.len()
    }

    /// Reads a byte.
    pub(crate) fn byte(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.0.split_first().ok_or_else(ends_early)?;
        self.0 = rest;
        Ok(*first)
    }

    /// Reads a byte that must have a value.
    pub(crate) fn expect(&mut self, value: u8) -> Result<(), Fault> {
        match self.byte()? {
            byte if byte == value => Ok(()),
            byte => Err(Fault::new(format!(
                "part {byte} is where part {value} belongs"
            ))),
        }
    }

    /// Reads a number: 7 bits a byte, the lowest first, all bytes but the last with the
    /// highest bit set.
    pub(crate) fn number(&mut self) -> Result<u64, Fault> {
        let mut varint = Varint::default();
        loop {
            if let Some(number) = varint.add(self.byte()?)? {
                return Ok(number);
            }
        }
    }

    /// Takes bytes off the front.
    pub(crate) fn take(&mut self, count: u64) -> Result<&'a [u8], Fault> {
        let (taken, rest) = usize::try_from(count)
            .ok()
            .and_then(|count| self.0.split_at_checked(count))
            .ok_or_else(ends_early)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn ends_early() -> Fault {
    Fault::new("a batch ends within an event")
}

/// A number of which some bytes are read.
#[derive(Debug, Default)]
pub(crate) struct Varint {
    value: u64,
    shift: u32,
}

impl Varint {
    /// Adds a byte; returns the number if that was the last one.
    pub(crate) fn add(&mut self, byte: u8) -> Result<Option<u64>, Fault> {
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if self.shift > 63 || (self.shift == 63 && bits > 1) {
            return Err(Fault::new("a number has more than 64 bits"));
        }
        self.value |= bits << self.shift;
        self.shift += 7;
        Ok((byte & 0x80 == 0).then_some(self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_up_to_64_bits() {
        for (bytes, number) in [
            (&[0][..], 0),
            (&[0x7f], 127),
            (&[0x80, 1], 128),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
                u64::MAX,
            ),
        ] {
            let mut rest = Bytes(bytes);
            assert_eq!(rest.number().ok(), Some(number));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn a_number_that_does_not_end_or_fit_is_refused() {
        for bytes in [
            &[0x80][..],
            &[],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            &[0x80; 11],
        ] {
            assert!(Bytes(bytes).number().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn no_more_is_taken_than_there_is() {
        assert!(Bytes(&[1, 2]).take(3).is_err());
        assert!(Bytes(&[1, 2]).take(u64::MAX).is_err());
        assert_eq!(Bytes(&[1, 2]).take(1).ok(), Some(&[1][..]));
    }
}
