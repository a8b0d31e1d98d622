// SPDX-License-Identifier: MIT OR GPL-2.0

//! Changes of states are those that Go's own reader finds, each with the same time, thread, P,
//! goroutine, states and reason, and in the same order.
//!
//! `go/internal/traced` has a test that compares new traces, with the Go in use.

use crate::fixture::FIXTURES;

#[path = "../../examples/print.rs"]
#[expect(dead_code, reason = "an example has a main function")]
mod print;

/// The number of lines that Go's own reader prints, and their checksum, for each fixture.
const OFFICIAL: &str = include_str!("../../fixtures/official");

#[test]
fn goes_own_reader_finds_the_same() {
    for fixture in &FIXTURES {
        let mut lines = Vec::new();
        print::print(fixture.bytes, &mut lines)
            .unwrap_or_else(|error| panic!("{}: {error}", fixture.name));
        let count = lines.iter().filter(|byte| **byte == b'\n').count();
        let line = format!("{} {count} {}", fixture.name, cksum(&lines));
        assert!(
            OFFICIAL.lines().any(|official| official == line),
            "{line} is not in:\n{OFFICIAL}"
        );
    }
}

/// Returns the checksum of POSIX's cksum(1).
fn cksum(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x04c1_1db7;
    let add = |sum: u32, byte: u8| {
        (0..8).fold(sum ^ (u32::from(byte) << 24), |sum, _| {
            let carry = if sum >> 31 == 1 { POLYNOMIAL } else { 0 };
            (sum << 1) ^ carry
        })
    };
    // The length follows, its lowest byte first, without zeros at its end.
    let length = bytes.len().to_le_bytes();
    let used = length
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let all = bytes.iter().chain(&length[..used]);
    !all.fold(0, |sum, byte| add(sum, *byte))
}

#[test]
fn the_checksum_is_that_of_posix() {
    assert_eq!(cksum(b""), 4_294_967_295);
    assert_eq!(cksum(b"123456789"), 930_766_865);
}
