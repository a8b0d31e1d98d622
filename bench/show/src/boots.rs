// SPDX-License-Identifier: GPL-2.0

//! Boots the guests that measure, and collects their records.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::thread;

use anyhow::Context;
use anyhow::Result;
use go_sched_bench_data::Record;
use go_sched_bench_data::Wait;
use gosched::raw::set_schedprio;
use rustix::io::Errno;
use serde::Deserialize;

use crate::arguments::Accelerator;
use crate::arguments::Bench;
use crate::progress::Progress;
use crate::progress::TICK;
use crate::report::Boot;
use crate::report::Method;
use crate::report::Part;
use crate::report::Place;

/// Memory for ten thousand threads, in MiB.
const SCALE_MEMORY: &str = "2048";

/// The records of `scripts/step.sh`, in the folder where everything is built.
const STEPS: &str = "log/steps.jsonl";

/// A boot to be.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) part: Part,
    method: Method,
    /// Arguments of qemu/run.
    machine: Vec<String>,
    /// Arguments of the program that measures.
    arguments: Vec<String>,
}

/// Returns the boot that a part takes.
pub(crate) fn plan(part: Part, bench: &Bench) -> Plan {
    let experiment = part.experiment();
    let (arguments, flags): (&[&str], &[&str]) = match part {
        Part::PathsUnpatched => (
            &["paths", "--setup", "unpatched"],
            &["--variant", "unpatched", "--no-module"],
        ),
        Part::PathsPatched => (&["paths", "--setup", "patched"], &["--no-module"]),
        Part::PathsModule => (
            &["paths", "--setup", "unmanaged", "--setup", "managed"],
            &[],
        ),
        // The first binding changes the kernel for everybody: a boot of its own.
        Part::PathsHint => (&["paths", "--setup", "beside", "--setup", "hint"], &[]),
        Part::Changes => (&["changes"], &[]),
        Part::Scale => (&["scale"], &["--memory", SCALE_MEMORY]),
        // With several CPUs, the emulator runs one at a time for some milliseconds.
        Part::Lowered => (&["lowered"], &["--cpus", "1"]),
        // Long enough to be several boots.
        Part::Goroutines | Part::GoroutinesAllocating | Part::GoroutinesStop => {
            (&["goroutines"], &["--cpus", "1"])
        }
        Part::GoroutineCosts => (&["goroutine-costs"], &[]),
        Part::Recorder => (&["recorder"], &["--variant", "bpf"]),
        Part::Service => (&["service"], &[]),
        // Go's runtime looks at its threads every 20 us of the clock. With several CPUs, or at
        // more than 1 ns an instruction, these looks alone preempt the server's threads.
        Part::ServiceOneCpu => (
            &[
                "service",
                "--scenario",
                "hogs in another process",
                "--alternative",
                "nothing",
                "--alternative",
                "chrt -r",
                "--alternative",
                "go_sched hint",
            ],
            &["--cpus", "1"],
        ),
        Part::Smt => (&["lab"], &["--smt"]),
        Part::Locks
        | Part::Overflow
        | Part::Quota
        | Part::Slice
        | Part::Spikes
        | Part::Preemption
        | Part::Drift => (&["lab"], &[]),
    };
    let mut machine: Vec<String> = flags.iter().map(ToString::to_string).collect();
    let mut add = |words: &[&str]| machine.extend(words.iter().map(ToString::to_string));
    // Where the kernel lies in memory must not differ between boots.
    add(&["--append", "nokaslr"]);
    let waits = waits(part);
    let method = if bench.on == Place::Host {
        Method::WallClock
    } else if experiment.is_some()
        || !waits.is_empty()
        || matches!(part, Part::Lowered | Part::Service | Part::ServiceOneCpu)
    {
        if part == Part::Service {
            add(&["--cpus", &bench.service_cpus.to_string()]);
        }
        if let Some(experiment) = experiment {
            add(&["--cpus", &experiment.cpus.to_string()]);
            if experiment.is_recorded() {
                add(&["--variant", "bpf"]);
            }
        }
        let icount = match part {
            Part::ServiceOneCpu => Some(0),
            _ => bench.service_icount,
        };
        match (bench.accel, icount) {
            (Accelerator::Kvm, _) => {
                add(&["--accel", "kvm"]);
                Method::WallClock
            }
            (Accelerator::Tcg, Some(shift)) => {
                add(&["--icount", &shift.to_string()]);
                Method::Ratio
            }
            (Accelerator::Tcg, None) => {
                add(&["--accel", "tcg"]);
                Method::Ratio
            }
        }
    } else if bench.accel == Accelerator::Kvm {
        add(&["--cpus", "1", "--accel", "kvm"]);
        Method::WallClock
    } else {
        add(&["--icount", "0"]);
        Method::Instructions
    };
    add(&["--timeout", &bench.timeout.to_string()]);
    let mut arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    if bench.quick {
        arguments.push("--quick".to_owned());
    }
    for wait in waits {
        arguments.extend(["--wait".to_owned(), wait.to_string()]);
    }
    if let Some(experiment) = experiment {
        arguments.extend(["--experiment".to_owned(), experiment.name.to_owned()]);
    }
    // On one CPU, a median of five; emulated seconds of a fast machine take long.
    let of_one_cpu = part == Part::ServiceOneCpu && !bench.quick;
    if matches!(part, Part::Service | Part::ServiceOneCpu) {
        let repeats = bench.service_repeats.or(of_one_cpu.then_some(5));
        let seconds = bench.service_seconds.or(of_one_cpu.then_some(4.0));
        let repeats = repeats.map(|number| ("--repeats", number.to_string()));
        let seconds = seconds.map(|number| ("--seconds", number.to_string()));
        for (flag, number) in repeats.into_iter().chain(seconds) {
            arguments.extend([flag.to_owned(), number]);
        }
    }
    Plan {
        part,
        method,
        machine,
        arguments,
    }
}

/// Returns the waits for goroutines that a part measures.
fn waits(part: Part) -> &'static [Wait] {
    match part {
        Part::Goroutines => &[Wait::Computing4, Wait::Computing16, Wait::Http],
        Part::GoroutinesAllocating => &[Wait::Allocating4, Wait::Allocating16, Wait::GcPressure],
        Part::GoroutinesStop => &[Wait::Stop, Wait::StopBesideProcess],
        _ => &[],
    }
}

/// Returns why a part cannot be measured in the kernel that this machine runs, if so, and
/// the remedy.
pub(crate) fn impossible_here(part: Part) -> Result<Option<(&'static str, &'static str)>> {
    // An experiment leaves out the set-ups that cannot be had.
    if part.experiment().is_some() {
        return Ok(None);
    }
    let again = "go_sched_bench --on host --add, as root";
    let one_cpu = part == Part::ServiceOneCpu;
    if one_cpu && thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1) {
        return Ok(Some((
            "this machine has several CPUs; measure it in a guest, which has one",
            "make bench ONLY=service-one-cpu",
        )));
    }
    let loaded = Path::new("/sys/module/go_sched_class").exists();
    let patched = loaded || is_patched()?;
    Ok(match part {
        Part::PathsUnpatched if patched => Some((
            "this machine runs a patched kernel; boot one without the patches, and then",
            again,
        )),
        Part::PathsPatched if loaded => Some((
            "the module is loaded; unload it with rmmod go_sched_class, and then",
            again,
        )),
        Part::PathsUnpatched => None,
        _ if !patched => Some((
            "this machine runs a kernel without the patches; boot one with them, and then",
            again,
        )),
        Part::PathsPatched => None,
        _ if !loaded => Some((
            "the module is not loaded; load it with modprobe or insmod, and then",
            again,
        )),
        _ => None,
    })
}

/// Returns true if the kernel of this machine has the system call. Without a module the
/// system call takes no request, so that nothing changes.
fn is_patched() -> Result<bool> {
    let Err(error) = set_schedprio(0, 0, 0) else {
        anyhow::bail!("a mapping is registered, and not by the module go_sched_class");
    };
    match Errno::from_io_error(&error) {
        Some(Errno::OPNOTSUPP) => Ok(true),
        Some(Errno::NOSYS) => Ok(false),
        _ => Err(error).context("go_set_schedprio, to see what kernel this is"),
    }
}

/// A line that a started program has written.
enum Line {
    Stdout(String),
    Stderr(String),
}

/// The output of the program that measures.
#[derive(Debug, Default)]
struct Output {
    records: Vec<Record>,
    notes: Vec<String>,
    /// The failure that the program reports, or else the first line that is no record.
    failure: Option<String>,
    /// Lines of standard error: progress, which the report does not keep.
    stderr: Vec<String>,
}

impl Output {
    fn take(&mut self, line: Line) {
        match line {
            Line::Stdout(line) => match serde_json::from_str(&line) {
                Ok(Record::Note { text }) => self.notes.push(text),
                Ok(Record::Failure { why }) => self.failure = Some(why),
                Ok(record) => self.records.push(record),
                Err(_) => {
                    self.failure
                        .get_or_insert(format!("it printed what is no record: {line}"));
                }
            },
            Line::Stderr(line) if line.trim().is_empty() => (),
            Line::Stderr(line) => self.stderr.push(line),
        }
    }

    /// Returns the reason why the records do not count, if so.
    fn failure(&self, status: ExitStatus) -> Option<String> {
        let reported = self.failure.as_deref();
        if !status.success() {
            let why = harness_failure(status).or(reported);
            let why = why.unwrap_or("standard error has the reason");
            Some(format!("{status}: {why}"))
        } else if reported.is_some() {
            self.failure.clone()
        } else if !matches!(self.records.first(), Some(Record::Kernel(_))) {
            Some("it did not say on what kernel it ran".to_owned())
        } else if self.records.len() < 2 {
            Some("it measured nothing".to_owned())
        } else {
            None
        }
    }
}

/// Returns the meaning of an exit status of qemu/run that is not its command's own.
fn harness_failure(status: ExitStatus) -> Option<&'static str> {
    match status.code()? {
        123 => Some("the kernel reported an error"),
        124 => Some("the run took longer than its timeout"),
        125 => Some("the guest was not built, did not start, or ended without a result"),
        _ => None,
    }
}

impl Plan {
    /// Runs the boot. A boot that fails is a result too.
    pub(crate) fn run(&self, bench: &Bench) -> Result<Boot> {
        let (mut command, words) = self.command(bench)?;
        let mut progress = Progress::new(self.part.title().to_owned());
        let steps = bench.cache.as_ref().map(|cache| cache.join(STEPS));
        let mut child = command
            .env("GO_SCHED_STEPS", "quiet")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| words.clone())?;
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().context("no standard output")?;
        let stderr = child.stderr.take().context("no standard error")?;
        listen(stdout, sender.clone(), Line::Stdout);
        listen(stderr, sender, Line::Stderr);

        let mut output = Output::default();
        loop {
            match lines.recv_timeout(TICK) {
                Ok(line) => output.take(line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // Before there are records, something may be built.
            match steps.as_deref().and_then(running_step) {
                Some(step) if output.records.is_empty() => progress.tick(&step),
                _ => progress.tick(&output.records.last().map_or_else(String::new, describe)),
            }
        }
        let status = child.wait().with_context(|| words.clone())?;
        let failure = output.failure(status);
        let seconds = progress.end();
        if let Some(failure) = &failure {
            eprintln!("{}: FAILED: {failure}", self.part.title());
            for line in &output.stderr {
                eprintln!("  {line}");
            }
        }
        Ok(Boot {
            part: self.part,
            tree: None,
            method: self.method,
            command: words,
            seconds,
            notes: output.notes,
            failure,
            records: output.records,
        })
    }

    /// Returns the command, and the words to type it.
    fn command(&self, bench: &Bench) -> Result<(Command, String)> {
        let program = bench
            .guest_program
            .as_ref()
            .context("--guest-program is missing: where is go_sched_bench_guest?")?;
        let mut command;
        let mut words;
        match bench.on {
            Place::Host => {
                command = Command::new(program);
                words = vec!["go_sched_bench_guest".to_owned()];
                let path = env::var_os("PATH").unwrap_or_default();
                let own = bench.overlay.iter().map(|overlay| overlay.join("bin"));
                let path: OsString = env::join_paths(own.chain(env::split_paths(&path)))?;
                command.env("PATH", path);
            }
            Place::Guest => {
                command = Command::new(bench.tree.join("qemu/run"));
                command.args(&self.machine);
                words = vec!["qemu/run".to_owned()];
                words.extend(self.machine.iter().cloned());
                for overlay in &bench.overlay {
                    command.arg("--overlay").arg(overlay);
                    words.push("--overlay ...".to_owned());
                }
                command.arg("--cargo-runner").arg(program);
                words.push("--cargo-runner go_sched_bench_guest".to_owned());
            }
        }
        command.args(&self.arguments);
        words.extend(self.arguments.iter().cloned());
        Ok((command, words.join(" ")))
    }
}

fn listen(stream: impl Read + Send + 'static, sender: Sender<Line>, of: fn(String) -> Line) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            // Nobody listens any more when the other side has failed.
            if sender.send(of(line)).is_err() {
                return;
            }
        }
    });
}

/// A record of `scripts/step.sh`.
#[derive(Deserialize)]
struct Step {
    /// The step's name.
    step: String,
    /// Seconds that the step took; none while the step runs.
    seconds: Option<f64>,
}

/// Returns the step of the build that runs, if one does.
fn running_step(steps: &Path) -> Option<String> {
    let text = fs::read_to_string(steps).ok()?;
    let newest: Step = serde_json::from_str(text.lines().last()?).ok()?;
    newest.seconds.is_none().then_some(newest.step)
}

fn describe(record: &Record) -> String {
    match record {
        Record::Kernel(kernel) => format!("Linux {}", kernel.release),
        Record::Figure(figure) => figure.subject.to_string(),
        Record::Omitted(omitted) => omitted.subject.to_string(),
        Record::Service(service) => format!("{}, {}", service.scenario, service.alternative),
        Record::Observed(observed) => observed.to_string(),
        Record::Impossible(impossible) => impossible.to_string(),
        Record::Note { text } | Record::Failure { why: text } => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use clap::Parser;
    use clap::ValueEnum;
    use go_sched_bench_data::lab;

    use super::plan;
    use super::running_step;
    use super::Line;
    use super::Output;
    use crate::arguments::Arguments;
    use crate::report::Method;
    use crate::report::Part;

    fn planned(words: &[&str], part: Part) -> super::Plan {
        let words = [&["go_sched_bench"], words].concat();
        let arguments = Arguments::try_parse_from(words).expect("they are right");
        plan(part, &arguments.bench)
    }

    #[test]
    fn instructions_are_counted_unless_there_is_hardware() {
        let plan = planned(&["--accel", "tcg"], Part::Changes);
        assert_eq!(plan.method, Method::Instructions);
        assert!(plan.machine.join(" ").contains("--icount 0"));
        let plan = planned(&["--accel", "kvm"], Part::Changes);
        assert_eq!(plan.method, Method::WallClock);
        assert!(plan.machine.join(" ").contains("--accel kvm"));
    }

    #[test]
    fn a_server_on_one_cpu_has_an_instruction_each_nanosecond() {
        let words = ["--accel", "tcg", "--service-icount", "2"];
        let plan = planned(&words, Part::ServiceOneCpu);
        assert_eq!(plan.method, Method::Ratio);
        assert!(plan.machine.join(" ").contains("--cpus 1"));
        assert!(plan.machine.join(" ").contains("--icount 0"));
        let arguments = plan.arguments.join(" ");
        assert!(
            arguments.ends_with("--repeats 5 --seconds 4"),
            "{arguments}"
        );
    }

    #[test]
    fn a_server_in_an_emulator_is_good_for_ratios() {
        let plan = planned(&["--accel", "tcg"], Part::Service);
        assert_eq!(plan.method, Method::Ratio);
        assert!(plan.machine.join(" ").contains("--cpus 2 --accel tcg"));
        let plan = planned(
            &["--accel", "tcg", "--service-icount", "1", "--quick"],
            Part::Service,
        );
        assert!(plan.machine.join(" ").contains("--cpus 2 --icount 1"));
        assert_eq!(plan.arguments, ["service", "--quick"]);
    }

    #[test]
    fn each_experiment_is_a_part_with_a_boot_of_its_own() {
        let parts = Part::value_variants().iter();
        let found: Vec<_> = parts.filter_map(|part| part.experiment()).collect();
        assert_eq!(found.len(), lab::EXPERIMENTS.len());
        let plan = planned(&["--service-icount", "2"], Part::Drift);
        assert_eq!(plan.arguments, ["lab", "--experiment", "drift"]);
        let machine = plan.machine.join(" ");
        assert!(
            machine.contains("--cpus 1 --variant bpf --icount 2"),
            "{machine}"
        );
    }

    /// Returns what becomes of lines of standard output, and of a line of progress.
    fn output(lines: &[&str]) -> Output {
        let mut output = Output::default();
        output.take(Line::Stderr("repeat 0: p99 1 ms".to_owned()));
        for line in lines {
            output.take(Line::Stdout((*line).to_owned()));
        }
        output
    }

    fn failure(output: &Output, code: i32) -> Option<String> {
        output.failure(ExitStatus::from_raw(code << 8))
    }

    #[test]
    fn notes_are_records_and_progress_is_none() {
        let output = output(&[r#"{"record":"note","text":"chrt is /bin/chrt"}"#]);
        assert_eq!(output.notes, ["chrt is /bin/chrt"]);
        assert!(output.records.is_empty());
    }

    #[test]
    fn a_failure_has_the_reason_that_the_program_reports() {
        let reported = output(&[r#"{"record":"failure","why":"no module"}"#]);
        let words = failure(&reported, 1).expect("the program failed");
        assert_eq!(words, "exit status: 1: no module");
        let words = failure(&reported, 124).expect("the harness failed");
        assert_eq!(
            words,
            "exit status: 124: the run took longer than its timeout"
        );
        let words = failure(&output(&[]), 101).expect("the program failed");
        assert_eq!(words, "exit status: 101: standard error has the reason");
    }

    #[test]
    fn success_takes_records_alone_and_one_at_least_beside_the_kernel() {
        let words = |lines: &[&str]| failure(&output(lines), 0).expect("it is none");
        assert_eq!(words(&["spoon"]), "it printed what is no record: spoon");
        assert_eq!(words(&[]), "it did not say on what kernel it ran");
        let kernel = r#"{"record":"kernel","release":"6.12","version":"1","command_line":"",
            "cpus":2,"clock_source":"tsc","mapping":null}"#;
        assert_eq!(words(&[kernel]), "it measured nothing");
    }

    #[test]
    fn the_step_that_runs_is_the_newest_without_an_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("steps.jsonl");
        let started = r#"{"step": "Building the kernel", "started": "2026-01-02T03:04:05Z"}"#;
        let ended =
            r#"{"step": "Building the kernel", "started": "2026-01-02T03:04:05Z", "seconds": 501}"#;
        assert_eq!(running_step(&path), None);
        fs::write(&path, format!("{started}\n")).expect("a file");
        assert_eq!(running_step(&path).as_deref(), Some("Building the kernel"));
        fs::write(&path, format!("{started}\n{ended}\n")).expect("a file");
        assert_eq!(running_step(&path), None);
    }
}
