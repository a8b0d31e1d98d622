// SPDX-License-Identifier: GPL-2.0

//! Programs that are recorded until they end.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::cgroup::Cgroup;
use gosched_observe::event::Event;
use gosched_observe::layout::GoProgram;
use gosched_observe::layout::LayoutError;
use gosched_observe::record::record;
use gosched_observe::record::Backend;
use gosched_observe::record::Control;
use gosched_observe::record::Outcome;
use gosched_observe::record::Target;
use tempfile::TempDir;

/// A program takes no longer, however slow the emulator is.
pub(crate) const LONGEST: Duration = Duration::from_secs(120);

/// What was recorded of a program.
pub(crate) struct Recorded {
    pub(crate) events: Vec<Event>,
    pub(crate) outcome: Outcome,
    /// What each executable of the program was found to be.
    pub(crate) programs: Vec<Result<GoProgram, LayoutError>>,
    /// What it printed.
    pub(crate) output: String,
    pub(crate) succeeded: bool,
}

struct Recording {
    command: Command,
    child: Option<Child>,
    began: Instant,
    events: Vec<Event>,
    programs: Vec<Result<GoProgram, LayoutError>>,
}

impl Control for Recording {
    fn start(&mut self) -> io::Result<()> {
        match &mut self.child {
            // It waits for that.
            Some(child) => drop(child.stdin.take()),
            None => self.child = Some(self.command.spawn()?),
        }
        Ok(())
    }

    fn take(&mut self, event: &Event, _bytes: &[u8]) -> io::Result<bool> {
        self.events.push(*event);
        Ok(true)
    }

    fn program(&mut self, program: Result<GoProgram, LayoutError>) {
        self.programs.push(program);
    }

    fn pause(&mut self, pause: Duration) -> io::Result<bool> {
        thread::sleep(pause);
        assert!(self.began.elapsed() < LONGEST, "it has not ended");
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?.is_some()),
            None => Ok(true),
        }
    }
}

/// Puts an executable into a folder.
pub(crate) fn install(folder: &TempDir, executable: &[u8]) -> PathBuf {
    let path = folder.path().join("program");
    fs::write(&path, executable).expect("there is room");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is there");
    path
}

/// Records a program from its start to its end.
pub(crate) fn run(program: &Path, arguments: &[&str]) -> Recorded {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::piped());
    let target = Target::Next(Some(program.to_owned()));
    finish(&target, command, None)
}

/// Records a program in a control group, from its start to its end.
pub(crate) fn run_in(group: &Cgroup, program: &Path, arguments: &[&str]) -> Recorded {
    let mut command = Command::new("sh");
    let procs = group.path().join("cgroup.procs");
    command.args(["-c", r#"echo $$ >"$0"; exec "$@""#]);
    command.arg(procs).arg(program).args(arguments);
    command.stdout(Stdio::piped());
    finish(&Target::Next(None), command, None)
}

/// Records a program that runs already, until it ends. Its standard input ends when it is
/// recorded.
pub(crate) fn attach(program: &Path, arguments: &[&str]) -> Recorded {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped());
    let child = command.spawn().expect("it can be run");
    let pid = i32::try_from(child.id()).expect("a pid");
    finish(&Target::Process(pid), command, Some(child))
}

fn finish(target: &Target, command: Command, child: Option<Child>) -> Recorded {
    let mut recording = Recording {
        command,
        child,
        began: Instant::now(),
        events: Vec::new(),
        programs: Vec::new(),
    };
    let outcome = record(target, Some(Backend::Bpf), &mut recording).expect("it is recorded");
    let child = recording.child.take().expect("it was started");
    let output = child.wait_with_output().expect("it has ended");
    Recorded {
        events: recording.events,
        outcome,
        programs: recording.programs,
        output: String::from_utf8(output.stdout).expect("it prints UTF-8"),
        succeeded: output.status.success(),
    }
}
