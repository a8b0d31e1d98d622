// SPDX-License-Identifier: GPL-2.0

//! The folder that a record is: `meta.json`, the kernel's events, and the trace of Go's runtime
//! if there is one.

mod record;
#[cfg(test)]
mod tests;

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

use self::record::open_file;
use self::record::read_meta;
pub use self::record::Record;
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
    /// Reason that tracefs told the events, and no BPF program did; `None` if one did.
    #[serde(default)]
    pub tracefs: Option<String>,
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

    /// Writes the events to the disk that were added. [`Self::finish`] tells the reason of a failure.
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
            tracefs: None,
        }
    }

    /// Returns a sentence that says what a record by tracefs lacks, and why.
    pub fn lacks(&self) -> Option<String> {
        let why = self.tracefs.as_ref()?;
        Some(format!(
            "tracefs told the events, and not in which system calls threads slept, nor which waits \
             were for a CPU quota: {why}"
        ))
    }
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
