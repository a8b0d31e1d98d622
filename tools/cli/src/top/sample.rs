// SPDX-License-Identifier: GPL-2.0

//! What threads do, and what the kernel has on record for them, at one moment.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use gosched::error::RequestError;
use gosched::policy::level;
use gosched::sched::Params;
use gosched::Device;
use gosched::Target;
use procfs::process::Process;
use procfs::process::Schedstat;
use procfs::process::Stat;
use procfs::process::Task;
use procfs::ProcError;
use procfs::ProcResult;

use crate::cgroup::Hierarchy;
use crate::cgroup::Quota;
use crate::check::limits::autogroup_enabled;
use crate::check::limits::SchedExt;
use crate::facts::Facts;
use crate::facts::ThreadError;
use crate::printable;
use crate::Failure;

/// What is known at one moment.
pub(super) struct Sample {
    /// Nothing where the kernel has no `sched_ext`.
    pub(super) sched_ext: Option<SchedExt>,
    /// Whether sessions compete before threads do.
    pub(super) autogroup: bool,
    pub(super) rows: Vec<Row>,
}

impl Sample {
    /// Whether a `sched_ext` scheduler runs all threads.
    pub(super) fn is_taken_over(&self) -> bool {
        self.sched_ext == Some(SchedExt::Full)
    }
}

/// One thread.
pub(super) struct Row {
    pub(super) pid: i32,
    pub(super) tid: i32,
    pub(super) command: String,
    pub(super) facts: Facts,
    /// The CPU it runs on, or ran on last.
    pub(super) cpu: Option<i32>,
    /// Of one CPU, since the last sample.
    pub(super) cpu_percent: f64,
    /// How much of the time since the last sample it waited for a CPU, if the kernel
    /// measures that.
    pub(super) wait_percent: Option<f64>,
    /// As in `/proc/PID/stat`: 20 and the nice value, or -1 less the rt priority.
    pub(super) kernel_priority: i64,
    /// The control group, from the root of its hierarchy.
    pub(super) cgroup: Option<String>,
    /// That group, or the one above it, in which it competes for CPU time.
    pub(super) competes_in: Option<String>,
    pub(super) quota: Option<Quota>,
    /// How many periods the quota ended since the last sample.
    pub(super) throttled: u64,
    /// "/autogroup-N", if its session competes as a whole.
    pub(super) autogroup: Option<String>,
}

impl Row {
    /// Whether it runs above its policy, as it holds a lock that a more urgent
    /// thread waits for.
    pub(super) fn is_boosted(&self) -> bool {
        self.kernel_priority < own_kernel_priority(&self.facts.status.current)
    }

    /// Whether a quota limits it, which rt threads escape.
    pub(super) fn is_limited(&self) -> bool {
        self.quota.is_some() && self.facts.status.current.policy.is_fair()
    }

    /// Whether the priority asked for is not the one in force.
    pub(super) fn is_pending(&self) -> bool {
        self.facts.status.applied != self.facts.status.prio
    }

    /// Whether the policy in force is not what the priority in force maps to.
    pub(super) fn is_off_the_map(&self) -> bool {
        let current = &self.facts.status.current;
        self.facts.status.applied.is_some_and(|prio| {
            let level = level(prio);
            let differs =
                current.policy != level.policy.into() || current.rt_priority != level.rt_priority;
            // Only then the policy has a nice value of its own.
            differs || (level.slice_ns != 0 && current.nice != level.nice)
        })
    }
}

/// What `/proc/PID/stat` has as the priority of a thread that is not boosted: see
/// proc_pid_stat(5).
fn own_kernel_priority(params: &Params) -> i64 {
    if params.policy.is_rt() {
        -1 - i64::from(params.rt_priority)
    } else if params.policy.is_fair() {
        20 + i64::from(params.nice)
    } else {
        // SCHED_DEADLINE, above which there is nothing.
        i64::MIN
    }
}

/// Takes samples, and keeps what the next one is compared with.
pub(super) struct Sampler {
    device: Device,
    hierarchy: Option<Hierarchy>,
    /// All processes if empty.
    pids: Vec<i32>,
    taken: Instant,
    threads: HashMap<(i32, u64), Times>,
    throttled: HashMap<PathBuf, u64>,
}

impl Sampler {
    pub(super) fn new(pids: &[i32]) -> Result<Self, Failure> {
        for pid in pids {
            Process::new(*pid).map_err(|error| match error {
                ProcError::NotFound(_) => format!("pid {pid}: no such process or thread"),
                other => format!("pid {pid}: {other}"),
            })?;
        }
        Ok(Self {
            device: Device::open()?,
            hierarchy: Hierarchy::find()?,
            pids: pids.to_vec(),
            taken: Instant::now(),
            threads: HashMap::new(),
            throttled: HashMap::new(),
        })
    }

    /// Looks at all threads, or at those alone that have a Go priority.
    pub(super) fn sample(&mut self, all: bool) -> Result<Sample, Failure> {
        let now = Instant::now();
        let mut next = Next {
            seconds: now.duration_since(self.taken).as_secs_f64(),
            threads: HashMap::new(),
            throttled: HashMap::new(),
            autogroup: autogroup_enabled().unwrap_or_default(),
        };

        let mut rows = Vec::new();
        for process in self.processes()? {
            // Whatever ends while it is looked at is left out.
            let Ok(tasks) = process.tasks() else { continue };
            for task in tasks.filter_map(Result::ok) {
                match self.row(&process, &task, all, &mut next) {
                    Ok(row) => rows.extend(row),
                    Err(RowError::Ended) => continue,
                    Err(RowError::Other(error)) => {
                        return Err(format!("pid {}: {error}", task.tid).into())
                    }
                }
            }
        }

        self.taken = now;
        self.threads = next.threads;
        self.throttled = next.throttled;
        Ok(Sample {
            sched_ext: SchedExt::read().ok(),
            autogroup: next.autogroup,
            rows,
        })
    }

    fn processes(&self) -> ProcResult<Vec<Process>> {
        if self.pids.is_empty() {
            let all = procfs::process::all_processes()?;
            return Ok(all.filter_map(Result::ok).collect());
        }
        let chosen = self.pids.iter().map(|pid| Process::new(*pid));
        Ok(chosen.filter_map(Result::ok).collect())
    }

    fn row(
        &self,
        process: &Process,
        task: &Task,
        all: bool,
        next: &mut Next,
    ) -> Result<Option<Row>, RowError> {
        let target = Target::Tid(task.tid);
        if !all && self.device.get(target)?.prio.is_none() {
            return Ok(None);
        }
        let facts = Facts::read(&self.device, target)?;
        // The directory is older than the answers, and still there: the id was not
        // in use by another thread meanwhile.
        let stat = task.stat()?;

        let times = Times::new(task.schedstat().ok(), &stat);
        let key = (task.tid, stat.starttime);
        let since = times.since(self.threads.get(&key).unwrap_or(&times));
        next.threads.insert(key, times);
        let seconds = next.seconds;
        let percent = |nanoseconds: u64| nanoseconds as f64 / seconds / 1e9 * 100.0;

        let of_task = |file| format!("/proc/{}/task/{}/{file}", process.pid, task.tid);
        let cgroup = Hierarchy::path(of_task("cgroup").as_ref())?;
        let placed = self.hierarchy.as_ref().zip(cgroup.as_ref());
        let quota = placed.and_then(|(hierarchy, path)| hierarchy.tightest_quota(path));
        let competes_in = placed.and_then(|(hierarchy, path)| hierarchy.competes_in(path));
        let throttled = quota
            .as_ref()
            .map_or(0, |quota| self.throttled(quota, next));
        Ok(Some(Row {
            pid: process.pid,
            tid: task.tid,
            cpu: stat.processor,
            cpu_percent: percent(since.ran),
            wait_percent: since.waited.map(percent),
            kernel_priority: stat.priority,
            command: printable(&stat.comm),
            facts,
            // It counts in the root group alone.
            autogroup: (next.autogroup && competes_in.is_none())
                .then(|| autogroup(process.pid))
                .flatten(),
            competes_in: competes_in.or_else(|| placed.map(|_| "/".to_owned())),
            cgroup,
            quota,
            throttled,
        }))
    }

    /// How many periods a quota ended since the last sample.
    fn throttled(&self, quota: &Quota, next: &mut Next) -> u64 {
        let before = self.throttled.get(&quota.cgroup).copied();
        let now = *next
            .throttled
            .entry(quota.cgroup.clone())
            .or_insert(quota.throttled);
        now.saturating_sub(before.unwrap_or(now))
    }
}

/// What the next sample is compared with.
struct Next {
    /// Since the last one.
    seconds: f64,
    threads: HashMap<(i32, u64), Times>,
    throttled: HashMap<PathBuf, u64>,
    autogroup: bool,
}

/// Why there is no row for a thread.
enum RowError {
    Ended,
    Other(ThreadError),
}

impl From<ProcError> for RowError {
    fn from(_: ProcError) -> Self {
        // All may read these files, as long as they are there.
        Self::Ended
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

/// How long a thread ran, and waited for a CPU, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    ran: u64,
    waited: Option<u64>,
}

impl Times {
    fn new(schedstat: Option<Schedstat>, stat: &Stat) -> Self {
        // Without CONFIG_SCHED_INFO there is none, and while that is off nothing but
        // zeros are in it.
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

    /// What has been added since `before`.
    fn since(&self, before: &Self) -> Self {
        let waited = self.waited.zip(before.waited);
        Self {
            ran: self.ran.saturating_sub(before.ran),
            waited: waited.map(|(now, before)| now.saturating_sub(before)),
        }
    }
}

/// The autogroup of a process.
fn autogroup(pid: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/autogroup")).ok()?;
    Some(text.split_whitespace().next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::made_up;

    #[test]
    fn a_thread_above_its_own_priority_is_boosted() {
        let mut row = made_up::row(42, Some(20));
        row.kernel_priority = 32;
        assert!(!row.is_boosted());
        row.kernel_priority = -4;
        assert!(row.is_boosted());

        let mut row = made_up::row(42, Some(50));
        row.kernel_priority = -4;
        assert!(!row.is_boosted());
        row.kernel_priority = -17;
        assert!(row.is_boosted());
    }

    #[test]
    fn parameters_that_the_priority_does_not_map_to_are_off_the_map() {
        for prio in [0, 15, 16, 32, 47, 48, 63] {
            let mut row = made_up::row(42, Some(prio));
            assert!(!row.is_off_the_map(), "{prio}");
            row.facts.status.current.policy = gosched::sched::SchedPolicy::from_number(3);
            assert!(row.is_off_the_map(), "{prio}");
        }
        assert!(!made_up::row(42, None).is_off_the_map());
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
