// SPDX-License-Identifier: GPL-2.0

//! The table in the README, which comes from a report and from nowhere else.

use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use comfy_table::presets;

use crate::report::Report;
use crate::results::Results;
use crate::table;

/// What the table stands between.
const START: &str = "<!-- bench -->";
const END: &str = "<!-- /bench -->";

/// Puts the report's table into a README; or says whether it is there already.
pub(crate) fn update(directory: &Path, readme: &Path, check: bool) -> Result<()> {
    let report = Report::read(directory)?;
    let name = readme.display();
    let old = fs::read_to_string(readme).with_context(|| name.to_string())?;
    let new = replace(&old, &block(&report)?).with_context(|| name.to_string())?;
    if old == new {
        return Ok(());
    }
    anyhow::ensure!(
        !check,
        "the table in {name} is not that of {}",
        directory.display()
    );
    fs::write(readme, new).with_context(|| name.to_string())
}

/// What stands between the markers.
fn block(report: &Report) -> Result<String> {
    let results = Results::of(report)?;
    anyhow::ensure!(
        !results.headlines.is_empty(),
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
        "{}\n\nMeasured by `{extent}`{tree}, {}; put here by `make bench-readme`. {}\n\
         Goals: {}.",
        table::headlines(&results, presets::ASCII_MARKDOWN),
        report.started,
        report.conditions(),
        results.tally(),
    ))
}

/// The text with another block between the markers.
fn replace(text: &str, block: &str) -> Result<String> {
    let missing = || format!("there is no {START} with {END} after it");
    let (before, rest) = text.split_once(START).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    Ok(format!("{before}{START}\n{block}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::replace;
    use super::update;
    use crate::made_up;
    use crate::report::FILE;

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let text = "a\n<!-- bench -->\nold\n<!-- /bench -->\nb\n";
        let new = replace(text, "new").expect("the markers are there");
        assert_eq!(new, "a\n<!-- bench -->\nnew\n<!-- /bench -->\nb\n");
        assert_eq!(replace(&new, "new").expect("they still are"), new);
    }

    #[test]
    fn without_markers_nothing_is_guessed() {
        assert!(replace("a\n<!-- bench -->\nb\n", "new").is_err());
        assert!(replace("<!-- /bench --><!-- bench -->", "new").is_err());
    }

    #[test]
    fn a_check_fails_until_the_table_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let readme = folder.path().join("README.md");
        let report = serde_json::to_string(&made_up::report()).expect("JSON");
        fs::write(folder.path().join(FILE), report).expect("a report");
        fs::write(&readme, "<!-- bench --><!-- /bench -->").expect("a README");

        assert!(update(folder.path(), &readme, true).is_err());
        update(folder.path(), &readme, false).expect("it is written");
        update(folder.path(), &readme, true).expect("it is there");
        let text = fs::read_to_string(&readme).expect("the README");
        assert!(text.contains("| pipe round trip, patched"), "{text}");
    }
}
