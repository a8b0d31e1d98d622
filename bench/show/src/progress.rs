// SPDX-License-Identifier: GPL-2.0

//! A sign of life on standard error, in the manner of `scripts/step.sh`.

use std::io::stderr;
use std::io::IsTerminal;
use std::time::Duration;
use std::time::Instant;

/// A job that runs, and its start.
pub(crate) struct Progress {
    title: String,
    start: Instant,
    shown: u64,
    terminal: bool,
}

/// Time from one look at the clock to the next.
pub(crate) const TICK: Duration = Duration::from_millis(500);

impl Progress {
    /// Starts the clock.
    pub(crate) fn new(title: String) -> Self {
        Self {
            title,
            start: Instant::now(),
            shown: 0,
            terminal: stderr().is_terminal(),
        }
    }

    /// Prints how long the job has been running, each second on a terminal and every 30 s
    /// elsewhere. `what` is what the job does just now.
    pub(crate) fn tick(&mut self, what: &str) {
        let every = if self.terminal { 1 } else { 30 };
        let seconds = self.start.elapsed().as_secs();
        if seconds >= self.shown + every {
            self.shown = seconds;
            let separator = if what.is_empty() { "" } else { ": " };
            self.say(&format!("{}{separator}{what} ... {seconds} s", self.title));
        }
    }

    /// Prints how long the job took, and returns the seconds.
    pub(crate) fn end(self) -> f64 {
        let seconds = self.start.elapsed().as_secs_f64();
        self.say(&format!("{}: {seconds:.0} s", self.title));
        if self.terminal {
            eprintln!();
        }
        seconds
    }

    fn say(&self, line: &str) {
        if self.terminal {
            eprint!("\r\x1b[K{line}");
        } else {
            eprintln!("{line}");
        }
    }
}
