// SPDX-License-Identifier: GPL-2.0

//! `gosched run`.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::ExitCode;

use gosched::policy::GoPrio;
use gosched::Children;
use gosched::Device;
use gosched::Target;

use crate::args::Prio;
use crate::args::Run;
use crate::complain;
use crate::Failure;

/// The statuses of env(1), nice(1) and their like.
pub(crate) const EXIT_OWN_FAILURE: u8 = 125;
const EXIT_CANNOT_RUN: u8 = 126;
const EXIT_NOT_FOUND: u8 = 127;

/// Becomes the command; returns only when that fails.
pub(crate) fn run(run: Run) -> ExitCode {
    if let Err(failure) = set_own(&run) {
        complain(&failure);
        return ExitCode::from(EXIT_OWN_FAILURE);
    }

    let mut words = run.command.iter();
    let Some(program) = words.next() else {
        complain(&"no command given");
        return ExitCode::from(EXIT_OWN_FAILURE);
    };
    cannot_run(program, &Command::new(program).args(words).exec())
}

/// Says that a command could not be run; returns what to end with.
pub(crate) fn cannot_run(program: &OsStr, error: &io::Error) -> ExitCode {
    complain(&format_args!(
        "cannot run {}: {error}",
        program.to_string_lossy()
    ));
    ExitCode::from(match error.kind() {
        io::ErrorKind::NotFound => EXIT_NOT_FOUND,
        _ => EXIT_CANNOT_RUN,
    })
}

/// Gives this thread what the command shall have: all of it outlives `execve(2)`.
fn set_own(run: &Run) -> Result<(), Failure> {
    let Prio(prio) = run.prio;
    if let Some(Prio(ceiling)) = run.ceiling.filter(|Prio(ceiling)| *ceiling < prio) {
        return Err(NoWayBack { prio, ceiling }.into());
    }

    let device = Device::open()?;
    if let Some(Prio(ceiling)) = run.ceiling {
        device.set_ceiling(Target::CallingThread, Some(ceiling))?;
    }
    device.set(Target::CallingThread, prio, Children::Inherit)?;
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error(
    "priority {prio} is above the ceiling {ceiling}, so that the command could not come back to it: \
     give a ceiling of {prio} or more",
    prio = prio.get(),
    ceiling = ceiling.get()
)]
struct NoWayBack {
    prio: GoPrio,
    ceiling: GoPrio,
}
