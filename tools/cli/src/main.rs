// SPDX-License-Identifier: GPL-2.0

//! The command `gosched`: sets, reads and explains the Go priority of threads.

mod args;
mod check;
mod command_line;
mod device;
#[cfg(test)]
mod documented;
mod error;
mod exit;
mod facts;
mod handed;
mod interrupt;
mod kernel;
mod manual;
mod map;
#[cfg(feature = "observe")]
mod observe;
mod output;
mod program;
mod run;
mod schema;
mod stats;
mod systemd;
mod table;
mod terminal;
mod threads;
mod top;
mod trace;
mod watch;

use std::process::ExitCode;

use args::Verb;
use error::Error;
use output::complain;

fn main() -> ExitCode {
    match run_verb() {
        Ok(code) => code,
        // Whoever read the output has seen enough.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_status())
        }
    }
}

fn run_verb() -> Result<ExitCode, Error> {
    handed::outlive_file_size_limit()?;
    let args = match command_line::parse() {
        Ok(args) => args,
        Err(misuse) => return Ok(misuse.report()?),
    };
    if args.json {
        output::complain_in_json();
    }
    match args.verb {
        Verb::Set(set) => threads::set(&set, args.json),
        Verb::Get(threads) => threads::get(&threads, args.json),
        Verb::Clear(threads) => threads::clear(&threads, args.json),
        Verb::Ceiling(ceiling) => threads::ceiling(&ceiling, args.json),
        Verb::Stats(threads) => stats::stats(&threads, args.json),
        Verb::Watch(watch) => watch::watch(&watch, args.json),
        Verb::Trace(trace) => trace::trace(&trace, args.json),
        #[cfg(feature = "observe")]
        Verb::Record(record) => observe::record::record(&record),
        #[cfg(feature = "observe")]
        Verb::Timeline(timeline) => observe::timeline::timeline(&timeline, args.json),
        #[cfg(feature = "observe")]
        Verb::Why(why) => observe::why::why(&why, args.json),
        #[cfg(feature = "observe")]
        Verb::Heat(heat) => observe::heat::heat(&heat, args.json),
        #[cfg(feature = "observe")]
        Verb::Lag(lag) => observe::lag::lag(&lag, args.json),
        #[cfg(feature = "observe")]
        Verb::Spikes(spikes) => observe::spikes::spikes(&spikes, args.json),
        #[cfg(feature = "observe")]
        Verb::Exporter(exporter) => observe::exporter::exporter(&exporter),
        Verb::Top(top) => top::top(&top, args.json),
        Verb::Run(run) => Ok(run::run(&run)),
        Verb::Systemd(systemd) => systemd::systemd(&systemd),
        Verb::Map => map::map(args.json),
        Verb::Check(check) => check::check(&check, args.json),
        Verb::Schema => schema::schema(),
        Verb::Completions { shell } => manual::completions(shell),
        Verb::Man { dir } => manual::man(&dir),
    }
}
