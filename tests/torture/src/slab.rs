// SPDX-License-Identifier: GPL-2.0

//! Number of thread records that the kernel holds.

use std::fs;

const CACHE: &str = "gmp_info";

/// Returns the number of records in use, or the reason why it is unknown.
pub(crate) fn records() -> Result<u64, String> {
    // Free records in the caches of the CPUs would count as in use.
    let shrink = format!("/sys/kernel/slab/{CACHE}/shrink");
    fs::write(&shrink, "1").map_err(|error| format!("{shrink}: {error}"))?;
    let path = "/proc/slabinfo";
    let table = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let find = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some(CACHE)).then(|| words.next()?.parse().ok())?
    };
    let records = table.lines().find_map(find);
    records.ok_or_else(|| format!("{path} has no {CACHE}"))
}
