// SPDX-License-Identifier: GPL-2.0

//! What has been seen of each thread.

mod lags;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use gosched::cgroup::Hierarchies;
use gosched_observe::lag::Class;
use gosched_observe::lag::ExtThreads;
use gosched_observe::lag::Queue;
use gosched_observe::lag::Sample;
use gosched_observe::lag::Share;
use gosched_observe::lag::State;
use schemars::JsonSchema;
use serde::Serialize;

use self::lags::Lags;
use crate::observe::ms;
use crate::output::printable;
use crate::table::or_dash;
use crate::table::table;
use crate::top::autogroup;

/// The most threads that are remembered: Go lets a program have no more, unless the program asks.
const MOST_THREADS: usize = 10_000;

/// The id of a thread, and when the thread started.
type Id = (i32, u64);

/// A thread at one moment, and what it did since the last look.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Row {
    /// Id of the thread, in the first pid namespace.
    tid: i32,
    /// Name of the thread.
    name: String,
    /// "running", "waiting", "asleep", "quota" or "unknown".
    state: &'static str,
    /// Who picks the thread: "fair", "idle", "rt", "deadline" or "ext".
    class: &'static str,
    /// CPU that the thread runs on, in whose queue it is, or that it was on last.
    cpu: u32,
    /// CPU time since the last look, in percent of one CPU.
    cpu_percent: Option<f64>,
    /// Time that the thread waited for a CPU or a quota since the last look, in percent.
    wait_percent: Option<f64>,
    /// CPU time that the thread is owed, in us; null if it has no lag.
    lag_us: Option<i64>,
    /// Whether the scheduler may pick the thread: its lag is 0 or more.
    eligible: Option<bool>,
    /// CPU time that the thread is to have by its deadline, in us.
    slice_us: Option<u64>,
    /// CPU time that the queue gets until the deadline of the thread, in us; below 0, the thread is
    /// overdue.
    due_us: Option<i64>,
    /// Lowest lag of the control groups that the thread is in, in us.
    group_lag_us: Option<i64>,
    /// The control group, or autogroup, whose queue the thread is in.
    group: Option<String>,
}

/// The columns of a row, those that matter most first: each heading, whether it is one of numbers,
/// and its width in a line of its own.
pub(super) const COLUMNS: [(&str, bool, usize); 13] = [
    ("TID", true, 7),
    ("THREAD", false, 15),
    ("STATE", false, 7),
    ("%CPU", true, 5),
    ("%WAIT", true, 5),
    ("LAG-US", true, 8),
    ("ELIG", false, 4),
    ("DUE-MS", true, 7),
    ("SLICE-MS", true, 8),
    ("GROUP-US", true, 8),
    ("CPU", true, 3),
    ("CLASS", false, 8),
    ("GROUP", false, 0),
];

/// Returns the cells of a row, or the headings, as a line.
pub(super) fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let padded = COLUMNS
        .iter()
        .zip(cells)
        .map(|((_, numeric, width), cell)| {
            if *numeric {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
    padded.collect::<Vec<_>>().join(" ")
}

impl Row {
    /// Returns the text of each column.
    pub(super) fn cells(&self) -> [String; COLUMNS.len()] {
        let eligible = self.eligible.map(|is| if is { "yes" } else { "no" });
        let state = match self.state {
            "unknown" => "?",
            state => state,
        };
        let thousandths = |us: f64| format!("{:.1}", us / 1e3);
        [
            self.tid.to_string(),
            printable(&self.name),
            state.to_owned(),
            percent(self.cpu_percent),
            percent(self.wait_percent),
            or_dash(self.lag_us),
            or_dash(eligible),
            or_dash(self.due_us.map(|us| thousandths(us as f64))),
            or_dash(self.slice_us.map(|us| thousandths(us as f64))),
            or_dash(self.group_lag_us),
            self.cpu.to_string(),
            self.class.to_owned(),
            or_dash(self.group.as_deref().map(printable)),
        ]
    }
}

#[cfg(test)]
impl Row {
    /// Returns a row with a name that would change the terminal.
    pub(super) fn example() -> Self {
        Self {
            tid: 1_234_567,
            name: "kworker\u{1b}[31m".to_owned(),
            state: "waiting",
            class: "fair",
            cpu: 127,
            cpu_percent: Some(12.5),
            wait_percent: None,
            lag_us: Some(-1250),
            eligible: Some(false),
            slice_us: Some(3000),
            due_us: Some(20_500),
            group_lag_us: None,
            group: Some("/a.slice/b.service".to_owned()),
        }
    }
}

#[cfg(test)]
impl Summary {
    /// Returns the summary of a thread without a lag.
    pub(super) fn example() -> Self {
        Self {
            tid: 1_234_567,
            name: "kworker".to_owned(),
            looks: 1,
            cpu_percent: Some(12.5),
            waited_us: Some(0),
            lag_min_us: None,
            lag_median_us: None,
            lag_max_us: None,
            eligible_percent: None,
            slice_us: None,
            group: None,
        }
    }
}

/// A thread in all the time that it was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "LagSummary")]
pub(crate) struct Summary {
    /// Id of the thread, in the first pid namespace.
    tid: i32,
    /// Name of the thread.
    name: String,
    /// Number of looks at the thread.
    looks: u64,
    /// CPU time, in percent of one CPU.
    cpu_percent: Option<f64>,
    /// Time that the thread waited for a CPU or a quota, in us.
    waited_us: Option<u64>,
    /// Lowest lag of all looks, in us.
    lag_min_us: Option<i64>,
    /// Median of the lags of all looks, in us.
    lag_median_us: Option<i64>,
    /// Highest lag of all looks, in us.
    lag_max_us: Option<i64>,
    /// Of the looks that found the thread waiting, the part that found it eligible.
    eligible_percent: Option<f64>,
    /// Last slice of the thread, in us.
    slice_us: Option<u64>,
    /// Last control group, or autogroup, of the thread.
    group: Option<String>,
}

impl Summary {
    /// Returns the summaries as a table.
    pub(super) fn table(summaries: &[Self]) -> String {
        let columns = [
            ("TID", true),
            ("LOOKS", true),
            ("%CPU", true),
            ("WAITED-MS", true),
            ("LAG-MIN", true),
            ("LAG-MED", true),
            ("LAG-MAX", true),
            ("%ELIG", true),
            ("SLICE-MS", true),
            ("THREAD", false),
            ("GROUP", false),
        ];
        let rows = summaries.iter().map(|summary| {
            vec![
                summary.tid.to_string(),
                summary.looks.to_string(),
                percent(summary.cpu_percent),
                or_dash(summary.waited_us.map(|us| ms(us * 1000))),
                or_dash(summary.lag_min_us),
                or_dash(summary.lag_median_us),
                or_dash(summary.lag_max_us),
                percent(summary.eligible_percent),
                or_dash(summary.slice_us.map(|us| ms(us * 1000))),
                printable(&summary.name),
                or_dash(summary.group.as_deref().map(printable)),
            ]
        });
        table(columns, rows)
    }
}

fn percent(percent: Option<f64>) -> String {
    or_dash(percent.map(|percent| format!("{percent:.1}")))
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * 100.0)
}

/// The sums of all looks at a thread.
struct Entry {
    last: Sample,
    total: Share,
    looks: u64,
    lags: Lags,
    waiting: u64,
    eligible: u64,
    slice: Option<u64>,
    /// The control group, with what tells whether the thread has another one by now.
    group: Option<(u64, Option<String>)>,
}

impl Entry {
    fn new(first: Sample) -> Self {
        Self {
            last: first,
            total: Share {
                waited: Some(0),
                ..Share::default()
            },
            looks: 0,
            lags: Lags::default(),
            waiting: 0,
            eligible: 0,
            slice: None,
            group: None,
        }
    }

    /// Returns the time that the thread ran or waited, in ns.
    fn busy(&self) -> u64 {
        self.total.ran + self.total.waited.unwrap_or_default()
    }

    /// Adds a later look at the thread.
    fn enter(&mut self, sample: &Sample, ext: ExtThreads) -> Row {
        let since = sample.since(&self.last);
        if let Some(since) = since {
            self.total.elapsed += since.elapsed;
            self.total.ran += since.ran;
            let waited = self.total.waited.zip(since.waited);
            self.total.waited = waited.map(|(total, waited)| total + waited);
            // Otherwise the next look tells of this interval as well.
            self.last = *sample;
        }
        self.looks += 1;
        self.slice = sample.slice(ext).or(self.slice);
        let queue = sample.queue(ext);
        let lag = queue.and_then(Queue::lag).map(|ns| ns / 1000);
        let eligible = queue.and_then(Queue::is_eligible);
        if let Some(lag) = lag {
            self.lags.add(lag);
        }
        if sample.state(ext) == State::Waiting {
            self.waiting += u64::from(eligible.is_some());
            self.eligible += u64::from(eligible == Some(true));
        }
        Row {
            tid: sample.tid,
            name: sample.name(),
            state: match sample.state(ext) {
                State::Running => "running",
                State::Waiting => "waiting",
                State::Asleep => "asleep",
                State::Throttled => "quota",
                State::Unknown => "unknown",
            },
            class: match sample.class(ext) {
                Class::Fair => "fair",
                Class::Idle => "idle",
                Class::RealTime => "rt",
                Class::Deadline => "deadline",
                Class::Ext => "ext",
            },
            cpu: sample.cpu,
            cpu_percent: since.and_then(|since| share(since.ran, since.elapsed)),
            wait_percent: since.and_then(|since| share(since.waited?, since.elapsed)),
            lag_us: lag,
            eligible,
            slice_us: sample.slice(ext).map(|ns| ns / 1000),
            due_us: queue.and_then(Queue::to_deadline).map(|ns| ns / 1000),
            group_lag_us: sample.group_lag(ext).map(|ns| ns / 1000),
            group: self.group.as_ref().and_then(|(_, group)| group.clone()),
        }
    }

    fn summary(&self) -> Summary {
        Summary {
            tid: self.last.tid,
            name: self.last.name(),
            looks: self.looks,
            cpu_percent: share(self.total.ran, self.total.elapsed),
            waited_us: self.total.waited.map(|ns| ns / 1000),
            lag_min_us: self.lags.range.map(|(lowest, _)| lowest),
            lag_median_us: self.lags.median(),
            lag_max_us: self.lags.range.map(|(_, highest)| highest),
            eligible_percent: share(self.eligible, self.waiting),
            slice_us: self.slice.map(|ns| ns / 1000),
            group: self.group.as_ref().and_then(|(_, group)| group.clone()),
        }
    }
}

/// The threads that were seen.
pub(super) struct Ledger {
    pid: i32,
    hierarchies: Hierarchies,
    entries: HashMap<Id, Entry>,
    /// How many threads that had ended were forgotten.
    forgotten: usize,
    /// The most threads at a look that found no room.
    left_out: usize,
}

impl Ledger {
    pub(super) fn new(pid: i32) -> io::Result<Self> {
        Ok(Self {
            pid,
            hierarchies: Hierarchies::find()?,
            entries: HashMap::new(),
            forgotten: 0,
            left_out: 0,
        })
    }

    /// Takes a look at all threads. Returns the rows of those that were seen before, the busiest
    /// ones first.
    pub(super) fn enter(&mut self, samples: &[Sample], ext: ExtThreads) -> Vec<Row> {
        let present: HashSet<Id> = samples.iter().map(Sample::id).collect();
        self.forgotten += make_room(&mut self.entries, &present, MOST_THREADS, Entry::busy);
        let mut rows = Vec::new();
        let mut left_out = 0;
        for sample in samples {
            if !self.entries.contains_key(&sample.id()) {
                if sample.state(ext) == State::Unknown {
                    // Nothing could be compared with what was read of it.
                } else if self.entries.len() < MOST_THREADS {
                    self.entries.insert(sample.id(), Entry::new(*sample));
                } else {
                    left_out += 1;
                }
                continue;
            }
            let group = self.group_now(sample);
            let Some(entry) = self.entries.get_mut(&sample.id()) else {
                continue;
            };
            entry.group = group.or(entry.group.take());
            let row = entry.enter(sample, ext);
            rows.push((entry.busy(), row));
        }
        self.left_out = self.left_out.max(left_out);
        rows.sort_by_key(|(busy, row)| (std::cmp::Reverse(*busy), row.tid));
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// Reads the group of a thread, unless it has that still which is known.
    fn group_now(&self, sample: &Sample) -> Option<(u64, Option<String>)> {
        let known = self.entries.get(&sample.id())?.group.as_ref();
        let is_grouped = sample.is_grouped()?;
        if known.is_some_and(|(key, _)| *key == sample.group) {
            return None;
        }
        let group = match is_grouped {
            true => self.read_group(sample.tid),
            false => Some("/".to_owned()),
        };
        Some((sample.group, group))
    }

    fn read_group(&self, tid: i32) -> Option<String> {
        let file = format!("/proc/{}/task/{tid}/cgroup", self.pid);
        let group = self.hierarchies.group_of(Path::new(&file)).ok()??;
        let inside: Option<PathBuf> = group.cpu_group().ok()?;
        // An autogroup counts in the root group alone.
        inside.map_or_else(
            || autogroup(self.pid),
            |inside| Some(inside.to_string_lossy().into_owned()),
        )
    }

    /// Returns what has been seen of each thread, the busiest ones first.
    pub(super) fn summaries(&self) -> Vec<Summary> {
        let mut seen: Vec<&Entry> = self.entries.values().collect();
        seen.retain(|entry| entry.looks > 0);
        seen.sort_by_key(|entry| (std::cmp::Reverse(entry.busy()), entry.last.tid));
        seen.into_iter().map(Entry::summary).collect()
    }

    /// Says which threads are not in the summaries.
    pub(super) fn missing(&self) -> Vec<String> {
        missing(self.forgotten, self.left_out)
    }
}

/// Says how many threads are missing: those that had ended, and those that found no room.
fn missing(forgotten: usize, left_out: usize) -> Vec<String> {
    let ended = format!(
        "{forgotten} threads that had ended are not in the summary: there were more than \
         {MOST_THREADS} threads"
    );
    let alive = format!("up to {left_out} threads at a time were not shown, beyond {MOST_THREADS}");
    let sentences = [(forgotten, ended), (left_out, alive)];
    let counted = sentences.into_iter().filter(|(threads, _)| *threads > 0);
    counted.map(|(_, sentence)| sentence).collect()
}

/// Forgets threads that are not present, the least busy ones first, so that those present find room
/// among `most`. Returns how many were forgotten.
fn make_room<T>(
    entries: &mut HashMap<Id, T>,
    present: &HashSet<Id>,
    most: usize,
    busy: impl Fn(&T) -> u64,
) -> usize {
    let new = present
        .iter()
        .filter(|id| !entries.contains_key(id))
        .count();
    let excess = (entries.len() + new).saturating_sub(most);
    if excess == 0 {
        return 0;
    }
    let ended = entries.iter().filter(|(id, _)| !present.contains(id));
    let mut ended: Vec<_> = ended.map(|(id, entry)| (busy(entry), *id)).collect();
    ended.sort_unstable();
    ended.truncate(excess);
    for (_, id) in &ended {
        entries.remove(id);
    }
    ended.len()
}
