// SPDX-License-Identifier: GPL-2.0

//! An instance of tracefs: a trace buffer beside the system's, see
//! Documentation/trace/ftrace.rst of the kernel.

use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;

/// The folder that tracefs is mounted on.
pub const TRACEFS: &str = "/sys/kernel/tracing";

/// The start of an instance's name, which has digits and dashes after it.
const PREFIX: &str = "gosched-";

/// Options that the output is read with; a new instance has those of the system's buffer.
const OPTIONS: [&str; 7] = [
    "context-info",
    "irq-info",
    "norecord-tgid",
    "noraw",
    "nohex",
    "nobin",
    "nolatency-format",
];

/// The reason that nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum TracefsError {
    /// Tracefs is not mounted, or the kernel has none.
    #[error(
        "there is no {0}/instances: run \"mount -t tracefs tracefs {0}\" as root, on a kernel with \
         CONFIG_TRACING"
    )]
    NoTracefs(&'static str),
    /// The user may not use tracefs.
    #[error("no permission to trace: run as root")]
    NotPermitted,
    /// The kernel has no such tracepoints.
    #[error("this kernel has no tracepoint {0}: it takes one with CONFIG_ENABLE_DEFAULT_TRACERS")]
    NoTracepoint(&'static str),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    Os {
        /// The file.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
}

/// An instance that has been left behind.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove {}: {error}; run \"rmdir {}\" as root", path.display(), path.display())]
pub struct NotRemoved {
    /// The directory of the instance.
    pub path: PathBuf,
    /// The error.
    pub error: io::Error,
}

/// The buffer, which records until the instance is dropped.
#[derive(Debug)]
pub struct Instance {
    // Dropped first: the kernel keeps a directory with an open file.
    pipe: File,
    dir: Dir,
    /// The first part of a line whose end has not been read yet.
    rest: String,
}

impl Instance {
    /// Makes an instance with room for `buffer_kb` KiB on each CPU, whose times are those of
    /// `CLOCK_MONOTONIC`. Instances of processes that have died are removed.
    pub fn new(buffer_kb: NonZeroU32) -> Result<Self, TracefsError> {
        let dir = Dir::new(Path::new(TRACEFS))?;
        dir.write("buffer_size_kb", &buffer_kb.to_string())?;
        for option in OPTIONS {
            dir.write("trace_options", option)?;
        }
        dir.write("trace_clock", "mono")?;
        let path = dir.path.join("trace_pipe");
        let pipe = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .map_err(|error| TracefsError::Os { path, error })?;
        Ok(Self {
            pipe,
            dir,
            rest: String::new(),
        })
    }

    /// Records a tracepoint from now on, "SYSTEM/NAME", or all of a "SYSTEM".
    pub fn enable(&self, tracepoint: &'static str) -> Result<(), TracefsError> {
        self.set(tracepoint, "enable", "1")
    }

    /// Records only those events of a tracepoint, "SYSTEM/NAME", that a filter of the kernel takes.
    pub fn filter(&self, tracepoint: &'static str, filter: &str) -> Result<(), TracefsError> {
        self.set(tracepoint, "filter", filter)
    }

    fn set(&self, tracepoint: &'static str, file: &str, to: &str) -> Result<(), TracefsError> {
        let set = self.dir.write(&format!("events/{tracepoint}/{file}"), to);
        set.map_err(|error| match error {
            TracefsError::Os { error, .. } if error.kind() == ErrorKind::NotFound => {
                TracefsError::NoTracepoint(tracepoint)
            }
            other => other,
        })
    }

    /// Ends the recording; what was recorded can still be read.
    pub fn stop(&self) -> Result<(), TracefsError> {
        self.dir.write("tracing_on", "0")
    }

    /// Returns the number of events of all CPUs that found no room, or whose room newer ones took.
    pub fn lost(&self) -> Result<u64, TracefsError> {
        let path = self.dir.path.join("per_cpu");
        let lost = fs::read_dir(&path).and_then(|cpus| {
            let stats = cpus.map(|cpu| fs::read_to_string(cpu?.path().join("stats")));
            stats.map(|stats| Ok(lost_of(&stats?))).sum()
        });
        lost.map_err(|error| TracefsError::Os { path, error })
    }

    /// Removes the instance. Dropped, it is removed as well, and nobody learns if that fails.
    pub fn remove(self) -> Result<(), NotRemoved> {
        let Self { pipe, mut dir, .. } = self;
        drop(pipe);
        dir.remove()
    }

    /// Takes the complete lines out of the buffer, oldest first.
    pub fn read(&mut self) -> Result<Vec<String>, TracefsError> {
        let mut chunk = [0; 64 << 10];
        let length = match self.pipe.read(&mut chunk) {
            Ok(length) => length,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                0
            }
            Err(error) => {
                let path = self.dir.path.join("trace_pipe");
                return Err(TracefsError::Os { path, error });
            }
        };
        // The name of a task may be any bytes, each of which must stay one character.
        let text = chunk[..length].iter().map(|byte| {
            if byte.is_ascii() {
                char::from(*byte)
            } else {
                '?'
            }
        });
        self.rest.extend(text);

        let Some(end) = self.rest.rfind('\n') else {
            return Ok(Vec::new());
        };
        let rest = self.rest.split_off(end + 1);
        let complete = std::mem::replace(&mut self.rest, rest);
        Ok(complete.lines().map(str::to_owned).collect())
    }
}

/// The directory of the instance, which is removed when dropped.
#[derive(Debug)]
struct Dir {
    path: PathBuf,
    /// An open file: as long as there is one, the kernel refuses to remove the directory, and
    /// it closes that of a process that dies.
    held: Option<File>,
}

impl Dir {
    /// Makes a directory, and removes those of tracers that have died without.
    fn new(tracefs: &Path) -> Result<Self, TracefsError> {
        let instances = tracefs.join("instances");
        remove_stale(&instances);
        let mut number = 0;
        loop {
            // A process of another pid namespace may have the same id.
            let path = instances.join(format!("{PREFIX}{}-{number}", process::id()));
            number += 1;
            match fs::create_dir(&path) {
                Ok(()) => (),
                Err(error) => match error.kind() {
                    ErrorKind::AlreadyExists => continue,
                    ErrorKind::NotFound => return Err(TracefsError::NoTracefs(TRACEFS)),
                    ErrorKind::PermissionDenied => return Err(TracefsError::NotPermitted),
                    _ => return Err(TracefsError::Os { path, error }),
                },
            }
            let file = path.join("trace_options");
            match OpenOptions::new().write(true).open(&file) {
                Ok(held) => {
                    return Ok(Self {
                        path,
                        held: Some(held),
                    })
                }
                // Another tracer has removed it before it was held.
                Err(_) if !path.exists() => continue,
                Err(error) => return Err(TracefsError::Os { path: file, error }),
            }
        }
    }

    /// Removes the directory, once.
    fn remove(&mut self) -> Result<(), NotRemoved> {
        if self.held.take().is_none() {
            return Ok(());
        }
        match fs::remove_dir(&self.path) {
            // Another tracer may have been first.
            Err(error) if error.kind() != ErrorKind::NotFound => Err(NotRemoved {
                path: self.path.clone(),
                error,
            }),
            _ => Ok(()),
        }
    }

    fn write(&self, file: &str, text: &str) -> Result<(), TracefsError> {
        let path = self.path.join(file);
        // Unlike fs::write(), this never creates the file.
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| TracefsError::Os { path, error })
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // What is left, the next one removes.
        let _ = self.remove();
    }
}

/// Returns the number of events that a CPU's `stats` tell to be lost.
fn lost_of(stats: &str) -> u64 {
    let fields = stats.lines().filter_map(|line| line.split_once(": "));
    fields
        .filter(|(name, _)| matches!(*name, "overrun" | "commit overrun" | "dropped events"))
        .filter_map(|(_, count)| count.trim().parse::<u64>().ok())
        .sum()
}

/// Removes the instances that no tracer holds.
fn remove_stale(instances: &Path) {
    // Making a new one tells what is wrong with the directory.
    for instance in fs::read_dir(instances).into_iter().flatten().flatten() {
        if is_ours(&instance.file_name()) {
            // The kernel refuses while a tracer lives.
            let _ = fs::remove_dir(instance.path());
        }
    }
}

/// Returns whether an instance has a name that [`Instance`] gives.
fn is_ours(name: &OsStr) -> bool {
    let number = name.as_bytes().strip_prefix(PREFIX.as_bytes());
    number.is_some_and(|number| {
        !number.is_empty() && number.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_instances_of_gosched_are_taken_for_stale() {
        for ours in ["gosched-1", "gosched-4711-0", "gosched-4711-12"] {
            assert!(is_ours(ours.as_ref()), "{ours}");
        }
        for other in [
            "gosched-",
            "gosched-mine",
            "gosched-1-a",
            "go_sched-1-0",
            "1",
        ] {
            assert!(!is_ours(other.as_ref()), "{other}");
        }
    }

    #[test]
    fn events_are_lost_that_are_overwritten_or_find_no_room() {
        let stats = "entries: 7\noverrun: 40\ncommit overrun: 2\nbytes: 5\noldest event ts: 9.1\n\
                     now ts: 9.2\ndropped events: 1\nread events: 3\n";
        assert_eq!(lost_of(stats), 43);
        assert_eq!(lost_of(""), 0);
    }
}
