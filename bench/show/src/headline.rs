// SPDX-License-Identifier: GPL-2.0

//! The few figures that stand at the top of the page, on the terminal and in the README.

use go_sched_bench_data::Chapter;
use serde::Serialize;

use crate::figures::state_title;
use crate::figures::Figures;
use crate::figures::Measured;
use crate::format;
use crate::goals::best_peer;
use crate::goals::times_cheaper;
use crate::goals::CHANGE_BASELINE;
use crate::goals::STATES_BASELINE;
use crate::service;
use crate::service::Cell;
use crate::service::NOTHING;
use crate::service::OURS;
use crate::statistics::compare;

/// The path that speaks for the others.
const PATH: &str = "pipe round trip";
/// The change that does: the one that the server's competition makes.
const CHANGE: &str = "32 -> 8 and back";

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Headline {
    pub(crate) what: String,
    /// With nothing done about it.
    pub(crate) without: String,
    /// With the best that Linux has otherwise, and what that is.
    pub(crate) peer: String,
    pub(crate) with: String,
    pub(crate) difference: String,
    pub(crate) method: &'static str,
}

/// The titles of its columns.
pub(crate) const COLUMNS: [&str; 6] = [
    "",
    "without",
    "best other",
    "go_sched",
    "difference",
    "method",
];

impl Headline {
    /// In the order of [`COLUMNS`].
    pub(crate) fn cells(&self) -> [&str; 6] {
        [
            &self.what,
            &self.without,
            &self.peer,
            &self.with,
            &self.difference,
            self.method,
        ]
    }
}

/// All that were measured.
pub(crate) fn all(figures: &Figures, service: Option<&service::Chapter>) -> Vec<Headline> {
    let mut headlines = Vec::new();
    for state in ["patched", "unmanaged", "beside", "hint"] {
        headlines.extend(path(figures, state));
    }
    for subject in ["hint store", "ioctl SET"] {
        headlines.extend(change(figures, subject));
    }
    headlines.extend(memory(figures));
    if let Some(chapter) = service {
        for scenario in chapter.scenarios() {
            // Both ways, as the better one alone would hide where the other does harm.
            for ours in OURS {
                headlines.extend(tail(chapter, scenario, ours));
            }
        }
    }
    headlines
}

fn path(figures: &Figures, state: &str) -> Option<Headline> {
    let subject = figures.find(Chapter::Path, PATH, state)?;
    let baseline = figures.find(Chapter::Path, PATH, STATES_BASELINE)?;
    Some(Headline {
        what: format!("{PATH}, {}", state_title(state)),
        without: amount(baseline),
        peer: String::new(),
        with: amount(subject),
        difference: format::difference(&compare(&subject.summary, &baseline.summary)),
        method: subject.method.short(),
    })
}

fn change(figures: &Figures, subject: &str) -> Option<Headline> {
    let ours = figures.find(Chapter::Change, CHANGE, subject)?;
    let baseline = figures.find(Chapter::Change, CHANGE, CHANGE_BASELINE)?;
    let seen = compare(&ours.summary, &baseline.summary).seen;
    let times = times_cheaper(ours, baseline);
    Some(Headline {
        what: format!("one change of a thread, {subject}"),
        without: String::new(),
        peer: format!("{} ({CHANGE_BASELINE})", amount(baseline)),
        with: amount(ours),
        difference: if !seen {
            format::NOT_SEEN.to_owned()
        } else if times >= 1.0 {
            format!("{} cheaper", format::times(times))
        } else {
            format!("{} dearer", format::times(1.0 / times))
        },
        method: ours.method.short(),
    })
}

fn memory(figures: &Figures) -> Option<Headline> {
    let series = figures.series("memory", "go_sched");
    let (_, figure) = series.last()?;
    let bytes = format!("{} bytes", format::number(figure.summary.median));
    Some(Headline {
        what: "kernel memory of a managed thread".to_owned(),
        without: String::new(),
        peer: String::new(),
        difference: format!("+{bytes}"),
        with: bytes,
        method: "bytes",
    })
}

/// p99.9, or less of few requests.
fn tail(chapter: &service::Chapter, scenario: &str, ours: &str) -> Option<Headline> {
    let nothing = chapter.find(scenario, NOTHING)?;
    let cell = chapter.find(scenario, ours)?;
    let value = |cell: &Cell, name| cell.quantile(name).map(|found| found.value);
    let (quantile, before, after) = ["p99.9", "p99", "p90"]
        .into_iter()
        .find_map(|name| Some((name, value(nothing, name)?, value(cell, name)?)))?;
    let throughput = cell.total_rate.median / nothing.total_rate.median * 100.0;
    let against = chapter.against_nothing(cell, quantile)?;
    let fell = if against.seen {
        let times = before / after;
        if times >= 1.0 {
            format!("{} lower", format::times(times))
        } else {
            format!("{} higher", format::times(1.0 / times))
        }
    } else {
        format::NOT_SEEN.to_owned()
    };
    let peer = best_peer(chapter, scenario, quantile).map(|(peer, found)| {
        let value = format::microseconds(found.value);
        format!("{value} ({})", peer.alternative)
    });
    Some(Headline {
        what: format!("server, {scenario}: {quantile}"),
        without: format::microseconds(before),
        peer: peer.unwrap_or_default(),
        with: format!("{} ({})", format::microseconds(after), short(ours)),
        difference: format!(
            "{fell}{}, throughput {throughput:.0}%",
            format::single(&against)
        ),
        method: chapter.method.short(),
    })
}

/// "go_sched hint" in a column of go_sched's.
fn short(alternative: &str) -> &str {
    alternative.strip_prefix("go_sched ").unwrap_or(alternative)
}

fn amount(figure: &Measured) -> String {
    format::number(figure.summary.median)
}

#[cfg(test)]
mod tests {
    use crate::made_up;
    use crate::results::Results;

    #[test]
    fn each_chapter_has_its_headline() {
        let results = Results::of(&made_up::report()).expect("the report is whole");
        let find = |what: &str| {
            let found = results
                .headlines
                .iter()
                .find(|line| line.what.contains(what));
            found.unwrap_or_else(|| panic!("no headline {what:?}"))
        };
        assert_eq!(find("not loaded").difference, "+0.03%");
        assert_eq!(find("hint store").difference, "393x cheaper");
        assert!(find("memory").with.starts_with("160"));
        let server = find("hogs in another process");
        assert!(server.with.ends_with("(ioctl)"), "{server:?}");
        assert!(server.peer.ends_with("(chrt -r)"), "{server:?}");
    }
}
