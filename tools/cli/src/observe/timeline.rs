// SPDX-License-Identifier: GPL-2.0

//! `gosched timeline`.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use gosched_observe::directory::Record;
use gosched_observe::perfetto;
use gosched_observe::states::GoroutineState;
use gosched_observe::states::States;
use gosched_observe::states::ThreadState;
use gosched_observe::summary::Antagonist;
use gosched_observe::summary::Summary;
use gosched_observe::summary::Timeline;

use crate::args::Timeline as Arguments;
use crate::error::Error;
use crate::error::ObserveError;
use crate::observe::file::write;
use crate::observe::ms;
use crate::observe::seconds;
use crate::observe::subject;
use crate::observe::times;
use crate::output::complain;
use crate::output::print;
use crate::output::print_json;
use crate::output::printable;
use crate::table::or_dash;
use crate::table::table;

/// Prints what a record comes to.
pub(crate) fn timeline(args: &Arguments, json: bool) -> Result<ExitCode, Error> {
    let record = Record::read(&args.record).map_err(ObserveError::from)?;
    let timeline = Timeline::of(record).map_err(ObserveError::from)?;
    if let Some(path) = &args.output {
        write(path, &perfetto::file(&timeline, &[]))?;
        for sentence in &timeline.missing {
            complain(&sentence);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.states {
        let states = timeline.states.as_ref().ok_or(ObserveError::NoGoTrace)?;
        if json {
            print_json(states)?;
        } else {
            let text = states_text(states);
            print(|out| out.write_all(text.as_bytes()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let summary = timeline.summary();
    if json {
        print_json(&summary)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = format!(
        "{}: {}\n{}",
        printable(&timeline.meta.command),
        subject(&timeline.meta, summary.duration),
        text(&summary)
    );
    print(|out| out.write_all(text.as_bytes()))?;
    Ok(ExitCode::SUCCESS)
}

fn micro(ns: u64) -> String {
    format!("{:.0}", seconds(ns) * 1e6)
}

fn text(summary: &Summary) -> String {
    let mut parts: Vec<String> = Vec::new();
    for sentence in &summary.missing {
        parts.push(format!("Missing: {}\n", printable(sentence)));
    }
    if let Some(agreement) = summary.agreement.filter(|agreement| agreement.switches > 0) {
        parts.push(format!(
            "At {} of {} switches of a thread, goroutine and P are those of the Go runtime's own \
             trace, and at {} the thread was between two of its events.\n",
            agreement.equal, agreement.switches, agreement.between
        ));
    }
    let threads = summary.threads.iter().map(|thread| {
        vec![
            thread.tid.to_string(),
            printable(&thread.name),
            or_dash(thread.go_prio),
            ms(thread.on_cpu),
            ms(thread.waited),
            ms(thread.throttled),
            ms(thread.asleep.values().sum()),
            longest(&thread.asleep),
        ]
    });
    let columns = [
        ("TID", true),
        ("THREAD", false),
        ("GO", true),
        ("ON CPU", true),
        ("NO CPU", true),
        ("QUOTA", true),
        ("ASLEEP", true),
        ("IN", false),
    ];
    parts.push(format!("Threads, ms:\n{}\n", table(columns, threads)));
    if let Some(traced) = &summary.traced {
        let goroutines = summary.goroutines.iter().map(|goroutine| {
            vec![
                name_of(&goroutine.function),
                goroutine.count.to_string(),
                ms(goroutine.on_cpu),
                ms(goroutine.without_p),
                ms(goroutine.without_cpu),
                goroutine.antagonist.as_ref().map_or("-".to_owned(), who),
                ms(goroutine.throttled),
                ms(goroutine.thread_asleep + goroutine.unknown),
                ms(goroutine.in_syscall),
                ms(goroutine.waiting.values().sum()),
                longest(&goroutine.waiting),
            ]
        });
        let columns = [
            ("BEGAN WITH", false),
            ("N", true),
            ("ON CPU", true),
            ("NO P", true),
            ("NO CPU", true),
            ("WHO HAD IT", false),
            ("QUOTA", true),
            ("OTHER", true),
            ("SYSCALL", true),
            ("WAITING", true),
            ("FOR", false),
        ];
        parts.push(format!(
            "Goroutines, ms, while the Go runtime was traced ({}):\n{}\n",
            times(traced),
            table(columns, goroutines)
        ));
    }
    if !summary.antagonists.is_empty() {
        let antagonists = summary.antagonists.iter().take(10).map(|antagonist| {
            vec![
                antagonist.tid.to_string(),
                printable(&antagonist.name),
                if antagonist.own { "own" } else { "other" }.to_owned(),
                or_dash(antagonist.go_prio),
                if antagonist.realtime { "rt" } else { "-" }.to_owned(),
                ms(antagonist.waited),
            ]
        });
        let columns = [
            ("TID", true),
            ("THREAD", false),
            ("PROGRAM", false),
            ("GO", true),
            ("CLASS", false),
            ("MS", true),
        ];
        parts.push(format!(
            "Who had the CPU while threads waited for it:\n{}\n",
            table(columns, antagonists)
        ));
    }
    let priorities = summary.priorities.iter().map(|priority| {
        vec![
            or_dash(priority.go_prio),
            priority.waits.to_string(),
            micro(priority.p50),
            micro(priority.p99),
            micro(priority.max),
            ms(priority.total),
        ]
    });
    let columns = [
        ("GO", true),
        ("WAITS", true),
        ("P50 US", true),
        ("P99 US", true),
        ("MAX US", true),
        ("ALL MS", true),
    ];
    parts.push(format!(
        "From runnable to running, by Go priority:\n{}\n",
        table(columns, priorities)
    ));
    parts.join("\n")
}

fn states_text(states: &States) -> String {
    let all: usize = states.switches.iter().map(|same| same.count).sum();
    let switches = states.switches.iter().map(|same| {
        vec![
            match same.goroutine {
                GoroutineState::None => "none",
                GoroutineState::Running => "running",
                GoroutineState::Syscall => "in a system call",
                GoroutineState::Waiting => "waiting",
                GoroutineState::Runnable => "runnable",
                GoroutineState::Unknown => "not in the trace",
            }
            .to_owned(),
            match &same.thread {
                ThreadState::Runnable => "runnable".to_owned(),
                ThreadState::Throttled => "runnable, quota used up".to_owned(),
                ThreadState::Asleep(syscall) => format!("asleep in {}", printable(syscall)),
                ThreadState::Ended => "ended".to_owned(),
            },
            same.count.to_string(),
        ]
    });
    let columns = [("GOROUTINE", false), ("THREAD", false), ("SWITCHES", true)];
    format!(
        "What a thread left its CPU for, at {all} switches, and the goroutine that it had:\n{}\n\n\
         Goroutines made {} others runnable; threads woke {} others, for whatever reason.\n\
         {} goroutines ended, and {} threads.\n",
        table(columns, switches),
        states.readied,
        states.woken,
        states.goroutines_ended,
        states.threads_ended
    )
}

/// Returns a function's name; what began before the trace has none.
fn name_of(function: &str) -> String {
    match function {
        "" => "(before the trace)".to_owned(),
        function => printable(function),
    }
}

fn who(antagonist: &Antagonist) -> String {
    if antagonist.tid == 0 {
        return "(nobody: switching)".to_owned();
    }
    format!("{} {}", antagonist.tid, printable(&antagonist.name))
}

/// Returns what took longest.
fn longest(times: &BTreeMap<String, u64>) -> String {
    let longest = times.iter().max_by_key(|(_, time)| **time);
    longest.map_or("-".to_owned(), |(what, _)| match what.as_str() {
        "" => "?".to_owned(),
        what => printable(what),
    })
}
