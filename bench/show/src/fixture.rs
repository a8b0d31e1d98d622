// SPDX-License-Identifier: GPL-2.0

//! A report for the unit tests. Nothing of it was measured.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use go_sched_bench_data::lab::Impossible;
use go_sched_bench_data::lab::Observed;
use go_sched_bench_data::Alternative;
use go_sched_bench_data::Change;
use go_sched_bench_data::Figure;
use go_sched_bench_data::GoOperation;
use go_sched_bench_data::Growth;
use go_sched_bench_data::Interface;
use go_sched_bench_data::Kernel;
use go_sched_bench_data::Omitted;
use go_sched_bench_data::Outcome;
use go_sched_bench_data::Path;
use go_sched_bench_data::Record;
use go_sched_bench_data::Recorded;
use go_sched_bench_data::Remedy;
use go_sched_bench_data::Runtime;
use go_sched_bench_data::Scenario;
use go_sched_bench_data::Service;
use go_sched_bench_data::Setup;
use go_sched_bench_data::Statistic;
use go_sched_bench_data::Subject;
use go_sched_bench_data::Wait;
use go_sched_bench_data::Waiter;
use go_sched_bench_data::LOWERED;
use hdrhistogram::serialization::Serializer;
use hdrhistogram::serialization::V2Serializer;
use hdrhistogram::Histogram;
use strum::VariantArray;

use crate::report::Boot;
use crate::report::Method;
use crate::report::Missing;
use crate::report::Part;
use crate::report::Place;
use crate::report::Report;

/// Requests in each repeat.
pub(crate) const REQUESTS: u64 = 2000;

/// Returns a report without measurements.
pub(crate) fn empty() -> Report {
    Report::new("2026-01-02T03:04:05Z".to_owned(), true, Place::Guest)
}

/// Returns a report with everything.
pub(crate) fn report() -> Report {
    report_with_requests(REQUESTS)
}

/// Returns a report with everything, and with so many requests in each repeat.
pub(crate) fn report_with_requests(requests: u64) -> Report {
    let mut report = empty();
    report.tree = Some("fixture".to_owned());
    report.boots = vec![
        boot(
            Part::PathsUnpatched,
            Method::Instructions,
            paths(&[Setup::Unpatched]),
        ),
        boot(
            Part::PathsPatched,
            Method::Instructions,
            paths(&[Setup::Patched]),
        ),
        boot(
            Part::PathsModule,
            Method::Instructions,
            paths(&[Setup::Unmanaged, Setup::Managed]),
        ),
        boot(
            Part::PathsHint,
            Method::Instructions,
            paths(&[Setup::Beside, Setup::Hint]),
        ),
        boot(Part::Changes, Method::Instructions, changes()),
        boot(Part::Scale, Method::Instructions, scale()),
        boot(Part::Lowered, Method::Ratio, lowered()),
        boot(Part::Goroutines, Method::Ratio, goroutines()),
        boot(Part::GoroutineCosts, Method::Instructions, go_costs()),
        boot(Part::Recorder, Method::Instructions, recorder()),
        boot(Part::Service, Method::Ratio, service(requests)),
        boot(Part::ServiceOneCpu, Method::Ratio, service(requests)),
    ];
    report.missing.push(Missing {
        part: Part::PathsHint,
        why: "left out by --only".to_owned(),
        command: "go_sched_bench".to_owned(),
    });
    report
}

/// Returns a report of the lab.
pub(crate) fn lab() -> Report {
    let observed = |setup: &str, mean: f64| {
        Record::Observed(Observed {
            experiment: "locks".to_owned(),
            setup: setup.to_owned(),
            metric: "mean_ns".to_owned(),
            repeats: vec![mean, mean * 1.02],
        })
    };
    let mut report = empty();
    report.boots = vec![boot(
        Part::Locks,
        Method::Ratio,
        vec![
            observed("siblings ordinary", 400_000.0),
            observed("siblings at 20", 420_000.0),
            observed("siblings at 8", 300_000.0),
            Record::Impossible(Impossible {
                experiment: "locks".to_owned(),
                setup: "siblings at nice 19".to_owned(),
                why: "a reason".to_owned(),
            }),
        ],
    )];
    report
}

fn boot(part: Part, method: Method, mut records: Vec<Record>) -> Boot {
    records.insert(
        0,
        Record::Kernel(Kernel {
            release: "6.12.0".to_owned(),
            version: "#1".to_owned(),
            command_line: "nokaslr".to_owned(),
            cpus: 1,
            clock_source: "tsc".to_owned(),
            mapping: None,
        }),
    );
    Boot {
        part,
        tree: Some("fixture".to_owned()),
        method,
        command: "qemu/run <fixture>".to_owned(),
        seconds: 1.0,
        notes: vec!["a note".to_owned()],
        failure: None,
        records,
    }
}

fn figure(subject: Subject, repeats: &[f64]) -> Record {
    Record::Figure(Figure {
        subject,
        repeats: repeats.to_vec(),
    })
}

fn paths(setups: &[Setup]) -> Vec<Record> {
    let mut records = Vec::new();
    for &setup in setups {
        // What each setup adds to an unpatched pipe round trip, and to others in proportion.
        let added = [0.0, 3.0, 8.0, 8.0, 26.0, 52.0][setup as usize];
        for (operation, cost, spread) in [
            (Path::PipeRoundTrip, 8700.0, 1.0),
            (Path::FutexRoundTrip, 6100.0, 1.0),
            (Path::SchedYield, 900.0, 0.1),
            (Path::ForkExit, 98_000.0, 200.0),
            (Path::VforkExit, 52_000.0, 20.0),
            (Path::Hackbench, 41_000_000.0, 900_000.0),
            (Path::Tick, 3200.0, 4.0),
        ] {
            let cost = cost + added * cost / 8700.0;
            let repeats = [cost, cost - spread / 2.0, cost + spread / 2.0];
            records.push(figure(Subject::Path { operation, setup }, &repeats));
        }
    }
    records
}

fn lowered() -> Vec<Record> {
    let mut records = Vec::new();
    for &waiter in Waiter::VARIANTS {
        for (level, wait) in LOWERED.into_iter().zip([8.0, 90.0, 40.0, 0.5, 0.4]) {
            for (&statistic, times) in Statistic::VARIANTS.iter().zip([1e6, 4e6, 6e6]) {
                let subject = Subject::Lowered {
                    waiter,
                    level,
                    statistic,
                };
                records.push(figure(subject, &[wait * times, wait * times * 1.01]));
            }
        }
    }
    records
}

fn goroutines() -> Vec<Record> {
    let mut records = Vec::new();
    for &wait in Wait::VARIANTS {
        for &remedy in Remedy::VARIANTS {
            let (time, work) = match remedy {
                Remedy::GoSched => (1e6, 2600.0),
                Remedy::Overlay => (4e6, 2000.0),
                _ => (2e7, 2620.0),
            };
            for &outcome in Outcome::VARIANTS {
                let value = match outcome {
                    Outcome::P50 => time / 2.0,
                    Outcome::P99 => time,
                    Outcome::Max => time * 2.0,
                    Outcome::Background => work,
                    Outcome::Collections => 50.0,
                };
                let subject = Subject::Goroutines {
                    wait,
                    remedy,
                    outcome,
                };
                records.push(figure(subject, &[value, value * 1.01]));
            }
        }
    }
    records
}

fn go_costs() -> Vec<Record> {
    let mut records = Vec::new();
    for &operation in GoOperation::VARIANTS {
        for (&runtime, cost) in Runtime::VARIANTS
            .iter()
            .zip([1000.0, 1020.0, 1090.0, 990.0, 1010.0])
        {
            let subject = Subject::GoCost { operation, runtime };
            records.push(figure(subject, &[cost, cost + 1.0]));
        }
    }
    records
}

fn recorder() -> Vec<Record> {
    let beside = |subject: fn(Recorded) -> Subject, costs: [f64; 3]| {
        let costs = Recorded::VARIANTS.iter().zip(costs);
        costs.map(move |(&recorded, cost)| figure(subject(recorded), &[cost, cost + 1.0]))
    };
    let round_trip = |recorded| Subject::Recorder { recorded };
    let switch = |recorded| Subject::RecordedSwitch { recorded };
    beside(round_trip, [8700.0, 9000.0, 10500.0])
        .chain(beside(switch, [1300.0, 1300.0, 1310.0]))
        .collect()
}

fn changes() -> Vec<Record> {
    let mut records = Vec::new();
    for &change in Change::VARIANTS {
        for (interface, cost) in [
            (Interface::HintStore, 7.0),
            (Interface::HintStoreApplied, 1700.0),
            (Interface::IoctlSet, 2600.0),
            (Interface::GoSetSchedprio, 2800.0),
            (Interface::SchedSetattr, 2750.0),
            (Interface::SchedSetscheduler, 2650.0),
            (Interface::Chrt, 1_900_000.0),
        ] {
            let repeats = [cost, cost * 1.001, cost * 0.999];
            records.push(figure(Subject::Change { change, interface }, &repeats));
        }
        records.push(Record::Omitted(Omitted {
            subject: Subject::Change {
                change,
                interface: Interface::Setpriority,
            },
            why: "it cannot make this change".to_owned(),
        }));
    }
    records
}

fn scale() -> Vec<Record> {
    let mut records = Vec::new();
    for threads in [1_u32, 10, 100, 1000, 10_000] {
        let n = f64::from(threads);
        for (operation, managed, cost) in [
            (Growth::Set, true, 2600.0),
            (Growth::Bind, true, 4100.0),
            (Growth::Fork, true, 61_000.0),
            (Growth::Fork, false, 60_000.0),
            (Growth::ContextSwitch, true, 8755.0),
            (Growth::ContextSwitch, false, 8700.0),
            (Growth::Register, true, 90_000.0 + 2100.0 * n),
            (Growth::Unregister, true, 80_000.0 + 1900.0 * n),
            (Growth::Memory, true, 160.0 + 4000.0 / n),
        ] {
            let subject = Subject::Growth {
                operation,
                managed,
                threads,
            };
            records.push(figure(subject, &[cost, cost + 1.0, cost - 1.0]));
        }
    }
    records
}

fn service(requests: u64) -> Vec<Record> {
    let mut records = Vec::new();
    for &scenario in Scenario::VARIANTS {
        for (alternative, tail_us) in [
            (Alternative::Nothing, 40_000.0),
            (Alternative::Nice, 9000.0),
            (Alternative::Batch, 39_000.0),
            (Alternative::Idle, 6000.0),
            (Alternative::RoundRobin, 900.0),
            (Alternative::Uclamp, 38_000.0),
            (Alternative::GoSchedIoctl, 850.0),
            (Alternative::GoSchedHint, 2500.0),
        ] {
            // Nothing that anybody does helps against the collector.
            let tail_us = if scenario == Scenario::GcPressure {
                40_000.0
            } else {
                tail_us
            };
            for repeat in 0..3_u32 {
                let grown = tail_us * (1.0 + f64::from(repeat) * 0.01);
                records.push(Record::Service(Service {
                    scenario,
                    alternative,
                    repeat,
                    seconds: 10.0,
                    requests,
                    failures: 0,
                    request_units: requests * 40,
                    background_units: 500_000,
                    latency_us: histogram(requests, grown),
                    jitter_us: histogram(500, grown / 40.0),
                    jitter_percent: grown / 2000.0,
                }));
            }
        }
    }
    records
}

/// Returns latencies that grow by the logarithm of how rare they are, up to `tail_us`.
fn histogram(samples: u64, tail_us: f64) -> String {
    let mut histogram: Histogram<u64> = Histogram::new(3).expect("three digits are allowed");
    let rarest = (samples as f64).ln();
    for sample in 0..samples {
        let rarity = (samples as f64 / (samples - sample) as f64).ln();
        let us = 200.0 + tail_us * (rarity / rarest).powi(2);
        histogram.record(us as u64).expect("it grows");
    }
    let mut bytes = Vec::new();
    V2Serializer::new()
        .serialize(&histogram, &mut bytes)
        .expect("a vector takes everything");
    STANDARD.encode(bytes)
}
