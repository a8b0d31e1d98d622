// SPDX-License-Identifier: GPL-2.0

//! Reading of records.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Deserialize;

use super::endian;
use super::os;
use super::DirectoryError;
use super::Meta;
use super::EVENTS;
use super::GO_TRACE;
use super::META;
use super::UNFINISHED;
use super::VERSION;
use crate::event::Event;
use crate::event::SIZE;

/// The most bytes of `meta.json` that are read.
const MOST_META: u64 = 1 << 20;

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

/// Opens an ordinary file. Returns its size, too.
pub(super) fn open_file(path: &Path) -> io::Result<(File, u64)> {
    // To open a FIFO would wait for who writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// Reads what a record is of.
pub(super) fn read_meta(path: &Path) -> Result<Meta, DirectoryError> {
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
