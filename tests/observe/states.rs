// SPDX-License-Identifier: GPL-2.0

//! The lines of docs/states.md: how states of goroutines and of threads go together.

use std::fs;
use std::path::Path;

use common::cgroup::Cgroup;
use go_sched_gotrace::Trace;
use go_sched_observe_tests::Program;
use go_sched_observe_tests::TRACED;
use gosched_observe::goroutines::Goroutines;
use gosched_observe::states::GoroutineState;
use gosched_observe::states::States;
use gosched_observe::states::ThreadState;
use gosched_observe::threads::Doing;
use gosched_observe::threads::Interval;
use gosched_observe::threads::Threads;

use crate::recorded::install;
use crate::recorded::run;
use crate::recorded::run_in;
use crate::recorded::Recorded;

/// The rounds of the program. In each, one goroutine ends that is locked to its thread, and one
/// sleeps in read(2) of a pipe.
const ROUNDS: usize = 5;

/// Records a program that writes a trace.
fn states(program: &Program, run: impl FnOnce(&Path, &[&str]) -> Recorded) -> (States, Recorded) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = install(&folder, program.executable);
    let trace = folder.path().join("trace");
    let to = trace.to_str().expect("UTF-8");
    let recorded = run(&path, &["-o", to, "-rounds", &ROUNDS.to_string()]);
    assert!(recorded.succeeded, "{}", program.name);
    assert_eq!(recorded.outcome.lost, 0, "{}", program.name);
    let trace = Trace::parse(&fs::read(trace).expect("the trace")).expect("a trace");
    let goroutines = Goroutines::of(&trace);
    let process = recorded.outcome.target;
    let states = States::of(&recorded.events, process, &trace, &goroutines);
    (states, recorded)
}

/// Counts the switches of a kind.
fn count(states: &States, of: impl Fn(GoroutineState, &ThreadState) -> bool) -> usize {
    let switches = states.switches.iter();
    let kind = switches.filter(|same| of(same.goroutine, &same.thread));
    kind.map(|same| same.count).sum()
}

fn is_asleep(thread: &ThreadState) -> bool {
    matches!(thread, ThreadState::Asleep(_))
}

fn is_asleep_in(thread: &ThreadState, calls: &[&str]) -> bool {
    matches!(thread, ThreadState::Asleep(call) if calls.contains(&call.as_str()))
}

#[test]
fn states_of_goroutines_and_threads_go_together_as_the_documentation_says() {
    assert!(!TRACED.is_empty(), "no newer Go: use make test-bpf");
    for program in TRACED {
        let name = program.name;
        let (states, _) = states(program, run);
        eprintln!("{name}: {states:?}");
        // A switch may come between an event of the runtime's and what the event is about.
        let nearly_all = |part: usize, all: usize| part * 100 >= all * 99;
        let nearly_none = |part: usize, all: usize| part * 100 <= all;

        // No thread sleeps with a goroutine that waits, or that is runnable.
        let asleep = count(&states, |_, thread| is_asleep(thread));
        let with_waiting = count(&states, |goroutine, thread| {
            use GoroutineState::{Runnable, Waiting};
            is_asleep(thread) && matches!(goroutine, Waiting | Runnable)
        });
        assert!(asleep >= 100 && nearly_none(with_waiting, asleep), "{name}");

        // A thread without a goroutine sleeps in the runtime's own waits.
        let idle = count(&states, |goroutine, thread| {
            goroutine == GoroutineState::None && is_asleep(thread)
        });
        let in_runtime = count(&states, |goroutine, thread| {
            let calls = ["futex", "epoll_pwait", "nanosleep"];
            goroutine == GoroutineState::None && is_asleep_in(thread, &calls)
        });
        assert!(idle >= 10 && nearly_all(in_runtime, idle), "{name}");

        // A goroutine in a system call that blocks sleeps with its thread.
        let in_read = count(&states, |goroutine, thread| {
            goroutine == GoroutineState::Syscall && is_asleep_in(thread, &["read"])
        });
        assert!(in_read >= ROUNDS - 1, "{name}: {in_read}");

        // A goroutine that runs has a thread that may have lost its CPU.
        let preempted = count(&states, |goroutine, thread| {
            goroutine == GoroutineState::Running && *thread == ThreadState::Runnable
        });
        assert!(preempted >= 1, "{name}");

        // A goroutine that runs may wait for the runtime itself.
        let waits = count(&states, |goroutine, thread| {
            goroutine == GoroutineState::Running && is_asleep_in(thread, &["futex"])
        });
        assert!(waits >= 1, "{name}");

        // A goroutine that becomes runnable mostly wakes no thread.
        assert!(
            states.readied >= 100 && states.woken < states.readied,
            "{name}"
        );

        // No thread ends with its goroutine, unless the goroutine is locked to its thread.
        assert!(states.goroutines_ended > 20 * ROUNDS, "{name}");
        assert!((1..=ROUNDS).contains(&states.threads_ended), "{name}");
    }
}

#[test]
fn a_thread_whose_group_has_used_up_its_quota_is_runnable_and_its_goroutine_runs() {
    let program = TRACED.first().expect("a newer Go: use make test-bpf");
    let group = Cgroup::new("quota", "+cpu");
    group.set("cpu.max", "20000 50000");
    let (states, recorded) = states(program, |path, arguments| run_in(&group, path, arguments));
    let throttled = count(&states, |goroutine, thread| {
        goroutine == GoroutineState::Running && *thread == ThreadState::Throttled
    });
    assert!(throttled >= 1, "{states:?}");

    // At least one thread waits for each CPU on which the group has used up its quota, whether
    // the thread ran there last or waited there already.
    let end = recorded.events.last().expect("events").time;
    let threads = Threads::of(&recorded.events, recorded.outcome.target, end);
    let intervals = threads
        .histories
        .values()
        .flat_map(|thread| &thread.intervals);
    let waited: u64 = intervals
        .filter(|interval| {
            matches!(
                interval.doing,
                Doing::Waiting {
                    throttled: true,
                    ..
                }
            )
        })
        .map(Interval::takes)
        .sum();
    let stat = group.get("cpu.stat");
    let told = stat
        .lines()
        .find_map(|line| line.strip_prefix("throttled_usec "));
    let told: u64 = told.expect("a time").parse().expect("a number");
    eprintln!("{waited} ns of {told} us");
    assert!(
        told > 0 && waited >= told * 1000 / 2,
        "{waited} ns of {told} us"
    );
}
