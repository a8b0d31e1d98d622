// SPDX-License-Identifier: GPL-2.0

//! Runs the measurements and reports them; see `--help`.
//!
//! [`report::Report`] keeps the measurements as they were. [`results::Results`] follows
//! from the report, and is computed each time it is shown.

mod arguments;
mod boots;
mod charts;
mod figures;
#[cfg(test)]
mod fixture;
mod format;
mod goals;
mod headline;
mod lab;
mod machine;
mod page;
mod plot;
mod progress;
mod readme;
mod report;
mod results;
mod server_charts;
mod service;
mod statistics;
mod tables;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use anyhow::Result;
use clap::Parser;
use clap::ValueEnum;
use jiff::Timestamp;
use jiff::Unit;

use crate::arguments::Accelerator;
use crate::arguments::Arguments;
use crate::arguments::Bench;
use crate::arguments::Command;
use crate::report::Missing;
use crate::report::Part;
use crate::report::Place;
use crate::report::Report;
use crate::report::FILE;
use crate::report::LAB_FILE;
use crate::results::Results;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Some(Command::Readme {
            report,
            check,
            file,
        }) => readme::update(&report, &file, check).map(|()| true),
        Some(Command::Page { report, into }) => page::write(&report, &into).map(|()| true),
        None => bench(&arguments.bench),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("go_sched_bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and shows. Returns false if the report has failures.
fn bench(bench: &Bench) -> Result<bool> {
    let start = Instant::now();
    let started = Timestamp::now().round(Unit::Second)?.to_string();
    let mut report = Report::new(started, bench.quick, bench.on);
    report.tree = machine::describe(&bench.tree);
    report.machine = machine::this();
    let file = if bench.lab { LAB_FILE } else { FILE };
    let of_this = |part: &&Part| part.experiment().is_some() == bench.lab;
    if let Some(part) = bench.only.iter().find(|part| !of_this(part)) {
        let is = if bench.lab { "no" } else { "an" };
        bail!("\"{}\" is {is} experiment of the lab", part.title());
    }
    if bench.add {
        let emulated = bench.on == Place::Guest && bench.accel == Accelerator::Tcg;
        report.check_same(&Report::read(&bench.report, file)?, emulated)?;
    }
    let mut well = true;
    for part in Part::value_variants().iter().filter(of_this) {
        well &= measure(*part, bench, &mut report)?;
    }
    report.seconds = start.elapsed().as_secs_f64();
    if bench.add {
        // Not the one of the start: parts may be measured by several runs at once.
        keep(&mut report, Report::read(&bench.report, file)?);
    }
    report.write(&bench.report, file)?;
    if bench.lab {
        print!("{}", lab::text(&report));
    } else {
        print!("{}", headline::text(&report, &Results::of(&report)?));
    }
    println!("\nThe measurements: {}", bench.report.join(file).display());
    if let Some(into) = &bench.page {
        page::write(&bench.report, into)?;
    }
    Ok(well)
}

/// Measures one part, or records why there is no measurement.
fn measure(part: Part, bench: &Bench, report: &mut Report) -> Result<bool> {
    let mut missing = |why: &str, command: &str| {
        report.missing.push(Missing {
            part,
            why: why.to_owned(),
            command: command.to_owned(),
        });
    };
    if !bench.only.is_empty() && !bench.only.contains(&part) {
        missing("left out by --only", "go_sched_bench without --only");
        return Ok(true);
    }
    if bench.on == Place::Host {
        if let Some((why, command)) = boots::impossible_here(part)? {
            missing(why, command);
            return Ok(true);
        }
    }
    let mut boot = boots::plan(part, bench).run(bench)?;
    boot.tree.clone_from(&report.tree);
    if let Some(failure) = &boot.failure {
        missing(&format!("it failed: {failure}"), &boot.command);
    }
    let well = boot.failure.is_none();
    report.boots.push(boot);
    Ok(well)
}

/// Takes over the parts of an older report that the new one does not have.
fn keep(report: &mut Report, old: Report) {
    let has = |boots: &[report::Boot], part| boots.iter().any(|boot| boot.part == part);
    for boot in old.boots {
        if boot.failure.is_none() && !has(&report.boots, boot.part) {
            report.missing.retain(|missing| missing.part != boot.part);
            report.boots.push(boot);
        }
    }
    report.boots.sort_by_key(|boot| boot.part);
}

#[cfg(test)]
mod tests {
    use super::keep;
    use crate::fixture;
    use crate::report::Method;
    use crate::report::Part;
    use crate::report::Report;
    use crate::report::FILE;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let report = fixture::report();
        report
            .write(folder.path(), FILE)
            .expect("it can be written");
        // Not assert_eq, which would print both.
        assert!(Report::read(folder.path(), FILE).expect("it is whole") == report);
    }

    #[test]
    fn reports_of_another_extent_do_not_go_together() {
        let report = fixture::report();
        let mut other = fixture::report();
        other.machine.kernel = "another".to_owned();
        other.tree = Some("another".to_owned());
        report.check_same(&other, false).expect("both may differ");
        other.quick = false;
        assert!(report.check_same(&other, true).is_err());
    }

    #[test]
    fn reports_of_other_machines_go_together_if_all_is_emulated() {
        let report = fixture::report();
        let mut other = fixture::report();
        other.machine.cpu = "another".to_owned();
        report.check_same(&other, true).expect("no figure is of it");
        assert!(report.check_same(&other, false).is_err());
        other.boots[0].method = Method::WallClock;
        assert!(report.check_same(&other, true).is_err());
    }

    #[test]
    fn a_report_takes_over_what_it_has_not() {
        let mut new = fixture::report();
        new.boots.retain(|boot| boot.part == Part::Changes);
        new.boots[0].command = "new".to_owned();
        new.tree = Some("new".to_owned());
        new.boots[0].tree = new.tree.clone();
        keep(&mut new, fixture::report());
        let trees = new.trees();
        assert_eq!(trees, "new for cost of a change, fixture for all else");
        assert_eq!(new.boots.len(), fixture::report().boots.len());
        let changes = new.boot(Part::Changes).expect("it is there");
        assert_eq!(changes.command, "new");
    }
}
