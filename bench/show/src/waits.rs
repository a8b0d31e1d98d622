// SPDX-License-Identifier: GPL-2.0

//! How long people wait: for builds, boots, the demonstration, the tests.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use clap::ValueEnum;

use crate::arguments::Accelerator;
use crate::arguments::Bench;
use crate::arguments::Target;
use crate::progress::Progress;
use crate::progress::TICK;
use crate::report::Missing;
use crate::report::Part;
use crate::report::Step;
use crate::report::Wait;

/// What `scripts/step.sh` writes.
const STEPS: &str = "log/steps.jsonl";
/// Shorter steps nobody waits for, in seconds.
const SHORTEST_STEP: f64 = 2.0;

/// Measures what there is time for, and says what was left out.
pub(crate) fn measure(bench: &Bench) -> Result<(Vec<Wait>, Vec<Missing>)> {
    let cache = bench
        .cache
        .as_ref()
        .context("--cache is missing: where is everything built?")?;
    let mut waits = recorded(&cache.join(STEPS));
    let mut missing = Vec::new();
    let mut leave_out = |what: String, why: &str, command: &str| {
        missing.push(Missing {
            part: Part::Time,
            what,
            why: why.to_owned(),
            command: Some(command.to_owned()),
        });
    };
    if waits.is_empty() {
        let what = "kernel build and other steps of the build".to_owned();
        let why = "everything was built before these were recorded";
        leave_out(what, why, "make clean, and then make bench");
    }
    waits.push(boot(bench)?);
    for target in Target::value_variants() {
        let name = target.name();
        if bench.quick {
            let why = "it takes too long for a quick run";
            leave_out(format!("warm make {name}"), why, "make bench");
        } else {
            waits.push(warm(bench, cache, name)?);
        }
        if bench.cold.contains(target) {
            waits.push(cold(bench, cache, name)?);
        } else {
            let why = "it takes a kernel build";
            leave_out(
                format!("cold make {name}"),
                why,
                &format!("make bench COLD={name}"),
            );
        }
    }
    Ok((waits, missing))
}

fn read_steps(path: &Path) -> Vec<Step> {
    let text = fs::read_to_string(path).unwrap_or_default();
    // A title with a quotation mark makes a line that is no JSON.
    let lines = text.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The longest of each step that was ever recorded: what it takes when there is
/// something to do.
fn recorded(path: &Path) -> Vec<Wait> {
    let mut longest: BTreeMap<String, (Step, usize)> = BTreeMap::new();
    for step in read_steps(path) {
        let entry = longest.entry(step.step.clone());
        let (known, count) = entry.or_insert_with(|| (step.clone(), 0));
        *count += 1;
        if step.seconds > known.seconds {
            *known = step;
        }
    }
    let mut steps: Vec<_> = longest.into_values().collect();
    steps.sort_by(|(a, _), (b, _)| b.seconds.total_cmp(&a.seconds));
    steps
        .into_iter()
        .filter(|(step, _)| step.seconds >= SHORTEST_STEP)
        .map(|(step, count)| Wait {
            // What the title promises in parentheses is not of interest here.
            what: match step.step.split_once(" (") {
                Some((title, _)) => title.to_owned(),
                None => step.step,
            },
            how: format!(
                "the longest of {count}, recorded when it was built, {}",
                step.started
            ),
            repeats: vec![step.seconds],
            tree: None,
            steps: Vec::new(),
        })
        .collect()
}

/// A boot that does nothing.
fn boot(bench: &Bench) -> Result<Wait> {
    let repeats = if bench.quick { 3 } else { 5 };
    let accelerator = name(bench.accel);
    let tree = bench.tree.join("qemu/run");
    let mut run = Command::new(tree);
    run.args(["--accel", accelerator, "--", "true"]);
    let mut make = Command::new("make");
    make.args(["--silent", "--no-print-directory", "guest", "where"]);
    make.arg("-C").arg(&bench.tree);

    let mut progress = Progress::new("time to boot".to_owned());
    let (mut boots, mut builds) = (Vec::new(), Vec::new());
    for repeat in 0..repeats {
        builds.push(seconds_of(make.stdout(Stdio::null()))?);
        boots.push(seconds_of(&mut run)?);
        progress.tick(&format!("{} of {repeats}", repeat + 1));
    }
    progress.end();
    let shortest = builds.iter().copied().fold(f64::INFINITY, f64::min);
    Ok(Wait {
        what: "qemu/run -- true".to_owned(),
        how: format!("from the command to its end, {accelerator}, 2 CPUs, module loaded"),
        repeats: boots,
        tree: None,
        steps: vec![Step {
            step: "make, which finds that all is built".to_owned(),
            seconds: shortest,
            started: String::new(),
        }],
    })
}

/// As `qemu/run --accel` and `GO_SCHED_ACCEL` have it.
fn name(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Kvm => "kvm",
        Accelerator::Tcg => "tcg",
    }
}

fn seconds_of(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("{command:?}"))?;
    anyhow::ensure!(status.success(), "{command:?}: {status}");
    Ok(start.elapsed().as_secs_f64())
}

/// With everything built. The first run may still build, and does not count.
fn warm(bench: &Bench, cache: &Path, target: &str) -> Result<Wait> {
    let log = cache.join("log");
    make(bench, &[], target, &log)?;
    Ok(Wait {
        what: format!("warm make {target}"),
        how: format!("everything built; guests by {}", name(bench.accel)),
        repeats: vec![make(bench, &[], target, &log)?],
        tree: None,
        steps: Vec::new(),
    })
}

/// With nothing built, in a folder that is gone afterwards.
fn cold(bench: &Bench, cache: &Path, target: &str) -> Result<Wait> {
    let beside = cache.parent().context("the cache has no folder")?;
    let empty = tempfile::Builder::new()
        .prefix("go_sched-cold-")
        .tempdir_in(beside)
        .with_context(|| beside.display().to_string())?;
    let path = env::var_os("PATH").unwrap_or_default();
    // What was built is not to be found.
    let path = env::join_paths(env::split_paths(&path).filter(|path| !path.starts_with(cache)))?;
    let environment = [
        ("GO_SCHED_CACHE", empty.path().as_os_str().to_owned()),
        ("PATH", path),
    ];
    let seconds = make(bench, &environment, target, &cache.join("log"))?;
    let mut steps = read_steps(&empty.path().join(STEPS));
    steps.retain(|step| step.seconds >= SHORTEST_STEP);
    steps.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    Ok(Wait {
        what: format!("cold make {target}"),
        how: format!(
            "nothing built; packages installed, and what cargo downloads was there; guests by {}",
            name(bench.accel)
        ),
        repeats: vec![seconds],
        tree: None,
        steps,
    })
}

/// Seconds that make takes for a target.
fn make(
    bench: &Bench,
    environment: &[(&str, std::ffi::OsString)],
    target: &str,
    log: &Path,
) -> Result<f64> {
    let path: PathBuf = log.join(format!("bench-{target}.log"));
    let output = File::create(&path).with_context(|| path.display().to_string())?;
    let extent = if environment.is_empty() {
        "warm"
    } else {
        "cold"
    };
    let mut progress = Progress::new(format!("{extent} make {target}"));
    let mut child = Command::new("make")
        .arg("-C")
        .arg(&bench.tree)
        .arg(target)
        // Flags of the make that started this program are not meant for that one.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .env_remove("MFLAGS")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .env("GO_SCHED_ACCEL", name(bench.accel))
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("make")?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(TICK / 10);
        progress.tick("");
    };
    let seconds = start.elapsed().as_secs_f64();
    progress.end();
    anyhow::ensure!(
        status.success(),
        "make {target}: {status}, see {}",
        path.display()
    );
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::recorded;

    #[test]
    fn of_each_step_the_longest_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("steps.jsonl");
        let text = r#"{"step": "Building the kernel (10 minutes)", "seconds": 501, "started": "2026-01-02T03:04:05Z"}
{"step": "Building the kernel (10 minutes)", "seconds": 12, "started": "2026-01-02T04:04:05Z"}
{"step": "Configuring", "seconds": 22, "started": "2026-01-02T03:04:05Z"}
{"step": "Applying patches", "seconds": 0, "started": "2026-01-02T03:04:05Z"}
what is no JSON
"#;
        fs::write(&path, text).expect("a file");
        let waits = recorded(&path);
        assert_eq!(waits.len(), 2);
        assert_eq!(waits[0].what, "Building the kernel");
        assert_eq!(waits[0].repeats, [501.0]);
        assert_eq!(waits[1].repeats, [22.0]);
    }

    #[test]
    fn without_a_record_there_is_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(recorded(&folder.path().join("none")).is_empty());
    }
}
