// SPDX-License-Identifier: GPL-2.0

//! What competes with the server.

use clap::ValueEnum;

/// What competes with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// Another process's threads that burn.
    #[value(name = "hogs in another process")]
    OtherProcess,
    /// Goroutines of its own that burn, on locked threads.
    #[value(name = "hogs in the same process")]
    SameProcess,
    /// The same, and they allocate. The collector's workers run on any thread of the
    /// server: they cannot be told apart, and are treated as its threads are.
    #[value(name = "GC pressure")]
    GcPressure,
    /// Another process's threads, in a cgroup with a quota.
    #[value(name = "cpu.max neighbour")]
    CpuMaxNeighbour,
}

impl Scenario {
    /// As a record spells it.
    pub(super) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether the background is part of the server's process.
    pub(super) fn is_in_server(self) -> bool {
        matches!(self, Self::SameProcess | Self::GcPressure)
    }
}
