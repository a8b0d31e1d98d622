// SPDX-License-Identifier: GPL-2.0

//! The command line.

use clap::Parser;
use clap::ValueEnum;

use crate::report::NAME;

/// Race everything that changes how threads are scheduled, and check that go_sched
/// keeps its promises meanwhile.
///
/// Runs as root in the patched kernel and ends with one line: the verdict.
#[derive(Clone, Debug, Parser)]
#[command(name = NAME)]
pub(crate) struct Args {
    /// How long to go on
    #[arg(long, default_value_t = 600)]
    pub(crate) seconds: u64,
    /// Start of the random choices; the same one makes the same choices, but the threads
    /// race differently
    #[arg(long, default_value_t = fastrand::u64(..))]
    pub(crate) seed: u64,
    /// How many threads act at once; as many are acted upon in each of two ways
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(3..=16))]
    pub(crate) threads: u32,
    /// What this process is; the others are started by the first
    #[arg(long, hide = true, default_value = "root")]
    pub(crate) role: Role,
    /// The priority that survives exec, or -1
    #[arg(long, hide = true, default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) prio: i32,
}

/// The parts this program plays.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// The whole of it.
    Root,
    /// An unprivileged user with threads of his own.
    User,
    /// A thread that is bound to a slot and execs the next.
    Bound,
    /// What exec leaves: looks at itself and ends.
    Exec,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
