// SPDX-License-Identifier: GPL-2.0

//! Number of thread records that the kernel holds.

use std::fmt;
use std::fs;
use std::io;

const CACHE: &str = "gmp_info";
const SHRINK: &str = "/sys/kernel/slab/gmp_info/shrink";
const TABLE: &str = "/proc/slabinfo";

/// The reason why the number of records is unknown.
#[derive(Debug)]
pub(crate) enum Unknown {
    File(&'static str, io::Error),
    NoCache,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{path}: {error}"),
            Self::NoCache => write!(f, "{TABLE} has no {CACHE}"),
        }
    }
}

/// Returns the number of records in use.
pub(crate) fn records() -> Result<u64, Unknown> {
    // Free records in the caches of the CPUs would count as in use.
    fs::write(SHRINK, "1").map_err(|error| Unknown::File(SHRINK, error))?;
    let table = fs::read_to_string(TABLE).map_err(|error| Unknown::File(TABLE, error))?;
    let find = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some(CACHE)).then(|| words.next()?.parse().ok())?
    };
    let records = table.lines().find_map(find);
    records.ok_or(Unknown::NoCache)
}
