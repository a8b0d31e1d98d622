// SPDX-License-Identifier: GPL-2.0

//! The folder that a record is: `meta.json`, the kernel's events, and the trace of Go's runtime
//! if there is one.

use std::ffi::OsStr;
use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;

use go_sched_gotrace::Reader;
use serde::Deserialize;
use serde::Serialize;

use crate::event::Event;
use crate::event::SIZE;
use crate::layout::GoProgram;
use crate::layout::LayoutError;

const META: &str = "meta.json";
const EVENTS: &str = "events";
/// The trace of Go's runtime.
const GO_TRACE: &str = "go.trace";

/// The end of the name of a folder in which a record is written.
const UNFINISHED: &str = ".unfinished";

/// All files of a record.
const FILES: [&str; 3] = [META, EVENTS, GO_TRACE];

/// The version of the folder's contents.
const VERSION: u32 = 1;
/// The most bytes of `meta.json` that are read.
const MOST_META: u64 = 1 << 20;

/// Process, kernel, clocks and completeness of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The version of the record.
    pub version: u32,
    /// The size of an event, in bytes.
    pub event_size: usize,
    /// `little` or `big`.
    pub endian: String,
    /// The kernel's release.
    pub kernel: String,
    /// The process, in the first pid namespace.
    pub pid: i32,
    /// The process that has made the record.
    pub recorder: i32,
    /// Command line of the recorded process, with blanks between the arguments.
    pub command: String,
    /// Layout that goroutines were read by; `None` if no goroutine was read.
    pub go: Option<GoProgram>,
    /// Reason that no goroutine was read.
    pub no_go: Option<String>,
    /// `CLOCK_MONOTONIC` at the beginning, in ns.
    pub from: u64,
    /// `CLOCK_MONOTONIC` at the end, in ns.
    pub to: u64,
    /// `CLOCK_BOOTTIME` less `CLOCK_MONOTONIC`, in ns.
    pub boottime_offset: i64,
    /// `CLOCK_REALTIME` less `CLOCK_MONOTONIC` at the beginning and at the end, in ns; `None` in
    /// older records.
    #[serde(default)]
    pub realtime_offset: Option<[i64; 2]>,
    /// Events that found no room in the ring buffer.
    pub lost: u64,
    /// Whether the record ends early, because its size was used up or its events could not be
    /// written.
    pub full: bool,
    /// Whether the recording has not ended, or was killed. The times are then those of the events.
    #[serde(default)]
    pub unfinished: bool,
}

/// The reason that a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    Os {
        /// The file.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// The folder is none of `gosched record`.
    #[error("{} is no record of \"gosched record\": {why}", path.display())]
    NoRecord {
        /// The folder.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// Another version has written the record.
    #[error("{} was written by another version of gosched", .0.display())]
    Version(PathBuf),
    /// A complete record cannot take its place, and has been kept elsewhere.
    #[error(
        "the record is in {}, as it cannot take the place of {}: {error}",
        unfinished.display(),
        path.display()
    )]
    NotInPlace {
        /// The folder that the record is in.
        unfinished: PathBuf,
        /// The folder whose place the record was to take.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// A machine of another byte order has written the record.
    #[error("{} was recorded on a machine of another byte order", .0.display())]
    Endian(PathBuf),
}

fn os(path: &Path) -> impl Fn(io::Error) -> DirectoryError + '_ {
    |error| DirectoryError::Os {
        path: path.to_owned(),
        error,
    }
}

/// The byte order of this machine.
fn endian() -> String {
    if cfg!(target_endian = "little") {
        "little".to_owned()
    } else {
        "big".to_owned()
    }
}

/// Writes a record, into a folder beside the record's own. A complete record takes the place of that
/// one.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    /// Folder of the unfinished record; `None` once the record has its place.
    unfinished: Option<PathBuf>,
    /// `None` once all events are written.
    events: Option<BufWriter<File>>,
    room: u64,
    /// Why an event could not be written.
    failed: Option<io::Error>,
}

/// The parts of a record that could not be written.
#[derive(Debug)]
pub struct Unwritten {
    /// Why the last events are missing.
    pub events: Option<io::Error>,
    /// Why the copy of a trace of Go's runtime is missing.
    pub go_trace: Option<io::Error>,
}

/// Room that `meta.json` takes on a full disk, in bytes.
const ROOM_FOR_META: u64 = 64 << 10;

impl Writer {
    /// Makes a folder with room for so many bytes of events. Its files can be read by this user
    /// alone. A folder that is there must be empty, or a record, which is replaced in the end.
    pub fn create(path: &Path, room: u64) -> Result<Self, DirectoryError> {
        check_replaceable(path)?;
        let Some(name) = path.file_name() else {
            return Err(DirectoryError::NoRecord {
                path: path.to_owned(),
                why: "a record takes a folder of its own".to_owned(),
            });
        };
        let mut unfinished_name = name.to_owned();
        unfinished_name.push(format!(".{}{UNFINISHED}", process::id()));
        let unfinished = path.with_file_name(unfinished_name);
        DirBuilder::new()
            .mode(0o700)
            .create(&unfinished)
            .map_err(os(&unfinished))?;
        let events = unfinished.join(EVENTS);
        match create(&events) {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                unfinished: Some(unfinished),
                events: Some(BufWriter::with_capacity(1 << 20, file)),
                room,
                failed: None,
            }),
            Err(error) => {
                let _ = fs::remove_dir(&unfinished);
                Err(os(&events)(error))
            }
        }
    }

    /// Writes what is known of the record before it ends.
    pub fn begin(&self, meta: &Meta) -> io::Result<()> {
        let meta = Meta {
            unfinished: true,
            ..meta.clone()
        };
        let folder = self.unfinished.as_deref().unwrap_or(&self.path);
        write_meta(folder, &meta)
    }

    /// Writes the events to the disk that were added. [`Self::finish`] tells why it fails.
    pub fn flush(&mut self) {
        if let (Some(events), None) = (&mut self.events, &self.failed) {
            self.failed = events.flush().err();
        }
    }

    /// Adds an event; returns false if there is no room left, or the disk has none.
    /// [`Self::finish`] tells the reason of the disk.
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        let (Some(room), Some(events), None) = (
            self.room.checked_sub(bytes.len() as u64),
            &mut self.events,
            &self.failed,
        ) else {
            return false;
        };
        self.room = room;
        self.failed = events.write_all(bytes).err();
        self.failed.is_none()
    }

    /// Makes the file for a trace of Go's runtime that is no copy of another file. An empty one is
    /// not kept.
    pub fn create_go_trace(&self) -> io::Result<File> {
        let folder = self.unfinished.as_deref().unwrap_or(&self.path);
        create(&folder.join(GO_TRACE))
    }

    /// Ends the record with `meta`, and a copy of a trace of Go's runtime. On a full disk the
    /// last events make room. Returns what is missing of the record.
    pub fn finish(
        mut self,
        meta: &mut Meta,
        go_trace: Option<&Path>,
    ) -> Result<Unwritten, DirectoryError> {
        let folder = self.unfinished.clone().unwrap_or_default();
        let flushed = self.events.as_mut().map_or(Ok(()), Write::flush);
        let (file, _) = self.events.take().map(BufWriter::into_parts).unzip();
        let failed = flushed.and_then(|()| write_meta(&folder, meta)).err();
        if let (true, Some(file)) = (failed.is_some(), file) {
            meta.full = true;
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            let kept = length.saturating_sub(ROOM_FOR_META) / SIZE as u64 * SIZE as u64;
            file.set_len(kept)
                .and_then(|()| write_meta(&folder, meta))
                .map_err(os(&folder.join(META)))?;
        }
        let copy = folder.join(GO_TRACE);
        let copied = go_trace.map(|from| match copy_trace(from, &copy) {
            Ok(0) => Err(io::Error::other("it is empty: the trace has not ended")),
            copied => copied.map(drop),
        });
        // Also of a trace from elsewhere, nothing may have come.
        let nothing = || fs::metadata(&copy).is_ok_and(|copy| copy.len() == 0);
        if matches!(copied, Some(Err(_))) || nothing() {
            let _ = fs::remove_file(&copy);
        }
        // Whatever keeps the record from its place, it is complete.
        self.unfinished = None;
        let placed = remove(&self.path).and_then(|()| fs::rename(&folder, &self.path));
        placed.map_err(|error| DirectoryError::NotInPlace {
            unfinished: folder,
            path: self.path.clone(),
            error,
        })?;
        Ok(Unwritten {
            events: self.failed.take().or(failed),
            go_trace: copied.and_then(Result::err),
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(unfinished) = &self.unfinished {
            // The reason why there is no record has been said.
            let _ = remove(unfinished);
        }
    }
}

/// Writes `meta.json` of a record.
fn write_meta(folder: &Path, meta: &Meta) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(folder.join(META))?;
    file.write_all(&serde_json::to_vec_pretty(meta)?)?;
    file.write_all(b"\n")
}

/// Returns the folders beside a record's own in which there are unfinished ones, of processes that
/// have ended.
pub fn unfinished_beside(path: &Path) -> Vec<PathBuf> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of_ended = entries.map(|entry| entry.file_name()).filter(|name| {
        let process = process_of(name.as_bytes(), path.file_name());
        process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists())
    });
    let mut paths: Vec<_> = of_ended.map(|name| path.with_file_name(name)).collect();
    paths.sort();
    paths
}

/// Returns the process that writes a record into a folder of this name.
fn process_of(name: &[u8], of: Option<&OsStr>) -> Option<u32> {
    let rest = name.strip_prefix(of?.as_bytes())?.strip_prefix(b".")?;
    let process = rest.strip_suffix(UNFINISHED.as_bytes())?;
    std::str::from_utf8(process).ok()?.parse().ok()
}

/// Removes a record, if there is one, and nothing else.
fn remove(path: &Path) -> io::Result<()> {
    for file in FILES {
        match fs::remove_file(path.join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Creates a file that this user alone can read.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Fails unless there is nothing at a path, an empty folder, or a record.
fn check_replaceable(path: &Path) -> Result<(), DirectoryError> {
    if path.is_symlink() {
        return Err(DirectoryError::NoRecord {
            path: path.to_owned(),
            why: "it is a symbolic link, name the folder itself".to_owned(),
        });
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(os(path)(error)),
    };
    let mut empty = true;
    for entry in entries {
        let name = entry.map_err(os(path))?.file_name();
        empty = false;
        if !FILES.iter().any(|file| name == *file) {
            return Err(DirectoryError::NoRecord {
                path: path.to_owned(),
                why: "there are other files in it, and it is not replaced".to_owned(),
            });
        }
    }
    if empty {
        return Ok(());
    }
    read_meta(path).map(|_| ())
}

impl Meta {
    /// Returns whether the program is known not to be Go's: a trace of Go's runtime is not missing.
    pub(crate) fn is_not_go(&self) -> bool {
        let why = self.no_go.as_deref();
        why.is_some_and(|why| why == LayoutError::NotGo.to_string())
    }

    /// Returns what is the same in all records that this program writes.
    pub fn new(kernel: String, command: String) -> Self {
        Self {
            version: VERSION,
            event_size: SIZE,
            endian: endian(),
            kernel,
            pid: -1,
            recorder: i32::try_from(process::id()).unwrap_or(-1),
            command,
            go: None,
            no_go: None,
            from: 0,
            to: 0,
            boottime_offset: 0,
            realtime_offset: None,
            lost: 0,
            full: false,
            unfinished: false,
        }
    }
}

/// A record that was read.
#[derive(Clone, Debug)]
pub struct Record {
    /// Process, kernel, clocks and completeness of the record.
    pub meta: Meta,
    /// The events, in the order of their times.
    pub events: Vec<Event>,
    /// Bytes at the end that are no whole event, or events that are not known.
    pub damaged: u64,
    /// The trace of Go's runtime.
    pub go_trace: Option<Vec<u8>>,
}

impl Record {
    /// Reads a record.
    pub fn read(path: &Path) -> Result<Self, DirectoryError> {
        let mut meta = read_meta(path)?;
        let events_path = path.join(EVENTS);
        let bytes = read_file(&events_path).map_err(os(&events_path))?;
        let mut damaged = (bytes.len() % SIZE) as u64;
        let mut events: Vec<Event> = Vec::with_capacity(bytes.len() / SIZE);
        if meta.unfinished {
            let times = bytes.chunks_exact(SIZE).filter_map(Event::from_bytes);
            let times = times.map(|event| event.time);
            meta.from = times.clone().min().unwrap_or(meta.from);
            meta.to = times.max().unwrap_or(meta.from);
        }
        for chunk in bytes.chunks_exact(SIZE) {
            match Event::from_bytes(chunk) {
                Some(event) if (meta.from..=meta.to).contains(&event.time) => events.push(event),
                _ => damaged += SIZE as u64,
            }
        }
        // Each CPU's are in order.
        events.sort_by_key(|event| event.time);
        let go_trace = match read_file(&path.join(GO_TRACE)) {
            Ok(trace) => Some(trace),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(os(&path.join(GO_TRACE))(error)),
        };
        Ok(Self {
            meta,
            events,
            damaged,
            go_trace,
        })
    }
}

/// Reads a file, which nobody writes to without an end.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let (file, size) = open_file(path)?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Copies a trace of Go's runtime. Returns its size; fails if the file does not begin as one.
fn copy_trace(from: &Path, to: &Path) -> io::Result<u64> {
    /// The most bytes that tell a trace.
    const HEADER: u64 = 16;
    let (file, size) = open_file(from)?;
    let mut header = Vec::new();
    let mut file = file.take(size);
    file.by_ref().take(HEADER).read_to_end(&mut header)?;
    if let Err(error @ go_sched_gotrace::Error::NotATrace) = Reader::new(&*header) {
        return Err(io::Error::other(error.to_string()));
    }
    io::copy(&mut (&*header).chain(file), &mut create(to)?)
}

/// Opens an ordinary file. Returns its size, too.
fn open_file(path: &Path) -> io::Result<(File, u64)> {
    // To open a FIFO would wait for who writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// Reads what a record is of.
fn read_meta(path: &Path) -> Result<Meta, DirectoryError> {
    /// Fields that all versions have.
    #[derive(Deserialize)]
    struct Form {
        version: u32,
        event_size: usize,
        endian: String,
    }
    let no_record = |why: String| DirectoryError::NoRecord {
        path: path.to_owned(),
        why,
    };
    let meta_path = path.join(META);
    let mut text = String::new();
    match open_file(&meta_path) {
        Ok((file, _)) => file
            .take(MOST_META)
            .read_to_string(&mut text)
            .map_err(os(&meta_path))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_dir() => {
            let killed = path.as_os_str().as_bytes().ends_with(UNFINISHED.as_bytes());
            return Err(no_record(match killed {
                true => "gosched was killed before it began to record; remove it".to_owned(),
                false => "it has no meta.json".to_owned(),
            }));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(no_record("it does not exist; record first".to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(no_record("it is no folder".to_owned()))
        }
        Err(error) => return Err(os(&meta_path)(error)),
    };
    let damaged = |error: serde_json::Error| no_record(format!("{META}: {error}"));
    let form: Form = serde_json::from_str(&text).map_err(damaged)?;
    if form.endian != endian() {
        return Err(DirectoryError::Endian(path.to_owned()));
    }
    if form.version != VERSION || form.event_size != SIZE {
        return Err(DirectoryError::Version(path.to_owned()));
    }
    let meta: Meta = serde_json::from_str(&text).map_err(damaged)?;
    if meta.to < meta.from && !meta.unfinished {
        return Err(no_record(format!("{META}: the times are none of a record")));
    }
    Ok(meta)
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;
    use crate::event::fixture::event;
    use crate::event::fixture::thread;
    use crate::event::fixture::SWITCH;
    use crate::summary::Timeline;

    fn meta() -> Meta {
        Meta::new("6.12".to_owned(), "server".to_owned())
    }

    fn names(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).expect("a folder");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> = entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_record_takes_the_place_of_an_older_one_when_it_is_complete() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record");
        for version in ["first", "second"] {
            let writer = Writer::create(&path, 1 << 20).expect("room");
            let mut meta = meta();
            meta.command = version.to_owned();
            let unwritten = writer.finish(&mut meta, None).expect("room");
            assert!(unwritten.events.is_none() && unwritten.go_trace.is_none());
            assert_eq!(Record::read(&path).expect("a record").meta.command, version);
        }
        drop(Writer::create(&path, 1 << 20).expect("room"));
        assert_eq!(
            Record::read(&path).expect("a record").meta.command,
            "second"
        );
        assert_eq!(names(folder.path()), ["record"]);
    }

    #[test]
    fn a_trace_from_elsewhere_is_kept_unless_it_is_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record");
        for trace in [None, Some(b"go".to_vec())] {
            let writer = Writer::create(&path, 1 << 20).expect("room");
            let mut file = writer.create_go_trace().expect("room");
            file.write_all(trace.as_deref().unwrap_or_default())
                .expect("room");
            writer.finish(&mut meta(), None).expect("room");
            assert_eq!(Record::read(&path).expect("a record").go_trace, trace);
        }
    }

    #[test]
    fn what_is_no_record_is_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["events", "notes.txt"] {
            fs::write(folder.path().join(name), "mine").expect("room");
        }
        assert!(Writer::create(folder.path(), 1).is_err());
        fs::remove_file(folder.path().join("notes.txt")).expect("it is there");
        // Another one's file of this name.
        assert!(Writer::create(folder.path(), 1).is_err());
        assert_eq!(names(folder.path()), ["events"]);
    }

    #[test]
    fn a_record_of_another_version_is_said_to_be_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            r#"{{"version":2,"event_size":{SIZE},"endian":"{}"}}"#,
            endian()
        );
        fs::write(folder.path().join(META), text).expect("room");
        let error = Record::read(folder.path()).expect_err("another version");
        assert!(matches!(error, DirectoryError::Version(_)), "{error}");
    }

    #[test]
    fn a_record_without_the_wall_clock_is_read() {
        let mut older = serde_json::to_value(meta()).expect("JSON");
        let fields = older.as_object_mut().expect("fields");
        assert!(fields.remove("realtime_offset").is_some());
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(META), older.to_string()).expect("room");
        fs::write(folder.path().join(EVENTS), []).expect("room");
        let record = Record::read(folder.path()).expect("a record");
        assert_eq!(record.meta.realtime_offset, None);
    }

    #[test]
    fn a_record_whose_recording_was_killed_has_its_events() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record");
        let mut writer = Writer::create(&path, 1 << 20).expect("room");
        let mut begun = meta();
        (begun.pid, begun.from) = (10, 100);
        writer.begin(&begun).expect("room");
        for time in [90, 110] {
            let threads = [thread(10, 10), thread(0, 0)];
            let event = event(SWITCH, time, 0, threads, 0);
            assert!(writer.add(event.as_bytes()));
        }
        writer.flush();
        assert!(writer.add(&[1; SIZE - 1]));
        let unfinished = writer.unfinished.clone().expect("a folder");
        // Nothing is written any more, or removed.
        std::mem::forget(writer);
        let record = Record::read(&unfinished).expect("a record");
        assert_eq!((record.events.len(), record.damaged), (2, 0));
        let meta = &record.meta;
        assert_eq!((meta.pid, meta.from, meta.to), (10, 90, 110));
        let missing = Timeline::of(record).expect("a record").missing;
        assert!(missing[0].contains("unfinished"), "{missing:?}");
    }

    #[test]
    fn unfinished_records_of_processes_that_have_ended_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        // The most processes that Linux has are 1 << 22.
        let of_ended = format!("record.{}.unfinished", 1 << 23);
        let own = format!("record.{}.unfinished", process::id());
        for name in [
            &*of_ended,
            &own,
            "record",
            "record.x.unfinished",
            "other.8388608.unfinished",
        ] {
            fs::create_dir(folder.path().join(name)).expect("room");
        }
        let found = unfinished_beside(&folder.path().join("record"));
        assert_eq!(found, [folder.path().join(of_ended)]);
    }

    #[test]
    fn a_record_may_be_of_any_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record");
        for (to, is_one) in [(u64::MAX, true), (99, false)] {
            let writer = Writer::create(&path, 1 << 20).expect("room");
            let mut meta = meta();
            (meta.from, meta.to) = (100, to);
            writer.finish(&mut meta, None).expect("room");
            assert_eq!(Record::read(&path).is_ok(), is_one);
            fs::remove_dir_all(&path).expect("it is there");
        }
    }

    #[test]
    fn an_empty_trace_is_told_and_is_not_in_the_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, trace) = (folder.path().join("record"), folder.path().join("trace"));
        fs::write(&trace, "").expect("room");
        let writer = Writer::create(&path, 1 << 20).expect("room");
        let unwritten = writer.finish(&mut meta(), Some(&trace)).expect("room");
        assert!(unwritten.go_trace.is_some());
        assert!(Record::read(&path).expect("a record").go_trace.is_none());
    }

    #[test]
    fn a_file_that_is_no_trace_is_told_and_is_not_in_the_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, trace) = (folder.path().join("record"), folder.path().join("trace"));
        let go = include_bytes!("../../gotrace/fixtures/go1.25.trace");
        for (bytes, is_trace) in [(&b"name,value\n1,2\n3,4\n"[..], false), (go, true)] {
            fs::write(&trace, bytes).expect("room");
            let writer = Writer::create(&path, 1 << 20).expect("room");
            let unwritten = writer.finish(&mut meta(), Some(&trace)).expect("room");
            let why = unwritten.go_trace.map(|error| error.to_string());
            let told = why.is_some_and(|why| why.starts_with("not a Go execution trace"));
            assert_eq!(told, !is_trace);
            let kept = Record::read(&path).expect("a record").go_trace;
            assert_eq!(kept.as_deref(), Some(bytes).filter(|_| is_trace));
        }
    }

    #[test]
    fn events_that_cannot_be_written_are_missing_from_the_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record");
        let mut writer = Writer::create(&path, 1 << 20).expect("room");
        let full = OpenOptions::new().write(true).open("/dev/full");
        writer.events = Some(BufWriter::with_capacity(1, full.expect("a device")));
        assert!(!writer.add(&[0; SIZE]));
        assert!(!writer.add(&[0; SIZE]));
        let unwritten = writer.finish(&mut meta(), None).expect("room");
        let kind = unwritten.events.map(|error| error.kind());
        assert_eq!(kind, Some(io::ErrorKind::StorageFull));
        assert_eq!(Record::read(&path).expect("a record").events, []);
    }

    #[test]
    fn a_trace_that_is_not_there_is_missing_from_the_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record");
        let writer = Writer::create(&path, 1 << 20).expect("room");
        let trace = folder.path().join("trace");
        let unwritten = writer.finish(&mut meta(), Some(&trace)).expect("room");
        assert!(unwritten.events.is_none() && unwritten.go_trace.is_some());
        assert_eq!(Record::read(&path).expect("a record").go_trace, None);
    }

    #[test]
    fn a_record_is_kept_elsewhere_if_other_files_are_in_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record");
        let writer = Writer::create(&path, 1 << 20).expect("room");
        fs::create_dir(&path).expect("room");
        fs::write(path.join("notes"), "").expect("room");
        let Err(DirectoryError::NotInPlace { unfinished, .. }) = writer.finish(&mut meta(), None)
        else {
            panic!("other files are replaced");
        };
        assert!(path.join("notes").exists());
        assert!(Record::read(&unfinished).is_ok());
    }

    #[test]
    fn a_symbolic_link_is_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &path).expect("room");
        assert!(Writer::create(&path, 1 << 20).is_err());
        assert!(path.is_symlink());
    }

    #[test]
    fn a_file_is_no_record() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = Record::read(file.path()).expect_err("no record");
        assert!(matches!(error, DirectoryError::NoRecord { .. }), "{error}");
    }

    #[test]
    fn damaged_events_are_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record");
        let mut writer = Writer::create(&path, 1 << 20).expect("room");
        assert!(writer.add(&[0; SIZE]));
        assert!(writer.add(&[1, 2, 3]));
        writer.finish(&mut meta(), None).expect("room");
        let record = Record::read(&path).expect("a record");
        assert_eq!((record.events.len(), record.damaged), (0, SIZE as u64 + 3));
    }
}
