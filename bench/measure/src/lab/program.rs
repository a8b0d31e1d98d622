// SPDX-License-Identifier: GPL-2.0

//! Runs the program in Go, and asks what it did of itself and of its group.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::anyhow;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use common::cgroup::Cgroup;
use common::child::Child;
use go_sched_bench_data::lab::Setup;
use go_sched_bench_data::lab::Standing;
use serde_json::Value;

use super::standing;
use super::Figures;
use crate::goroutines::busy_process;
use crate::goroutines::OVERLAY;
use crate::goroutines::PLAIN;

/// Time between two looks at the number of threads that can run.
const LOOK: Duration = Duration::from_millis(7);
/// Time for which a process is busy that is so now and then, and the time between.
const BUSY: Duration = Duration::from_millis(60);
const IDLE: Duration = Duration::from_millis(390);

/// Runs the program and returns its figures.
pub(super) fn run(setup: &Setup, length: Duration) -> Result<Figures> {
    let _busy = setup.beside.map(busy_at);
    let mut command = Command::new(of(setup));
    add_arguments(&mut command, setup, length);
    let group = setup.quota.map(standing::quota_group).transpose()?;
    let (output, runnable) = output_of(command, setup.program, group.as_ref())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let answer = serde_json::from_str(&text).with_context(|| format!("it printed {text}"))?;
    let mut figures = figures(answer)?;
    figures.insert("runnable_threads".to_owned(), runnable);
    Ok(figures)
}

/// Returns the program: that with the overlay if goroutines have priorities.
pub(super) fn of(setup: &Setup) -> &'static str {
    if setup.arguments.contains(&"-remedy=go_sched") {
        OVERLAY
    } else {
        PLAIN
    }
}

/// Adds what a set-up says.
pub(super) fn add_arguments(command: &mut Command, setup: &Setup, length: Duration) {
    command.args(setup.arguments);
    command.args(["-for", &format!("{}ms", length.as_millis())]);
    command.envs(setup.environment.iter().copied());
    match setup.waiter {
        Standing::Ordinary => {}
        // What the program raises requests to.
        Standing::Go(50) => {
            command.args(["-remedy", "raise"]);
        }
        other => panic!("the program cannot have its requests at {other:?}"),
    }
}

/// Starts a process that keeps all CPUs busy, until the drop.
pub(super) fn busy_at(standing: Standing) -> Child {
    busy_process(move || standing::take(standing).expect("obstacles have been looked for"))
}

/// Starts a process that keeps all CPUs busy now and then, until the drop.
pub(super) fn bursts_at(standing: Standing) -> Child {
    busy_process(move || {
        standing::take(standing).expect("obstacles have been looked for");
        loop {
            let start = Instant::now();
            while start.elapsed() < BUSY {}
            thread::sleep(IDLE);
        }
    })
}

/// Runs a command at a standing and in a group. Returns as well how many threads of the machine
/// could run meanwhile, in the mean, without the one that looks.
pub(super) fn output_of(
    mut command: Command,
    standing: Standing,
    group: Option<&Cgroup>,
) -> Result<(Output, f64)> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    thread::scope(|scope| {
        // The child inherits the standing of the thread that starts it.
        let starter = scope.spawn(|| -> Result<_> {
            standing::take(standing)?;
            let child = command.spawn().with_context(|| name.clone())?;
            if let Some(group) = group {
                group.try_add(child.id()).context("cgroup.procs")?;
            }
            Ok(child.wait_with_output()?)
        });
        let (mut sum, mut looks) = (0.0, 0.0);
        while !starter.is_finished() {
            let due = Instant::now() + LOOK;
            sum += runnable()? - 1.0;
            looks += 1.0;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let output = starter.join().map_err(|_| anyhow!("{name}: panic"))??;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name}: {errors}");
        Ok((output, sum / looks))
    })
}

/// Returns the number of threads that run or could run.
fn runnable() -> Result<f64> {
    let path = "/proc/loadavg";
    let text = fs::read_to_string(path).context(path)?;
    let running = text.split([' ', '/']).nth(3).context(path)?;
    running.parse().context(path)
}

/// Returns the numbers of what the program printed.
pub(super) fn figures(answer: Value) -> Result<Figures> {
    let answer: BTreeMap<String, Value> = serde_json::from_value(answer)?;
    let number = |(key, value): (String, Value)| Some((key, value.as_f64()?));
    Ok(answer.into_iter().filter_map(number).collect())
}
