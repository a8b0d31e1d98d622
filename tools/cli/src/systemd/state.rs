// SPDX-License-Identifier: GPL-2.0

//! What became of the drop-in of a service since it was written.

use std::path::Path;
use std::path::PathBuf;

use super::command::Command;
use super::files::Source;
use super::files::System;
use super::takes_back;
use super::unit::Unit;
use super::DROP_IN;
use super::LATE_DROP_IN;
use crate::error::ServiceError;

/// State of the drop-in of a service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// There is none.
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

impl State {
    /// Reads that of `service` on the system with the root directory `root`.
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
