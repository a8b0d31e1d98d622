// SPDX-License-Identifier: GPL-2.0

//! The experiments of the lab, as a table: what each asks, its set-ups, and what must be seen for
//! a claim to hold. The guest runs the set-ups, and the host judges the claims.

mod table;

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

pub use self::table::EXPERIMENTS;

/// An experiment.
#[derive(Debug)]
pub struct Experiment {
    /// The name on command lines.
    pub name: &'static str,
    /// The title of the chapter.
    pub title: &'static str,
    /// The question.
    pub question: &'static str,
    /// What runs, and how it is measured.
    pub method: &'static str,
    /// What the guest starts for each set-up.
    pub runs: Runs,
    /// Number of CPUs of the guest.
    pub cpus: u8,
    /// The reason why an emulated guest decides no claim, if so.
    pub only_on_hardware: Option<&'static str>,
    /// Length of one run, in seconds of the guest.
    pub seconds: f64,
    /// The set-ups.
    pub setups: &'static [Setup],
    /// What is measured of each set-up. The first [`DRAWN`] are drawn.
    pub metrics: &'static [Metric],
    /// What is judged.
    pub claims: &'static [Claim],
}

/// Number of metrics that are drawn of each experiment.
pub const DRAWN: usize = 2;

/// Returns the experiment of a name.
pub fn find(name: &str) -> Option<&'static Experiment> {
    EXPERIMENTS
        .iter()
        .find(|experiment| experiment.name == name)
}

impl Experiment {
    /// Returns true if the set-ups are recorded by `gosched`, which takes a kernel with BPF.
    pub fn is_recorded(&self) -> bool {
        matches!(self.runs, Runs::Spikes | Runs::Timeline | Runs::Lag)
    }
}

/// What the guest starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Threads that map memory, and a sibling that waits for theirs.
    Siblings,
    /// The program in Go, which tells its figures.
    Program,
    /// The same, recorded: `gosched spikes` tells the causes of its outliers.
    Spikes,
    /// The same, recorded with the trace of Go's runtime: `gosched timeline` tells where the time
    /// of goroutines went.
    Timeline,
    /// The same, watched by `gosched lag`.
    Lag,
}

/// A set-up: what runs beside what, under which settings.
#[derive(Debug)]
pub struct Setup {
    /// The name, which no other set-up of the experiment has.
    pub name: &'static str,
    /// The scheduling of the program, or of the siblings of the thread that waits.
    pub program: Standing,
    /// The scheduling of the thread that makes requests, or waits.
    pub waiter: Standing,
    /// The scheduling of a process that keeps all CPUs busy; none without the process.
    pub beside: Option<Standing>,
    /// The program's `cpu.max`.
    pub quota: Option<&'static str>,
    /// Files of the kernel's settings and what is written there.
    pub settings: &'static [(&'static str, &'static str)],
    /// Arguments of the program.
    pub arguments: &'static [&'static str],
    /// Environment of the program.
    pub environment: &'static [(&'static str, &'static str)],
}

impl Setup {
    /// Returns a set-up in which all is as Linux has it.
    pub const fn new(name: &'static str, arguments: &'static [&'static str]) -> Self {
        Self {
            name,
            program: Standing::Ordinary,
            waiter: Standing::Ordinary,
            beside: None,
            quota: None,
            settings: &[],
            arguments,
            environment: &[],
        }
    }

    /// Sets the scheduling of the program.
    pub const fn program(mut self, standing: Standing) -> Self {
        self.program = standing;
        self
    }

    /// Sets the scheduling of the thread that waits.
    pub const fn waiter(mut self, standing: Standing) -> Self {
        self.waiter = standing;
        self
    }

    /// Adds the process that keeps all CPUs busy.
    pub const fn beside(mut self, standing: Standing) -> Self {
        self.beside = Some(standing);
        self
    }

    /// Sets the quota of the program's control group.
    pub const fn quota(mut self, quota: &'static str) -> Self {
        self.quota = Some(quota);
        self
    }

    /// Sets the settings of the kernel.
    pub const fn settings(mut self, settings: &'static [(&'static str, &'static str)]) -> Self {
        self.settings = settings;
        self
    }

    /// Sets variables of the program's environment.
    pub const fn environment(mut self, variables: &'static [(&'static str, &'static str)]) -> Self {
        self.environment = variables;
        self
    }
}

/// The scheduling of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As all threads begin.
    Ordinary,
    /// A Go priority.
    Go(u32),
    /// A nice value.
    Nice(i32),
    /// `SCHED_BATCH`.
    Batch,
    /// `SCHED_IDLE`.
    Idle,
    /// `SCHED_RR` at 1, as `chrt -r 1` sets.
    RoundRobin,
    /// A utilization clamp of 0 to 0.
    Uclamp,
    /// A control group with a `cpu.weight` of 1.
    Weight,
    /// A control group with `cpu.idle`.
    IdleGroup,
}

/// A figure that is measured of each set-up.
#[derive(Debug)]
pub struct Metric {
    /// The name in the guest's answer.
    pub key: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// The unit.
    pub unit: Unit,
}

impl Metric {
    const fn new(key: &'static str, title: &'static str, unit: Unit) -> Self {
        Self { key, title, unit }
    }
}

/// A unit of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds of the guest's clock.
    Nanoseconds,
    /// A number.
    Number,
    /// Per cent.
    Percent,
}

/// A claim, and what must be seen of it.
#[derive(Debug)]
pub struct Claim {
    /// The claim in our words, with its number where it is the article's.
    pub words: &'static str,
    /// The set-up that the claim is about.
    pub setup: &'static str,
    /// The metric of that set-up.
    pub metric: &'static str,
    /// The set-up that the metric is divided by; none if the claim is about the metric itself.
    pub over: Option<&'static str>,
    /// What must be seen.
    pub rule: Rule,
}

/// What must be seen for a claim to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// The value is so much or more.
    AtLeast(f64),
    /// The value is so much or less.
    AtMost(f64),
    /// Whatever is measured here does not decide, for this reason.
    NotHere(&'static str),
}

/// A figure of a set-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Name of the experiment.
    pub experiment: String,
    /// Name of the set-up.
    pub setup: String,
    /// Key of the metric.
    pub metric: String,
    /// The result of each repeat.
    pub repeats: Vec<f64>,
}

/// A set-up that cannot be had here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Impossible {
    /// Name of the experiment.
    pub experiment: String,
    /// Name of the set-up.
    pub setup: String,
    /// The reason.
    pub why: String,
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.experiment, self.setup, self.metric)
    }
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.experiment, self.setup)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_claim_is_about_set_ups_and_metrics_that_there_are() {
        for experiment in EXPERIMENTS {
            let setups: HashSet<_> = experiment.setups.iter().map(|setup| setup.name).collect();
            let metrics: HashSet<_> = experiment.metrics.iter().map(|it| it.key).collect();
            assert_eq!(setups.len(), experiment.setups.len(), "{}", experiment.name);
            assert_eq!(
                metrics.len(),
                experiment.metrics.len(),
                "{}",
                experiment.name
            );
            for setup in &setups {
                assert!(setup.len() <= 26, "no room beside a narrow plot: {setup}");
            }
            for claim in experiment.claims {
                assert!(metrics.contains(claim.metric), "{}", claim.words);
                for setup in [Some(claim.setup), claim.over].into_iter().flatten() {
                    assert!(setups.contains(setup), "{}: {setup}", claim.words);
                }
            }
        }
    }
}
