// SPDX-License-Identifier: GPL-2.0

//! A report for the unit tests, of which nothing was measured.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use go_sched_bench_data::Chapter;
use go_sched_bench_data::Figure;
use go_sched_bench_data::Kernel;
use go_sched_bench_data::Record;
use go_sched_bench_data::Service;
use go_sched_bench_data::Unit;
use hdrhistogram::serialization::Serializer;
use hdrhistogram::serialization::V2Serializer;
use hdrhistogram::Histogram;

use crate::report::Boot;
use crate::report::Method;
use crate::report::Missing;
use crate::report::Part;
use crate::report::Place;
use crate::report::Report;
use crate::report::Step;
use crate::report::Wait;

/// Requests in each repeat.
pub(crate) const REQUESTS: u64 = 2000;

/// One in which nothing was measured.
pub(crate) fn empty() -> Report {
    Report::new("2026-01-02T03:04:05Z".to_owned(), true, Place::Guest)
}

/// One with everything.
pub(crate) fn report() -> Report {
    report_with_requests(REQUESTS)
}

/// One with everything, and so many requests in all repeats together.
pub(crate) fn report_with_requests(requests: u64) -> Report {
    let mut report = empty();
    report.tree = Some("made up".to_owned());
    report.boots = vec![
        boot(Part::PathsUnpatched, Method::Instructions, paths(&[0])),
        boot(Part::PathsPatched, Method::Instructions, paths(&[1])),
        boot(Part::PathsModule, Method::Instructions, paths(&[2, 3])),
        boot(Part::PathsHint, Method::Instructions, paths(&[4, 5])),
        boot(Part::Changes, Method::Instructions, changes()),
        boot(Part::Scale, Method::Instructions, scale()),
        boot(Part::Service, Method::Ratio, service(requests)),
    ];
    report.waits.push(Wait {
        what: "kernel build".to_owned(),
        how: "recorded".to_owned(),
        tree: report.tree.clone(),
        repeats: vec![501.0],
        steps: vec![Step {
            step: "Building the kernel".to_owned(),
            seconds: 490.0,
            started: report.started.clone(),
        }],
    });
    report.missing.push(Missing {
        part: Part::Time,
        what: "cold make demo".to_owned(),
        why: "it takes a kernel build".to_owned(),
        command: Some("go_sched_bench --cold".to_owned()),
    });
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
        tree: Some("made up".to_owned()),
        method,
        command: "qemu/run <made up>".to_owned(),
        seconds: 1.0,
        notes: vec!["a note".to_owned()],
        failure: None,
        records,
    }
}

fn figure(
    chapter: Chapter,
    operation: &str,
    subject: &str,
    threads: Option<u32>,
    repeats: &[f64],
) -> Record {
    Record::Figure(Figure {
        chapter,
        operation: operation.to_owned(),
        subject: subject.to_owned(),
        threads,
        unit: if operation == "memory" {
            Unit::Bytes
        } else {
            Unit::Nanoseconds
        },
        repeats: repeats.to_vec(),
    })
}

fn paths(states: &[usize]) -> Vec<Record> {
    // What each state adds to an unpatched pipe round trip, and to others in proportion.
    let added = [0.0, 3.0, 8.0, 8.0, 26.0, 52.0];
    let names = crate::figures::STATES;
    let mut records = Vec::new();
    for state in states {
        for (operation, cost, spread) in [
            ("pipe round trip", 8700.0, 1.0),
            ("futex round trip", 6100.0, 1.0),
            ("sched_yield", 900.0, 0.1),
            ("fork+exit", 98_000.0, 200.0),
            ("vfork+exit", 52_000.0, 20.0),
            ("hackbench", 41_000_000.0, 900_000.0),
            ("tick", 3200.0, 4.0),
        ] {
            let cost = cost + added[*state] * cost / 8700.0;
            let repeats = [cost, cost - spread / 2.0, cost + spread / 2.0];
            let subject = names[*state];
            records.push(figure(Chapter::Path, operation, subject, None, &repeats));
        }
    }
    records
}

fn changes() -> Vec<Record> {
    let mut records = Vec::new();
    for operation in ["32 -> 31 and back", "32 -> 8 and back", "32 -> 50 and back"] {
        for (subject, cost) in [
            ("hint store", 7.0),
            ("hint store, applied", 1700.0),
            ("ioctl SET", 2600.0),
            ("go_set_schedprio", 2800.0),
            ("sched_setattr", 2750.0),
            ("setpriority", 2500.0),
            ("sched_setscheduler", 2650.0),
            ("chrt", 1_900_000.0),
        ] {
            if subject == "setpriority" && operation != "32 -> 31 and back" {
                continue;
            }
            let repeats = [cost, cost * 1.001, cost * 0.999];
            records.push(figure(Chapter::Change, operation, subject, None, &repeats));
        }
    }
    records
}

fn scale() -> Vec<Record> {
    let mut records = Vec::new();
    for threads in [1_u32, 10, 100, 1000, 10_000] {
        let n = f64::from(threads);
        for (operation, subject, cost) in [
            ("SET", "go_sched", 2600.0),
            ("BIND", "go_sched", 4100.0),
            ("fork", "go_sched", 61_000.0),
            ("fork", "unmanaged", 60_000.0),
            ("context switch", "go_sched", 8755.0),
            ("context switch", "unmanaged", 8700.0),
            ("register", "go_sched", 90_000.0 + 2100.0 * n),
            ("unregister", "go_sched", 80_000.0 + 1900.0 * n),
            ("memory", "go_sched", 160.0 + 4000.0 / n),
        ] {
            let repeats = [cost, cost + 1.0, cost - 1.0];
            records.push(figure(
                Chapter::Scale,
                operation,
                subject,
                Some(threads),
                &repeats,
            ));
        }
    }
    records
}

fn service(requests: u64) -> Vec<Record> {
    let mut records = Vec::new();
    for scenario in [
        "hogs in another process",
        "hogs in the same process",
        "GC pressure",
        "cpu.max neighbour",
    ] {
        for (alternative, tail_us) in [
            ("nothing", 40_000.0),
            ("nice", 9000.0),
            ("SCHED_BATCH", 39_000.0),
            ("SCHED_IDLE", 6000.0),
            ("chrt -r", 900.0),
            ("uclamp", 38_000.0),
            ("go_sched ioctl", 850.0),
            ("go_sched hint", 2500.0),
        ] {
            // Nothing that anybody does helps against the collector.
            let tail_us = if scenario == "GC pressure" {
                40_000.0
            } else {
                tail_us
            };
            for repeat in 0..3_u32 {
                let grown = tail_us * (1.0 + f64::from(repeat) * 0.01);
                records.push(Record::Service(Service {
                    scenario: scenario.to_owned(),
                    alternative: alternative.to_owned(),
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

/// Latencies that grow by the logarithm of how rare they are, up to `tail_us`.
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
