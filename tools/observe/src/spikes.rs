// SPDX-License-Identifier: GPL-2.0

//! Latency spikes: outliers that lie close together in time, and what kept the program from its
//! work meanwhile more than it usually does. All times are in ns.

mod account;
mod comparison;
mod groups;
mod parts;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use self::account::Account;
use self::comparison::Comparison;
use self::groups::groups;
use self::groups::sum;
use self::groups::windows;
use self::parts::Parts;
use crate::latencies::Latencies;
use crate::latencies::Outlier;
use crate::latencies::Unreadable;
use crate::summary::Timeline;
use crate::why::Cause;
use crate::why::Mechanism;

/// The longest gap inside a cluster, unless another one is given.
const LONGEST_GAP: u64 = 100_000_000;
/// A gap inside a cluster is at most this part of what it is on average.
const CLOSE: u64 = 10;
/// How long threads of each name had CPUs that the program waited for.
type ByName = BTreeMap<(Mechanism, Option<String>, bool), u64>;

/// How outliers are put together.
#[derive(Clone, Copy, Debug)]
pub struct Clustering {
    /// The longest time between two outliers of a cluster. Without one it is a tenth of what would
    /// be between them if they were spread evenly, and at most 100 ms.
    pub gap: Option<u64>,
    /// The fewest outliers of a cluster.
    pub at_least: u64,
}

/// The latency spikes of a program.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Spikes {
    /// Number of latencies in the time of the record.
    pub latencies: u64,
    /// Number of latencies of another time.
    pub outside: u64,
    /// Number of lines that cannot be read.
    pub unreadable: u64,
    /// First line that cannot be read.
    pub first_unreadable: Option<Unreadable>,
    /// Latency above which all latencies are outliers.
    pub threshold: u64,
    /// The longest time between two outliers of a cluster.
    pub gap: u64,
    /// The number of outliers.
    pub outliers: u64,
    /// Number of outliers in clusters.
    pub in_clusters: u64,
    /// Number of outliers whose cluster has a cause in the kernel.
    pub in_kernel: u64,
    /// Number of outliers whose cluster has a cause in Go's runtime.
    pub in_runtime: u64,
    /// Number of outliers whose cluster has a cause in the program itself.
    pub in_program: u64,
    /// The clusters, in the order of time.
    pub clusters: Vec<Cluster>,
    /// The outliers that lie in no cluster, in the order of time.
    pub single: Vec<Outlier>,
    /// Sentences that say what is missing.
    pub missing: Vec<String>,
}

/// Outliers that lie close together in time. All times are in ns.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Cluster {
    /// The beginning, in ns of `CLOCK_MONOTONIC`.
    pub from: u64,
    /// The end, in ns of `CLOCK_MONOTONIC`.
    pub to: u64,
    /// The number of outliers.
    pub outliers: u64,
    /// The highest latency.
    pub worst: u64,
    /// The time in which at least one outlier was under way.
    pub takes: u64,
    /// Cause of the cluster; `None` if no cause is known.
    pub cause: Option<SpikeCause>,
    /// Reason that no cause is known.
    pub unknown: Option<String>,
}

/// The cause of a cluster. All times are in ns.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct SpikeCause {
    /// Obstacle that kept the program from its work.
    pub what: Obstacle,
    /// Origin of the obstacle.
    pub origin: Origin,
    /// Time of the obstacle while outliers were under way: two threads that wait count twice.
    pub took: u64,
    /// Time of the obstacle in as much time without outliers.
    pub usual: u64,
    /// Threads that had the CPU for longest, if the wait for a CPU is the cause.
    pub who: Option<Competitor>,
}

/// Threads of one name, which had a CPU that the program waited for. All times are in ns.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Competitor {
    /// The thread that had the CPU for longest.
    #[serde(flatten)]
    pub thread: Cause,
    /// Number of threads.
    pub threads: usize,
    /// Time that the threads had the CPU.
    pub took: u64,
    /// Time that the threads have the CPU in as much time without outliers.
    pub usual: u64,
}

/// Obstacle that keeps a program from its work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Obstacle {
    /// A thread waits for a CPU.
    NoCpu,
    /// The control group has used up its quota.
    Quota,
    /// Go's runtime has stopped all goroutines.
    StoppedWorld,
    /// Goroutines are ready, and the runtime has no P for them.
    NoP,
    /// Goroutines help the garbage collector to mark.
    MarkAssist,
    /// A thread sleeps in this system call, which does not wait for work.
    Asleep(String),
    /// A goroutine waits for a lock of package sync.
    Lock,
}

/// Origin of an obstacle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The kernel.
    Kernel,
    /// Go's runtime.
    Runtime,
    /// The program itself.
    Program,
}

impl Obstacle {
    fn origin(&self) -> Origin {
        match self {
            Self::NoCpu | Self::Quota | Self::Asleep(_) => Origin::Kernel,
            Self::StoppedWorld | Self::NoP | Self::MarkAssist => Origin::Runtime,
            Self::Lock => Origin::Program,
        }
    }
}

impl Timeline {
    /// Puts outliers together to clusters, and tells the cause of each.
    pub fn spikes(&self, latencies: Latencies, clustering: Clustering) -> Spikes {
        let Latencies {
            count,
            outside,
            unreadable,
            first_unreadable,
            threshold,
            outliers,
        } = latencies;
        let record = (self.meta.from, self.meta.to);
        let number = sum(&outliers);
        let even = (record.1 - record.0) / number.max(1);
        let gap = clustering.gap.unwrap_or((even / CLOSE).min(LONGEST_GAP));
        let mut spikes = Spikes {
            latencies: count,
            outside,
            unreadable,
            first_unreadable,
            threshold,
            gap,
            outliers: number,
            in_clusters: 0,
            in_kernel: 0,
            in_runtime: 0,
            in_program: 0,
            clusters: Vec::new(),
            single: Vec::new(),
            missing: self.missing.clone(),
        };
        spikes.missing.extend(self.step());
        let groups = groups(&outliers, gap);
        let outlying: Vec<_> = groups.iter().map(|group| windows(group, record)).collect();
        let parts = Parts::new(outlying.iter().flatten().copied());
        let mut clusters = Vec::new();
        for (group, windows) in groups.into_iter().zip(&outlying) {
            if sum(group) < clustering.at_least {
                spikes.single.extend(group);
                continue;
            }
            // Nothing of a cluster may be in the record.
            let begin = windows.first().map_or(group[0].from, |(from, _)| *from);
            let end = windows.last().map_or(begin, |(_, to)| *to);
            let (from, to) = (parts.position(begin), parts.position(end));
            clusters.push((group, from..to));
        }
        let (clusters, at): (Vec<_>, Vec<_>) = clusters.into_iter().unzip();
        let accounts = self.accounts_of(&parts, &at);
        let mut by_name = ByName::new();
        for thread in self.who_had_cpus(&accounts.usual) {
            let name = (thread.mechanism, thread.name, thread.own);
            *by_name.entry(name).or_default() += thread.waited;
        }
        for (group, spike) in clusters.into_iter().zip(&accounts.clusters) {
            let comparison = Comparison {
                spike,
                usual: &accounts.usual,
                elsewhere: &accounts.elsewhere,
            };
            let cluster = self.cluster(group, comparison, &by_name);
            spikes.clusters.push(cluster);
        }
        let number = |of: &dyn Fn(&Cluster) -> bool| {
            let clusters = spikes.clusters.iter().filter(|cluster| of(cluster));
            clusters.fold(0, |sum, cluster| u64::saturating_add(sum, cluster.outliers))
        };
        let by = |origin| {
            number(&|cluster| {
                let cause = cluster.cause.as_ref();
                cause.is_some_and(|cause| cause.origin == origin)
            })
        };
        let in_clusters = number(&|_| true);
        let [in_kernel, in_runtime, in_program] =
            [Origin::Kernel, Origin::Runtime, Origin::Program].map(by);
        Spikes {
            in_clusters,
            in_kernel,
            in_runtime,
            in_program,
            ..spikes
        }
    }

    /// Says whether the wall clock was set while the program was recorded.
    fn step(&self) -> Option<String> {
        const STEP: u64 = 1_000_000;
        let [from, to] = self.meta.realtime_offset?;
        let step = to.abs_diff(from);
        (step > STEP).then(|| {
            format!(
                "the wall clock was set by {:.3} s meanwhile: later times of that are not those of \
                 the record",
                step as f64 / 1e9
            )
        })
    }

    fn cluster(&self, group: &[Outlier], comparison: Comparison<'_>, by_name: &ByName) -> Cluster {
        let account = comparison.spike;
        let whole: u64 = windows(group, (0, u64::MAX))
            .iter()
            .map(|(from, to)| to - from)
            .sum();
        let found = if account.length < whole / 2 {
            Err("most of it is outside the record".to_owned())
        } else if account.is_empty() {
            Err("nothing of the program was recorded meanwhile".to_owned())
        } else if comparison.usual.length < account.length {
            Err("there is too little time without outliers to compare with".to_owned())
        } else {
            self.cause_of(comparison, by_name)
        };
        let (cause, unknown) = match found {
            Ok(cause) => (Some(cause), None),
            Err(why) => (None, Some(why)),
        };
        Cluster {
            from: group.first().map_or(0, |outlier| outlier.from),
            to: group.iter().map(|outlier| outlier.to).max().unwrap_or(0),
            outliers: sum(group),
            worst: group
                .iter()
                .map(|outlier| outlier.latency)
                .max()
                .unwrap_or(0),
            takes: account.length,
            cause,
            unknown,
        }
    }

    fn cause_of(&self, comparison: Comparison<'_>, by_name: &ByName) -> Result<SpikeCause, String> {
        let who = self.competitor(comparison, by_name);
        let times = who.as_ref().map(|who| (who.took, who.usual));
        let (what, took, usual) = comparison.cause(times)?;
        Ok(SpikeCause {
            what: what.clone(),
            origin: match &who {
                Some(who) if *what == Obstacle::NoCpu && who.thread.own => Origin::Program,
                _ => what.origin(),
            },
            took,
            usual,
            who: who.filter(|_| *what == Obstacle::NoCpu),
        })
    }

    /// Returns who had the CPUs that threads waited for, for the longest time more than usual: one
    /// for whom that is unusual rather than another one.
    fn competitor(&self, comparison: Comparison<'_>, usual: &ByName) -> Option<Competitor> {
        let name = |of: &Cause| (of.mechanism, of.name.clone(), of.own);
        let mut by_name: BTreeMap<_, Vec<Cause>> = BTreeMap::new();
        for thread in self.who_had_cpus(comparison.spike) {
            by_name.entry(name(&thread)).or_default().push(thread);
        }
        let competitors = by_name.into_iter().filter_map(|(name, threads)| {
            // A thread at several priorities is there as often.
            let tids: BTreeSet<_> = threads.iter().map(|thread| thread.tid).collect();
            let usual = usual.get(&name).copied().unwrap_or_default();
            Some(Competitor {
                threads: tids.len(),
                took: threads.iter().map(|thread| thread.waited).sum(),
                usual: comparison.scaled(usual),
                thread: threads.into_iter().next()?,
            })
        });
        competitors.max_by_key(|Competitor { took, usual, .. }| {
            let unusual = comparison.unusual(*took, *usual).is_some();
            (unusual, took.saturating_sub(*usual))
        })
    }

    fn who_had_cpus(&self, account: &Account) -> Vec<Cause> {
        self.causes(&self.by_mechanism(&account.by_occupant))
    }
}

impl fmt::Display for SpikeCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            Obstacle::NoCpu => {
                f.write_str("no CPU")?;
                let Some(who) = &self.who else {
                    return Ok(());
                };
                let Competitor {
                    thread, threads, ..
                } = who;
                let (Some(tid), Some(name)) = (thread.tid, &thread.name) else {
                    return write!(f, ": {}", thread.mechanism);
                };
                let whose = match thread {
                    _ if thread.own => "its own",
                    _ if thread.recorder => "the recorder's",
                    _ if thread.kernel => "the kernel's",
                    _ => "another program's",
                };
                write!(f, ": {tid} {name} had it, {whose} {}", thread.mechanism)?;
                match threads {
                    1 => Ok(()),
                    _ => write!(f, ", and {} more of this name", threads - 1),
                }
            }
            Obstacle::Quota => f.write_str("quota used up"),
            Obstacle::StoppedWorld => f.write_str("Go's runtime stopped the world"),
            Obstacle::NoP => f.write_str("no P for goroutines that were ready"),
            Obstacle::MarkAssist => f.write_str("goroutines helped the garbage collector"),
            Obstacle::Asleep(call) => write!(f, "asleep in {call}"),
            Obstacle::Lock => f.write_str("a lock of package sync"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Meta;
    use crate::directory::Record;
    use crate::event::fixture::event;
    use crate::event::fixture::thread;
    use crate::event::fixture::WAKEUP;

    pub(super) fn outlier(from: u64, to: u64) -> Outlier {
        Outlier {
            latency: to - from,
            from,
            to,
            count: 1,
        }
    }

    #[test]
    fn many_outliers_beside_many_threads_are_looked_at_once() {
        // The time of a look at each thread for each outlier would be seen.
        const THREADS: i32 = 20_000;
        const OUTLIERS: u64 = 50_000;
        let nobody = thread(0, 0);
        let mut meta = Meta::new("6.12".to_owned(), "server".to_owned());
        (meta.pid, meta.to) = (10, 100 * OUTLIERS);
        let wakeup = |tid| event(WAKEUP, 0, 0, [thread(10, tid), nobody], 0);
        let record = Record {
            meta,
            events: (10..10 + THREADS).map(wakeup).collect(),
            damaged: 0,
            go_trace: None,
        };
        let timeline = Timeline::of(record).expect("a record");
        for (at_least, in_clusters) in [(1, OUTLIERS), (2, 0)] {
            let latencies = Latencies {
                count: OUTLIERS,
                outside: 0,
                unreadable: 0,
                first_unreadable: None,
                threshold: 1,
                outliers: (0..OUTLIERS)
                    .map(|at| outlier(100 * at, 100 * at + 1))
                    .collect(),
            };
            let gap = Some(0);
            let spikes = timeline.spikes(latencies, Clustering { gap, at_least });
            assert_eq!(spikes.in_clusters, in_clusters);
            assert_eq!(spikes.single.len() as u64, OUTLIERS - in_clusters);
        }
    }
}
