// SPDX-License-Identifier: GPL-2.0

//! An instance of tracefs: a trace buffer beside the system's, see
//! Documentation/trace/ftrace.rst of the kernel.

use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;

use crate::error::TraceError;
use crate::error::TraceWarning;
use crate::output::complain;

const TRACEFS: &str = "/sys/kernel/tracing";

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

/// The buffer, which records until the instance is dropped.
pub(super) struct Instance {
    // Dropped first: the kernel keeps a directory with an open file.
    pipe: File,
    dir: Dir,
    /// The first part of a line whose end has not been read yet.
    rest: String,
}

impl Instance {
    /// Starts to record, with room for `buffer_kb` KiB on each CPU.
    pub(super) fn start(buffer_kb: NonZeroU32) -> Result<Self, TraceError> {
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
            .map_err(|error| TraceError::Os { path, error })?;
        dir.write("events/task/task_newtask/enable", "1")?;
        dir.write("events/go_sched/enable", "1")
            .map_err(|error| match error {
                TraceError::Os { error, .. } if error.kind() == ErrorKind::NotFound => {
                    TraceError::NoTracepoints
                }
                other => other,
            })?;
        Ok(Self {
            pipe,
            dir,
            rest: String::new(),
        })
    }

    /// Ends the recording; what was recorded can still be read.
    pub(super) fn stop(&self) -> Result<(), TraceError> {
        self.dir.write("tracing_on", "0")
    }

    /// Takes the complete lines out of the buffer, oldest first.
    pub(super) fn read(&mut self) -> Result<Vec<String>, TraceError> {
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
                return Err(TraceError::Os { path, error });
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
struct Dir {
    path: PathBuf,
    /// An open file: as long as there is one, the kernel refuses to remove the directory, and
    /// it closes that of a process that dies.
    held: Option<File>,
}

impl Dir {
    /// Makes a directory, and removes those of tracers that have died without.
    fn new(tracefs: &Path) -> Result<Self, TraceError> {
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
                    ErrorKind::NotFound => return Err(TraceError::NoTracefs(TRACEFS)),
                    ErrorKind::PermissionDenied => return Err(TraceError::NotPermitted),
                    _ => return Err(TraceError::Os { path, error }),
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
                Err(error) => return Err(TraceError::Os { path: file, error }),
            }
        }
    }

    fn write(&self, file: &str, text: &str) -> Result<(), TraceError> {
        let path = self.path.join(file);
        // Unlike fs::write(), this never creates the file.
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| TraceError::Os { path, error })
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        self.held = None;
        match fs::remove_dir(&self.path) {
            // Another tracer may have been first.
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let path = self.path.clone();
                complain(&TraceWarning::NotRemoved { path, error });
            }
            _ => (),
        }
    }
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

/// Returns whether an instance has a name that `gosched trace` gives.
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
    fn only_instances_of_gosched_trace_are_taken_for_stale() {
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
}
