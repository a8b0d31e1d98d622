// SPDX-License-Identifier: GPL-2.0

//! Threads that want a CPU all the time.

use std::hint::spin_loop;
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::thread::gettid;

use crate::attr::Attr;
use crate::deadline::join_on_drop;
use crate::deadline::receive;
use crate::pin;

const PAUSED: u8 = 0;
const SPINNING: u8 = 1;
const ENDING: u8 = 2;

/// A real-time priority above all under test, and below the kernel's stop threads.
const RT_PRIORITY_ABOVE_ALL: u32 = 98;

/// A thread that spins on one CPU or sleeps, as the test says. The thread ends on drop.
#[derive(Debug)]
pub struct Spinner {
    tid: i32,
    state: Arc<AtomicU8>,
    thread: Option<JoinHandle<()>>,
}

impl Spinner {
    /// Starts a thread on `cpu`, sleeping.
    pub fn paused(cpu: usize) -> Self {
        Self::paused_after(cpu, || ())
    }

    /// Starts a thread on `cpu`, sleeping. Returns once the thread has run `setup`.
    pub fn paused_after(cpu: usize, setup: impl FnOnce() + Send + 'static) -> Self {
        let state = Arc::new(AtomicU8::new(PAUSED));
        let (sender, tid) = channel();
        let thread = thread::spawn({
            let state = Arc::clone(&state);
            move || {
                pin(cpu);
                setup();
                sender
                    .send(gettid().as_raw_pid())
                    .expect("the test waits for the thread id");
                loop {
                    match state.load(Ordering::Relaxed) {
                        PAUSED => thread::park(),
                        SPINNING => spin_loop(),
                        _ => return,
                    }
                }
            }
        });
        Self {
            tid: receive(&tid),
            state,
            thread: Some(thread),
        }
    }

    /// Starts a thread on `cpu`, spinning.
    pub fn spinning(cpu: usize) -> Self {
        let spinner = Self::paused(cpu);
        spinner.spin();
        spinner
    }

    /// Returns the thread's id.
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Lets the thread spin.
    pub fn spin(&self) {
        self.enter(SPINNING);
    }

    /// Lets the thread sleep. A thread that waits for the CPU sleeps once the thread gets
    /// the CPU.
    pub fn pause(&self) {
        self.enter(PAUSED);
    }

    /// Returns the CPU time of the thread.
    pub fn cpu_time(&self) -> Duration {
        let thread = self.thread().as_pthread_t();
        let mut clock = 0;
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: The thread has not been joined, and what is written outlives the calls.
        let is_read = unsafe {
            libc::pthread_getcpuclockid(thread, &raw mut clock) == 0
                && libc::clock_gettime(clock, &raw mut time) == 0
        };
        assert!(is_read, "the CPU clock of a living thread");
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    fn enter(&self, state: u8) {
        self.state.store(state, Ordering::Relaxed);
        self.thread().thread().unpark();
    }

    fn thread(&self) -> &JoinHandle<()> {
        self.thread.as_ref().expect("the thread is not joined")
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.enter(ENDING);
        // Other spinners may keep it from the CPU it needs to end on. This is
        // refused only when it has ended already.
        let _ = Attr::fifo(RT_PRIORITY_ABOVE_ALL).try_apply(self.tid);
        if let Some(thread) = self.thread.take() {
            join_on_drop(thread);
        }
    }
}
