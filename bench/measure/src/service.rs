// SPDX-License-Identifier: GPL-2.0

//! Measures a server beside competition, with and without a remedy.
//!
//! A server written in Go answers requests that arrive at a fixed rate, whether or not
//! earlier ones are answered; threads in the background compete with it. Server and
//! background belong to an unprivileged user. Each run has fresh processes.

mod alternative;
mod cgroup;
mod load;
mod program;
mod samples;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use go_sched_bench_data::Alternative;
use go_sched_bench_data::Record;
use go_sched_bench_data::Scenario;
use go_sched_bench_data::Service;
use strum::VariantArray;

use self::cgroup::Neighbours;
use self::load::Load;
use self::load::Requests;
use self::program::Counts;
use self::program::Program;
use self::samples::Samples;
use crate::output;

/// Time from the start of the load to that of the measurement: all connections are made,
/// and the scheduler has forgotten how the processes started.
const WARM_UP: Duration = Duration::from_millis(300);
/// Time that the load goes on after the measurement, so that the last requests measured
/// meet no idle machine.
const AFTERWARDS: Duration = Duration::from_millis(100);
/// Threads of the background for each CPU.
const THREADS_PER_CPU: usize = 2;

/// The command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure once and shortly
    #[arg(long)]
    quick: bool,
    /// Runs of each combination; default: 3, with --quick 1
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: Option<u32>,
    /// Length of each run, warm-up not included; default: 8, with --quick 0.8
    #[arg(long)]
    seconds: Option<f64>,
    /// Measure this scenario only; may be repeated
    #[arg(long)]
    scenario: Vec<Scenario>,
    /// Measure this alternative only; may be repeated
    #[arg(long)]
    alternative: Vec<Alternative>,
    /// Requests a second
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Time in microseconds that a CPU takes for the work of a request, HTTP not included
    #[arg(long, default_value_t = 400)]
    work_us: u64,
    /// The server
    #[arg(long, value_name = "PROGRAM", default_value = "go_sched_bench_server")]
    server: PathBuf,
    /// The load generator
    #[arg(long, value_name = "PROGRAM", default_value = "oha")]
    oha: PathBuf,
}

/// The parameters that all runs have in common.
#[derive(Debug)]
struct Bench<'a> {
    arguments: &'a Arguments,
    /// Length of a run.
    length: Duration,
    /// Units of work of a request.
    units: u64,
    /// Threads in the background.
    threads: usize,
}

/// Measures all combinations, or those asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let seconds = arguments
        .seconds
        .unwrap_or(if arguments.quick { 0.8 } else { 8.0 });
    let length = Duration::try_from_secs_f64(seconds).context("--seconds")?;
    let repeats = arguments
        .repeats
        .unwrap_or(if arguments.quick { 1 } else { 3 });
    let scenarios = or_all(&arguments.scenario);
    let mut alternatives = Vec::new();
    for alternative in or_all(&arguments.alternative) {
        let reason = match alternative::obstacle(alternative) {
            Ok(None) => {
                alternatives.push(alternative);
                continue;
            }
            Ok(Some(reason)) => reason.to_owned(),
            Err(error) => format!("{error:#}"),
        };
        output::note(format!("omitted in all scenarios: {alternative}: {reason}"))?;
    }

    let cpus = thread::available_parallelism().context("the number of CPUs is unknown")?;
    let unit = program::unit_time(&arguments.server)?;
    let work = Duration::from_micros(arguments.work_us);
    let bench = Bench {
        arguments,
        length,
        units: (work.as_nanos() / unit.as_nanos()).max(1) as u64,
        threads: THREADS_PER_CPU * cpus.get(),
    };
    output::note(format!(
        "{} requests/s of {} units of {:.1} us; {} threads in the background",
        arguments.rate,
        bench.units,
        unit.as_secs_f64() * 1e6,
        bench.threads
    ))?;
    alternative::stand_above_all()?;
    // A change of the machine's mood hits all alternatives, and not one repeat's.
    for repeat in 0..repeats {
        for &scenario in &scenarios {
            for &alternative in &alternatives {
                let service = bench
                    .measure(scenario, alternative, repeat)
                    .with_context(|| format!("{scenario}, {alternative}"))?;
                output::print(Record::Service(service))?;
            }
        }
    }
    Ok(())
}

/// Returns the chosen variants; all if none is chosen.
fn or_all<T: VariantArray + Clone>(chosen: &[T]) -> Vec<T> {
    if chosen.is_empty() {
        T::VARIANTS.to_vec()
    } else {
        chosen.to_vec()
    }
}

impl Bench<'_> {
    /// Measures one combination once.
    fn measure(
        &self,
        scenario: Scenario,
        alternative: Alternative,
        repeat: u32,
    ) -> Result<Service> {
        // Both outlive the processes, which are dropped before.
        let _device = alternative::open_device(alternative)?;
        let neighbours = match scenario {
            Scenario::CpuMaxNeighbour => Some(Neighbours::new()?),
            _ => None,
        };
        let program = &self.arguments.server;
        let in_server = matches!(scenario, Scenario::SameProcess | Scenario::GcPressure);
        let mut server = Command::server(program, self.units);
        let mut hogs = None;
        if in_server {
            server = server.background(self.threads, scenario, alternative);
        } else {
            hogs = Some(Command::new(program).background(self.threads, scenario, alternative));
        }
        // First the server, which starts faster without the others.
        let mut server = Program::start(server.0)?;
        let mut hogs = hogs.map(|hogs| Program::start(hogs.0)).transpose()?;
        if let (Some(neighbours), Some(hogs)) = (&neighbours, &hogs) {
            neighbours.divide(server.id(), hogs.id())?;
        }
        let background = hogs.as_ref().unwrap_or(&server).background().to_vec();
        alternative::apply(alternative, server.id(), &background)?;

        let address = server.address().context("the server has no address")?;
        let load = Load {
            address: address.to_owned(),
            rate: self.arguments.rate,
            length: WARM_UP + self.length + AFTERWARDS,
        };
        let load = load.start(&self.arguments.oha)?;
        let start = load.started();
        sleep_until(start + WARM_UP);
        server.begin()?;
        if let Some(hogs) = &mut hogs {
            hogs.begin()?;
        }
        sleep_until(start + WARM_UP + self.length);
        let served = server.end()?;
        let burnt = hogs.as_mut().map(Program::end).transpose()?;
        let requests = load.finish(WARM_UP..WARM_UP + self.length)?;
        self.describe(scenario, alternative, repeat, &requests, &served, burnt)
    }

    fn describe(
        &self,
        scenario: Scenario,
        alternative: Alternative,
        repeat: u32,
        requests: &Requests,
        served: &Counts,
        burnt: Option<Counts>,
    ) -> Result<Service> {
        if requests.latencies.is_empty() {
            bail!("no request was answered");
        }
        let mut latency = Samples::new()?;
        for &answered_after in &requests.latencies {
            latency.record(answered_after);
        }
        let mut jitter = Samples::new()?;
        for &deviation in &served.deviations() {
            jitter.record(deviation);
        }
        let burnt = burnt.as_ref().unwrap_or(served);
        let service = Service {
            scenario,
            alternative,
            repeat,
            seconds: self.length.as_secs_f64(),
            requests: requests.latencies.len() as u64,
            failures: requests.failures,
            request_units: served.request_units_in(self.length),
            background_units: burnt.background_units_in(self.length),
            latency_us: latency.encode()?,
            jitter_us: jitter.encode()?,
            jitter_percent: served.jitter_percent(),
        };
        eprintln!(
            "{}, {}, repeat {repeat}: {} requests, {} failures, latency {latency} us, \
             {} + {} units, jitter {jitter} us, {:.2} %, sent late by at most {:.1} ms",
            service.scenario,
            service.alternative,
            service.requests,
            service.failures,
            service.request_units,
            service.background_units,
            service.jitter_percent,
            requests.lateness.as_secs_f64() * 1e3,
        );
        Ok(service)
    }
}

/// A command line of the server program.
struct Command(std::process::Command);

impl Command {
    fn new(program: &PathBuf) -> Self {
        Self(std::process::Command::new(program))
    }

    fn server(program: &PathBuf, units: u64) -> Self {
        let mut new = Self::new(program);
        new.0
            .args(["-listen", "127.0.0.1:0", "-units", &units.to_string()]);
        new
    }

    fn background(mut self, threads: usize, scenario: Scenario, alternative: Alternative) -> Self {
        self.0.args(["-background", &threads.to_string()]);
        if scenario == Scenario::GcPressure {
            self.0.arg("-garbage");
        }
        if alternative == Alternative::GoSchedHint {
            self.0.arg("-hint");
        }
        self
    }
}

fn sleep_until(time: Instant) {
    thread::sleep(time.saturating_duration_since(Instant::now()));
}
