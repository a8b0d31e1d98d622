// SPDX-License-Identifier: GPL-2.0

//! `gosched why`.

use std::io::Write;
use std::process::ExitCode;

use gosched_observe::directory::Record;
use gosched_observe::summary::Timeline;
use gosched_observe::why::Advice;
use gosched_observe::why::Remedy;
use gosched_observe::why::Why;

use crate::args;
use crate::args::Interval;
use crate::error::Error;
use crate::error::ObserveError;
use crate::observe::ms;
use crate::observe::record;
use crate::observe::times;
use crate::output::print;
use crate::output::print_json;
use crate::output::printable;
use crate::table::or_dash;
use crate::table::table;

/// The most causes that are shown.
const MOST_CAUSES: usize = 10;

/// Tells why a thread, or the threads of a program, did not run.
pub(crate) fn why(args: &args::Why, json: bool) -> Result<ExitCode, Error> {
    let record = match (args.tid, args.seconds) {
        (Some(tid), Some(seconds)) => watch(tid, seconds)?,
        _ => Record::read(&args.record).map_err(ObserveError::from)?,
    };
    let timeline = Timeline::of(record).map_err(ObserveError::from)?;
    // The id of the process stands for all of its threads.
    let tid = args
        .tid
        .filter(|tid| *tid != timeline.meta.pid || args.thread);
    if let Some(tid) = tid.filter(|tid| !timeline.threads.histories.contains_key(tid)) {
        return Err(ObserveError::NotRecorded(tid).into());
    }
    let why = timeline.why(tid);
    if json {
        print_json(&why)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for sentence in &why.missing {
        text += &format!("Missing: {}\n", printable(sentence));
    }
    text += &describe(&why);
    print(|out| out.write_all(text.as_bytes()))?;
    Ok(ExitCode::SUCCESS)
}

/// Records the process of a thread for a while, without leaving the record.
fn watch(tid: i32, seconds: Interval) -> Result<Record, Error> {
    let folder = tempfile::tempdir().map_err(ObserveError::Temporary)?;
    let output = folder.path().join("record");
    record::record_process(tid, seconds, &output)?;
    Ok(Record::read(&output).map_err(ObserveError::from)?)
}

fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        whole => (u128::from(part) * 100 / u128::from(whole)).to_string(),
    }
}

fn describe(why: &Why) -> String {
    let who = match why.tid {
        Some(tid) => format!("Thread {tid}"),
        None => "The threads".to_owned(),
    };
    let mut text = format!(
        "{who} ran for {} ms and waited for a CPU for {} ms.\n",
        ms(why.on_cpu),
        ms(why.waited)
    );
    if let (Some(without_p), Some(traced)) = (why.without_p, &why.traced) {
        text += &format!(
            "Goroutines of the program were ready for {} ms, and the Go runtime had no P for them, \
             while it was traced ({}).\n",
            ms(without_p),
            times(traced)
        );
    }
    if !why.causes.is_empty() {
        let causes = why.causes.iter().take(MOST_CAUSES).map(|cause| {
            vec![
                ms(cause.waited),
                percent(cause.waited, why.waited),
                or_dash(cause.tid),
                cause.name.as_deref().map_or("-".to_owned(), printable),
                match (cause.tid, cause.own) {
                    (None, _) => "-",
                    (_, true) => "own",
                    (_, false) => "other",
                }
                .to_owned(),
                or_dash(cause.go_prio),
                cause.mechanism.to_string(),
            ]
        });
        let columns = [
            ("MS", true),
            ("%", true),
            ("TID", true),
            ("THREAD", false),
            ("PROGRAM", false),
            ("GO", true),
            ("WHY", false),
        ];
        text += &format!("\nWho had the CPU:\n{}\n", table(columns, causes));
    }
    if !why.advice.is_empty() {
        text += "\nWhat would have helped:\n";
        for advice in &why.advice {
            text += &format!("{}\n", sentence(advice, why));
        }
    }
    text
}

fn sentence(advice: &Advice, why: &Why) -> String {
    let of_cpu = || percent(advice.removes, why.waited);
    match &advice.what {
        Remedy::Raise { tid, to } => format!(
            "  {:>3} %  gosched set {to} {tid}: it would run before all threads that are not real-time",
            of_cpu()
        ),
        Remedy::Lower { tid, name, to } => format!(
            "  {:>3} %  gosched set {to} {tid}: \"{}\" would run when nobody else wants to",
            of_cpu(),
            printable(name)
        ),
        Remedy::Quota => format!(
            "  {:>3} %  more CPU time for the control group, by cpu.max; 48 and above know no quota",
            of_cpu()
        ),
        Remedy::LowerGoroutines { function, to } => format!(
            "  {:>3} % of the wait for a P  gosched.Go({to}, ...) for the goroutines of {}",
            percent(advice.removes, why.without_p.unwrap_or_default()),
            printable(function)
        ),
    }
}
