// SPDX-License-Identifier: GPL-2.0

//! Threads that run the closures sent to them.

use std::panic::catch_unwind;
use std::panic::resume_unwind;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::channel;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;
use std::thread::JoinHandle;

use rustix::thread::gettid;

use crate::deadline::join_on_drop;
use crate::deadline::TEST_DEADLINE;
use crate::DEADLINE;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that runs closures one after the other. The thread ends on drop.
#[derive(Debug)]
pub struct Worker {
    tid: i32,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread.
    pub fn spawn() -> Self {
        let (jobs, queue): (_, Receiver<Job>) = channel();
        let thread = thread::spawn(move || queue.into_iter().for_each(|job| job()));
        let mut worker = Self {
            tid: 0,
            jobs: Some(jobs),
            thread: Some(thread),
        };
        worker.tid = worker.run(|| gettid().as_raw_pid());
        worker
    }

    /// Returns the thread's id.
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Runs `job` in the thread and returns its result, or panics as `job` did.
    pub fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        self.start(job).wait()
    }

    /// Has the thread run `job` after the jobs before it. Returns at once.
    pub fn start<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Pending<R> {
        let (answer, result) = channel();
        let job = Box::new(move || {
            // Nobody listens any more once the test has failed.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(job)));
        });
        self.jobs
            .as_ref()
            .and_then(|jobs| jobs.send(job).ok())
            .expect("the thread lives as long as the worker");
        Pending(result)
    }
}

/// The result of a job that may not have ended yet.
#[derive(Debug)]
pub struct Pending<R>(Receiver<thread::Result<R>>);

impl<R> Pending<R> {
    /// Waits for the job to end and returns its result, or panics as the job did.
    pub fn wait(self) -> R {
        match self.0.recv_timeout(DEADLINE) {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(error) => panic!("a thread did not finish its job: {error}"),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            join_on_drop(thread);
        }
    }
}

/// Runs `job` in a new thread, so that changes of the thread's scheduling end with the
/// thread. Returns the result of `job`, or panics as `job` did.
pub fn in_thread<R: Send + 'static>(job: impl FnOnce() -> R + Send + 'static) -> R {
    let (answer, result) = channel();
    let thread = thread::spawn(move || {
        // Nobody listens any more once the test has failed.
        let _ = answer.send(catch_unwind(AssertUnwindSafe(job)));
    });
    let result = result.recv_timeout(TEST_DEADLINE);
    let result = result.unwrap_or_else(|error| panic!("a thread did not finish its job: {error}"));
    // It has nothing left to do.
    thread.join().expect("the job's panic is caught");
    result.unwrap_or_else(|panic| resume_unwind(panic))
}
