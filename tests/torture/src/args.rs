// SPDX-License-Identifier: GPL-2.0

//! The command line.

use clap::Parser;
use clap::ValueEnum;

/// The name of the program.
pub(crate) const NAME: &str = "go_sched_torture";

/// Changes the scheduling of threads in all ways at the same time, and checks that go_sched
/// keeps its contracts.
///
/// Runs as root in the patched kernel. The last line of output is SUCCESS or FAILURE, with
/// the seed and how often each operation was performed.
#[derive(Clone, Debug, Parser)]
#[command(name = NAME)]
pub(crate) struct Args {
    /// Duration of the test, in seconds
    #[arg(long, default_value_t = 600)]
    pub(crate) seconds: u64,
    /// Seed of the random numbers. The same seed repeats the choices, but not the order in
    /// which the threads run
    #[arg(long, default_value_t = fastrand::u64(..))]
    pub(crate) seed: u64,
    /// Number of actors. There are as many modeled threads, and as many victims
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(3..=16))]
    pub(crate) threads: u32,
    /// Role of this process, given to the processes that the test starts
    #[arg(long, hide = true, default_value = "root")]
    pub(crate) role: Role,
    /// Priority that must survive exec, or -1 for none
    #[arg(long, hide = true, default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) prio: i32,
}

/// Role of a process of this program.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// The first process, which runs the whole test.
    Root,
    /// A process of an unprivileged user, which changes threads of its own.
    User,
    /// A process that binds a thread to a slot, and becomes [`Role::Exec`] by exec.
    Bound,
    /// A process that checks itself after exec and ends.
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
