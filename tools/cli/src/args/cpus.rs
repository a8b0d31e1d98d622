// SPDX-License-Identifier: GPL-2.0

//! Lists of CPUs, as in `AllowedCPUs=` of systemd.resource-control(5).

use std::collections::BTreeSet;
use std::str::FromStr;

/// A set of one or more CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cpus {
    /// The list as the user wrote it.
    text: String,
    set: BTreeSet<u16>,
}

/// The reason that a text is not a list of CPUs.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(test, derive(strum::EnumCount))]
pub(crate) enum CpusError {
    #[error("'{0}' is not a list of CPUs such as 2-5 or 0,2,4-7")]
    Malformed(String),
    #[error("the CPUs {first}-{last} are in the wrong order: write {last}-{first}")]
    Reversed { first: u16, last: u16 },
    #[error("CPU {0} is above {max}, the highest that Linux has", max = Cpus::MAX)]
    TooHigh(u16),
}

impl Cpus {
    /// `NR_CPUS` of x86 is 8192 at most.
    const MAX: u16 = 8191;

    /// Returns the number of CPUs.
    pub(crate) fn count(&self) -> usize {
        self.set.len()
    }

    /// Returns whether these CPUs are all among others.
    pub(crate) fn are_among(&self, others: &Self) -> bool {
        self.set.is_subset(&others.set)
    }

    /// Returns the list in the format of systemd.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Cpus {
    type Err = CpusError;

    fn from_str(text: &str) -> Result<Self, CpusError> {
        let malformed = || CpusError::Malformed(text.to_owned());
        // str::parse() takes a sign, systemd does not.
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => digits.parse::<u16>().map_err(|_| malformed()),
            false => Err(malformed()),
        };
        let mut set = BTreeSet::new();
        for item in text.split(',') {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(CpusError::Reversed { first, last });
            }
            if last > Self::MAX {
                return Err(CpusError::TooHigh(last));
            }
            set.extend(first..=last);
        }
        Ok(Self {
            text: text.to_owned(),
            set,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        text.parse::<Cpus>().expect(text).count()
    }

    #[test]
    fn numbers_and_ranges_are_counted_once_each() {
        assert_eq!(count("2-5"), 4);
        assert_eq!(count("7"), 1);
        assert_eq!(count("0,2,4-7"), 6);
        assert_eq!(count("0-3,2-5"), 6);
        assert_eq!(count("8191"), 1);
    }

    #[test]
    fn nonsense_is_no_list() {
        for text in [
            "", ",", "1,", "a", "-1", "1-", "+1", "1 2", "0x3", "1-2-3", "70000",
        ] {
            assert_eq!(
                text.parse::<Cpus>(),
                Err(CpusError::Malformed(text.to_owned()))
            );
        }
        assert_eq!(
            "0,5-2".parse::<Cpus>(),
            Err(CpusError::Reversed { first: 5, last: 2 })
        );
        assert_eq!("0-8192".parse::<Cpus>(), Err(CpusError::TooHigh(8192)));
    }
}
