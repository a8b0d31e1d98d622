// SPDX-License-Identifier: GPL-2.0

//! Signals that ask gosched to end, for verbs that clean up first. A signal that was
//! ignored when gosched was started, as by nohup(1), stays so.

use std::ffi::c_int;
use std::io;
use std::iter;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::event::poll;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::flag;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

use crate::handed;

/// True once a signal asks for the end. Empty while such signals end the process.
static ASKED_TO_END: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Returns whether a signal has asked for the end; `None` while such signals end the process.
pub(crate) fn is_asked_to_end() -> Option<bool> {
    let asked = ASKED_TO_END.get()?;
    Some(asked.load(Ordering::Relaxed))
}

/// Forgets a signal that was meant for a command.
pub(crate) fn forget() {
    if let Some(asked) = ASKED_TO_END.get() {
        asked.store(false, Ordering::Relaxed);
    }
}

/// Signals that have come and were not asked for yet.
pub(crate) struct Interrupt(SignalDelivery<UnixStream, SignalOnly>);

impl Interrupt {
    /// Catches the signals from now on, so that they do not end the process.
    pub(crate) fn catch() -> io::Result<Self> {
        Self::catch_with(&[])
    }

    /// Catches `more` signals than those that ask for the end.
    pub(crate) fn catch_with(more: &[c_int]) -> io::Result<Self> {
        Self::catch_unless(more, handed::is_ignored)
    }

    /// Catches those of the signals that are not ignored.
    fn catch_unless(more: &[c_int], is_ignored: impl Fn(c_int) -> bool) -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let ends: Vec<_> = TERM_SIGNALS.iter().chain([&SIGHUP]).copied().collect();
        let signals = ends.iter().chain(more);
        let signals = signals.filter(|signal| !is_ignored(**signal));
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, signals)?;
        let asked = ASKED_TO_END.get_or_init(Arc::default);
        for signal in ends.into_iter().filter(|signal| !is_ignored(*signal)) {
            flag::register(signal, Arc::clone(asked))?;
        }
        Ok(Self(delivery))
    }

    /// Waits for a signal, at most `timeout`. Returns the number of the signal, or `None`
    /// if none came in time.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<Option<c_int>> {
        self.wait_beside(Vec::new(), timeout)
    }

    /// Waits as [`wait`](Self::wait) does, and returns early once one of `others` is ready.
    pub(crate) fn wait_beside(
        &mut self,
        others: Vec<PollFd<'_>>,
        timeout: Duration,
    ) -> io::Result<Option<c_int>> {
        if let Some(signal) = self.0.pending().next() {
            return Ok(Some(signal));
        }
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        // The handler writes to the pipe: a signal that comes before poll() ends it too.
        let own = PollFd::new(self.0.get_read(), PollFlags::IN);
        let mut polled: Vec<_> = iter::once(own).chain(others).collect();
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(self.0.pending().next()),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rustix::process::getpid;
    use rustix::process::kill_process;
    use rustix::process::Signal;

    use super::*;

    #[test]
    fn a_signal_ends_the_longest_wait() {
        // Whoever runs the tests may ignore some.
        let mut interrupt = Interrupt::catch_unless(&[], |_| false).expect("signals can be caught");
        let start = Instant::now();
        let seen = std::thread::scope(|scope| {
            scope.spawn(|| kill_process(getpid(), Signal::HUP).expect("own process"));
            // A signal of another test may come first.
            std::iter::from_fn(|| Some(interrupt.wait(Duration::from_secs(3600))))
                .find_map(|seen| seen.expect("it waits").filter(|signal| *signal == SIGHUP))
        });
        assert_eq!(seen, Some(SIGHUP));
        assert!(start.elapsed() < Duration::from_secs(600));
        let again = interrupt.wait(Duration::ZERO).expect("it looks");
        assert_ne!(again, Some(SIGHUP), "returned once");
    }
}
