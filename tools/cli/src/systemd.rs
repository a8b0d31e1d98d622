// SPDX-License-Identifier: GPL-2.0

//! `gosched systemd`: a drop-in that gives a service its CPUs and priorities.
//!
//! The drop-in wraps the service's own command, which is why the unit is read. The
//! wrapper, `gosched run`, sets its own priority and becomes the service. So no thread
//! or child of the service is without the priority, and `$MAINPID`, `Type=notify` and
//! `Type=forking` work as before. A command of `ExecStartPost=` would run after
//! `$MAINPID` has started threads. A command of `ExecStartPre=` is another process,
//! which the service inherits nothing from.
//!
//! Raising the ceiling takes `CAP_SYS_NICE`. `+` in front of the command would run the
//! service as root for good. So a service with `User=` gets the capability as an ambient
//! one, and setpriv(1) takes it away before the service starts. A granted ceiling ends
//! with a change of user, which systemd makes before it starts the wrapper.

mod analyze;
mod command;
mod drop_in;
mod files;
mod sandbox;
mod state;
mod syntax;
mod system;
mod unit;

use std::env;
use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use self::files::Source;
use self::state::takes_back;
pub(crate) use self::state::DropInState;
use self::state::DROP_IN;
use self::state::LATE_DROP_IN;
use self::system::System;
use self::unit::Unit;
use crate::args::Cpus;
use crate::args::Service;
use crate::args::Systemd;
use crate::error::Error;
use crate::error::ServiceError;
use crate::output::print;

/// Prints or writes the drop-in of a service.
pub(crate) fn systemd(args: &Systemd) -> Result<ExitCode, Error> {
    args.prio.check_ceiling(args.ceiling)?;
    // Below another root is the system of another machine.
    if args.root == Path::new("/") {
        present_cpus().map_or(Ok(()), |present| args.check_machine(&present))?;
    }
    let Service(service) = &args.service;
    let system = System::open(&args.root)?;
    let sources = system.sources(service, &[DROP_IN, LATE_DROP_IN])?;
    let unit = Unit::new(&sources.id, &sources.files);
    let gosched = env::current_exe()?;
    let text = drop_in::text(args, &sources.id, &unit, &gosched)?;
    drop_in::may_run(&system, &sources.id, &unit, &gosched)?;
    let name = drop_in_name(&sources.id, &sources.files, &text)?;
    let folder = format!("{}.d", sources.id);
    match &args.output {
        None => print(|out| write!(out, "# {folder}/{name}\n{text}"))?,
        Some(directory) => write_into(&directory.join(folder), name, &text)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the CPUs of this machine, online or not, if the kernel tells them.
fn present_cpus() -> Option<Cpus> {
    let list = fs::read_to_string("/sys/devices/system/cpu/present").ok()?;
    list.trim().parse().ok()
}

/// Returns the name of the drop-in with this text. The name sorts behind what would take back a
/// setting of it.
fn drop_in_name(service: &str, files: &[Source], text: &str) -> Result<&'static str, ServiceError> {
    let ours = syntax::settings(text.as_bytes());
    let behind = |name: &str| {
        // The first one is the unit file, which has no order.
        let later = files
            .iter()
            .skip(1)
            .filter(|file| file.path.file_name() > Some(name.as_ref()));
        takes_back(later, &ours)
    };
    match (behind(DROP_IN), behind(LATE_DROP_IN)) {
        (None, _) => Ok(DROP_IN),
        (_, None) => Ok(LATE_DROP_IN),
        (_, Some((path, key))) => Err(ServiceError::Behind {
            service: service.to_owned(),
            path,
            key,
            name: LATE_DROP_IN,
        }),
    }
}

/// Writes the drop-in completely or not at all: systemd may read it at any time.
fn write_into(directory: &Path, name: &str, text: &str) -> Result<(), Error> {
    let path = directory.join(name);
    let new = directory.join(format!(".{name}.new"));
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&new, text))
        .and_then(|()| fs::rename(&new, &path))
        .map_err(|error| {
            // What was written of it, if anything was.
            let _ = fs::remove_file(&new);
            Error::Write { path, error }
        })?;
    // One of an earlier time has the other name.
    let other = match name {
        DROP_IN => LATE_DROP_IN,
        _ => DROP_IN,
    };
    let path = directory.join(other);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Write { path, error }),
        _ => Ok(()),
    }
}
