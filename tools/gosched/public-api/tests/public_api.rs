// SPDX-License-Identifier: MIT OR GPL-2.0

//! Tests that the public interface of the libraries is the one written down in public-api/:
//! whoever changes that sees it in the diff. After a change that is meant,
//!
//! ```text
//! SNAPSHOTS=overwrite cargo test --package gosched-public-api
//! ```

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;

use libtest_mimic::Arguments;
use libtest_mimic::Failed;
use libtest_mimic::Trial;
use serde_json::Value;
use snapbox::assert::Assert;
use snapbox::Data;

/// The libraries: what `gosched` has for others, and what it re-exports as a module.
const LIBRARIES: [&str; 2] = ["gosched", "go-sched-policy"];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for library in LIBRARIES {
        let json = describe(library)?;
        let format = format_version(&json)?;
        let name = format!("the_public_api_of_{library}_is_the_one_written_down");
        trials.push(if format == u64::from(rustdoc_types::FORMAT_VERSION) {
            Trial::test(name, move || compare(library, &json))
        } else {
            let known = rustdoc_types::FORMAT_VERSION;
            let reason = format!(", skipped: this rustdoc writes format {format}, not {known}");
            Trial::test(name + &reason, || Ok(())).with_ignored_flag(true)
        });
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// Has rustdoc describe a library in JSON, which it does for nightly compilers alone.
fn describe(library: &str) -> Result<PathBuf, Box<dyn Error>> {
    // Apart from what cargo builds elsewhere, which it would build anew for this.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("public-api");
    let done = Command::new(env!("CARGO"))
        .args([
            "rustdoc",
            "--quiet",
            "--locked",
            "--lib",
            "--package",
            library,
        ])
        .args(["--no-default-features", "--target-dir"])
        .arg(&target)
        .args(["--", "-Zunstable-options", "--output-format=json"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTFLAGS")
        .status()?;
    if !done.success() {
        return Err(format!("cargo rustdoc of {library}: {done}").into());
    }
    Ok(target.join(format!("doc/{}.json", library.replace('-', "_"))))
}

fn format_version(json: &Path) -> Result<u64, Box<dyn Error>> {
    let described: Value = serde_json::from_str(&fs::read_to_string(json)?)?;
    let version = described["format_version"].as_u64();
    version.ok_or_else(|| format!("{}: no format_version", json.display()).into())
}

fn compare(library: &str, json: &Path) -> Result<(), Failed> {
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    let listed: String = api.items().map(|item| format!("{item}\n")).collect();
    // Not what this was compiled from, which may be another clone with the same cache.
    let written = PathBuf::from(format!("{library}.txt"));
    let compared = Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .try_eq(None, listed.into(), Data::read_from(&written, None));
    Ok(compared?)
}
