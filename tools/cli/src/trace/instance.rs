// SPDX-License-Identifier: GPL-2.0

//! An instance of tracefs: a trace buffer beside the system's, see
//! Documentation/trace/ftrace.rst of the kernel.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;

use crate::error::TraceError;
use crate::output::complain;

const TRACEFS: &str = "/sys/kernel/tracing";

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
        let dir = Dir::new()?;
        dir.write("buffer_size_kb", &buffer_kb.to_string())?;
        for option in OPTIONS {
            dir.write("trace_options", option)?;
        }
        dir.write("trace_clock", "mono")?;
        let path = dir.0.join("trace_pipe");
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
                let path = self.dir.0.join("trace_pipe");
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
struct Dir(PathBuf);

impl Dir {
    fn new() -> Result<Self, TraceError> {
        let path = Path::new(TRACEFS).join(format!("instances/gosched-{}", process::id()));
        match fs::create_dir(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(match error.kind() {
                ErrorKind::NotFound => TraceError::NoTracefs(TRACEFS),
                ErrorKind::PermissionDenied => TraceError::NotPermitted,
                _ => TraceError::Os { path, error },
            }),
        }
    }

    fn write(&self, file: &str, text: &str) -> Result<(), TraceError> {
        let path = self.0.join(file);
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
        if let Err(error) = fs::remove_dir(&self.0) {
            complain(&format_args!(
                "cannot remove {}: {error}; run \"rmdir {0}\" as root",
                self.0.display()
            ));
        }
    }
}
