// SPDX-License-Identifier: GPL-2.0

//! The help on the screen.

use crate::command_line::command;

/// Returns the text of the help on what is shown and on keys, which `--help` ends with.
pub(super) fn help() -> String {
    let command = command();
    let help = command
        .find_subcommand("top")
        .and_then(clap::Command::get_after_help);
    help.map(ToString::to_string).unwrap_or_default()
}
