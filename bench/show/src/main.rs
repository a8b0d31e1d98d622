// SPDX-License-Identifier: GPL-2.0

//! Runs the measurements and reports them; see `--help`.
//!
//! What was measured is kept as it was in [`report::Report`]; what follows from it, in
//! [`results::Results`], is made anew each time it is shown.

mod arguments;
mod boots;
mod claims;
mod figures;
mod format;
mod goals;
mod headline;
mod machine;
#[cfg(test)]
mod made_up;
mod page;
mod plots;
mod progress;
mod readme;
mod report;
mod results;
mod service;
mod statistics;
mod table;
mod waits;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use clap::Parser;
use clap::ValueEnum;
use jiff::Timestamp;
use jiff::Unit;
use serde::Serialize;

use crate::arguments::Arguments;
use crate::arguments::Bench;
use crate::arguments::Command;
use crate::report::Missing;
use crate::report::Part;
use crate::report::Place;
use crate::report::Report;
use crate::results::Results;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Some(Command::Readme {
            report,
            check,
            file,
        }) => readme::update(&report, &file, check).map(|()| true),
        Some(Command::Redraw { report }) => {
            Report::read(&report).and_then(|read| show(&read, &report).map(|()| true))
        }
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

/// Measures and shows. False if something went wrong that the report tells.
fn bench(bench: &Bench) -> Result<bool> {
    let start = Instant::now();
    let started = Timestamp::now().round(Unit::Second)?.to_string();
    let mut report = Report::new(started, bench.quick, bench.on);
    report.tree = machine::describe(&bench.tree);
    report.machine = machine::this();
    if bench.add {
        report.check_same(&Report::read(&bench.report)?)?;
    }
    let mut well = true;
    for part in Part::value_variants() {
        well &= measure(*part, bench, &mut report)?;
    }
    report.seconds = start.elapsed().as_secs_f64();
    if bench.add {
        // Not the one of the start: parts may be measured by several runs at once.
        keep(&mut report, Report::read(&bench.report)?);
    }
    show(&report, &bench.report)?;
    Ok(well)
}

/// Measures one part, or says why not.
fn measure(part: Part, bench: &Bench, report: &mut Report) -> Result<bool> {
    let mut missing = |why: &str, command: &str| {
        report.missing.push(Missing {
            part,
            what: boots::title(part).to_owned(),
            why: why.to_owned(),
            command: Some(command.to_owned()),
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
    let Some(plan) = boots::plan(part, bench) else {
        return match waits::measure(bench) {
            Ok((waits, left_out)) => {
                report.waits = waits;
                for wait in &mut report.waits {
                    wait.tree.clone_from(&report.tree);
                }
                report.missing.extend(left_out);
                Ok(true)
            }
            Err(error) => {
                missing(
                    &format!("it failed: {error:#}"),
                    "go_sched_bench --only time",
                );
                Ok(false)
            }
        };
    };
    let mut boot = plan.run(bench)?;
    boot.tree.clone_from(&report.tree);
    if let Some(failure) = &boot.failure {
        missing(&format!("it failed: {failure}"), &boot.command);
    }
    let well = boot.failure.is_none();
    report.boots.push(boot);
    Ok(well)
}

/// Takes over from an older report what the new one does not have.
fn keep(report: &mut Report, old: Report) {
    let has = |boots: &[report::Boot], part| boots.iter().any(|boot| boot.part == part);
    for boot in old.boots {
        if boot.failure.is_none() && !has(&report.boots, boot.part) {
            report.missing.retain(|missing| missing.part != boot.part);
            report.boots.push(boot);
        }
    }
    report.boots.sort_by_key(|boot| boot.part);
    if report.waits.is_empty() && !old.waits.is_empty() {
        report.missing.retain(|missing| missing.part != Part::Time);
        let of_time = old.missing.into_iter().filter(|one| one.part == Part::Time);
        report.missing.extend(of_time);
        report.waits = old.waits;
    }
}

/// `report.json`: what was measured, and what follows from it.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    report: &'a Report,
    results: &'a Results,
}

/// Writes everything into the report's folder, and prints the table.
fn show(report: &Report, directory: &Path) -> Result<()> {
    let results = Results::of(report)?;
    let plots = plots::all(&results, &report.waits)?;
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())
    };
    let written = Written {
        report,
        results: &results,
    };
    write(report::FILE, &serde_json::to_string_pretty(&written)?)?;
    for plot in &plots {
        write(&format!("{}.svg", plot.name), &plot.svg)?;
    }
    write(
        "index.html",
        &page::html(report, &results, &plots).into_string(),
    )?;
    print!("{}", table::text(report, &results));
    println!(
        "\nthe whole report: {}",
        directory.join("index.html").display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::keep;
    use super::show;
    use crate::made_up;
    use crate::report::Part;
    use crate::report::Report;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let report = made_up::report();
        show(&report, folder.path()).expect("it can be shown");
        // Not assert_eq, which would print both.
        assert!(Report::read(folder.path()).expect("it is whole") == report);
        for name in ["index.html", "paths.svg", "service-tails.svg", "scale.svg"] {
            assert!(folder.path().join(name).exists(), "{name}");
        }
    }

    #[test]
    fn reports_of_another_extent_do_not_go_together() {
        let report = made_up::report();
        let mut other = made_up::report();
        other.machine.kernel = "another".to_owned();
        other.tree = Some("another".to_owned());
        report.check_same(&other).expect("both may differ");
        other.quick = false;
        assert!(report.check_same(&other).is_err());
    }

    #[test]
    fn a_report_takes_over_what_it_has_not() {
        let mut new = made_up::report();
        new.boots.retain(|boot| boot.part == Part::Changes);
        new.boots[0].command = "new".to_owned();
        new.tree = Some("new".to_owned());
        new.boots[0].tree = new.tree.clone();
        keep(&mut new, made_up::report());
        let trees = new.trees();
        assert!(trees.starts_with("new; ") && trees.contains("server under load: made up"));
        assert!(!trees.contains("cost of a change"), "{trees}");
        assert_eq!(new.boots.len(), made_up::report().boots.len());
        let changes = new.boot(Part::Changes).expect("it is there");
        assert_eq!(changes.command, "new");
    }
}
