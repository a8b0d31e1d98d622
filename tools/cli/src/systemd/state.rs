// SPDX-License-Identifier: GPL-2.0

//! The drop-in of a service, and what became of that since it was written.

use std::path::Path;
use std::path::PathBuf;

use super::command::Command;
use super::files::Source;
use super::files::System;
use super::unit::Unit;
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
    /// The unit has another command than the drop-in.
    Outdated {
        drop_in: PathBuf,
    },
}

impl DropInState {
    /// Reads the state of `service` on the system with the root directory `root`.
    pub(crate) fn read(service: &str, root: &Path) -> Result<Self, ServiceError> {
        let files = System::open(root)?.sources(service, &[])?.files;
        let is_ours = |file: &Source| {
            let name = file.path.file_name();
            [DROP_IN, LATE_DROP_IN]
                .iter()
                .any(|ours| name == Some(ours.as_ref()))
        };
        let Some(last) = files.iter().rposition(is_ours) else {
            return Ok(Self::Missing);
        };
        let drop_in = files[last].path.clone();
        if let Some((by, key)) = takes_back(&files[last + 1..], &files[last].settings) {
            return Ok(Self::TakenBack { drop_in, by, key });
        }
        let wrapped = Unit::new(&files).exec_start;
        let commands = Unit::new(files.iter().filter(|file| !is_ours(file))).exec_start;
        let is_wrapped = |(wrapped, command): (&String, &String)| {
            let command = Command::read(command).map(|command| command.as_arguments());
            command.is_some_and(|command| wrapped.ends_with(&format!(" -- {command}")))
        };
        let all = wrapped.iter().zip(&commands).all(is_wrapped);
        Ok(match all && wrapped.len() == commands.len() {
            true => Self::InForce { drop_in },
            false => Self::Outdated { drop_in },
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
        let mut keys = file
            .settings
            .iter()
            .filter(|(key, value)| key == "ExecStart" || value.is_empty());
        let (key, _) = keys.find(|(key, _)| ours.iter().any(|(ours, _)| ours == key))?;
        Some((file.path.clone(), key.clone()))
    })
}
