// SPDX-License-Identifier: GPL-2.0

//! `gosched record`.

use std::env;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::iter;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;

use gosched_observe::directory::unfinished_beside;
use gosched_observe::directory::Meta;
use gosched_observe::directory::Unwritten;
use gosched_observe::directory::Writer;
use gosched_observe::event::Event;
use gosched_observe::layout::GoProgram;
use gosched_observe::layout::LayoutError;
use gosched_observe::layout::LayoutSource;
use gosched_observe::record;
use gosched_observe::record::Control;
use gosched_observe::record::Target;
use rustix::event::poll;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::process::pidfd_open;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::time::clock_gettime;
use rustix::time::ClockId;

use crate::args::Interval;
use crate::args::Record;
use crate::error::Error;
use crate::error::ObserveError;
use crate::error::TraceWarning;
use crate::exit;
use crate::handed::Child;
use crate::interrupt::Interrupt;
use crate::observe::fetch::is_askable;
use crate::observe::fetch::Fetch;
use crate::output::complain;
use crate::output::printable;
use crate::run;
use crate::trace::await_end;
use crate::trace::exit_code;
use crate::trace::is_first_pid_namespace;
use crate::trace::pass_on;

/// Records until the command ends, the time is over, or a signal comes.
pub(crate) fn record(args: &Record) -> Result<ExitCode, Error> {
    record_with(args, tell)
}

/// Records the process of a thread, and says nothing of the record.
pub(crate) fn record_process(tid: i32, seconds: Interval, output: &Path) -> Result<(), Error> {
    let args = Record {
        output: output.to_owned(),
        pid: Some(tid),
        seconds: Some(seconds),
        max_size: Record::TEMPORARY_SIZE,
        backend: None,
        go_trace: None,
        command: Vec::new(),
    };
    record_with(&args, |_, _, _, _| ())?;
    Ok(())
}

fn record_with(
    args: &Record,
    tell: impl Fn(&Meta, u64, &Path, &Unwritten),
) -> Result<ExitCode, Error> {
    let url = args.go_trace_url();
    let has_end = args.pid.and(args.seconds).is_some();
    if !url.is_none_or(|url| has_end && is_askable(url)) {
        return Err(ObserveError::GoTraceUrl.into());
    }
    if !is_first_pid_namespace()? {
        return Err(ObserveError::PidNamespace.into());
    }
    let (target, process, command) = match args.pid {
        Some(tid) => {
            let (pid, process) = open(tid)?;
            if args.go_trace.is_some() && is_in_other_pid_namespace(pid) {
                return Err(ObserveError::OtherPidNamespace(pid).into());
            }
            (Target::Process(pid), Some(process), command_line(pid))
        }
        None => {
            let words = args.command.iter().map(|word| word.to_string_lossy());
            let command = words.collect::<Vec<_>>().join(" ");
            (Target::Next(find(&args.command[0])), None, command)
        }
    };
    for path in unfinished_beside(&args.output) {
        complain(&ObserveError::Unfinished(path));
    }
    let room = u64::from(args.max_size.get()) << 20;
    let mut meta = meta(command);
    if let Target::Process(pid) = target {
        meta.pid = pid;
    }
    meta.boottime_offset = now(ClockId::Boottime) - now(ClockId::Monotonic);
    let mut recording = Recording {
        args,
        writer: Writer::create(&args.output, room).map_err(ObserveError::from)?,
        interrupt: Interrupt::catch()?,
        process,
        child: None,
        failed_start: None,
        fetch: None,
        ends: None,
        meta,
        events: 0,
    };
    let outcome = record::record(&target, args.backend.map(Into::into), &mut recording);
    if let Some(code) = recording.failed_start {
        return Ok(code);
    }
    let recorded = match outcome {
        Ok(outcome) => {
            if let Some([_, end]) = &mut recording.meta.realtime_offset {
                *end = realtime_offset();
            }
            let fetched = recording.fetched();
            let mut meta = recording.meta;
            meta.pid = outcome.target;
            meta.lost = outcome.lost;
            if let Some(fallback) = outcome.tracefs {
                meta.tracefs = Some(fallback.why);
                if let Some(error) = fallback.not_removed {
                    complain(&TraceWarning::from(error));
                }
            }
            let file = args.go_trace.as_deref().filter(|_| url.is_none());
            let finished = recording.writer.finish(&mut meta, file);
            finished.map(|unwritten| {
                tell(&meta, recording.events, &args.output, &unwritten);
                let copy = file.zip(unwritten.go_trace);
                let copy = copy.map(|(path, error)| ObserveError::GoTrace(path.to_owned(), error));
                let events = unwritten.events.map(ObserveError::Unwritten);
                let missing = [events, copy, fetched.err()].into_iter().flatten();
                missing.inspect(|error| complain(error)).count() == 0
            })
        }
        .map_err(ObserveError::from),
        Err(error) => Err(error.into()),
    };
    // The command goes on, whatever has become of the record.
    let Some((mut child, status)) = recording.child else {
        return Ok(match recorded? {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(exit::FAILURE),
        });
    };
    let whole = match recorded {
        Ok(whole) => whole,
        Err(error) => {
            complain(&error);
            false
        }
    };
    let status = match status {
        Some(status) => status,
        None => await_end(&mut child, &mut recording.interrupt)?,
    };
    Ok(exit_code(status, !whole))
}

/// Returns whether a process has other ids for itself than this one has for it.
fn is_in_other_pid_namespace(pid: i32) -> bool {
    let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    of(&pid.to_string()) != of("self")
}

/// Says what the record is, on standard error: the command's output is on standard output.
fn tell(meta: &Meta, events: u64, output: &Path, unwritten: &Unwritten) {
    let seconds = Duration::from_nanos(meta.to.saturating_sub(meta.from)).as_secs_f64();
    let lost = match meta.lost {
        0 => "none lost".to_owned(),
        lost => format!("{lost} lost: the buffer was full"),
    };
    let goroutines = match (&meta.go, &meta.no_go) {
        (Some(program), _) => match program.source {
            LayoutSource::DebugInformation => {
                format!("goroutines of {}, by debug information", program.version)
            }
            LayoutSource::Release => format!("goroutines of {}", program.version),
        },
        (None, Some(why)) => format!("no goroutines: {why}"),
        (None, None) => "no goroutines".to_owned(),
    };
    let full = if meta.full && unwritten.events.is_none() {
        "; the record ends early, as its size was used up: see --max-size"
    } else {
        ""
    };
    let lacks = meta.lacks().map(|lacks| format!("; {lacks}"));
    let text = format!(
        "{events} events in {seconds:.1} s, {lost}; {goroutines}{}{full}. To see it: gosched timeline {}",
        lacks.unwrap_or_default(),
        output.display()
    );
    complain(&printable(&text));
}

/// Returns what a record, or another look at the scheduler, is of.
pub(super) fn meta(command: String) -> Meta {
    let kernel = rustix::system::uname();
    Meta::new(kernel.release().to_string_lossy().into_owned(), command)
}

/// Returns the process of a thread, and what [`has_ended`] takes.
pub(super) fn open(tid: i32) -> Result<(i32, OwnedFd), ObserveError> {
    let pid = process_of(tid)?;
    let process = Pid::from_raw(pid).ok_or(Errno::SRCH);
    let process = process.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
    match process {
        Ok(process) => Ok((pid, process)),
        Err(errno) => Err(ObserveError::Process(pid, errno.into())),
    }
}

/// Returns whether a process has ended, perhaps without its parent's having noticed.
pub(super) fn has_ended(process: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(process, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Returns a clock's time, in ns.
pub(super) fn now(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Returns `CLOCK_REALTIME` less `CLOCK_MONOTONIC`, in ns. Of several readings, the one counts
/// between whose two clocks the least time passed.
fn realtime_offset() -> i64 {
    const READINGS: usize = 5;
    let read = || {
        let before = now(ClockId::Monotonic);
        let realtime = now(ClockId::Realtime);
        let took = now(ClockId::Monotonic) - before;
        (took, realtime - before - took / 2)
    };
    let best = iter::repeat_with(read).take(READINGS).min();
    best.map_or(0, |(_, offset)| offset)
}

/// Returns the process of a thread, which must exist.
fn process_of(tid: i32) -> Result<i32, ObserveError> {
    // Names may have any bytes.
    let status = fs::read(format!("/proc/{tid}/status"))
        .map_err(|error| ObserveError::Process(tid, error))?;
    let status = String::from_utf8_lossy(&status);
    let tgid = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    tgid.and_then(|tgid| tgid.trim().parse().ok())
        .ok_or_else(|| ObserveError::Process(tid, io::ErrorKind::InvalidData.into()))
}

/// Returns the command line of a process with blanks between the arguments, or its name.
pub(super) fn command_line(pid: i32) -> String {
    let read = |file| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = read("cmdline");
    let line = String::from_utf8_lossy(&line);
    match line.trim_end_matches('\0') {
        // A thread of the kernel has none.
        "" => format!("[{}]", String::from_utf8_lossy(&read("comm")).trim_end()),
        line => line.replace('\0', " "),
    }
}

/// Returns the file that a command will execute, as `execvp(3)` finds it.
fn find(program: &OsStr) -> Option<PathBuf> {
    if Path::new(program).components().count() > 1 {
        return Some(program.into());
    }
    let path = env::var_os("PATH")?;
    let mut files = env::split_paths(&path).map(|folder| folder.join(program));
    files.find(|file| file.is_file())
}

/// What is recorded so far.
struct Recording<'a> {
    args: &'a Record,
    writer: Writer,
    interrupt: Interrupt,
    /// The command, and how it has ended.
    child: Option<(Child, Option<std::process::ExitStatus>)>,
    /// The exit status if the command could not be run.
    failed_start: Option<ExitCode>,
    /// The process that runs already.
    process: Option<OwnedFd>,
    /// The trace that its server writes.
    fetch: Option<Fetch>,
    ends: Option<Instant>,
    meta: Meta,
    events: u64,
}

impl Recording<'_> {
    /// Writes what is known so far, for a record that never ends.
    fn begin(&self) {
        // The end says what cannot be written.
        let _ = self.writer.begin(&self.meta);
    }

    /// Asks for the trace of the Go runtime if that comes from a URL.
    fn start_fetch(&mut self) -> io::Result<()> {
        if let (Some(url), Some(seconds)) = (self.args.go_trace_url(), self.args.seconds) {
            let file = self.writer.create_go_trace()?;
            let room = u64::from(self.args.max_size.get()) << 20;
            self.fetch = Some(Fetch::start(url, seconds.0, file, room)?);
        }
        Ok(())
    }

    /// Waits for that trace.
    fn fetched(&mut self) -> Result<(), ObserveError> {
        let (Some(fetch), Some(url)) = (self.fetch.take(), self.args.go_trace_url()) else {
            return Ok(());
        };
        fetch.finish(&mut self.interrupt).map_err(|why| {
            let error = match fetch.has_begun() {
                true => ObserveError::GoTraceCutOff,
                false => ObserveError::GoTraceNotFetched,
            };
            error(url.to_owned(), why)
        })
    }
}

impl Control for Recording<'_> {
    fn start(&mut self) -> io::Result<()> {
        let command: &[OsString] = &self.args.command;
        self.meta.from = now(ClockId::Monotonic).unsigned_abs();
        self.meta.realtime_offset = Some([realtime_offset(); 2]);
        self.ends = self.args.seconds.map(|seconds| Instant::now() + seconds.0);
        if self.process.is_some() {
            self.begin();
            return self.start_fetch();
        }
        match Child::spawn(command) {
            Ok(child) => {
                self.meta.pid = child.pid().as_raw_nonzero().get();
                self.child = Some((child, None));
                self.begin();
            }
            Err(error) => {
                self.failed_start = Some(run::cannot_run(&command[0], &error));
                return Err(error);
            }
        }
        Ok(())
    }

    fn take(&mut self, event: &Event, bytes: &[u8]) -> io::Result<bool> {
        // A process that runs already is recorded a little before the start, and what is in the
        // buffer a little after the end.
        self.meta.from = self.meta.from.min(event.time);
        self.meta.to = self.meta.to.max(event.time);
        let fits = self.writer.add(bytes);
        self.events += u64::from(fits);
        self.meta.full |= !fits;
        Ok(fits)
    }

    fn program(&mut self, program: Result<GoProgram, LayoutError>) {
        match program {
            Ok(program) => {
                self.meta.go = Some(program);
                self.meta.no_go = None;
            }
            Err(why) => {
                self.meta.go = None;
                self.meta.no_go = Some(why.to_string());
            }
        }
        self.begin();
    }

    fn pause(&mut self, pause: Duration) -> io::Result<bool> {
        // If gosched is killed, this is what the record has.
        self.writer.flush();
        let mut ends = self.ends.is_some_and(|end| end <= Instant::now());
        if let Some(signal) = self.interrupt.wait(pause)? {
            match &self.child {
                // The end of the command ends the recording.
                Some((child, _)) => pass_on(signal, child),
                None => ends = true,
            }
        }
        ends |= match &mut self.child {
            Some((child, status)) => {
                *status = child.try_wait()?;
                status.is_some()
            }
            None => self.process.as_ref().is_some_and(has_ended),
        };
        // It may take a while to read what is in the buffer.
        let now = now(ClockId::Monotonic).unsigned_abs();
        self.meta.to = self.meta.to.max(now);
        Ok(ends)
    }
}
