// SPDX-License-Identifier: GPL-2.0

//! The figures of all boots, each with its method, found by their subjects.

use go_sched_bench_data::Change;
use go_sched_bench_data::GoOperation;
use go_sched_bench_data::Growth;
use go_sched_bench_data::Interface;
use go_sched_bench_data::Omitted;
use go_sched_bench_data::Outcome;
use go_sched_bench_data::Path;
use go_sched_bench_data::Record;
use go_sched_bench_data::Recorded;
use go_sched_bench_data::Remedy;
use go_sched_bench_data::Runtime;
use go_sched_bench_data::Setup;
use go_sched_bench_data::Statistic;
use go_sched_bench_data::Subject;
use go_sched_bench_data::Wait;
use go_sched_bench_data::Waiter;

use crate::report::Method;
use crate::report::Report;
use crate::statistics::percent;
use crate::statistics::Summary;

/// The setup that paths are compared with.
pub(crate) const PATH_BASELINE: Setup = Setup::Unpatched;
/// The interface that changes are compared with.
pub(crate) const CHANGE_BASELINE: Interface = Interface::SchedSetattr;

/// Returns the words for a setup.
pub(crate) fn setup_title(setup: Setup) -> &'static str {
    match setup {
        Setup::Unpatched => "unpatched kernel",
        Setup::Patched => "patched, module not loaded",
        Setup::Unmanaged => "module loaded, unmanaged",
        Setup::Managed => "managed, no hint",
        Setup::Beside => "unmanaged, others have hints",
        Setup::Hint => "managed, unchanged hint",
    }
}

/// A figure of the report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) subject: Subject,
    pub(crate) method: Method,
    pub(crate) summary: Summary,
}

impl Measured {
    /// Returns the unit of the numbers.
    pub(crate) fn unit(&self) -> &'static str {
        match self.subject {
            Subject::Growth {
                operation: Growth::Memory,
                ..
            } => "bytes",
            _ => self.method.unit(),
        }
    }
}

/// All figures of the report.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) measured: Vec<Measured>,
    omitted: Vec<Omitted>,
}

impl Figures {
    /// Collects the figures of the boots that went well. A figure without repeats is
    /// left out.
    pub(crate) fn of(report: &Report) -> Self {
        let (mut measured, mut omitted) = (Vec::new(), Vec::new());
        for boot in report.good_boots() {
            for record in &boot.records {
                match record {
                    Record::Figure(figure) => {
                        measured.extend(Summary::of(&figure.repeats).map(|summary| Measured {
                            subject: figure.subject,
                            method: boot.method,
                            summary,
                        }))
                    }
                    Record::Omitted(figure) => omitted.push(figure.clone()),
                    _ => (),
                }
            }
        }
        Self { measured, omitted }
    }

    fn find(&self, subject: Subject) -> Option<&Measured> {
        let mut measured = self.measured.iter();
        measured.find(|figure| figure.subject == subject)
    }

    /// Returns the figure of a path.
    pub(crate) fn path(&self, operation: Path, setup: Setup) -> Option<&Measured> {
        self.find(Subject::Path { operation, setup })
    }

    /// Returns the figure of a change.
    pub(crate) fn change(&self, change: Change, interface: Interface) -> Option<&Measured> {
        self.find(Subject::Change { change, interface })
    }

    /// Returns a figure of those that wait beside lowered threads.
    pub(crate) fn lowered(
        &self,
        waiter: Waiter,
        level: Option<u32>,
        statistic: Statistic,
    ) -> Option<&Measured> {
        self.find(Subject::Lowered {
            waiter,
            level,
            statistic,
        })
    }

    /// Returns a figure of those that wait for goroutines.
    pub(crate) fn goroutines(
        &self,
        wait: Wait,
        remedy: Remedy,
        outcome: Outcome,
    ) -> Option<&Measured> {
        self.find(Subject::Goroutines {
            wait,
            remedy,
            outcome,
        })
    }

    /// Returns the work of a background in per cent of its work with nothing done.
    pub(crate) fn background(&self, wait: Wait, remedy: Remedy) -> Option<f64> {
        let of = |remedy| self.goroutines(wait, remedy, Outcome::Background);
        let (work, before) = of(remedy).zip(of(Remedy::Nothing))?;
        Some(percent(work.summary.median, before.summary.median))
    }

    /// Returns the cost of an operation of Go's scheduler.
    pub(crate) fn go_cost(&self, operation: GoOperation, runtime: Runtime) -> Option<&Measured> {
        self.find(Subject::GoCost { operation, runtime })
    }

    /// Returns the cost of a pipe round trip beside the recorder.
    pub(crate) fn recorder(&self, recorded: Recorded) -> Option<&Measured> {
        self.find(Subject::Recorder { recorded })
    }

    /// Returns the cost of a switch between goroutines beside the recorder.
    pub(crate) fn recorded_switch(&self, recorded: Recorded) -> Option<&Measured> {
        self.find(Subject::RecordedSwitch { recorded })
    }

    /// Returns the figures for each number of threads that sleep, the smallest first.
    pub(crate) fn growth(&self, wanted: Growth, of_managed: bool) -> Vec<(u32, &Measured)> {
        let figure = |figure| match figure {
            found @ &Measured {
                subject:
                    Subject::Growth {
                        operation,
                        managed,
                        threads,
                    },
                ..
            } if operation == wanted && managed == of_managed => Some((threads, found)),
            _ => None,
        };
        let mut series: Vec<_> = self.measured.iter().filter_map(figure).collect();
        series.sort_by_key(|(threads, _)| *threads);
        series
    }

    /// Returns the record of a figure that was omitted.
    pub(crate) fn omitted(&self, subject: Subject) -> Option<&Omitted> {
        let mut omitted = self.omitted.iter();
        omitted.find(|figure| figure.subject == subject)
    }
}
