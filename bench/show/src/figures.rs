// SPDX-License-Identifier: GPL-2.0

//! The figures of all boots, each with its method, found by what they are about.

use go_sched_bench_data::Chapter;
use go_sched_bench_data::Record;
use go_sched_bench_data::Unit;
use serde::Serialize;

use crate::report::Method;
use crate::report::Report;
use crate::statistics::Summary;

/// The states of a kernel, in the order in which more is there.
pub(crate) const STATES: &[&str] = &[
    "unpatched",
    "patched",
    "unmanaged",
    "managed",
    "beside",
    "hint",
];

/// What the reader is told of them.
pub(crate) fn state_title(state: &str) -> &str {
    match state {
        "unpatched" => "unpatched kernel",
        "patched" => "patched, module not loaded",
        "unmanaged" => "module loaded, unmanaged",
        "managed" => "managed, no hint",
        "beside" => "unmanaged, others have hints",
        "hint" => "managed, unchanged hint",
        other => other,
    }
}

/// A figure of the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Measured {
    pub(crate) chapter: Chapter,
    pub(crate) operation: String,
    pub(crate) subject: String,
    pub(crate) threads: Option<u32>,
    pub(crate) unit: Unit,
    pub(crate) method: Method,
    pub(crate) summary: Summary,
}

impl Measured {
    /// What the numbers are.
    pub(crate) fn unit_name(&self) -> &'static str {
        match self.unit {
            Unit::Nanoseconds => self.method.unit(),
            Unit::Bytes => "bytes",
        }
    }
}

/// All figures of the report.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Figures(Vec<Measured>);

impl Figures {
    /// Those of the boots that went well. One without repeats is no figure.
    pub(crate) fn of(report: &Report) -> Self {
        let mut figures = Vec::new();
        for boot in report.good_boots() {
            for record in &boot.records {
                let Record::Figure(figure) = record else {
                    continue;
                };
                let Some(summary) = Summary::of(&figure.repeats) else {
                    continue;
                };
                figures.push(Measured {
                    chapter: figure.chapter,
                    operation: figure.operation.clone(),
                    subject: figure.subject.clone(),
                    threads: figure.threads,
                    unit: figure.unit,
                    method: boot.method,
                    summary,
                });
            }
        }
        Self(figures)
    }

    /// Those of a chapter.
    pub(crate) fn chapter(&self, chapter: Chapter) -> impl Iterator<Item = &Measured> {
        self.0
            .iter()
            .filter(move |figure| figure.chapter == chapter)
    }

    /// One that does not depend on a number of threads.
    pub(crate) fn find(
        &self,
        chapter: Chapter,
        operation: &str,
        subject: &str,
    ) -> Option<&Measured> {
        self.chapter(chapter)
            .find(|figure| figure.operation == operation && figure.subject == subject)
    }

    /// One that does, for each number of threads, the smallest first.
    pub(crate) fn series(&self, operation: &str, subject: &str) -> Vec<(u32, &Measured)> {
        let mut series: Vec<_> = self
            .chapter(Chapter::Scale)
            .filter(|figure| figure.operation == operation && figure.subject == subject)
            .filter_map(|figure| Some((figure.threads?, figure)))
            .collect();
        series.sort_by_key(|(threads, _)| *threads);
        series
    }

    /// The operations of a chapter, in the order in which they were measured.
    pub(crate) fn operations(&self, chapter: Chapter) -> Vec<&str> {
        unique(
            self.chapter(chapter)
                .map(|figure| figure.operation.as_str()),
        )
    }

    /// The subjects of a chapter, likewise.
    pub(crate) fn subjects(&self, chapter: Chapter) -> Vec<&str> {
        unique(self.chapter(chapter).map(|figure| figure.subject.as_str()))
    }
}

/// The first of each.
pub(crate) fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut unique = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}
