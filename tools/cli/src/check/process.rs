// SPDX-License-Identifier: GPL-2.0

//! Checks whether a process is a Go program that waits for threads of its own, as they are
//! lower than the others.
//!
//! Go's garbage collector stops the world: all threads that run Go code, and each has to run
//! until it is at a place where it can stop. Whether a program collects cannot be read from
//! outside, so the check names the programs that would wait.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use gosched::error::FindError;
use gosched::policy::GoPrio;
use gosched::sched::SchedAttr;
use gosched::sched::SchedPolicy;
use gosched::thread::Thread;
use gosched::thread::ThreadId;
use gosched::thread::Threads;
use gosched::Device;
use gosched::Status;
use procfs::ProcError;

use super::finding::Finding;
use crate::error::ThreadError;
use crate::program::Runtime;
use crate::program::Runtimes;
use crate::program::UnknownRuntime;

const CHECK: &str = "process";

/// The number of looks for a thread that is lowered, as it may be for a part of its work alone.
const LOOKS: u32 = 20;
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// The way to ask for the scheduling of threads.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    Device(&'a Device),
    /// `sched_getattr(2)`: the module is not loaded, so that no thread has a Go priority.
    Kernel,
    /// The device cannot be opened.
    Nobody,
}

/// The state of a thread.
#[derive(Clone, Copy)]
struct State {
    prio: Option<GoPrio>,
    policy: SchedPolicy,
    nice: i32,
    is_bound: bool,
}

/// The threads of a process at one moment, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    all: usize,
    /// Those that are bound to a slot.
    bound: usize,
    /// Those that are not bound to a slot of Go's runtime, and are lower than others.
    lower: usize,
}

pub(super) fn process(id: ThreadId, asked: Asked<'_>) -> Finding {
    let threads = Threads::of(id);
    let name = name(id.pid);
    let runtime = Runtimes::default().of(id.pid);
    match threads {
        Err(error @ (FindError::NotFound | FindError::Recycled)) => return missing(id, &error),
        Err(error) => return unknown_program(&name, &UnknownRuntime::Proc(error)),
        Ok(_) => (),
    }
    let is_overlay = match runtime {
        Ok(Runtime::NotGo) => return Finding::ok(CHECK, format!("{name} is not a Go program")),
        Ok(runtime) => runtime == Runtime::Overlay,
        Err(error) => return unknown_program(&name, &error),
    };
    match look(id, asked, is_overlay) {
        Ok(Some(Count { all: 0, .. })) => missing(id, &FindError::NotFound),
        Ok(Some(count)) => finding(&name, is_overlay, count),
        Err(error) if error.is_end() => missing(id, &FindError::NotFound),
        Ok(None) => unknown_threads(&name, is_overlay, "the device is not open"),
        Err(error) => unknown_threads(&name, is_overlay, &error.to_string()),
    }
}

/// Returns the words for a process.
fn name(pid: i32) -> String {
    match fs::read(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("{pid} ({})", String::from_utf8_lossy(name.trim_ascii_end())),
        Err(_) => pid.to_string(),
    }
}

/// Counts the threads of a process, again and again until one is lower than the others; `None`
/// if there is nobody to ask.
fn look(id: ThreadId, asked: Asked<'_>, is_overlay: bool) -> Result<Option<Count>, ThreadError> {
    let mut looks = 1;
    loop {
        let mut states = Vec::new();
        for thread in Threads::of(id)? {
            let state = thread
                .map_err(ThreadError::from)
                .and_then(|thread| state(&thread, asked));
            match state {
                Ok(Some(state)) => states.push(state),
                Ok(None) => return Ok(None),
                Err(error) if error.is_end() => (),
                Err(error) => return Err(error),
            }
        }
        let count = count(&states, is_overlay);
        if count.lower > 0 || looks == LOOKS {
            return Ok(Some(count));
        }
        looks += 1;
        sleep(PAUSE);
    }
}

fn state(thread: &Thread, asked: Asked<'_>) -> Result<Option<State>, ThreadError> {
    match asked {
        Asked::Device(device) => Ok(Some(device.get(thread.target())?.into())),
        Asked::Kernel => {
            let attr = SchedAttr::of(thread.tid())
                .map_err(|error| ThreadError::from(ProcError::Io(error, None)))?;
            Ok(Some(State {
                prio: None,
                policy: attr.policy,
                nice: attr.nice,
                is_bound: false,
            }))
        }
        Asked::Nobody => Ok(None),
    }
}

impl From<Status> for State {
    fn from(status: Status) -> Self {
        Self {
            prio: status.prio,
            policy: status.base.policy,
            nice: status.base.nice,
            is_bound: status.slot.is_some(),
        }
    }
}

impl State {
    /// Returns the priority that comes next to the base; `None` if the base is more urgent than
    /// that of ordinary threads.
    fn ordinary(&self) -> Option<u32> {
        match self.policy {
            SchedPolicy::IDLE => Some(0),
            policy if policy.is_rt() || policy.is_deadline() => None,
            _ => Some((32 - self.nice).clamp(16, 47) as u32),
        }
    }

    /// Returns whether the thread is lower than `ordinary`.
    fn is_below(&self, ordinary: u32) -> bool {
        let own = self.prio.map(GoPrio::get).or(self.ordinary());
        own.is_some_and(|own| own < ordinary)
    }
}

fn count(states: &[State], is_overlay: bool) -> Count {
    let ordinary = states.iter().filter_map(State::ordinary).max();
    let is_lower = |state: &&State| {
        // The runtime raises a thread of its own that others wait for.
        let is_raised = is_overlay && state.is_bound;
        !is_raised && ordinary.is_some_and(|ordinary| state.is_below(ordinary))
    };
    let lower = states.iter().filter(is_lower).count();
    Count {
        all: states.len(),
        bound: states.iter().filter(|state| state.is_bound).count(),
        // Where all are low, none of them waits for one that is lower.
        lower: if lower == states.len() { 0 } else { lower },
    }
}

fn finding(name: &str, is_overlay: bool, count: Count) -> Finding {
    let Count { all, bound, lower } = count;
    match (is_overlay, lower) {
        (false, 0) => Finding::ok(
            CHECK,
            format!("{name} is a Go program, and none of its {all} threads is below others"),
        ),
        (true, 0) if bound > 0 => Finding::ok(
            CHECK,
            format!(
                "{name} is a Go program built with gosched-overlay: {bound} of its {all} threads \
                 follow their goroutines, or a hint that they have bound themselves"
            ),
        ),
        (true, 0) => Finding::warn(
            CHECK,
            format!(
                "{name} is a Go program built with gosched-overlay, but none of its {all} threads \
                 follows its goroutines: it could not use {} when it started",
                Device::PATH
            ),
            format!(
                "let its user open {}, leave out GOSCHED_DEVICE=off, and start it again; with \
                 GOSCHED_DEBUG=1 it says why",
                Device::PATH
            ),
        ),
        (_, lower) => {
            let (built, advice) = if is_overlay {
                (
                    "with gosched-overlay",
                    "lower goroutines by gosched.SetGoroutine, and no threads",
                )
            } else {
                (
                    "without gosched-overlay",
                    "build it with gosched-overlay, and lower goroutines by gosched.SetGoroutine in \
                     place of threads",
                )
            };
            Finding::warn(
                CHECK,
                format!(
                    "{name} is a Go program built {built}, with {lower} of its {all} threads below \
                     others: when it collects garbage, all of it waits until whoever of these runs \
                     Go code has had a CPU; unknown how often that is"
                ),
                format!("{advice}; with GODEBUG=gctrace=1 it says when it collects"),
            )
        }
    }
}

fn missing(id: ThreadId, error: &FindError) -> Finding {
    let detail = format!("{id}: {error}");
    Finding::fail(CHECK, detail, "list the processes, see ps(1)")
}

fn unknown_program(name: &str, reason: &UnknownRuntime) -> Finding {
    let advice = match reason {
        UnknownRuntime::NoExecutable => "name a process that runs, and is none of the kernel's",
        UnknownRuntime::Proc(_) | UnknownRuntime::NotPermitted | UnknownRuntime::Unreadable(_) => {
            "check as root"
        }
        UnknownRuntime::NoSections | UnknownRuntime::NoNames => {
            "ask who built it; a Go program says so by \"go version -m\" before it is packed"
        }
    };
    Finding::unknown(
        CHECK,
        format!("unknown whether {name} is a Go program: {reason}"),
        advice,
    )
}

fn unknown_threads(name: &str, is_overlay: bool, reason: &str) -> Finding {
    let what = if is_overlay {
        format!(
            "the threads of {name}, a Go program built with gosched-overlay, follow its goroutines"
        )
    } else {
        format!("threads of {name}, a Go program built without gosched-overlay, are below others")
    };
    Finding::unknown(
        CHECK,
        format!("unknown whether {what}: {reason}"),
        "put that, or what fails above, right, and check again",
    )
}

#[cfg(test)]
mod tests {
    use gosched::uapi::go_sched_get;
    use gosched::uapi::GO_SCHED_PRIO_NONE;

    use super::super::tests::assert_explained;
    use super::*;

    /// Returns a thread at a nice value.
    fn thread(prio: Option<i32>, base_nice: i32, slot: i32) -> State {
        let status = Status::from(go_sched_get {
            prio: prio.unwrap_or(GO_SCHED_PRIO_NONE),
            base_nice,
            slot,
            ..Default::default()
        });
        status.into()
    }

    fn lower(states: &[State]) -> usize {
        count(states, false).lower
    }

    #[test]
    fn a_thread_is_lower_by_its_priority_or_its_nice_value() {
        let ordinary = thread(None, 0, -1);
        assert_eq!(lower(&[ordinary, ordinary]), 0);
        assert_eq!(lower(&[ordinary, thread(Some(8), 0, -1)]), 1);
        assert_eq!(
            lower(&[ordinary, thread(Some(31), 0, 3), thread(None, 5, -1)]),
            2
        );
        let mut idle = ordinary;
        idle.policy = SchedPolicy::IDLE;
        assert_eq!(lower(&[ordinary, idle]), 1);
    }

    #[test]
    fn threads_that_are_raised_or_all_low_have_none_to_wait_for() {
        let ordinary = thread(None, 0, -1);
        assert_eq!(lower(&[ordinary, thread(Some(50), 0, -1)]), 0);
        assert_eq!(lower(&[thread(Some(8), 0, -1), thread(Some(8), 0, -1)]), 0);
        assert_eq!(lower(&[thread(None, 5, -1), thread(None, 5, -1)]), 0);
        let mut rt = ordinary;
        rt.policy = SchedPolicy::FIFO;
        assert_eq!(lower(&[ordinary, rt]), 0);
        assert_eq!(lower(&[]), 0);
    }

    #[test]
    fn a_thread_that_the_runtime_has_bound_is_not_waited_for() {
        let threads = [
            thread(None, 0, 0),
            thread(Some(8), 0, 1),
            thread(None, 0, -1),
        ];
        let expected = Count {
            all: 3,
            bound: 2,
            lower: 0,
        };
        assert_eq!(count(&threads, true), expected);
        assert_eq!(count(&threads, false).lower, 1);
    }

    #[test]
    fn each_kind_of_program_has_a_verdict_that_the_guide_explains() {
        let verdict = |is_overlay, bound, lower| {
            let count = Count {
                all: 9,
                bound,
                lower,
            };
            let finding = finding("4711 (server)", is_overlay, count);
            if finding.verdict.label() != "ok" {
                assert_explained(&finding);
            }
            finding
        };
        assert_eq!(verdict(false, 0, 0).verdict.label(), "ok");
        assert_eq!(verdict(true, 8, 0).verdict.label(), "ok");
        assert_eq!(verdict(true, 0, 0).verdict.label(), "warn");
        for is_overlay in [false, true] {
            let finding = verdict(is_overlay, 0, 2);
            assert_eq!(finding.verdict.label(), "warn");
            assert!(
                finding.detail.contains("2 of its 9 threads"),
                "{}",
                finding.detail
            );
            assert!(
                finding.detail.contains("unknown how often"),
                "{}",
                finding.detail
            );
            let advice = finding.advice.expect("what to do");
            assert!(advice.contains("gosched.SetGoroutine"), "{advice}");
        }
        assert_explained(&unknown_program("4711 (server)", &UnknownRuntime::NoNames));
        assert_explained(&unknown_threads("4711 (server)", true, "a reason"));
        assert_explained(&unknown_threads("4711 (server)", false, "a reason"));
    }

    #[test]
    fn a_process_that_does_not_exist_fails() {
        let id = ThreadId {
            pid: 1 << 22,
            inode: None,
        };
        let finding = process(id, Asked::Nobody);
        assert_eq!(finding.verdict.label(), "FAIL");
        assert_explained(&finding);
    }

    #[test]
    fn the_own_process_is_no_go_program() {
        let id = ThreadId {
            pid: std::process::id() as i32,
            inode: None,
        };
        let finding = process(id, Asked::Nobody);
        assert_eq!(finding.verdict.label(), "ok", "{}", finding.detail);
    }
}
