// SPDX-License-Identifier: GPL-2.0

//! `gosched run`.

use std::ffi::OsStr;
use std::io;
use std::process::ExitCode;

use gosched::Children;
use gosched::Target;

use crate::args::Prio;
use crate::args::Run;
use crate::device;
use crate::error::Error;
use crate::exit;
use crate::handed;
use crate::output::complain;

/// Becomes the command; returns only when that fails.
pub(crate) fn run(args: &Run) -> ExitCode {
    match prepare(args) {
        Ok(()) => (),
        // The command line is wrong on any system.
        Err(error) if args.or_without && !matches!(error, Error::Argument(_)) => {
            complain(&format_args!("{error}; COMMAND runs without a priority"));
        }
        Err(error) => {
            complain(&error);
            return ExitCode::from(exit::RUN_FAILURE);
        }
    }
    // Arguments without a command are refused before.
    cannot_run(&args.command[0], &handed::exec(&args.command))
}

/// Prints why a program cannot be run; returns the exit status.
pub(crate) fn cannot_run(program: &OsStr, error: &io::Error) -> ExitCode {
    complain(&format_args!(
        "cannot run {}: {error}",
        program.to_string_lossy()
    ));
    ExitCode::from(match error.kind() {
        io::ErrorKind::NotFound => exit::NOT_FOUND,
        _ => exit::CANNOT_RUN,
    })
}

/// Sets the ceiling and the priority of this thread, which `execve(2)` keeps.
fn prepare(args: &Run) -> Result<(), Error> {
    if let Some(ceiling) = args.ceiling {
        args.prio.check_ceiling(ceiling)?;
    }
    let device = device::open()?;
    if let Some(Prio(ceiling)) = args.ceiling {
        device.set_ceiling(Target::CallingThread, Some(ceiling))?;
    }
    device.set(Target::CallingThread, args.prio.0, Children::Inherit)?;
    Ok(())
}
