// SPDX-License-Identifier: GPL-2.0

//! The tables and the picture of the README, which come from a report and from nowhere
//! else.

use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use comfy_table::presets;
use comfy_table::Table;
use go_sched_bench_data::Outcome;
use go_sched_bench_data::Remedy;
use go_sched_bench_data::Wait;

use crate::figures::Figures;
use crate::format;
use crate::goals::tally;
use crate::headline;
use crate::report::Report;
use crate::report::FILE;
use crate::results::Results;
use crate::server_charts;

/// The names of the markers around the table of all parts, and around that of goroutines.
const ALL: &str = "bench";
const GOROUTINES: &str = "bench goroutines";
/// The picture, in the folder of the report.
const PICTURE: &str = "p99.svg";

/// Puts the report's tables into a README, and draws its picture; or, with `check`, fails
/// unless all are there already.
pub(crate) fn update(directory: &Path, readme: &Path, check: bool) -> Result<()> {
    let report = Report::read(directory, FILE)?;
    let results = Results::of(&report)?;
    let name = readme.display();
    let text = fs::read_to_string(readme).with_context(|| name.to_string())?;
    let text = replace(&text, ALL, &block(&report, &results)?)
        .and_then(|text| replace(&text, GOROUTINES, &goroutines(&results.figures)))
        .with_context(|| name.to_string())?;
    let service = results.service.context("the report has no server")?;
    let picture = server_charts::before_and_after(&service)?.wide;
    for (path, new) in [
        (readme.to_owned(), text),
        (directory.join(PICTURE), picture),
    ] {
        let name = || path.display().to_string();
        if check {
            let old = fs::read_to_string(&path).with_context(name)?;
            anyhow::ensure!(
                old == new,
                "{} is not what {} says; \"make bench-readme\" mends it",
                name(),
                directory.display()
            );
        } else {
            fs::write(&path, new).with_context(name)?;
        }
    }
    Ok(())
}

/// Returns the text between the markers.
fn block(report: &Report, results: &Results) -> Result<String> {
    let headlines = headline::all(results);
    anyhow::ensure!(
        !headlines.is_empty(),
        "the report has none of the figures that the table shows"
    );
    let extent = if report.quick {
        "make bench-quick"
    } else {
        "make bench"
    };
    let tree = match &report.tree {
        Some(_) => format!(" of {}", report.trees()),
        None => String::new(),
    };
    Ok(format!(
        "{}\n\n\
         Measured by `{extent}`{tree}, {}; put here by `make bench-readme`. {}\n\
         Goals: {}.",
        headline::table(&headlines, presets::ASCII_MARKDOWN),
        report.started,
        report.conditions(),
        tally(&results.goals),
    ))
}

/// Returns the table of those that wait for goroutines.
fn goroutines(figures: &Figures) -> String {
    const REMEDIES: [(Remedy, &str); 3] = [
        (Remedy::Nothing, "plain Go"),
        (Remedy::Overlay, "overlay, any kernel"),
        (Remedy::GoSched, "overlay and go_sched"),
    ];
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(
        ["p50 / p99 / max ms"]
            .into_iter()
            .chain(REMEDIES.map(|(_, title)| title)),
    );
    for wait in [Wait::Computing4, Wait::Allocating4, Wait::Http] {
        let cells = REMEDIES.map(|(remedy, _)| {
            let times = [Outcome::P50, Outcome::P99, Outcome::Max].map(|outcome| {
                let time = figures.goroutines(wait, remedy, outcome);
                time.map_or("-".to_owned(), |time| {
                    format::number(time.summary.median / 1e6)
                })
            });
            let work = match figures.background(wait, remedy) {
                Some(work) if remedy != Remedy::Nothing => format!(", background {work:.0}%"),
                _ => String::new(),
            };
            times.join(" / ") + &work
        });
        table.add_row([wait.to_string()].into_iter().chain(cells));
    }
    table.trim_fmt()
}

/// Returns the text with another block between the markers of a name.
fn replace(text: &str, name: &str, block: &str) -> Result<String> {
    let (start, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let missing = || format!("there is no {start} with {end} after it");
    let (before, rest) = text.split_once(&start).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    Ok(format!("{before}{start}\n{block}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::replace;
    use super::update;
    use super::PICTURE;
    use crate::fixture;
    use crate::report::FILE;

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let text = "a\n<!-- bench -->\nold\n<!-- /bench -->\nb\n";
        let new = replace(text, "bench", "new").expect("the markers are there");
        assert_eq!(new, "a\n<!-- bench -->\nnew\n<!-- /bench -->\nb\n");
        assert_eq!(replace(&new, "bench", "new").expect("they still are"), new);
    }

    #[test]
    fn without_markers_nothing_is_guessed() {
        assert!(replace("a\n<!-- bench -->\nb\n", "bench", "new").is_err());
        assert!(replace("<!-- /bench --><!-- bench -->", "bench", "new").is_err());
    }

    #[test]
    fn a_check_fails_until_table_and_picture_are_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let readme = folder.path().join("README.md");
        fixture::report()
            .write(folder.path(), FILE)
            .expect("a report");
        let markers =
            [super::ALL, super::GOROUTINES].map(|name| format!("<!-- {name} --><!-- /{name} -->"));
        fs::write(&readme, markers.concat()).expect("a README");

        assert!(update(folder.path(), &readme, true).is_err());
        update(folder.path(), &readme, false).expect("it is written");
        update(folder.path(), &readme, true).expect("it is there");
        let text = fs::read_to_string(&readme).expect("the README");
        assert!(text.contains("| pipe round trip, patched"), "{text}");
        assert!(text.contains("10.1 / 20.1 / 40.2"), "{text}");

        fs::write(folder.path().join(PICTURE), "another").expect("a picture");
        assert!(update(folder.path(), &readme, true).is_err());
    }

    #[test]
    fn the_readme_says_what_was_measured() {
        let tree = Path::new("../..");
        let (report, readme) = (tree.join("bench/report"), tree.join("README.md"));
        update(&report, &readme, true).expect("\"make bench-readme\" was run");
    }
}
