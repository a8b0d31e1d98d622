// SPDX-License-Identifier: GPL-2.0

//! A competitor for the CPU is the cause of the latency spikes that it makes.

use std::collections::BTreeMap;

use go_sched_observe_tests::DISTURBED;
use gosched_observe::directory::Meta;
use gosched_observe::directory::Record;
use gosched_observe::latencies::Latencies;
use gosched_observe::latencies::Threshold;
use gosched_observe::spikes::Cluster;
use gosched_observe::spikes::Clustering;
use gosched_observe::spikes::Obstacle;
use gosched_observe::summary::Timeline;

use crate::recorded::install;
use crate::recorded::run;
use crate::recorded::Recorded;

/// Returns when each disturbance began and ended, in ns, by its number; 0 is none.
fn disturbances(output: &str) -> BTreeMap<u64, (u64, u64)> {
    let mut disturbances = BTreeMap::new();
    for line in output.lines().skip(1) {
        let values = line
            .split(',')
            .map(|value| value.parse().expect("a number"));
        let [start, latency, disturbance] = values.collect::<Vec<u64>>()[..] else {
            panic!("three columns: {line}");
        };
        let time = disturbances.entry(disturbance).or_insert((start, 0));
        time.1 = start + latency;
    }
    disturbances
}

/// Returns the clusters of a sixth of the requests, which is how many are disturbed.
fn clusters(recorded: Recorded) -> Vec<Cluster> {
    let times = recorded.events.iter().map(|event| event.time);
    let mut meta = Meta::new(String::new(), String::new());
    meta.pid = recorded.outcome.target;
    meta.from = times.clone().min().expect("events");
    meta.to = times.max().expect("events");
    let threshold = Threshold::Quantile(100.0 * 5.0 / 6.0);
    let latencies = Latencies::read(recorded.output.as_bytes(), &meta, threshold, None);
    let mut events = recorded.events;
    events.sort_by_key(|event| event.time);
    let timeline = Timeline::of(Record {
        meta,
        events,
        damaged: 0,
        go_trace: None,
    })
    .expect("a record");
    let clustering = Clustering {
        gap: None,
        at_least: 3,
    };
    let spikes = timeline.spikes(latencies.expect("latencies"), clustering);
    eprintln!("{spikes:?}");
    spikes.clusters
}

#[test]
fn both_spikes_of_a_disturbed_program_are_put_down_to_the_competitor() {
    for program in DISTURBED {
        let folder = tempfile::tempdir().expect("a folder");
        let path = install(&folder, program.executable);
        let recorded = run(&path, &[]);
        assert!(recorded.succeeded, "{program:?}");
        let disturbances = disturbances(&recorded.output);
        let clusters = clusters(recorded);
        for number in [1, 2] {
            let (from, to) = disturbances[&number];
            let overlaps = |cluster: &&Cluster| cluster.from < to && cluster.to > from;
            let named = clusters.iter().filter(overlaps).any(|cluster| {
                let cause = cluster.cause.as_ref();
                let cause = cause.filter(|cause| cause.what == Obstacle::NoCpu);
                let who = cause.and_then(|cause| cause.who.as_ref());
                who.is_some_and(|who| who.thread.name.as_deref() == Some("sh") && !who.thread.own)
            });
            assert!(
                named,
                "{}: disturbance {number}: {clusters:?}",
                program.name
            );
        }
    }
}
