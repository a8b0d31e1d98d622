// SPDX-License-Identifier: GPL-2.0

//! The drop-in of a service, and what became of that since it was written.

use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use super::command::Command;
use super::drop_in;
use super::files::Source;
use super::syntax::settings;
use super::syntax::words;
use super::system::System;
use super::unit::takes_nice;
use super::unit::Unit;
use crate::args::Service;
use crate::args::Systemd;
use crate::error::ServiceError;

/// Name of the drop-in: it sorts after lower numbers of administrators, whose higher
/// numbers override it.
pub(super) const DROP_IN: &str = "50-gosched.conf";
/// Name of the drop-in where another one would take it back: `systemctl edit` writes
/// override.conf, which sorts after all numbers.
pub(super) const LATE_DROP_IN: &str = "zz-gosched.conf";

/// State of the drop-in of a service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DropInState {
    /// No drop-in is there.
    Missing,
    InForce {
        drop_in: PathBuf,
    },
    /// A later drop-in takes back the setting `key`.
    TakenBack {
        drop_in: PathBuf,
        by: PathBuf,
        key: String,
    },
    /// A later drop-in takes back the setting `key`, without which the service has its
    /// priority all the same.
    Loosened {
        drop_in: PathBuf,
        by: PathBuf,
        key: String,
    },
    /// The program that the drop-in has the service started by is not there.
    NoWrapper {
        drop_in: PathBuf,
        wrapper: PathBuf,
    },
    /// The unit has changed, and takes the setting `key` now, which the drop-in lacks.
    Lacking {
        drop_in: PathBuf,
        key: String,
    },
    /// The unit has changed, and another `key` would be in the drop-in now. Without it, the
    /// service has its priority all the same.
    Outdated {
        drop_in: PathBuf,
        key: String,
    },
}

impl DropInState {
    /// Reads the state of `service` on the system with the root directory `root`.
    ///
    /// Fails also where no drop-in could be written now.
    pub(crate) fn read(service: &str, root: &Path) -> Result<Self, ServiceError> {
        let system = System::open(root)?;
        let sources = system.sources(service, &[])?;
        let (id, files) = (sources.id, sources.files);
        let is_ours = |file: &Source| {
            let name = file.path.file_name();
            [DROP_IN, LATE_DROP_IN]
                .iter()
                .any(|ours| name == Some(ours.as_ref()))
        };
        let starts = |file: &Source| {
            let mut commands = values(&file.settings, "ExecStart");
            commands.any(|command| !command.is_empty())
        };
        // One that is masked, or emptied, starts nothing.
        let last = files.iter().rposition(|file| is_ours(file) && starts(file));
        let Some(last) = last else {
            return Ok(Self::Missing);
        };
        let ours = &files[last].settings;
        let drop_in = files[last].path.clone();
        let later = &files[last + 1..];
        let (limits, vital): (Vec<_>, Vec<_>) = ours
            .iter()
            .cloned()
            .partition(|(key, _)| ["AllowedCPUs", "CPUQuota", "Environment"].contains(&&**key));
        if let Some((by, key)) = takes_back(later, &vital) {
            return Ok(Self::TakenBack { drop_in, by, key });
        }
        let outdated = |key: &str| Self::Outdated {
            drop_in: drop_in.clone(),
            key: key.to_owned(),
        };
        let (wrapper, args) = match written_by(ours, service, root) {
            Ok(written) => written,
            Err(key) => return Ok(outdated(key)),
        };
        if !system.has_program(&wrapper)? {
            return Ok(Self::NoWrapper { drop_in, wrapper });
        }
        let unit = Unit::new(&id, files.iter().filter(|file| !is_ours(file)));
        let now = settings(drop_in::text(&args, &id, &unit, &wrapper)?.as_bytes());
        drop_in::may_run(&system, &id, &unit, &wrapper)?;

        let differs = |(key, _): &&(String, String)| values(&now, key).ne(values(ours, key));
        // A service with another command, or that comes back less far, has its priority.
        let is_harmless = |key: &str| ["ExecStart", "LimitNICE"].contains(&key);
        let lacking = now
            .iter()
            .find(|(key, value)| !is_harmless(key) && values(ours, key).all(|ours| ours != value));
        if let Some((key, _)) = lacking {
            let key = key.clone();
            return Ok(Self::Lacking { drop_in, key });
        }
        if let Some((by, key)) = takes_back(later, &limits) {
            return Ok(Self::Loosened { drop_in, by, key });
        }
        Ok(match now.iter().chain(ours).find(differs) {
            Some((key, _)) => outdated(key),
            None => Self::InForce { drop_in },
        })
    }
}

/// Returns the first of these files, which come after `ours`, that takes back a setting
/// of `ours`, and the name of the setting.
pub(super) fn takes_back<'a>(
    files: impl IntoIterator<Item = &'a Source>,
    ours: &[(String, String)],
) -> Option<(PathBuf, String)> {
    files.into_iter().find_map(|file| {
        let mut keys = file.settings.iter().filter_map(|(key, value)| {
            let takes = match &**key {
                "ExecStart" => true,
                "AmbientCapabilities" => takes_nice(value),
                // systemd ignores an empty one.
                "LimitNICE" => false,
                _ => value.is_empty(),
            };
            // Both have one list.
            let is_bind = key == "BindReadOnlyPaths";
            takes.then_some(if is_bind { "BindPaths" } else { key })
        });
        let key = keys.find(|key| ours.iter().any(|(ours, _)| ours == key))?;
        Some((file.path.clone(), key.to_owned()))
    })
}

/// Returns the values that a setting is given.
fn values<'a>(settings: &'a [(String, String)], key: &'a str) -> impl Iterator<Item = &'a String> {
    let of_key = settings.iter().filter(move |(other, _)| other == key);
    of_key.map(|(_, value)| value)
}

/// Returns the program that a drop-in with these settings starts the service by, and the
/// arguments of `gosched systemd` that the drop-in was written with.
///
/// Fails with the name of a setting that gosched does not write so.
fn written_by(
    ours: &[(String, String)],
    service: &str,
    root: &Path,
) -> Result<(PathBuf, Systemd), &'static str> {
    let command = values(ours, "ExecStart").find(|value| !value.is_empty());
    let command = command.and_then(|command| Command::read(command));
    let (program, prio, ceiling, strict) = command
        .and_then(|command| {
            let words = words(command.arguments());
            let mut words = words.iter().map(|word| &**word).peekable();
            words.next().filter(|verb| *verb == "run")?;
            let strict = words.next_if(|word| *word == "--try").is_none();
            let prio = words.next()?.parse().ok()?;
            words.next().filter(|option| *option == "--ceiling")?;
            let ceiling = words.next()?.parse().ok()?;
            Some((command.program().replace("%%", "%"), prio, ceiling, strict))
        })
        .ok_or("ExecStart")?;
    let args = Systemd {
        service: Service(service.to_owned()),
        prio,
        ceiling,
        cpus: last(ours, "AllowedCPUs")?,
        quota: last(ours, "CPUQuota")?,
        strict,
        root: root.to_owned(),
        output: None,
    };
    Ok((program.into(), args))
}

/// Returns the last value of a setting, if it has one. Fails with the name of the setting.
fn last<T: FromStr>(
    settings: &[(String, String)],
    key: &'static str,
) -> Result<Option<T>, &'static str> {
    let value = values(settings, key).last();
    value
        .map(|value| value.parse())
        .transpose()
        .map_err(|_| key)
}
