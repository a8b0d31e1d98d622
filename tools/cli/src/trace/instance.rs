// SPDX-License-Identifier: GPL-2.0

//! A trace buffer of one's own in tracefs, see Documentation/trace/ftrace.rst of
//! the kernel.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;

use crate::complain;

const TRACEFS: &str = "/sys/kernel/tracing";

/// What a new instance may have taken over from the global one.
const OPTIONS: [&str; 7] = [
    "context-info",
    "irq-info",
    "norecord-tgid",
    "noraw",
    "nohex",
    "nobin",
    "nolatency-format",
];

#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    #[error(
        "there is no {TRACEFS}/instances: run \"mount -t tracefs tracefs {TRACEFS}\" as root, \
         on a kernel with CONFIG_TRACING"
    )]
    NoTracefs,
    #[error("no permission to trace: run as root")]
    NotPermitted,
    #[error(
        "this kernel has no tracepoints of go_sched: run \"gosched check\" to see what is missing"
    )]
    NoTracepoints,
    #[error("{0}: {1}")]
    Os(PathBuf, io::Error),
}

/// The buffer, which records until it is dropped.
pub(super) struct Instance {
    // In this order: the kernel keeps a directory with an open file.
    pipe: File,
    dir: Dir,
    /// Half a line, whose rest is still to come.
    rest: String,
}

impl Instance {
    /// Starts to record, with room for `buffer_kb` KiB on each CPU.
    pub(super) fn start(buffer_kb: u32) -> Result<Self, TraceError> {
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
            .map_err(|error| TraceError::Os(path, error))?;
        dir.write("events/task/task_newtask/enable", "1")?;
        dir.write("events/go_sched/enable", "1")
            .map_err(|error| match error {
                TraceError::Os(_, error) if error.kind() == ErrorKind::NotFound => {
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

    /// Takes the lines that are complete by now out of the buffer, the first one
    /// first; none when there are none.
    pub(super) fn read(&mut self) -> Result<Vec<String>, TraceError> {
        let mut chunk = [0; 64 << 10];
        let length = match self.pipe.read(&mut chunk) {
            Ok(length) => length,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                0
            }
            Err(error) => return Err(TraceError::Os(self.dir.0.join("trace_pipe"), error)),
        };
        // Names of tasks may be any bytes, and each must stay one character.
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

/// The directory of the buffer, which is removed when dropped.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Result<Self, TraceError> {
        let path = Path::new(TRACEFS).join(format!("instances/gosched-{}", process::id()));
        match fs::create_dir(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(match error.kind() {
                ErrorKind::NotFound => TraceError::NoTracefs,
                ErrorKind::PermissionDenied => TraceError::NotPermitted,
                _ => TraceError::Os(path, error),
            }),
        }
    }

    fn write(&self, file: &str, text: &str) -> Result<(), TraceError> {
        let path = self.0.join(file);
        // Never creates one, as fs::write() does.
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| TraceError::Os(path, error))
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
