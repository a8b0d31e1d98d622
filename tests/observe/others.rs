// SPDX-License-Identifier: GPL-2.0

//! Of other programs, a record tells who has the CPU that a thread of the program waits for.

use std::collections::HashMap;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::thread;

use gosched_observe::event::EventKind;

use crate::recorded::run;
use crate::recorded::Recorded;

/// Processes that compute until this is dropped.
struct Competitors(Vec<Child>);

impl Competitors {
    fn start(count: usize) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]);
        let start = |_| command.spawn().expect("it can be run");
        Self((0..count).map(start).collect())
    }
}

impl Drop for Competitors {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().expect("it has not been waited for");
            child.wait().expect("it ends");
        }
    }
}

/// Counts the switches among others, and those of them at which no thread of the program waits
/// for the CPU, by what the record tells.
fn switches_among_others(recorded: &Recorded) -> (usize, usize) {
    let target = recorded.outcome.target;
    let mut events = recorded.events.clone();
    events.sort_by_key(|event| event.time);
    // The CPU of each thread of the program that is runnable, and whether the thread has it.
    let mut runnable = HashMap::new();
    let (mut all, mut unexplained) = (0, 0);
    for event in events {
        let (thread, other) = (event.thread, event.other);
        match event.kind() {
            EventKind::Switch => {
                if thread.tgid != target && other.tgid != target {
                    all += 1;
                    let waits = runnable.values().any(|on| *on == (event.cpu, false));
                    unexplained += usize::from(!waits);
                }
                if thread.tgid == target && event.state == 0 {
                    runnable.insert(thread.tid, (event.cpu, false));
                } else if thread.tgid == target {
                    runnable.remove(&thread.tid);
                }
                if other.tgid == target {
                    runnable.insert(other.tid, (event.cpu, true));
                }
            }
            EventKind::Wakeup => {
                runnable.entry(thread.tid).or_insert((event.cpu, false));
            }
            EventKind::Migrate => {
                runnable.insert(thread.tid, (event.cpu, false));
            }
            EventKind::Priority | EventKind::Exec | EventKind::Exit => (),
        }
    }
    (all, unexplained)
}

#[test]
fn switches_among_others_are_told_where_a_thread_of_the_program_waits_and_nowhere_else() {
    let cpus = thread::available_parallelism().expect("a CPU").get();
    let competitors = Competitors::start(2 * cpus);
    // The program computes, and then sleeps as long as another process computes.
    let compute = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
    let recorded = run(
        Path::new("/bin/sh"),
        &["-c", &format!("{compute}; ({compute}); :")],
    );
    drop(competitors);
    assert!(recorded.succeeded);
    assert_eq!(recorded.outcome.lost, 0);
    let (all, unexplained) = switches_among_others(&recorded);
    eprintln!("{all} switches among others, {unexplained} unexplained");
    assert!(all >= 5, "{all}");
    // A thread that moves is counted on its new CPU a little before that is told.
    assert!(unexplained <= 1 + all / 100, "{unexplained} of {all}");
}
