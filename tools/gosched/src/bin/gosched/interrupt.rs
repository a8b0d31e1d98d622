// SPDX-License-Identifier: GPL-2.0

//! The signals that ask the command to end, for verbs that clean up first.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use signal_hook::consts::SIGHUP;
use signal_hook::consts::TERM_SIGNALS;

/// Remembers whether such a signal has come.
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Has the signals do no more than that from now on.
    pub(crate) fn catch() -> io::Result<Self> {
        let pending = Arc::new(AtomicBool::new(false));
        for signal in TERM_SIGNALS.iter().chain([&SIGHUP]) {
            signal_hook::flag::register(*signal, Arc::clone(&pending))?;
        }
        Ok(Self(pending))
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
