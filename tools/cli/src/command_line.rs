// SPDX-License-Identifier: GPL-2.0

//! Reading the command line.

use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::Arg;
use clap::ArgAction;
use clap::Command;
use clap::CommandFactory;
use clap::FromArgMatches;

use crate::args::Args;
use crate::args::ArgumentError;
use crate::exit;
use crate::handed;
use crate::output::complain;
use crate::output::complain_in_json;
use crate::output::OutputError;

/// A command line that no verb runs for: a wrong one, or a request for help.
pub(crate) struct Misuse {
    error: clap::Error,
    exit: u8,
}

/// The verbs that write no JSON.
const WITHOUT_JSON: &[&str] = &[
    "completions",
    #[cfg(feature = "observe")]
    "exporter",
    "man",
    #[cfg(feature = "observe")]
    "record",
    "run",
    "systemd",
];

/// Returns the command line for clap. The help of the verbs that write no JSON leaves
/// out `--json`.
pub(crate) fn command() -> Command {
    WITHOUT_JSON.iter().fold(Args::command(), |command, verb| {
        command.mut_subcommand(verb, |verb| {
            // An argument of a verb takes the place of a global one.
            verb.arg(
                Arg::new("json")
                    .long("json")
                    .action(ArgAction::SetTrue)
                    .hide(true),
            )
        })
    })
}

/// Reads the arguments of this process.
pub(crate) fn parse() -> Result<Args, Misuse> {
    parse_from(std::env::args_os()).map_err(|error| {
        // clap does not tell what it had read before the error.
        let words = || std::env::args_os().skip(1).take_while(|word| word != "--");
        let verb = words().find(|word| !word.as_encoded_bytes().starts_with(b"-"));
        let is_one_of = |verbs: &[&str]| {
            let verb = verb.as_ref();
            verb.is_some_and(|verb| verbs.iter().any(|name| verb == name))
        };
        if words().any(|word| word == "--json") && !is_one_of(WITHOUT_JSON) {
            complain_in_json();
        }
        let exit = match is_one_of(&["run"]) {
            true => exit::RUN_FAILURE,
            false => exit::MISUSE,
        };
        Misuse { error, exit }
    })
}

fn parse_from(words: impl Iterator<Item = OsString>) -> Result<Args, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(words)?;
    let args = Args::from_arg_matches(&matches)?;
    match matches.subcommand_name() {
        Some(verb) if args.json && WITHOUT_JSON.contains(&verb) => Err(command.error(
            ErrorKind::ArgumentConflict,
            ArgumentError::NoJson(verb.to_owned()).to_string(),
        )),
        _ => Ok(args),
    }
}

impl Misuse {
    /// Prints the error or the help; returns the exit status.
    pub(crate) fn report(self) -> Result<ExitCode, OutputError> {
        const PREFIX: &str = "error: ";
        if !self.error.use_stderr() {
            let printed = handed::check_stdout()
                .and_then(|()| self.error.print())
                .and_then(|()| io::stdout().flush())
                .map_err(OutputError);
            return match printed {
                // Status 1 would be that of a command.
                Err(error) if self.exit == exit::RUN_FAILURE && !error.is_broken_pipe() => {
                    complain(&error);
                    Ok(ExitCode::from(self.exit))
                }
                printed => printed.map(|()| ExitCode::SUCCESS),
            };
        }
        let whole = self.error.render().to_string();
        match (self.error.source(), whole.strip_prefix(PREFIX)) {
            // Its sentence says more than clap's three lines.
            (Some(reason), _) if self.error.kind() == ErrorKind::ValueValidation => {
                complain(&reason);
            }
            (_, Some(sentences)) => complain(&sentences.trim_end()),
            // The help, for want of a verb. Nobody is left to tell when this fails.
            (_, None) => drop(io::stderr().write_all(whole.as_bytes())),
        }
        Ok(ExitCode::from(self.exit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn json_is_for_the_verbs_that_offer_it_wherever_it_stands() {
        let parse = |line: &str| parse_from(line.split(' ').map(OsString::from));
        for line in ["gosched --json map", "gosched map --json"] {
            assert!(parse(line).is_ok_and(|args| args.json), "{line}");
        }
        for verb in command().get_subcommands().map(Command::get_name) {
            let help = parse(&format!("gosched {verb} --help"));
            let help = help.err().expect("help is an error to clap").to_string();
            let offered = help.contains("--json");
            assert_eq!(offered, !WITHOUT_JSON.contains(&verb), "{verb}");
        }
        for line in ["gosched --json run 8 true", "gosched run --json 8 true"] {
            let refused = parse(line).err().expect("run writes no JSON");
            assert_eq!(refused.kind(), ErrorKind::ArgumentConflict, "{line}");
        }
        let passed_on = parse("gosched run 8 -- true --json");
        assert!(passed_on.is_ok_and(|args| !args.json));
    }
}
