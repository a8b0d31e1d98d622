// SPDX-License-Identifier: GPL-2.0

//! Tests of lag.

use zerocopy::FromZeros;

use super::*;

const NICE_0: u64 = 1024;
const NICE_10: u64 = 110;

/// Two threads, of which the first runs, at these virtual times.
fn pair(zero: u64, running: (u64, u64), waiting: (u64, u64)) -> [Queue; 2] {
    let queue = |(vruntime, weight): (u64, u64)| Queue {
        sum: difference(waiting.0, zero) * i64::try_from(waiting.1).expect("a weight"),
        weight: waiting.1,
        zero,
        vruntime,
        deadline: vruntime.wrapping_add(3_000_000 * NICE_0 / weight),
        own_weight: weight << 10,
        curr_vruntime: running.0,
        curr_weight: running.1,
    };
    [queue(running), queue(waiting)]
}

fn sample(queue: Queue) -> Sample {
    let mut sample = Sample::new_zeroed();
    sample.flags = Sample::CONSISTENT | Sample::RUNNABLE | Sample::WAIT_KNOWN;
    sample.prio = 120;
    sample.levels = 1;
    sample.queues[0] = queue;
    sample
}

#[test]
fn what_one_is_owed_the_other_has_had() {
    // The first has run for 2 ms, and is to have half of that.
    let [running, waiting] = pair(0, (2_000_000, NICE_0), (0, NICE_0));
    assert_eq!(running.lag(), Some(-1_000_000));
    assert_eq!(waiting.lag(), Some(1_000_000));
    assert_eq!(running.is_eligible(), Some(false));
    assert_eq!(waiting.is_eligible(), Some(true));
}

#[test]
fn lag_is_by_weight_and_real_time() {
    // The first has run for 1 ms, and the other one is to have 110/1134 of that.
    let [running, waiting] = pair(0, (1_000_000, NICE_0), (0, NICE_10));
    let owed = i64::try_from(1_000_000 * NICE_10 / (NICE_0 + NICE_10)).expect("small");
    let rounded = |lag: Option<i64>, to: i64| lag.is_some_and(|lag| (lag - to).abs() <= 1);
    assert!(rounded(waiting.lag(), owed), "{:?}", waiting.lag());
    assert!(rounded(running.lag(), -owed), "{:?}", running.lag());
}

#[test]
fn virtual_time_wraps_around() {
    let start = u64::MAX - 1_000_000;
    let wrapped = start.wrapping_add(2_000_000);
    let [running, waiting] = pair(start, (wrapped, NICE_0), (start, NICE_0));
    assert_eq!(running.lag(), Some(-1_000_000));
    assert_eq!(waiting.lag(), Some(1_000_000));
    assert_eq!(waiting.to_deadline(), Some(4_000_000));
}

#[test]
fn a_deadline_is_in_time_of_the_whole_queue() {
    // In 6 ms, each of two gets its slice of 3 ms.
    let [running, waiting] = pair(0, (0, NICE_0), (0, NICE_0));
    assert_eq!(running.to_deadline(), Some(6_000_000));
    assert_eq!(waiting.to_deadline(), Some(6_000_000));
    let [_, late] = pair(0, (8_000_000, NICE_0), (0, NICE_0));
    assert_eq!(late.to_deadline(), Some(-2_000_000));
}

#[test]
fn who_is_alone_is_owed_nothing() {
    let mut queue = pair(0, (5_000_000, NICE_0), (0, NICE_0))[0];
    (queue.sum, queue.weight) = (0, 0);
    assert_eq!(queue.lag(), Some(0));
    assert_eq!(queue.is_eligible(), Some(true));
}

#[test]
fn any_numbers_are_an_answer_or_none() {
    for number in [0, 1, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX] {
        for sum in [i64::MIN, 0, i64::MAX] {
            let queue = Queue {
                sum,
                weight: number,
                zero: number.rotate_left(7),
                vruntime: !number,
                deadline: number,
                own_weight: number,
                curr_vruntime: number.rotate_left(1),
                curr_weight: number,
            };
            let _ = (queue.lag(), queue.is_eligible(), queue.to_deadline());
        }
    }
}

#[test]
fn who_does_not_compete_has_no_lag() {
    let [running, waiting] = pair(0, (2_000_000, NICE_0), (0, NICE_0));
    let lag = |sample: &Sample, ext| sample.queue(ext).and_then(Queue::lag);
    let competes = sample(waiting);
    assert_eq!(competes.state(ExtThreads::OfPolicy), State::Waiting);
    assert_eq!(lag(&competes, ExtThreads::OfPolicy), Some(1_000_000));
    assert_eq!(lag(&competes, ExtThreads::All), None);

    let changed = |flags: u32, prio: i32, policy: u32| {
        let mut sample = sample(running);
        (sample.flags, sample.prio, sample.policy) = (flags, prio, policy);
        (
            sample.state(ExtThreads::OfPolicy),
            sample.class(ExtThreads::OfPolicy),
            lag(&sample, ExtThreads::OfPolicy),
        )
    };
    let (read, run) = (Sample::CONSISTENT, Sample::RUNNABLE);
    for (flags, prio, policy, state, class) in [
        (read, 120, 0, State::Asleep, Class::Fair),
        (
            read | run | Sample::DELAYED,
            120,
            0,
            State::Asleep,
            Class::Fair,
        ),
        (
            read | run | Sample::THROTTLED,
            120,
            0,
            State::Throttled,
            Class::Fair,
        ),
        (run, 120, 0, State::Unknown, Class::Fair),
        (read | run, 98, 1, State::Waiting, Class::RealTime),
        (read | run, -1, 6, State::Waiting, Class::Deadline),
        (read | run, 120, 7, State::Waiting, Class::Ext),
    ] {
        assert_eq!(changed(flags, prio, policy), (state, class, None));
    }
    // A quota is of threads that EEVDF picks alone.
    let throttled = read | run | Sample::THROTTLED;
    for (prio, policy, state, class) in [
        (120, 5, State::Throttled, Class::Idle),
        (98, 1, State::Waiting, Class::RealTime),
        (-1, 6, State::Waiting, Class::Deadline),
        (120, 7, State::Waiting, Class::Ext),
    ] {
        assert_eq!(changed(throttled, prio, policy), (state, class, None));
    }
    let idle = changed(read | run | Sample::ON_CPU, 120, 5);
    assert_eq!(idle, (State::Running, Class::Idle, Some(-1_000_000)));
}

#[test]
fn a_group_is_as_far_behind_as_the_worst_above() {
    let [ahead, behind] = pair(0, (2_000_000, NICE_0), (0, NICE_0));
    let mut sample = sample(behind);
    assert_eq!(sample.group_lag(ExtThreads::None), None);
    assert_eq!(sample.is_grouped(), Some(false));
    sample.levels = 3;
    (sample.queues[1], sample.queues[2]) = (behind, ahead);
    assert_eq!(sample.group_lag(ExtThreads::None), Some(-1_000_000));
    assert_eq!(sample.is_grouped(), Some(true));
    sample.flags |= Sample::DEEPER;
    assert_eq!(sample.group_lag(ExtThreads::None), None);
    sample.levels = u32::MAX;
    assert_eq!(sample.queue(ExtThreads::None), None);
}

#[test]
fn a_present_wait_counts_and_what_runs_is_known_until_it_was_accounted() {
    let [queue, _] = pair(0, (0, NICE_0), (0, NICE_0));
    let mut before = sample(queue);
    before.now = 1000;
    let mut now = before;
    (now.now, now.ran, now.waits_since) = (2000, 300, 1400);
    let share = Share {
        elapsed: 1000,
        ran: 300,
        waited: Some(600),
    };
    assert_eq!(now.since(&before), Some(share));

    (now.waits_since, now.accounted) = (0, 1600);
    now.flags |= Sample::ON_CPU;
    let share = Share {
        elapsed: 600,
        ran: 300,
        waited: Some(0),
    };
    assert_eq!(now.since(&before), Some(share));

    now.accounted = 900;
    assert_eq!(now.since(&before), None);
    now.flags &= !(Sample::ON_CPU | Sample::WAIT_KNOWN);
    assert_eq!(now.since(&before).and_then(|share| share.waited), None);
}
