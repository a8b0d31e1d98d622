// SPDX-License-Identifier: GPL-2.0

//! Samples: the state of threads at one moment, and what they did since the last one.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use gosched::cgroup::Hierarchies;
use gosched::cgroup::Quota;
use gosched::error::FindError;
use gosched::error::RequestError;
use gosched::policy::level;
use gosched::sched::Params;
use gosched::thread::check_proc;
use gosched::thread::ThreadId;
use gosched::thread::Threads;
use gosched::Device;
use gosched::Target;
use procfs::process::Process;
use procfs::process::Schedstat;
use procfs::process::Stat;
use procfs::process::Task;
use procfs::ProcError;
use procfs::ProcResult;

use crate::check::limits::autogroup_enabled;
use crate::check::limits::SchedExt;
use crate::device;
use crate::error::Error;
use crate::error::ThreadError;
use crate::facts::Facts;
#[cfg(feature = "observe")]
use crate::observe::goroutines::Goroutine;
#[cfg(feature = "observe")]
use crate::observe::goroutines::GoroutineReader;
use crate::program::Hints;
use crate::program::HintsOf;
use crate::program::Runtimes;

/// The state of the system and its threads at one moment.
pub(super) struct Sample {
    /// The threads that a `sched_ext` scheduler runs; `None` if the kernel has no
    /// `sched_ext`. The error is why that cannot be read.
    pub(super) sched_ext: io::Result<Option<SchedExt>>,
    /// True if each session is a group to the scheduler. The error is why that cannot be read.
    pub(super) autogroup: io::Result<bool>,
    pub(super) rows: Vec<Row>,
    pub(super) unread: Unread,
    /// A sentence on goroutines that cannot be read.
    #[cfg(feature = "observe")]
    pub(super) goroutines_unknown: Option<String>,
}

/// The processes and threads that have no row as they cannot be read.
#[derive(Default)]
pub(super) struct Unread {
    /// The number of those that `/proc` lists.
    pub(super) count: usize,
    /// The error of the first one; `None` if there is none.
    pub(super) reason: Option<ThreadError>,
}

impl Unread {
    /// Counts what cannot be read, and leaves out what has ended. Returns any other error.
    fn add(&mut self, error: RowError) -> Result<(), Error> {
        let error = match error {
            RowError::Ended => return Ok(()),
            RowError::Other(error) => error,
        };
        match error {
            ThreadError::Proc(_) | ThreadError::Find(FindError::Hidden) => {
                self.reason.get_or_insert(error);
                self.count += 1;
                Ok(())
            }
            ThreadError::Find(error) => Err(error.into()),
            ThreadError::Request(error) => Err(error.into()),
        }
    }
}

impl Sample {
    /// Returns whether a `sched_ext` scheduler runs all threads.
    pub(super) fn is_taken_over(&self) -> bool {
        matches!(self.sched_ext, Ok(Some(SchedExt::Full)))
    }

    /// Returns a sentence for each thing that cannot be read, but for quotas.
    pub(super) fn unknown(&self) -> Vec<String> {
        let sched_ext = self.sched_ext.as_ref().err();
        let sched_ext = sched_ext.map(|error| format!("sched_ext is unknown: {error}"));
        let autogroup = self.autogroup.as_ref().err();
        let autogroup = autogroup.map(|error| format!("autogroup is unknown: {error}"));
        let unread = self.unread.reason.as_ref().map(|reason| {
            let count = Some(self.unread.count).filter(|count| *count > 0);
            let count = count.map_or_else(|| "some".to_owned(), |count| count.to_string());
            format!("{count} processes or threads are not shown: {reason}")
        });
        let sentences = [sched_ext, autogroup, unread].into_iter().flatten();
        #[cfg(feature = "observe")]
        let sentences = sentences.chain(self.goroutines_unknown.clone());
        sentences.collect()
    }
}

/// The state of one thread.
pub(super) struct Row {
    pub(super) pid: i32,
    pub(super) tid: i32,
    /// Start of the thread, in clock ticks since the start of the system; ids are used again.
    pub(super) started: u64,
    pub(super) command: String,
    pub(super) facts: Facts,
    /// Whose hints the thread has; `None` if it is not bound to a slot.
    pub(super) hints: Option<Hints>,
    /// Number of the CPU that the thread runs on, or ran on last.
    pub(super) cpu: Option<i32>,
    /// CPU time since the last sample, in percent of one CPU.
    pub(super) cpu_percent: f64,
    /// Percentage of the time since the last sample that the thread waited for a CPU, if
    /// the kernel measures that.
    pub(super) wait_percent: Option<f64>,
    /// The field "priority" of `/proc/PID/stat`, see [`kernel_priority`].
    pub(super) kernel_priority: i64,
    /// Path of the control group below the root of the hierarchy.
    pub(super) cgroup: Option<PathBuf>,
    /// Path of the control group inside which the thread competes for CPU time.
    pub(super) cpu_cgroup: Option<PathBuf>,
    /// The lowest CPU limit of the control group and those above it, or why that cannot be
    /// read.
    pub(super) quota: io::Result<Option<Quota>>,
    /// Number of periods since the last sample in which the quota was used up.
    pub(super) throttled: u64,
    /// The autogroup of the thread's session, "/autogroup-N", where autogroups count.
    pub(super) autogroup: Option<String>,
    /// The goroutine that the thread has.
    #[cfg(feature = "observe")]
    pub(super) goroutine: Option<Goroutine>,
}

impl Row {
    /// Returns what no other thread has, not even a later one.
    pub(super) fn id(&self) -> (i32, u64) {
        (self.tid, self.started)
    }

    /// Returns whether the thread is boosted, as it holds a lock that a more urgent thread waits
    /// for.
    pub(super) fn is_boosted(&self) -> bool {
        self.kernel_priority < kernel_priority(&self.facts.status.current)
    }

    /// Returns whether the hints of the thread are as `of` says.
    pub(super) fn has_hints(&self, of: HintsOf) -> bool {
        self.hints.as_ref().is_some_and(|hints| hints.of == of)
    }

    /// Returns whether a quota limits the thread. Real-time threads escape quotas.
    pub(super) fn is_limited(&self) -> bool {
        matches!(self.quota, Ok(Some(_))) && self.facts.status.current.policy.is_fair()
    }

    /// Returns whether the priority asked for is not the one in force.
    pub(super) fn is_pending(&self) -> bool {
        self.facts.status.applied != self.facts.status.prio
    }

    /// Returns whether the policy in force is not that of the priority in force.
    pub(super) fn has_policy_mismatch(&self) -> bool {
        let current = &self.facts.status.current;
        let applied = self.facts.status.applied;
        // The base is in force for kernel work.
        let applied = applied.filter(|_| !self.facts.status.kernel_work);
        applied.is_some_and(|prio| {
            let level = level(prio);
            let differs =
                current.policy != level.policy.into() || current.rt_priority != level.rt_priority;
            // A level without a slice has no nice value of its own.
            differs || (level.slice_ns != 0 && current.nice != level.nice)
        })
    }
}

/// Returns the field "priority" of `/proc/PID/stat`, see proc_pid_stat(5), of a thread
/// that is not boosted: the nice value plus 20, or -1 minus the real-time priority. Lower
/// is more urgent.
pub(super) fn kernel_priority(params: &Params) -> i64 {
    if params.policy.is_rt() {
        -1 - i64::from(params.rt_priority)
    } else if params.policy.is_fair() {
        20 + i64::from(params.nice)
    } else {
        // Nothing is more urgent than SCHED_DEADLINE.
        i64::MIN
    }
}

/// Takes samples, and keeps what the next sample is compared with.
pub(super) struct Sampler {
    pub(super) device: Device,
    hierarchies: Hierarchies,
    /// Ids of the processes to look at; all processes if empty.
    pids: Vec<i32>,
    /// Time of the last sample.
    taken: Instant,
    threads: HashMap<(i32, u64), Times>,
    throttled: HashMap<PathBuf, u64>,
    runtimes: Runtimes,
    #[cfg(feature = "observe")]
    goroutines: GoroutineReader,
}

impl Sampler {
    pub(super) fn new(pids: &[i32]) -> Result<Self, Error> {
        check_proc()?;
        for pid in pids {
            let id = ThreadId {
                pid: *pid,
                inode: None,
            };
            Threads::of(id).map_err(|error| Error::of_thread(pid, error))?;
        }
        Ok(Self {
            device: device::open()?,
            hierarchies: Hierarchies::find()?,
            pids: pids.to_vec(),
            taken: Instant::now(),
            threads: HashMap::new(),
            throttled: HashMap::new(),
            runtimes: Runtimes::default(),
            #[cfg(feature = "observe")]
            goroutines: GoroutineReader::start()?,
        })
    }

    /// Looks at all threads, or only at those that have a Go priority.
    pub(super) fn sample(&mut self, all: bool) -> Result<Sample, Error> {
        let now = Instant::now();
        let mut next = Baseline {
            seconds: now.duration_since(self.taken).as_secs_f64(),
            threads: HashMap::new(),
            throttled: HashMap::new(),
            runtimes: std::mem::take(&mut self.runtimes),
            autogroup: false,
        };
        let autogroup = autogroup_enabled();
        next.autogroup = autogroup.as_ref().is_ok_and(|enabled| *enabled);

        let mut rows = Vec::new();
        let mut unread = Unread::default();
        // Each takes a descriptor, so one process at a time.
        for process in self.processes()? {
            let found = process.and_then(|process| Ok((tids(process.pid)?, process)));
            let (tids, process) = match found {
                Ok(found) => found,
                Err(error) => {
                    unread.add(error.into())?;
                    continue;
                }
            };
            for tid in tids {
                let row = process
                    .task_from_tid(tid)
                    .map_err(RowError::from)
                    .and_then(|task| self.row(&process, &task, all, &mut next));
                match row {
                    Ok(row) => rows.extend(row),
                    Err(error) => unread.add(error)?,
                }
            }
        }

        // Those that are not even listed.
        let first = ThreadId {
            pid: 1,
            inode: None,
        };
        if let (true, Err(error @ FindError::Hidden)) = (self.pids.is_empty(), Threads::of(first)) {
            unread.reason.get_or_insert(error.into());
        }

        self.taken = now;
        self.threads = next.threads;
        self.throttled = next.throttled;
        self.runtimes = next.runtimes;
        self.runtimes.forget_unused();
        #[cfg(feature = "observe")]
        let goroutines_unknown = self.add_goroutines(&mut rows);
        Ok(Sample {
            sched_ext: SchedExt::read(),
            autogroup,
            rows,
            unread,
            #[cfg(feature = "observe")]
            goroutines_unknown,
        })
    }

    /// Adds its goroutine to each thread. Returns a sentence on those that cannot be read.
    #[cfg(feature = "observe")]
    fn add_goroutines(&mut self, rows: &mut [Row]) -> Option<String> {
        let goroutines = self
            .goroutines
            .read(rows.iter().map(|row| row.pid).collect());
        for row in rows {
            row.goroutine = goroutines.of.get(&row.tid).copied();
        }
        goroutines.unknown
    }

    /// Opens the processes to look at, one after the other.
    fn processes(&self) -> ProcResult<Box<dyn Iterator<Item = ProcResult<Process>>>> {
        if self.pids.is_empty() {
            return Ok(Box::new(procfs::process::all_processes()?));
        }
        Ok(Box::new(self.pids.clone().into_iter().map(Process::new)))
    }

    fn row(
        &self,
        process: &Process,
        task: &Task,
        all: bool,
        next: &mut Baseline,
    ) -> Result<Option<Row>, RowError> {
        let target = Target::Tid(task.tid);
        if !all && self.device.get(target)?.prio.is_none() {
            return Ok(None);
        }
        let facts = Facts::read(&self.device, target)?;
        let hints = Hints::of(task.tid, &facts.status, &mut next.runtimes);
        let file = format!("/proc/{}/task/{}/cgroup", process.pid, task.tid);
        let group = self.hierarchies.group_of(file.as_ref());
        // The directory was there before the answers, and is still there: they are of the
        // same thread.
        let stat = task.stat()?;

        let times = Times::new(task.schedstat().ok(), &stat);
        let key = (task.tid, stat.starttime);
        let since = times.since(self.threads.get(&key).unwrap_or(&times));
        next.threads.insert(key, times);
        let seconds = next.seconds;
        let percent = |nanoseconds: u64| nanoseconds as f64 / seconds / 1e9 * 100.0;

        let (group, quota, cpu_group) = match group {
            Ok(Some(group)) => {
                let (quota, cpu_group) = (group.tightest_quota(), group.cpu_group());
                (Some(group.path), quota, cpu_group)
            }
            Ok(None) => (None, Ok(None), Ok(None)),
            Err(error) => (None, Err(error), Err(io::ErrorKind::Other.into())),
        };
        let throttled = match &quota {
            Ok(Some(quota)) => self.throttled(quota, next),
            _ => 0,
        };
        Ok(Some(Row {
            pid: process.pid,
            tid: task.tid,
            started: stat.starttime,
            cpu: stat.processor,
            cpu_percent: percent(since.ran),
            wait_percent: since.waited.map(percent),
            kernel_priority: stat.priority,
            command: stat.comm,
            facts,
            hints,
            // An autogroup counts in the root group alone.
            autogroup: (next.autogroup && matches!(cpu_group, Ok(None)))
                .then(|| autogroup(process.pid))
                .flatten(),
            cpu_cgroup: match cpu_group {
                Ok(None) => group.as_ref().map(|_| "/".into()),
                Ok(inside) => inside,
                Err(_) => None,
            },
            cgroup: group,
            quota,
            throttled,
            #[cfg(feature = "observe")]
            goroutine: None,
        }))
    }

    /// Returns the number of periods since the last sample in which a quota was used up.
    fn throttled(&self, quota: &Quota, next: &mut Baseline) -> u64 {
        let before = self.throttled.get(&quota.group).copied();
        let now = *next
            .throttled
            .entry(quota.group.clone())
            .or_insert(quota.throttled);
        now.saturating_sub(before.unwrap_or(now))
    }
}

/// Lists the threads of a process. `Process::tasks()` leaves out those that it has no
/// descriptor for.
pub(crate) fn tids(pid: i32) -> ProcResult<Vec<i32>> {
    let mut tids = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        tids.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<i32>().ok()),
        );
    }
    Ok(tids)
}

/// The values of a sample that the next one is compared with.
struct Baseline {
    /// Seconds since the last sample.
    seconds: f64,
    threads: HashMap<(i32, u64), Times>,
    throttled: HashMap<PathBuf, u64>,
    runtimes: Runtimes,
    autogroup: bool,
}

/// The reason that a sample has no row for a thread.
enum RowError {
    Ended,
    Other(ThreadError),
}

impl From<ProcError> for RowError {
    fn from(error: ProcError) -> Self {
        ThreadError::from(error).into()
    }
}

impl From<ThreadError> for RowError {
    fn from(error: ThreadError) -> Self {
        match error {
            error if error.is_end() => Self::Ended,
            other => Self::Other(other),
        }
    }
}

impl From<RequestError> for RowError {
    fn from(error: RequestError) -> Self {
        ThreadError::from(error).into()
    }
}

/// The time that a thread ran, and that it waited for a CPU, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    ran: u64,
    waited: Option<u64>,
}

impl Times {
    fn new(schedstat: Option<Schedstat>, stat: &Stat) -> Self {
        // Without CONFIG_SCHED_INFO there is no such file, and while that is switched off
        // the file has only zeros.
        match schedstat.filter(|schedstat| schedstat.pcount != 0) {
            Some(schedstat) => Self {
                ran: schedstat.sum_exec_runtime,
                waited: Some(schedstat.run_delay),
            },
            None => Self {
                ran: (stat.utime + stat.stime) * 1_000_000_000 / procfs::ticks_per_second(),
                waited: None,
            },
        }
    }

    /// Returns the time added since `before`.
    fn since(&self, before: &Self) -> Self {
        let waited = self.waited.zip(before.waited);
        Self {
            ran: self.ran.saturating_sub(before.ran),
            waited: waited.map(|(now, before)| now.saturating_sub(before)),
        }
    }
}

/// Reads the autogroup of a process.
pub(crate) fn autogroup(pid: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/autogroup")).ok()?;
    Some(text.split_whitespace().next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::fixture;

    #[test]
    fn a_thread_above_its_own_priority_is_boosted() {
        let mut row = fixture::row(42, Some(20));
        row.kernel_priority = 32;
        assert!(!row.is_boosted());
        row.kernel_priority = -4;
        assert!(row.is_boosted());

        let mut row = fixture::row(42, Some(50));
        row.kernel_priority = -4;
        assert!(!row.is_boosted());
        row.kernel_priority = -17;
        assert!(row.is_boosted());
    }

    #[test]
    fn parameters_that_are_not_those_of_the_priority_are_a_mismatch() {
        for prio in [0, 15, 16, 32, 47, 48, 63] {
            let mut row = fixture::row(42, Some(prio));
            assert!(!row.has_policy_mismatch(), "{prio}");
            row.facts.status.current.policy = gosched::sched::SchedPolicy::from_number(3);
            assert!(row.has_policy_mismatch(), "{prio}");
        }
        assert!(!fixture::row(42, None).has_policy_mismatch());
    }

    #[test]
    fn what_a_thread_did_is_what_it_had_not_done_before() {
        let times = |ran, waited| Times { ran, waited };
        let since = times(150, Some(11)).since(&times(100, Some(10)));
        assert_eq!(since, times(50, Some(1)));
        let since = times(150, Some(11)).since(&times(100, None));
        assert_eq!(since, times(50, None));
    }

    #[test]
    fn a_kernel_that_does_not_measure_waiting_still_tells_cpu_time() {
        let mut stat = Process::myself()
            .and_then(|process| process.stat())
            .expect("own process");
        (stat.utime, stat.stime) = (procfs::ticks_per_second(), 0);
        let zeros = Schedstat {
            sum_exec_runtime: 0,
            run_delay: 0,
            pcount: 0,
        };
        for schedstat in [None, Some(zeros)] {
            let times = Times {
                ran: 1_000_000_000,
                waited: None,
            };
            assert_eq!(Times::new(schedstat, &stat), times);
        }
    }
}
