// SPDX-License-Identifier: GPL-2.0

//! The signals that ask the command to end, for verbs that clean up first.

use std::ffi::c_int;
use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::poll;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// Keeps such signals until they are asked for.
pub(crate) struct Interrupt(SignalDelivery<UnixStream, SignalOnly>);

impl Interrupt {
    /// Has the signals do no more than that from now on.
    pub(crate) fn catch() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let signals = TERM_SIGNALS.iter().chain([&SIGHUP]);
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, signals)?;
        Ok(Self(delivery))
    }

    /// Waits until such a signal has come, but no longer than `timeout`; returns it.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<Option<c_int>> {
        if let Some(signal) = self.0.pending().next() {
            return Ok(Some(signal));
        }
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        // A signal that comes before it waits has written to the pipe.
        match poll(
            &mut [PollFd::new(self.0.get_read(), PollFlags::IN)],
            Some(&timeout),
        ) {
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
        let mut interrupt = Interrupt::catch().expect("signals can be caught");
        let start = Instant::now();
        let seen = std::thread::scope(|scope| {
            scope.spawn(|| kill_process(getpid(), Signal::HUP).expect("own process"));
            // One for another test may come first.
            std::iter::from_fn(|| Some(interrupt.wait(Duration::from_secs(3600))))
                .find_map(|seen| seen.expect("it waits").filter(|signal| *signal == SIGHUP))
        });
        assert_eq!(seen, Some(SIGHUP));
        assert!(start.elapsed() < Duration::from_secs(600));
        let again = interrupt.wait(Duration::ZERO).expect("it looks");
        assert_ne!(again, Some(SIGHUP), "told once");
    }
}
