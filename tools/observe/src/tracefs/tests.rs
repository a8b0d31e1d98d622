// SPDX-License-Identifier: GPL-2.0

use super::*;

/// The process of the record, which has the threads 10 and 11.
const OWN: i32 = 10;

fn line(flags: &str, time: &str, said: &str) -> String {
    format!(
        "{:>16}-99      [003] {flags} {time}: {said}",
        "a b-1 [0] x: y"
    )
}

fn switch(time: &str, from: (i32, &str), to: i32) -> String {
    let (from, state) = from;
    let said = format!(
        "sched_switch: prev_comm=t prev_pid={from} prev_prio=120 prev_state={state} ==> \
         next_comm=t next_pid={to} next_prio=120"
    );
    line("d..2.", time, &said)
}

fn born(time: &str, tid: i32, flags: &str) -> String {
    let said = format!("task_newtask: pid={tid} comm=t clone_flags={flags} oom_score_adj=0");
    line(".....", time, &said)
}

/// Returns a tracer that has seen the recorder 99 start the process.
fn tracer() -> Tracer {
    let mut tracer = Tracer::new(None);
    let known = Known {
        tgid: 99,
        of_kernel: false,
        prio: 120,
        go_prio: -1,
        name: "gosched".to_owned(),
    };
    tracer.threads.insert(99, known.clone());
    tracer.starter = Some(99);
    for (tid, flags) in [
        (98, "10f00"),
        (OWN, "1200011"),
        (7, "1200011"),
        (8, "1200011"),
    ] {
        assert_eq!(tracer.take(&born("1.000000", tid, flags)), None);
    }
    tracer.threads.insert(99, Known { tgid: OWN, ..known });
    assert_eq!(tracer.take(&born("1.000001", 11, "3d0f00")), None);
    tracer
}

#[test]
fn the_first_process_that_the_recorder_starts_is_the_target_with_its_threads() {
    let mut tracer = tracer();
    assert_eq!(tracer.target, OWN);
    assert!(tracer.is_of_target(11));
    assert!(!tracer.is_of_target(98) && !tracer.is_of_target(7));
}

#[test]
fn of_others_those_are_told_that_have_a_cpu_which_the_program_waits_for() {
    let mut tracer = tracer();
    let taken = |tracer: &mut Tracer, line: &str| {
        let event = tracer.take(line)?;
        Some((event.time, event.thread.tid, event.other.tid, event.state))
    };
    let mut take = |line: &str| taken(&mut tracer, line);
    assert_eq!(take(&switch("2.000001", (7, "S"), 8)), None);
    let woken = line(
        "d..4.",
        "2.000002",
        "sched_wakeup: comm=t pid=10 prio=120 target_cpu=003",
    );
    assert_eq!(take(&woken), Some((2_000_002_000, 10, 99, 0)));
    assert_eq!(
        take(&switch("2.000003", (8, "R+"), 7)),
        Some((2_000_003_000, 8, 7, 0))
    );
    assert_eq!(
        take(&switch("2.000004", (7, "D"), 10)),
        Some((2_000_004_000, 7, 10, 2))
    );
    assert_eq!(
        take(&switch("2.000005", (10, "S"), 7)).map(|told| told.3),
        Some(1)
    );
    assert_eq!(take(&switch("2.000006", (7, "S"), 8)), None);
}

#[test]
fn an_interrupt_wakes_for_nobody_and_a_queue_is_left_for_another_one() {
    let mut tracer = tracer();
    let said = "sched_wakeup: comm=t pid=11 prio=120 target_cpu=001";
    let woken = tracer
        .take(&line("d.h4.", "2.000001", said))
        .expect("an event");
    assert_eq!((woken.thread.tgid, woken.other.tid, woken.cpu), (OWN, 0, 1));
    let moves = "sched_migrate_task: comm=t pid=11 prio=120 orig_cpu=1 dest_cpu=2";
    let moved = tracer
        .take(&line("d..3.", "2.000002", moves))
        .expect("an event");
    assert_eq!((moved.kind(), moved.cpu), (EventKind::Migrate, 2));
    assert!(tracer.waiting.contains_key(&2) && !tracer.waiting.contains_key(&1));
    assert!(tracer.take(&switch("2.000003", (0, "R"), 11)).is_some());
    assert!(tracer.waiting.is_empty());
    // Who is about to be woken is told of then.
    assert_eq!(tracer.take(&line("d..3.", "2.000004", moves)), None);
}

#[test]
fn a_priority_is_that_of_the_thread_from_then_on() {
    let mut tracer = tracer();
    let said = "go_sched_apply: pid=11 old_prio=-1 new_prio=50 old_policy=other \
                new_policy=rr cause=ioctl";
    let told = tracer
        .take(&line("d..2.", "2.000001", said))
        .expect("an event");
    assert_eq!(told.kind(), EventKind::Priority);
    assert_eq!((told.thread.go_prio, told.other.go_prio), (-1, 50));
    let told = tracer
        .take(&switch("2.000002", (11, "S"), 0))
        .expect("an event");
    assert_eq!(told.thread.go_prio, 50);
}

#[test]
fn names_are_whatever_they_are() {
    for name in [
        "",
        " ==> next_comm=",
        " next_pid=1 nex",
        "a\nb",
        "\n\n\n",
        "prev_state=S ==",
        " prev_pid=1\n",
    ] {
        let said = format!(
            "sched_switch: prev_comm={name} prev_pid=10 prev_prio=139 prev_state=R+ ==> \
             next_comm={name} next_pid=11 next_prio=-1"
        );
        let mut tracer = tracer();
        let text = line("d..2.", "2.000001", &said);
        let mut told = text.split('\n').filter_map(|line| tracer.take(line));
        let event = told.next().unwrap_or_else(|| panic!("{name:?}"));
        assert_eq!(told.next(), None);
        assert_eq!((event.thread.tid, event.other.tid), (10, 11), "{name:?}");
        assert_eq!((event.thread.prio, event.other.prio), (139, -1));
        assert_eq!(
            [event.thread, event.other].map(|of| of.name()),
            [name, name]
        );
        assert!(event.is_preempted_in_kernel());
        assert_eq!((tracer.unread, &*tracer.cut), (0, ""));
    }
}

#[test]
fn what_is_not_understood_is_counted_and_hides_nothing() {
    let mut tracer = tracer();
    let cut = line("d..2.", "2.000001", "sched_wakeup: comm=a");
    assert_eq!(tracer.take(&cut), None);
    assert!(tracer.take(&switch("2.000002", (10, "S"), 7)).is_some());
    assert_eq!(tracer.unread, 1);
    for _ in 0..LONGEST_LINE {
        assert_eq!(tracer.take("x"), None);
        assert!(tracer.cut.len() < LONGEST_LINE);
    }
    assert!(tracer.unread > 1);
    assert_eq!(tracer.take("CPU:1 [LOST 12 EVENTS]"), None);
    assert!(tracer.take(&switch("2.000003", (7, "S"), 10)).is_some());
}

#[test]
fn who_executes_goes_on_by_the_id_of_the_process() {
    let mut tracer = tracer();
    let said = "sched_process_exec: filename=/tmp/a pid=1 old_pid=2 pid=10 old_pid=11";
    let told = tracer
        .take(&line(".....", "2.000001", said))
        .expect("an event");
    assert_eq!(told.kind(), EventKind::Exec);
    assert_eq!((told.thread.tid, told.other.tid), (10, 11));
    assert!(std::mem::take(&mut tracer.executes));
    for said in [
        "sched_process_exit: comm=t pid=10 prio=120",
        "sched_process_exit: comm=t pid=10 prio=120 group_dead=true",
    ] {
        let told = tracer
            .take(&line(".....", "2.000002", said))
            .expect("an event");
        assert_eq!((told.kind(), told.thread.tid), (EventKind::Exit, 10));
    }
    assert_eq!(tracer.unread, 0);
}
