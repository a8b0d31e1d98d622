// SPDX-License-Identifier: GPL-2.0

//! The command `gosched`: sets, reads and explains the Go priority of threads.

mod args;
mod cgroup;
mod check;
mod facts;
mod interrupt;
mod manual;
mod map;
mod run;
mod schema;
mod stats;
mod systemd;
mod threads;
mod top;
mod trace;
mod watch;

use std::error::Error;
use std::io;
use std::io::Write;
use std::process::ExitCode;

use args::Verb;

/// Why a verb could not do its work; its text is for the user.
type Failure = Box<dyn Error>;

/// What a failure ends with, misuse included, as with chrt(1).
const EXIT_FAILURE: u8 = 1;

fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        Err(misuse) => return misuse.report(),
    };

    let done = match args.verb {
        Verb::Set(set) => threads::set(&set, args.json),
        Verb::Get(threads) => threads::get(&threads, args.json),
        Verb::Clear(threads) => threads::clear(&threads, args.json),
        Verb::Ceiling(ceiling) => threads::ceiling(&ceiling, args.json),
        Verb::Stats(threads) => stats::stats(&threads, args.json),
        Verb::Watch(watch) => watch::watch(&watch, args.json),
        Verb::Trace(trace) => trace::trace(&trace, args.json),
        Verb::Top(top) => top::top(&top, args.json),
        Verb::Run(run) => return run::run(run),
        Verb::Systemd(systemd) => systemd::systemd(systemd),
        Verb::Map => map::map(args.json),
        Verb::Check => check::check(args.json),
        Verb::Schema => schema::schema(),
        Verb::Completions { shell } => manual::completions(shell),
        Verb::Man { dir } => manual::man(&dir),
    };
    match done {
        Ok(code) => code,
        // The reader has what it wanted.
        Err(failure) if is_broken_pipe(&failure) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// Writes one sentence to standard error.
fn complain(words: &dyn std::fmt::Display) {
    // Nobody is left to tell when this fails.
    let _ = writeln!(io::stderr(), "gosched: {words}");
}

/// The name of something, without what would move the cursor.
fn printable(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

fn is_broken_pipe(failure: &Failure) -> bool {
    failure
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes `value` to standard output as one line of JSON.
fn print_json_line(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    io::stdout().write_all(&line)?;
    Ok(())
}

/// Writes `value` to standard output as indented JSON.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
