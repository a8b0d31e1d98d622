// SPDX-License-Identifier: GPL-2.0

//! Tests of the causes of clusters, on made-up records.

use go_sched_gotrace::GoState;

use crate::directory::Meta;
use crate::directory::Record;
use crate::event::fixture::event;
use crate::event::fixture::leaves;
use crate::event::fixture::thread;
use crate::event::fixture::SLEEPS;
use crate::event::fixture::SWITCH;
use crate::event::fixture::WAKEUP;
use crate::event::Event;
use crate::goroutines::GoroutineHistory;
use crate::goroutines::Goroutines;
use crate::goroutines::Pause;
use crate::goroutines::Stretch;
use crate::latencies::Latencies;
use crate::latencies::Outlier;
use crate::spikes::Cluster;
use crate::spikes::Clustering;
use crate::spikes::Obstacle;
use crate::spikes::Origin;
use crate::summary::Timeline;

/// The process of the record.
const OWN: i32 = 10;
const MS: u64 = 1_000_000;
/// The record, and the time of the spike in it, in ms.
const END: u64 = 1000;
const SPIKE: (u64, u64) = (500, 540);
/// `TASK_KILLABLE`: a thread waits for a page of a file.
const KILLABLE: u32 = 0x102;
/// System calls of x86-64.
const READ: i32 = 0;
const FSYNC: i32 = 74;
const FUTEX: i32 = 202;

/// What the thread of a made-up program does.
#[derive(Clone, Copy)]
enum Does {
    Runs,
    WaitsFor(i32),
    HasNoQuota,
    Sleeps(i32),
    WaitsForDisk(i32),
}

/// Adds what a thread does on its CPU from one time to another, in ms.
fn add(events: &mut Vec<Event>, tid: i32, from: u64, to: u64, does: Does) {
    let own = thread(OWN, tid);
    let cpu = tid.unsigned_abs();
    let (from, to) = (from * MS, to * MS);
    let (other, state, syscall, throttled) = match does {
        Does::Runs => return,
        Does::WaitsFor(other) => (other, 0, -1, false),
        Does::HasNoQuota => (0, 0, -1, true),
        Does::Sleeps(syscall) => (0, SLEEPS, syscall, false),
        Does::WaitsForDisk(syscall) => (0, KILLABLE, syscall, false),
    };
    let other = thread(other, other);
    let switch = event(SWITCH, from, cpu, [own, other], state);
    events.push(leaves(switch, syscall, throttled));
    if state != 0 {
        events.push(event(WAKEUP, to, cpu, [own, thread(0, 0)], 0));
    }
    events.push(event(SWITCH, to, cpu, [other, own], 0));
}

/// Returns a record of threads that each do one thing at first, another one in the spike, and
/// the first one again.
fn timeline(threads: &[(Does, Does)]) -> Timeline {
    let mut events = Vec::new();
    for (tid, (usual, spike)) in (OWN..).zip(threads) {
        // A tenth of the usual time, they run.
        let comes = event(
            SWITCH,
            1,
            tid.unsigned_abs(),
            [thread(0, 0), thread(OWN, tid)],
            0,
        );
        events.push(comes);
        for from in (10..END - 10).step_by(10) {
            let does = match (SPIKE.0..SPIKE.1).contains(&from) {
                true => *spike,
                false => *usual,
            };
            add(&mut events, tid, from, from + 9, does);
        }
    }
    recorded(events)
}

fn recorded(events: Vec<Event>) -> Timeline {
    recorded_until(END, events)
}

/// Returns a record that ends at a time, in ms.
fn recorded_until(end: u64, mut events: Vec<Event>) -> Timeline {
    let mut meta = Meta::new("6.12".to_owned(), "server".to_owned());
    meta.pid = OWN;
    meta.to = end * MS;
    events.sort_by_key(|event| event.time);
    Timeline::of(Record {
        meta,
        events,
        damaged: 0,
        go_trace: None,
    })
    .expect("a record")
}

/// Returns an outlier from one time to another, in ms.
fn outlier(from: u64, to: u64) -> Outlier {
    Outlier {
        latency: (to - from) * MS,
        from: from * MS,
        to: to * MS,
        count: 1,
    }
}

const CLUSTERING: Clustering = Clustering {
    gap: None,
    at_least: 3,
};

fn latencies(mut outliers: Vec<Outlier>) -> Latencies {
    outliers.sort_by_key(|outlier| outlier.from);
    Latencies {
        count: 1000,
        outside: 0,
        unreadable: 0,
        first_unreadable: None,
        threshold: 1,
        outliers,
    }
}

/// Returns the cluster of three outliers, from one time to another, in ms.
fn cluster(timeline: &Timeline, from: u64, to: u64) -> Cluster {
    let outliers = vec![outlier(from, to); 3];
    let spikes = timeline.spikes(latencies(outliers), CLUSTERING);
    spikes.clusters.first().expect("a cluster").clone()
}

fn spike(timeline: &Timeline) -> Cluster {
    cluster(timeline, SPIKE.0, SPIKE.1)
}

fn what(cluster: &Cluster) -> Option<&Obstacle> {
    cluster.cause.as_ref().map(|cause| &cause.what)
}

fn unknown(cluster: &Cluster) -> &str {
    assert!(cluster.cause.is_none(), "{cluster:?}");
    cluster.unknown.as_deref().expect("a reason")
}

const IDLE: (Does, Does) = (Does::Sleeps(FUTEX), Does::Sleeps(FUTEX));

/// Puts a goroutine into a state during the spike.
fn with_goroutine(mut timeline: Timeline, state: GoState, reason: Option<&str>) -> Timeline {
    let stretch = Stretch {
        from: SPIKE.0 * MS,
        to: SPIKE.1 * MS,
        state,
        tid: None,
        p: None,
        reason: reason.map(str::to_owned),
        by: None,
    };
    let goroutines = timeline.goroutines.get_or_insert_with(Goroutines::default);
    goroutines.traced = 0..END * MS;
    let history = GoroutineHistory {
        stretches: vec![stretch],
        ..GoroutineHistory::default()
    };
    goroutines.histories.insert(1, history);
    timeline
}

#[test]
fn who_has_the_cpu_in_a_spike_alone_is_its_cause() {
    let busy = (Does::Runs, Does::WaitsFor(7));
    let cluster = spike(&timeline(&[busy, IDLE, IDLE, IDLE]));
    let cause = cluster.cause.expect("a cause");
    assert_eq!(cause.what, Obstacle::NoCpu);
    assert_eq!((cause.took, cause.usual), (36 * MS, 0));
    let who = cause.who.expect("somebody");
    assert_eq!(
        (who.thread.tid, who.threads, who.thread.own),
        (Some(7), 1, false)
    );
}

#[test]
fn threads_of_one_name_have_the_cpu_together() {
    let busy = |tid| (Does::Runs, Does::WaitsFor(tid));
    let cluster = spike(&timeline(&[busy(7), busy(8), busy(9)]));
    let who = cluster.cause.expect("a cause").who.expect("somebody");
    assert_eq!((who.threads, who.took), (3, 3 * 36 * MS));
}

#[test]
fn a_competitor_is_a_cause_where_others_have_the_cpu_at_all_times() {
    let waits = (Does::WaitsFor(0), Does::WaitsFor(0));
    let busy = (Does::Runs, Does::WaitsFor(7));
    let cluster = spike(&timeline(&[waits, waits, busy]));
    let cause = cluster.cause.expect("a cause");
    assert!(cause.took < 2 * cause.usual, "{cause:?}");
    assert_eq!(cause.who.expect("somebody").thread.tid, Some(7));
}

#[test]
fn a_thread_of_the_program_that_has_the_cpu_is_its_own_doing() {
    let busy = (Does::Runs, Does::WaitsFor(7));
    let another = spike(&timeline(&[busy, IDLE])).cause.expect("a cause");
    assert_eq!(another.origin, Origin::Kernel);
    let mut events = timeline(&[busy, IDLE]).events;
    for event in &mut events {
        if event.thread.tid == 7 {
            event.state = SLEEPS;
        }
        for thread in [&mut event.thread, &mut event.other] {
            if thread.tid == 7 {
                thread.tgid = OWN;
            }
        }
    }
    let own = spike(&recorded(events)).cause.expect("a cause");
    assert_eq!(own.origin, Origin::Program);
}

#[test]
fn who_takes_the_place_of_another_one_is_no_cause() {
    let cluster = spike(&timeline(&[(Does::WaitsFor(7), Does::WaitsFor(0))]));
    assert!(unknown(&cluster).contains("nothing kept"), "{cluster:?}");
}

#[test]
fn what_is_usual_is_no_cause() {
    let waits = (Does::WaitsFor(7), Does::WaitsFor(7));
    let cluster = spike(&timeline(&[waits, waits]));
    assert!(unknown(&cluster).contains("nothing kept"), "{cluster:?}");
    // Three wait where two do otherwise.
    let cluster = spike(&timeline(&[waits, waits, (Does::Runs, Does::WaitsFor(7))]));
    assert!(unknown(&cluster).contains("nothing kept"), "{cluster:?}");
}

#[test]
fn sleeping_threads_are_no_cause() {
    let cluster = spike(&timeline(&[IDLE, IDLE, IDLE]));
    assert!(unknown(&cluster).contains("nothing kept"), "{cluster:?}");
    let cluster = spike(&timeline(&[(Does::Runs, Does::Sleeps(FUTEX))]));
    assert!(
        unknown(&cluster).contains("slept more than usual, in futex"),
        "{cluster:?}"
    );
}

#[test]
fn what_takes_a_small_part_of_a_spike_is_no_cause() {
    let timeline = timeline(&[(Does::Runs, Does::WaitsFor(7))]);
    // The last 40 ms of 200.
    let cluster = cluster(&timeline, SPIKE.1 - 200, SPIKE.1);
    assert!(unknown(&cluster).contains("nothing kept"), "{cluster:?}");
}

#[test]
fn a_program_that_computes_is_said_to() {
    let computes = spike(&timeline(&[(Does::Sleeps(FUTEX), Does::Runs)]));
    assert!(
        unknown(&computes).starts_with("the program ran"),
        "{computes:?}"
    );
}

#[test]
fn a_quota_that_is_used_up_and_a_system_call_are_causes() {
    let cluster = spike(&timeline(&[(Does::Runs, Does::HasNoQuota), IDLE]));
    assert_eq!(what(&cluster), Some(&Obstacle::Quota));
    let cluster = spike(&timeline(&[(Does::Runs, Does::Sleeps(FSYNC)), IDLE]));
    assert_eq!(what(&cluster), Some(&Obstacle::Asleep("fsync".to_owned())));
}

#[test]
fn a_read_from_a_disk_is_a_cause_and_one_from_a_socket_is_none() {
    let cluster = spike(&timeline(&[(Does::Runs, Does::WaitsForDisk(READ)), IDLE]));
    assert_eq!(what(&cluster), Some(&Obstacle::Asleep("read".to_owned())));
    let cluster = spike(&timeline(&[(Does::Runs, Does::Sleeps(READ)), IDLE]));
    assert!(unknown(&cluster).contains("in read"), "{cluster:?}");
}

#[test]
fn what_goroutines_wait_for_is_a_cause() {
    let idle = || timeline(&[IDLE]);
    let no_p = with_goroutine(idle(), GoState::Runnable, None);
    assert_eq!(what(&spike(&no_p)), Some(&Obstacle::NoP));
    let lock = with_goroutine(idle(), GoState::Waiting, Some("sync"));
    assert_eq!(what(&spike(&lock)), Some(&Obstacle::Lock));
    let channel = with_goroutine(idle(), GoState::Waiting, Some("chan receive"));
    assert_eq!(what(&spike(&channel)), None);
}

#[test]
fn goroutines_are_compared_with_the_time_that_is_traced() {
    let traced = |from: u64, until: u64| {
        let mut no_p = with_goroutine(timeline(&[IDLE]), GoState::Runnable, None);
        let goroutines = no_p.goroutines.as_mut().expect("goroutines");
        goroutines.traced = from * MS..END * MS;
        let history = goroutines.histories.get_mut(&1).expect("a goroutine");
        history.stretches[0].to = until * MS;
        spike(&no_p)
    };
    // All the time that is traced, and half of the record.
    let steady = traced(SPIKE.0, END);
    assert!(unknown(&steady).contains("nothing kept"), "{steady:?}");
    // It is traced for long before it waits.
    let cause = traced(0, SPIKE.1 + 10).cause.expect("a cause");
    assert_eq!(cause.usual, 416_666);
    // And goes on to wait.
    let steady = traced(0, END);
    assert!(unknown(&steady).contains("as much at times"), "{steady:?}");
    let mut short = with_goroutine(timeline(&[IDLE]), GoState::Runnable, None);
    let goroutines = short.goroutines.as_mut().expect("goroutines");
    goroutines.traced = SPIKE.0 * MS..(SPIKE.1 + 10) * MS;
    let short = spike(&short);
    assert!(unknown(&short).contains("trace of Go's"), "{short:?}");
}

#[test]
fn what_others_follow_from_is_the_cause() {
    // Two goroutines wait for the P of a thread that has no CPU.
    let no_cpu = || timeline(&[(Does::Runs, Does::WaitsFor(7))]);
    let no_p = with_goroutine(no_cpu(), GoState::Runnable, None);
    assert_eq!(what(&spike(&no_p)), Some(&Obstacle::NoCpu));
    let mut stopped = with_goroutine(timeline(&[IDLE]), GoState::Runnable, None);
    let goroutines = stopped.goroutines.as_mut().expect("goroutines");
    goroutines.pauses.push(Pause {
        from: SPIKE.0 * MS,
        to: (SPIKE.0 + 20) * MS,
        stops_world: true,
    });
    assert_eq!(what(&spike(&stopped)), Some(&Obstacle::StoppedWorld));
}

#[test]
fn a_cluster_after_the_record_changes_nothing_of_the_others() {
    let waits = timeline(&[(Does::Runs, Does::WaitsFor(7)), IDLE]);
    let alone = spike(&waits);
    let inside = vec![outlier(SPIKE.0, SPIKE.1); 3];
    let after = vec![outlier(END, END + 10); 3];
    let spikes = waits.spikes(latencies([inside, after].concat()), CLUSTERING);
    let [first, second] = &spikes.clusters[..] else {
        panic!("{:?}", spikes.clusters);
    };
    assert_eq!(what(first), Some(&Obstacle::NoCpu));
    assert_eq!((first.takes, second.takes), (alone.takes, 0));
    assert!(unknown(second).contains("outside the record"), "{second:?}");
}

#[test]
fn without_evidence_there_is_no_cause() {
    let waits = timeline(&[(Does::Runs, Does::WaitsFor(7))]);
    let after = cluster(&waits, END - 10, END + 100);
    assert!(unknown(&after).contains("outside the record"), "{after:?}");
    let long = cluster(&waits, 100, END - 100);
    assert!(unknown(&long).contains("too little time"), "{long:?}");
    let nothing = spike(&timeline(&[]));
    assert!(
        unknown(&nothing).contains("nothing of the program"),
        "{nothing:?}"
    );
}

#[test]
fn outliers_that_come_whatever_the_program_does_have_a_cause_in_a_few_per_cent_at_most() {
    const LENGTH: u64 = 60_000;
    const CLUSTERS: u64 = 12;
    // A linear congruential generator: any times will do.
    let mut seed: u64 = 1;
    let mut number = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let mut events = Vec::new();
    for tid in OWN..OWN + 4 {
        let comes = [thread(0, 0), thread(OWN, tid)];
        events.push(event(SWITCH, 1, tid.unsigned_abs(), comes, 0));
        let mut at = 10;
        while at < LENGTH - 200 {
            let does = match number(4) {
                0 => Does::Sleeps(FSYNC),
                1 => Does::HasNoQuota,
                _ => Does::WaitsFor(7),
            };
            let takes = 10 + number(60);
            add(&mut events, tid, at, at + takes, does);
            at += takes + 5 + number(400);
        }
    }
    let timeline = recorded_until(LENGTH, events);
    let (mut clusters, mut causes) = (0, 0);
    for _ in 0..40 {
        let mut outliers = Vec::new();
        for number_of in 0..CLUSTERS {
            let each = LENGTH / CLUSTERS;
            let at = number_of * each + number(each - 200);
            for from in [at, at + number(30), at + number(30)] {
                let to = from + 10 + number(30);
                outliers.push(outlier(from, to));
            }
        }
        let spikes = timeline.spikes(latencies(outliers), CLUSTERING);
        clusters += spikes.clusters.len();
        let known = |cluster: &&Cluster| cluster.cause.is_some();
        causes += spikes.clusters.iter().filter(known).count();
    }
    eprintln!("{causes} of {clusters}");
    assert!(clusters > 400, "{clusters}");
    assert!(causes * 100 <= clusters * 4, "{causes} of {clusters}");
}
