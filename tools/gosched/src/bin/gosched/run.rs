// SPDX-License-Identifier: GPL-2.0

//! `gosched run`.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::ExitCode;

use gosched::Children;
use gosched::Device;
use gosched::Target;

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
    let error = Command::new(program).args(words).exec();
    complain(&format_args!(
        "cannot run {}: {error}",
        program.to_string_lossy()
    ));
    ExitCode::from(match error.kind() {
        io::ErrorKind::NotFound => EXIT_NOT_FOUND,
        _ => EXIT_CANNOT_RUN,
    })
}

fn set_own(run: &Run) -> Result<(), Failure> {
    Device::open()?.set(Target::CallingThread, run.prio.0, Children::Inherit)?;
    Ok(())
}
