// SPDX-License-Identifier: GPL-2.0

//! Questions to systemd-analyze(1).

use std::process::Command;

use crate::error::ServiceError;
use crate::handed;

/// Returns what systemd-analyze prints.
pub(super) fn ask(arguments: &[&str]) -> Result<String, ServiceError> {
    let output = handed::keep_ended_children()
        .and_then(|()| {
            Command::new("systemd-analyze")
                .arg("--no-pager")
                .env("SYSTEMD_COLORS", "0")
                .args(arguments)
                .output()
        })
        .map_err(ServiceError::NoAnalyze)?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(ServiceError::Analyze(reason.trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
