// SPDX-License-Identifier: GPL-2.0

//! Measures what `gosched record` costs those who switch while it runs.

use std::env;
use std::ffi::OsStr;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path as FilePath;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use go_sched_bench_data::Path;
use go_sched_bench_data::Recorded;
use go_sched_bench_data::Setup;
use go_sched_bench_data::Subject;
use rustix::process::kill_process;
use rustix::process::Pid;
use rustix::process::Signal;
use strum::VariantArray;

use crate::goroutines;
use crate::output;
use crate::paths::in_new_process;
use crate::paths::time_of;
use crate::sample::Effort;

/// The command with the feature `observe`.
pub(crate) const GOSCHED: &str = "gosched_observe";

/// The folder of the records, in memory.
const RECORD: &str = "/tmp/bench-record";

/// The time in which the kernel frees what a recorder has used, which is not to be measured.
const SETTLE: Duration = Duration::from_millis(200);

/// The command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure less
    #[arg(long)]
    quick: bool,
}

/// Measures, and prints the figures.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let program = env::current_exe().context("the own program")?;
    let round_trip = |mut command: Command| {
        in_new_process(
            &mut command,
            Path::PipeRoundTrip,
            Setup::Unmanaged,
            arguments.quick,
        );
        time_of(&mut command)
    };
    let repeats = Effort::new(arguments.quick).repeats;
    measure_all(
        |recorded| Subject::Recorder { recorded },
        |recorded| measure(recorded, program.as_os_str(), round_trip),
        repeats,
    )?;
    measure_all(
        |recorded| Subject::RecordedSwitch { recorded },
        |recorded| measure(recorded, OsStr::new(goroutines::PLAIN), goroutines::switch),
        repeats,
    )
}

/// Measures beside each recorder in turn, and prints the figures.
fn measure_all(
    subject: impl Fn(Recorded) -> Subject,
    measure: impl Fn(Recorded) -> Result<f64>,
    repeats: usize,
) -> Result<()> {
    let mut figures: Vec<_> = Recorded::VARIANTS
        .iter()
        .map(|recorded| (*recorded, Vec::new()))
        .collect();
    for _ in 0..repeats {
        for (recorded, results) in &mut figures {
            let time = measure(*recorded);
            results.push(time.with_context(|| subject(*recorded).to_string())?);
        }
    }
    for (recorded, results) in figures {
        output::figure(subject(recorded), results)?;
    }
    Ok(())
}

/// Measures a program, which `run` gives its arguments.
fn measure(
    recorded: Recorded,
    program: &OsStr,
    run: impl Fn(Command) -> Result<f64>,
) -> Result<f64> {
    if FilePath::new(RECORD).exists() {
        std::fs::remove_dir_all(RECORD).context(RECORD)?;
    }
    thread::sleep(SETTLE);
    match recorded {
        Recorded::Nothing => run(Command::new(program)),
        Recorded::Threads => {
            let mut command = record();
            command.arg(program);
            run(command)
        }
        Recorded::Sleeper => {
            let recorder = SleepersRecorder::start()?;
            let time = run(Command::new(program))?;
            recorder.end()?;
            Ok(time)
        }
    }
}

/// Returns the recorder, which lacks the command to be recorded.
fn record() -> Command {
    let mut command = Command::new(GOSCHED);
    command.args(["record", "-o", RECORD, "--"]);
    command
}

/// The recorder of a program that sleeps.
struct SleepersRecorder(Child);

impl SleepersRecorder {
    /// Starts the recorder, and returns when it records.
    fn start() -> Result<Self> {
        let mut child = record()
            .args(["sh", "-c", "echo && exec sleep 3600"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context(GOSCHED)?;
        let output = child.stdout.take().context("a pipe")?;
        let recorder = Self(child);
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .context(GOSCHED)?;
        ensure!(line == "\n", "{GOSCHED} has ended");
        Ok(recorder)
    }

    fn end(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.0), Signal::INT).context(GOSCHED)?;
        self.0.wait().map(drop).context(GOSCHED)
    }
}

impl Drop for SleepersRecorder {
    fn drop(&mut self) {
        // Most often it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
