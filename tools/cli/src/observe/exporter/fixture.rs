// SPDX-License-Identifier: GPL-2.0

//! Figures for the tests.

use std::collections::BTreeMap;
use std::time::Duration;

use gosched_observe::delay::Delays;
use gosched_observe::heat::CLASSES;

use super::text::Figures;
use super::text::Label;
use super::text::Process;

/// Returns the figures of a kernel with the module, when they are read for the `scrapes`th time.
pub(super) fn figures(scrapes: u64) -> Figures {
    let delays = |counts: [u64; CLASSES], sum: u64| Delays {
        counts: counts.map(|count| count * scrapes),
        sum: sum * scrapes,
    };
    let of_40 = delays([1, 0, 2, 0, 0, 0, 0, 0, 0, 4], 2_000_050_000);
    Figures {
        processes: vec![
            Process {
                pid: 1,
                is_up: true,
                counted: Duration::from_millis(1500 * scrapes),
                delays: [(None, delays([3; CLASSES], 1)), (Some(40), of_40)].into(),
                uncounted: 7 * scrapes,
                threads: [(Label::None, 2), (Label::Prio(40), 1), (Label::Unknown, 1)].into(),
                module: Some([1, 2, 3, 4].map(|count| count * scrapes)),
            },
            Process {
                pid: 2,
                is_up: false,
                counted: Duration::ZERO,
                delays: BTreeMap::new(),
                uncounted: 0,
                threads: BTreeMap::new(),
                module: Some([0; 4]),
            },
        ],
        scrapes,
        cpu: Duration::from_nanos(scrapes),
    }
}
