// SPDX-License-Identifier: GPL-2.0

//! The goroutine that each thread has now, for `gosched top`.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use gosched_observe::current::Reader;
use gosched_observe::current::State;
use gosched_observe::current::Storage;
use gosched_observe::current::Thread;
use gosched_observe::layout::GoProgram;
use gosched_observe::layout::Layout;
use gosched_observe::layout::LayoutError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Error;
use crate::error::ObserveError;
use crate::program::Executables;
use crate::trace::is_first_pid_namespace;

/// The longest time that an update waits for goroutines.
const PATIENCE: Duration = Duration::from_millis(100);

/// The goroutine that a thread has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Goroutine {
    /// Number of the goroutine, which Go's runtime gives it.
    pub(crate) id: u64,
    /// State of the goroutine, as the runtime has it; null if gosched does not know that state.
    pub(crate) state: Option<&'static str>,
    /// Number of the P that the thread has, null without one.
    pub(crate) p: Option<u32>,
}

impl Goroutine {
    fn new(thread: &Thread) -> Self {
        Self {
            id: thread.id(),
            state: thread.state().map(word),
            p: thread.p(),
        }
    }
}

/// Returns the word of Go's runtime for a state.
fn word(state: State) -> &'static str {
    match state {
        State::Idle => "idle",
        State::Runnable => "runnable",
        State::Running => "running",
        State::Syscall => "syscall",
        State::Waiting => "waiting",
        State::Dead => "dead",
        State::CopyStack => "copystack",
        State::Preempted => "preempted",
    }
}

/// The goroutines of threads.
#[derive(Debug, Default)]
pub(crate) struct Goroutines {
    /// Each by the id of its thread.
    pub(crate) of: HashMap<i32, Goroutine>,
    /// A sentence on those that are unknown.
    pub(crate) unknown: Option<String>,
}

/// Reads goroutines in a thread of its own. Debug information of a large program, or memory that
/// comes from a slow disk, keeps nobody else waiting.
pub(crate) struct GoroutineReader {
    processes: SyncSender<BTreeSet<i32>>,
    answers: Receiver<Goroutines>,
    /// An answer is due.
    is_reading: bool,
}

impl GoroutineReader {
    pub(crate) fn start() -> io::Result<Self> {
        let (processes, asked) = sync_channel(1);
        let (answer, answers) = sync_channel(1);
        thread::Builder::new().spawn(move || serve(&asked, &answer))?;
        Ok(Self {
            processes,
            answers,
            is_reading: false,
        })
    }

    /// Returns the goroutines of processes, or says that they do not come in time.
    pub(crate) fn read(&mut self, processes: BTreeSet<i32>) -> Goroutines {
        if self.is_reading {
            // The goroutines of an earlier moment.
            self.is_reading = self.answers.try_recv().is_err();
        }
        if !self.is_reading && self.processes.try_send(processes).is_ok() {
            if let Ok(goroutines) = self.answers.recv_timeout(PATIENCE) {
                return goroutines;
            }
            self.is_reading = true;
        }
        Goroutines {
            of: HashMap::new(),
            unknown: Some("goroutines are unknown: they are still being read".to_owned()),
        }
    }
}

/// Answers until nobody asks any more.
fn serve(asked: &Receiver<BTreeSet<i32>>, answer: &SyncSender<Goroutines>) {
    let mut storage = Storage::uninit();
    let mut place = Some(&mut storage);
    let mut reader = None;
    let mut programs = Programs::default();
    for processes in asked {
        let (layouts, mut unknown) = programs.layouts(&processes);
        // Without Go programs there is nothing to load.
        if let (false, Some(storage)) = (layouts.is_empty(), place.take()) {
            reader = Some(load(storage).map_err(|error| error.to_string()));
        }
        let mut of = HashMap::new();
        match &mut reader {
            Some(Ok(reader)) => match reader.read(layouts) {
                Ok(threads) => {
                    let pairs = threads.iter().map(|read| (read.tid, Goroutine::new(read)));
                    of.extend(pairs);
                }
                Err(error) => unknown = Some(format!("goroutines are unknown: {error}")),
            },
            Some(Err(error)) if !layouts.is_empty() => {
                unknown = Some(format!("goroutines are unknown: {error}"));
            }
            _ => (),
        }
        if answer.send(Goroutines { of, unknown }).is_err() {
            return;
        }
    }
}

fn load(storage: &mut Storage) -> Result<Reader<'_>, Error> {
    if !is_first_pid_namespace()? {
        return Err(ObserveError::PidNamespace.into());
    }
    Ok(Reader::load(storage).map_err(ObserveError::from)?)
}

/// Where the programs of executables keep goroutines.
#[derive(Default)]
struct Programs(Executables<Found>);

/// Where a program keeps goroutines: `None` if it has none, or why that is unknown.
type Found = Result<Option<Layout>, String>;

impl Programs {
    /// Returns the layouts of those processes that are Go's, and a sentence on those of which
    /// nothing can be read.
    fn layouts(&mut self, processes: &BTreeSet<i32>) -> (HashMap<i32, Layout>, Option<String>) {
        let mut layouts = HashMap::new();
        let mut unknown = Vec::new();
        for pid in processes {
            // What has ended, or another user's executable, has none.
            let found = self.0.get(*pid, |file| {
                // By this path, the very file is read whose id was taken.
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                Ok(found(GoProgram::read(Path::new(&path))))
            });
            match found.unwrap_or(Ok(None)) {
                Ok(layout) => layouts.extend(layout.map(|layout| (*pid, layout))),
                Err(reason) => unknown.push((*pid, reason)),
            }
        }
        self.0.forget_unused();
        (layouts, sentence(&unknown))
    }
}

fn found(program: Result<GoProgram, LayoutError>) -> Found {
    match program {
        Ok(program) => Ok(Some(program.layout)),
        Err(LayoutError::NotGo | LayoutError::Unreadable(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Says of which processes goroutines are unknown, and of the first one why.
fn sentence(unknown: &[(i32, String)]) -> Option<String> {
    let (pid, reason) = unknown.first()?;
    let more = match unknown.len() - 1 {
        0 => String::new(),
        more => format!(", nor those of {more} more"),
    };
    Some(format!(
        "goroutines of process {pid} are not known{more}: {reason}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_are_not_gos_are_passed_over() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        let processes = BTreeSet::from([own, i32::MAX]);
        let mut programs = Programs::default();
        assert_eq!(programs.layouts(&processes), (HashMap::new(), None));
        assert_eq!(found(Err(LayoutError::NotGo)), Ok(None));
    }

    #[test]
    fn a_go_program_whose_goroutines_cannot_be_found_is_named_once() {
        let unknown = LayoutError::UnknownRelease("go1.99".to_owned());
        let reason = found(Err(unknown)).expect_err("unknown");
        assert!(reason.contains("go1.99"), "{reason}");
        assert_eq!(sentence(&[]), None);
        for (count, expected) in [
            (1, "goroutines of process 7 are not known: dark"),
            (
                3,
                "goroutines of process 7 are not known, nor those of 2 more: dark",
            ),
        ] {
            let unknown: Vec<_> = (7..7 + count).map(|pid| (pid, "dark".to_owned())).collect();
            assert_eq!(sentence(&unknown).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_reader_that_does_not_answer_keeps_nobody_waiting_twice() {
        let (processes, asked) = sync_channel(1);
        let (answer, answers) = sync_channel(1);
        let is_reading = false;
        let mut reader = GoroutineReader {
            processes,
            answers,
            is_reading,
        };
        for _ in 0..100 {
            let late = reader.read(BTreeSet::from([1]));
            assert!(late.of.is_empty());
            assert!(late
                .unknown
                .is_some_and(|unknown| unknown.contains("still")));
        }
        assert_eq!(asked.try_iter().count(), 1);
        // The answer of an earlier moment is not told. The next one is asked for.
        answer.send(Goroutines::default()).expect("there is room");
        let _answering = thread::spawn(move || {
            for processes in asked {
                let unknown = Some(format!("{processes:?}"));
                let of = HashMap::new();
                answer.send(Goroutines { of, unknown }).expect("it is read");
            }
        });
        let answered = (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(1));
            reader.read(BTreeSet::from([2])).unknown.as_deref() == Some("{2}")
        });
        assert!(answered);
    }
}
