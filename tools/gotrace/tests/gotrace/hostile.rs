// SPDX-License-Identifier: MIT OR GPL-2.0

//! Traces with wrong bytes in them end in an error or in events, not in a panic.

use std::panic;

use go_sched_gotrace::Error;
use go_sched_gotrace::Reader;

use crate::build::number_of;
use crate::fixture::FIXTURES;

const SEED: u64 = 0x5eed_0001;
const TRIES: usize = 10_000;

/// Numbers that follow from a seed: xorshift64*.
struct Random(u64);

impl Random {
    /// Returns a number below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

/// Reads a trace to its end; returns the number of events, and the error if there was one.
fn read(bytes: &[u8]) -> (usize, Option<Error>) {
    let mut count = 0;
    let mut reader = match Reader::new(bytes) {
        Ok(reader) => reader,
        Err(error) => return (0, Some(error)),
    };
    loop {
        match reader.next_event() {
            Ok(Some(event)) => {
                if let Some(stack) = &event.stack {
                    assert!(stack.frames().len() <= bytes.len());
                }
                count += 1;
            }
            Ok(None) => return (count, None),
            Err(error) => return (count, Some(error)),
        }
    }
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    // Most traces keep their header, without which nothing else is tried.
    let begin = if random.below(50) == 0 { 0 } else { 16 };
    let at = begin + random.below(bytes.len() - begin);
    match random.below(7) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.below(256) as u8,
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.below(256) as u8),
        4 => drop(bytes.remove(at)),
        5 => {
            let end = at + random.below((bytes.len() - at).min(500));
            let slice = bytes[at..end].to_vec();
            let to = begin + random.below(bytes.len() - begin);
            bytes.splice(to..to, slice);
        }
        _ => {
            let number = number_of(&[u64::MAX >> random.below(64)]);
            bytes.splice(at..=at, number);
        }
    }
}

#[test]
fn wrong_bytes_never_panic_and_events_are_no_more_than_bytes() {
    println!("seed {SEED:#x}");
    let mut random = Random(SEED);
    let (mut errors, mut whole) = (0, 0);
    for number in 0..TRIES {
        let fixture = &FIXTURES[random.below(FIXTURES.len())];
        let mut bytes = fixture.bytes.to_vec();
        for _ in 0..=random.below(4) {
            if bytes.len() > 16 {
                change(&mut bytes, &mut random);
            }
        }
        let (count, error) = panic::catch_unwind(|| read(&bytes))
            .unwrap_or_else(|_| panic!("try {number}, {} changed", fixture.name));
        assert!(count <= bytes.len(), "try {number}: {count} events");
        match error {
            Some(error) => {
                assert!(!error.to_string().is_empty());
                errors += 1;
            }
            None => whole += 1,
        }
    }
    // Both ends were tried.
    assert!(
        errors > TRIES / 10 && whole > TRIES / 10,
        "{errors} errors, {whole} ends"
    );
}
