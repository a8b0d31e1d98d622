// SPDX-License-Identifier: GPL-2.0

//! Runs an experiment of the lab: each set-up of the table, several times, in turn.

mod program;
mod recorded;
mod standing;

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use go_sched_bench_data::lab;
use go_sched_bench_data::lab::Experiment;
use go_sched_bench_data::lab::Impossible;
use go_sched_bench_data::lab::Observed;
use go_sched_bench_data::lab::Runs;
use go_sched_bench_data::lab::Setup;
use go_sched_bench_data::Record;

use crate::lowered;
use crate::output;
use standing::Changed;

/// Repeats of each set-up, which tell its spread.
const REPEATS: usize = 5;
/// Repeats of a set-up that is recorded, which takes longer.
const RECORDED_REPEATS: usize = 3;
/// Length of a quick run.
const QUICK: Duration = Duration::from_millis(300);

/// The command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure once and shortly
    #[arg(long)]
    quick: bool,
    /// The experiment
    #[arg(long)]
    experiment: String,
    /// Measure this set-up only; may be repeated
    #[arg(long)]
    setup: Vec<String>,
}

/// The figures of one run, by the keys of their metrics.
type Figures = BTreeMap<String, f64>;

/// Measures all set-ups in turn, so that a change of the machine's mood hits all of them.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let name = &arguments.experiment;
    let experiment = lab::find(name).with_context(|| format!("there is no experiment {name}"))?;
    let wanted = |setup: &&Setup| {
        arguments.setup.is_empty() || arguments.setup.iter().any(|name| name == setup.name)
    };
    let mut results = Vec::new();
    for setup in experiment.setups.iter().filter(wanted) {
        match obstacle(setup)? {
            None => results.push((setup, Vec::new())),
            Some(why) => output::print(Record::Impossible(Impossible {
                experiment: name.clone(),
                setup: setup.name.to_owned(),
                why,
            }))?,
        }
    }
    let full = Duration::from_secs_f64(experiment.seconds);
    let (repeats, length) = match (arguments.quick, experiment.is_recorded()) {
        (true, _) => (1, QUICK),
        (false, true) => (RECORDED_REPEATS, full),
        (false, false) => (REPEATS, full),
    };
    for repeat in 0..repeats {
        for (setup, of_setup) in &mut results {
            let figures = measure(experiment, setup, length).context(setup.name)?;
            eprintln!("{}, repeat {repeat}: {figures:?}", setup.name);
            of_setup.push(figures);
        }
    }
    for (setup, of_setup) in results {
        for metric in experiment.metrics {
            let values = of_setup.iter().filter_map(|it| it.get(metric.key).copied());
            let repeats: Vec<_> = values.collect();
            // A set-up may have nothing of a metric, and then has it in no repeat.
            if repeats.is_empty() {
                continue;
            }
            ensure!(
                repeats.len() == of_setup.len(),
                "{}: {} is missing in some repeats",
                setup.name,
                metric.title
            );
            output::print(Record::Observed(Observed {
                experiment: name.clone(),
                setup: setup.name.to_owned(),
                metric: metric.key.to_owned(),
                repeats,
            }))?;
        }
    }
    Ok(())
}

/// Returns why a set-up cannot be had here, if so.
fn obstacle(setup: &Setup) -> Result<Option<String>> {
    for (path, value) in setup.settings {
        if let Err(why) = Changed::new(path, value) {
            return Ok(Some(format!("{why:#}")));
        }
    }
    for standing in [Some(setup.program), Some(setup.waiter), setup.beside] {
        if let Some(why) = standing.map(standing::obstacle).transpose()?.flatten() {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

fn measure(experiment: &Experiment, setup: &Setup, length: Duration) -> Result<Figures> {
    let mut changed = Vec::new();
    for (path, value) in setup.settings {
        changed.push(Changed::new(path, value)?);
    }
    match experiment.runs {
        Runs::Siblings => siblings(setup, length),
        Runs::Program => program::run(setup, length),
        runs @ (Runs::Spikes | Runs::Timeline | Runs::Lag) => recorded::run(runs, setup, length),
    }
}

fn siblings(setup: &Setup, length: Duration) -> Result<Figures> {
    let lower = || standing::take(setup.program).expect("obstacles have been looked for");
    let raise = || standing::take(setup.waiter).expect("root may raise himself");
    let start = Instant::now();
    let (mut times, maps) = lowered::beside_siblings(lower, raise, length);
    // The last call of the thread that waits may take far longer than is left.
    let took = start.elapsed();
    times.sort_unstable();
    let mean = times.iter().sum::<Duration>() / u32::try_from(times.len())?.max(1);
    let p99 = times.get(times.len() * 99 / 100).context("nobody waited")?;
    let max = times.last().context("nobody waited")?;
    let ns = |time: &Duration| time.as_nanos() as f64;
    Ok(BTreeMap::from([
        ("mean_ns".to_owned(), ns(&mean)),
        ("p99_ns".to_owned(), ns(p99)),
        ("max_ns".to_owned(), ns(max)),
        (
            "maps_per_second".to_owned(),
            maps as f64 / took.as_secs_f64(),
        ),
    ]))
}
