// SPDX-License-Identifier: GPL-2.0

//! Delays from runnable to running as heat maps: how many there were, by when they ended and how
//! long they took.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::summary::Timeline;

/// The least delay of each class but the first one, in ns.
pub const BOUNDS: [u64; 9] = [
    10_000,
    30_000,
    100_000,
    300_000,
    1_000_000,
    3_000_000,
    10_000_000,
    30_000_000,
    100_000_000,
];

/// The number of classes.
pub const CLASSES: usize = BOUNDS.len() + 1;

/// Numbers of delays of each class.
pub type Counts = [u64; CLASSES];

/// Range of times or delays, in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Bucket {
    /// Lower bound, which is in the range.
    pub from: u64,
    /// Upper bound, which is not in the range; `None` if there is none.
    pub to: Option<u64>,
}

/// Subject of delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "of", rename_all = "lowercase")]
pub enum Subject {
    /// Threads, from runnable to having a CPU, as the kernel has it.
    Threads {
        /// The Go priority in force when the delay ended.
        go_prio: Option<u8>,
    },
    /// Goroutines, from runnable to running, as Go's runtime has it.
    Goroutines,
}

/// How many delays there were in each stretch of time.
pub type Map = Vec<Counts>;

/// Heat maps of one program, whose columns are the same stretches of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heat {
    /// The time that the maps are of, in ns.
    pub duration: u64,
    /// The time of a column, in ns; at least 1.
    pub step: u64,
    /// The most columns; at least 1.
    most: usize,
    /// By Go priority in force.
    threads: BTreeMap<Option<u8>, Map>,
    /// `None` without a trace of Go's runtime.
    goroutines: Option<Map>,
}

impl Heat {
    /// Returns maps without delays, with at most `most` columns of `step` ns each. When there is
    /// more time than that, columns are joined.
    pub fn new(step: u64, most: usize) -> Self {
        Self {
            duration: 0,
            step: step.max(1),
            most: most.max(1),
            threads: BTreeMap::new(),
            goroutines: None,
        }
    }

    /// Returns the maps of a record, with at most `most` columns.
    pub fn of(timeline: &Timeline, most: usize) -> Self {
        let (from, to) = (timeline.meta.from, timeline.meta.to);
        let duration = to.saturating_sub(from);
        let mut heat = Self {
            duration,
            ..Self::new(step(duration, most), most)
        };
        for delay in timeline
            .threads
            .histories
            .values()
            .flat_map(|of| &of.delays)
        {
            let at = delay.at.saturating_sub(from);
            heat.add(at, delay.go_prio, &one(delay.takes));
        }
        let Some(goroutines) = &timeline.goroutines else {
            return heat;
        };
        let mut map = Map::new();
        for delay in goroutines.histories.values().flat_map(|of| &of.delays) {
            // The trace may be of a longer time.
            if (from..=to).contains(&delay.at) {
                let column = heat.column(delay.at - from);
                add(&mut map, column, &one(delay.takes));
            }
        }
        heat.goroutines = Some(map);
        heat
    }

    /// Adds delays of threads that ended `at` ns after the beginning.
    pub fn add(&mut self, at: u64, go_prio: Option<u8>, counts: &Counts) {
        let column = self.column(at);
        add(self.threads.entry(go_prio).or_default(), column, counts);
    }

    /// Sets the time that the maps are of, in ns.
    pub fn set_duration(&mut self, duration: u64) {
        self.duration = duration;
        self.fit();
    }

    /// Sets the most columns; columns that were joined stay so.
    pub fn set_most(&mut self, most: usize) {
        self.most = most.max(1);
        self.fit();
    }

    /// Joins columns until there are no more than the most.
    fn fit(&mut self) {
        while self.columns() > self.most {
            self.join();
        }
    }

    /// Returns the number of columns.
    pub fn columns(&self) -> usize {
        let lengths = self.maps().map(|(_, map)| map.len());
        let of_time = usize::try_from(self.duration.div_ceil(self.step)).unwrap_or(usize::MAX);
        lengths.max().unwrap_or(0).max(of_time).max(1)
    }

    /// Returns the column of a time.
    fn column(&mut self, at: u64) -> usize {
        loop {
            match usize::try_from(at / self.step) {
                Ok(column) if column < self.most => return column,
                _ => self.join(),
            }
        }
    }

    /// Joins each two columns.
    fn join(&mut self) {
        self.step = self.step.saturating_mul(2);
        for map in self.threads.values_mut().chain(&mut self.goroutines) {
            *map = map.chunks(2).map(total).collect();
        }
    }

    /// Returns the maps of threads, the highest priority first and what has none last, and that of
    /// goroutines.
    pub fn maps(&self) -> impl Iterator<Item = (Subject, &Map)> {
        let threads = self.threads.iter().rev();
        let threads = threads.map(|(go_prio, map)| (Subject::Threads { go_prio: *go_prio }, map));
        let goroutines = self.goroutines.iter().map(|map| (Subject::Goroutines, map));
        threads.chain(goroutines)
    }

    /// Returns the number of delays in the fullest cell.
    pub fn fullest(&self) -> u64 {
        let cells = self.maps().flat_map(|(_, map)| map.iter().flatten());
        cells.copied().max().unwrap_or(0)
    }

    /// Returns the times of the columns, from the beginning.
    pub fn times(&self) -> impl Iterator<Item = Bucket> {
        let step = self.step;
        (0..self.columns() as u64).map(move |column| Bucket {
            from: column.saturating_mul(step),
            to: (column + 1).checked_mul(step),
        })
    }
}

/// Returns the time of a column, in ns, with which a duration and its end fit into so many.
pub fn step(duration: u64, columns: usize) -> u64 {
    (duration / columns.max(1) as u64).saturating_add(1)
}

/// Returns the delays of the classes, the shortest first.
pub fn classes() -> [Bucket; CLASSES] {
    std::array::from_fn(|class| Bucket {
        from: class.checked_sub(1).map_or(0, |before| BOUNDS[before]),
        to: BOUNDS.get(class).copied(),
    })
}

/// Adds up counts class by class.
pub fn total(counts: &[Counts]) -> Counts {
    std::array::from_fn(|class| counts.iter().map(|counts| counts[class]).sum())
}

/// Returns the counts of one delay.
fn one(delay: u64) -> Counts {
    let of = BOUNDS.partition_point(|bound| *bound <= delay);
    std::array::from_fn(|class| u64::from(class == of))
}

fn add(map: &mut Map, column: usize, counts: &Counts) {
    if map.len() <= column {
        map.resize(column + 1, [0; CLASSES]);
    }
    map[column] = total(&[map[column], *counts]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Meta;
    use crate::directory::Record;
    use crate::event::fixture::event;
    use crate::event::fixture::thread;
    use crate::event::fixture::SLEEPS;
    use crate::event::fixture::SWITCH;
    use crate::event::fixture::WAKEUP;
    use crate::event::Event;

    const OWN: i32 = 4711;
    const SECOND: u64 = 1_000_000_000;

    /// Returns the events of a thread that becomes runnable, runs later, and sleeps at once.
    fn wait(tid: i32, from: u64, to: u64) -> [Event; 3] {
        let (waits, hog) = (thread(OWN, tid), thread(7, 7));
        [
            event(WAKEUP, from, 0, [waits, hog], 0),
            event(SWITCH, to, 0, [hog, waits], 0),
            event(SWITCH, to, 0, [waits, hog], SLEEPS),
        ]
    }

    fn timeline(from: u64, to: u64, events: impl IntoIterator<Item = Event>) -> Timeline {
        let mut meta = Meta::new(String::new(), String::new());
        (meta.pid, meta.from, meta.to) = (OWN, from, to);
        Timeline::of(Record {
            meta,
            events: events.into_iter().collect(),
            damaged: 0,
            go_trace: None,
        })
        .expect("a record")
    }

    /// Returns the map of threads without a Go priority, if there is one and no other.
    fn only(heat: &Heat) -> Option<&Map> {
        assert!(heat.maps().count() <= 1, "{heat:?}");
        let (subject, map) = heat.maps().next()?;
        assert_eq!(subject, Subject::Threads { go_prio: None });
        Some(map)
    }

    fn sum(map: &Map) -> u64 {
        map.iter().flatten().sum()
    }

    #[test]
    fn classes_are_all_delays_without_a_gap() {
        let classes = classes();
        assert_eq!((classes[0].from, classes[CLASSES - 1].to), (0, None));
        for pair in classes.windows(2) {
            assert_eq!(pair[0].to, Some(pair[1].from));
            assert!(pair[0].from < pair[1].from);
        }
        for (class, bucket) in classes.iter().enumerate() {
            let last = bucket.to.map_or(u64::MAX, |to| to - 1);
            for delay in [bucket.from, last] {
                assert_eq!(one(delay)[class], 1, "{delay}");
                assert_eq!(one(delay).iter().sum::<u64>(), 1, "{delay}");
            }
        }
    }

    #[test]
    fn an_empty_record_has_no_map() {
        let heat = Heat::of(&timeline(0, SECOND, []), 60);
        assert_eq!(only(&heat), None);
        assert_eq!((heat.columns(), heat.fullest()), (60, 0));
    }

    #[test]
    fn one_wait_is_in_the_cell_of_its_end_and_delay() {
        // 20 ms, in the sixth second.
        let end = 100 + 5 * SECOND + SECOND / 2;
        let events = wait(10, end - 20_000_000, end);
        let heat = Heat::of(&timeline(100, 100 + 10 * SECOND, events), 10);
        let map = only(&heat).expect("a map");
        assert_eq!((sum(map), map[5][7]), (1, 1), "{map:?}");
        assert_eq!((heat.columns(), heat.fullest()), (10, 1));
    }

    #[test]
    fn each_wait_is_counted_once_however_many_columns_there_are() {
        let events: Vec<_> = (0..1000)
            .flat_map(|i| wait(i % 7 + 1, i as u64 * 1000, i as u64 * 1000 + 999))
            .collect();
        let timeline = timeline(0, 999_999, events);
        for most in [0, 1, 2, 59, 60, 999, 1000, 5000] {
            let heat = Heat::of(&timeline, most);
            let map = only(&heat).expect("a map");
            assert_eq!(sum(map), 1000, "{most}");
            assert!(heat.columns() <= most.max(1), "{most}: {}", heat.columns());
        }
    }

    #[test]
    fn a_wait_that_ends_with_the_record_is_in_the_last_column() {
        for duration in [1, 59, 60, 61, 600, SECOND, 30 * 24 * 3600 * SECOND] {
            let heat = Heat::of(&timeline(0, duration, wait(10, 0, duration)), 60);
            let map = only(&heat).expect("a map");
            assert_eq!(sum(map), 1);
            assert_eq!(map.len(), heat.columns(), "{duration}");
            let last = heat.times().last().expect("a column");
            assert!(last.from <= duration && last.to.is_some_and(|to| duration < to));
        }
    }

    #[test]
    fn a_record_of_no_time_has_one_column() {
        let heat = Heat::of(&timeline(500, 500, wait(10, 500, 500)), 60);
        assert_eq!(heat.columns(), 1);
        assert_eq!(only(&heat).map(sum), Some(1));
    }

    #[test]
    fn huge_times_and_delays_are_counted() {
        let events = wait(10, 0, u64::MAX);
        let heat = Heat::of(&timeline(0, u64::MAX, events), 60);
        let map = only(&heat).expect("a map");
        assert_eq!(map.last().map(|counts| counts[CLASSES - 1]), Some(1));
        assert!(heat.columns() <= 60);
        assert_eq!(heat.times().count(), heat.columns());

        let mut heat = Heat::new(1, 60);
        heat.add(u64::MAX, Some(63), &one(u64::MAX));
        heat.set_duration(u64::MAX);
        assert!(heat.columns() <= 60);
    }

    #[test]
    fn columns_are_joined_when_there_is_more_time_and_keep_their_delays() {
        let mut heat = Heat::new(10, 10);
        for at in 0..1000 {
            heat.add(at, None, &one(at));
            heat.set_duration(at + 1);
            assert!(heat.columns() <= 10, "{heat:?}");
        }
        assert_eq!(only(&heat).map(sum), Some(1000));
        assert_eq!((heat.step, heat.columns()), (160, 7));
        let first = only(&heat).map(|map| total(&map[..1]));
        assert_eq!(first, Some(total(&vec![one(0); 160])));
    }

    #[test]
    fn fewer_columns_keep_all_delays_and_more_have_room_again() {
        let mut heat = Heat::new(10, 60);
        (0..600).for_each(|at| heat.add(at, None, &one(at)));
        assert_eq!(heat.columns(), 60);
        for (most, step, columns) in [(59, 20, 30), (10, 80, 8), (0, 640, 1), (60, 640, 1)] {
            heat.set_most(most);
            assert_eq!((heat.step, heat.columns()), (step, columns), "{most}");
            assert_eq!(only(&heat).map(sum), Some(600));
        }
        heat.set_duration(60 * 640);
        assert_eq!((heat.step, heat.columns()), (640, 60));
    }

    #[test]
    fn maps_are_in_the_order_of_priorities_with_none_last() {
        let mut heat = Heat::new(1, 1);
        for go_prio in [None, Some(0), Some(63), Some(40)] {
            heat.add(0, go_prio, &one(1));
        }
        let order: Vec<_> = heat.maps().map(|(subject, _)| subject).collect();
        let threads = |go_prio| Subject::Threads { go_prio };
        let expected = [Some(63), Some(40), Some(0), None].map(threads);
        assert_eq!(order, expected);
    }
}
