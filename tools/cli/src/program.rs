// SPDX-License-Identifier: GPL-2.0

//! Executables: whether one has Go's runtime, and the overlay by which its threads follow
//! its goroutines.
//!
//! Go keeps the names of functions in the executable, also in one without symbols, so one of
//! the overlay's functions tells it.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;

use gosched::error::FindError;
use gosched::thread::check_proc;
use gosched::Status;
use schemars::JsonSchema;
use serde::Serialize;

/// A function of the overlay, see go/internal/overlay/runtime/os_linux.go.in.
const OF_OVERLAY: &[u8] = b"runtime.gprioBind";
/// A function of each Go program, unless its names are others than those of its source.
const OF_RUNTIME: &[u8] = b"runtime.main";

/// The most bytes that are searched for names. Go's largest programs have some 100 MB of them.
const MOST_BYTES: u64 = 256 << 20;
/// The most bytes that the names of sections take.
const MOST_NAMES: u64 = 1 << 20;

/// The runtime that an executable has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// None of Go's own compiler.
    NotGo,
    /// Go's, as it comes.
    Go,
    /// Go's with the overlay: each thread that the runtime starts follows its goroutine, if the
    /// device can be used.
    Overlay,
}

/// The reason that the runtime of a program is unknown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnknownRuntime {
    #[error(transparent)]
    Proc(FindError),
    #[error("it has no executable: it is the kernel's, or has ended")]
    NoExecutable,
    #[error("its executable may not be read by this user")]
    NotPermitted,
    #[error("its executable has no sections, as if it were packed")]
    NoSections,
    #[error("the functions of its executable have other names than in their source")]
    NoNames,
    #[error("its executable cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// An executable, which may have been replaced or removed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FileId {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

/// What is known of the executables that have been looked at.
#[derive(Debug)]
pub(crate) struct Executables<T> {
    /// Each with whether it was asked for since [`Executables::forget_unused`].
    known: HashMap<FileId, (T, bool)>,
}

/// The runtimes of the executables that have been looked at.
pub(crate) type Runtimes = Executables<Runtime>;

impl<T> Default for Executables<T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
        }
    }
}

impl Runtimes {
    /// Tells the runtime of a process or of the process of a thread.
    pub(crate) fn of(&mut self, pid: i32) -> Result<Runtime, UnknownRuntime> {
        self.get(pid, runtime_of)
    }
}

impl<T: Clone> Executables<T> {
    /// Returns what `read` tells of the executable of a process or of the process of a thread,
    /// which is read once unless that fails.
    pub(crate) fn get(
        &mut self,
        pid: i32,
        read: impl FnOnce(&File) -> Result<T, UnknownRuntime>,
    ) -> Result<T, UnknownRuntime> {
        check_proc().map_err(UnknownRuntime::Proc)?;
        let file = File::open(format!("/proc/{pid}/exe")).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => UnknownRuntime::NoExecutable,
            io::ErrorKind::PermissionDenied => UnknownRuntime::NotPermitted,
            _ => UnknownRuntime::Unreadable(error),
        })?;
        let metadata = file.metadata()?;
        let id = FileId {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        };
        let found = match self.known.get(&id) {
            Some((found, _)) => found.clone(),
            None => read(&file)?,
        };
        self.known.insert(id, (found.clone(), true));
        Ok(found)
    }

    /// Forgets the executables that were not asked for since the last call.
    pub(crate) fn forget_unused(&mut self) {
        self.known
            .retain(|_, (_, used)| std::mem::replace(used, false));
    }
}

/// Whose hints a thread that is bound to a slot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HintsOf {
    /// Its own.
    Thread,
    /// Those of the goroutine that it runs at the moment: Go's runtime has bound the thread,
    /// by the overlay.
    Goroutine,
    /// Unknown, as the executable cannot be read.
    Unknown,
}

impl HintsOf {
    /// Returns the cell of a table.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Goroutine => "goroutine",
            Self::Unknown => "?",
        }
    }
}

/// Whose hints a thread has, and why that is unknown if it is.
#[derive(Debug)]
pub(crate) struct Hints {
    pub(crate) of: HintsOf,
    pub(crate) unknown: Option<UnknownRuntime>,
}

impl Hints {
    /// Tells whose hints the thread `tid` has; `None` if it is not bound to a slot.
    pub(crate) fn of(tid: i32, status: &Status, runtimes: &mut Runtimes) -> Option<Self> {
        status.slot?;
        let (of, unknown) = match runtimes.of(tid) {
            Ok(Runtime::Overlay) => (HintsOf::Goroutine, None),
            Ok(Runtime::Go | Runtime::NotGo) => (HintsOf::Thread, None),
            Err(error) => (HintsOf::Unknown, Some(error)),
        };
        Some(Self { of, unknown })
    }
}

/// Whose hints a thread has, in JSON.
#[derive(Serialize, JsonSchema)]
pub(crate) struct HintsJson {
    /// Whose hints a thread has that is bound to a slot, null without one.
    hints_of: Option<HintsOf>,
    /// The reason that this is unknown, null if it is known.
    hints_unknown: Option<String>,
}

impl HintsJson {
    pub(crate) fn new(hints: Option<&Hints>) -> Self {
        let unknown = hints.and_then(|hints| hints.unknown.as_ref());
        Self {
            hints_of: hints.map(|hints| hints.of),
            hints_unknown: unknown.map(ToString::to_string),
        }
    }
}

/// Says it as a part of a sentence.
impl fmt::Display for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.of, &self.unknown) {
            (HintsOf::Thread, _) => f.write_str("of the thread itself"),
            (HintsOf::Goroutine, _) => f.write_str("of the goroutine that it runs"),
            (HintsOf::Unknown, None) => f.write_str("unknown whose"),
            (HintsOf::Unknown, Some(reason)) => write!(f, "unknown whose: {reason}"),
        }
    }
}

/// Tells the runtime of an executable.
fn runtime_of(file: &File) -> Result<Runtime, UnknownRuntime> {
    let Some(elf) = Elf::read(file)? else {
        return Ok(Runtime::NotGo);
    };
    let sections = elf.sections(file)?;
    // In an executable that can be anywhere in memory, it is .data.rel.ro.gopclntab; a linker
    // other than Go's may merge that with others.
    let names = sections
        .iter()
        .find(|section| section.name.ends_with(b".gopclntab"));
    let is_go = sections
        .iter()
        .any(|section| section.name == b".go.buildinfo");
    let (from, size) = match names {
        Some(names) => (names.offset, names.size),
        None if is_go => (0, u64::MAX),
        None => return Ok(Runtime::NotGo),
    };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    reader.seek(SeekFrom::Start(from))?;
    let mut found_runtime = false;
    let found_overlay = any_name(reader, size.min(MOST_BYTES), |name| {
        found_runtime |= name == OF_RUNTIME;
        name == OF_OVERLAY
    })?;
    match (found_overlay, found_runtime) {
        (true, _) => Ok(Runtime::Overlay),
        (false, true) => Ok(Runtime::Go),
        (false, false) => Err(UnknownRuntime::NoNames),
    }
}

/// Returns whether a name in the first `size` bytes of a file passes. A name is what stands
/// between two zeros.
fn any_name(
    reader: impl BufRead,
    size: u64,
    mut passes: impl FnMut(&[u8]) -> bool,
) -> io::Result<bool> {
    /// More than is compared.
    const KEPT: usize = 64;

    let mut reader = reader.take(size);
    let mut name = Vec::with_capacity(KEPT);
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        for (number, part) in bytes.split(|byte| *byte == 0).enumerate() {
            if number > 0 {
                if passes(&name) {
                    return Ok(true);
                }
                name.clear();
            }
            let room = KEPT - name.len();
            name.extend_from_slice(&part[..part.len().min(room)]);
        }
        let read = bytes.len();
        reader.consume(read);
    }
}

/// The place of the sections in an ELF file of 32 or 64 bits.
#[derive(Debug)]
struct Elf {
    wide: bool,
    /// Offset of the headers of sections.
    headers: u64,
    /// Number of those headers.
    count: u16,
    /// Number of the section that has their names.
    names: u16,
}

#[derive(Debug)]
struct Section {
    name: Vec<u8>,
    offset: u64,
    size: u64,
}

impl Elf {
    /// Reads the header of a file; `None` if the file is not ELF, as a script is not.
    fn read(file: &File) -> Result<Option<Self>, UnknownRuntime> {
        let mut header = [0; 64];
        let mut length = 0;
        while length < header.len() {
            match file.read_at(&mut header[length..], length as u64)? {
                0 => break,
                read => length += read,
            }
        }
        if !header.starts_with(b"\x7fELF") {
            return Ok(None);
        }
        // The program runs, so its order of bytes is that of this machine.
        let wide = header[4] == 2;
        let (headers, rest) = if wide { (0x28, 0x3c) } else { (0x20, 0x30) };
        let elf = Self {
            wide,
            headers: word(&header, headers, wide),
            count: half(&header, rest),
            names: half(&header, rest + 2),
        };
        if elf.headers == 0 || elf.count == 0 {
            return Err(UnknownRuntime::NoSections);
        }
        Ok(Some(elf))
    }

    fn sections(&self, file: &File) -> io::Result<Vec<Section>> {
        let (size, offset_at, size_at) = if self.wide {
            (64, 0x18, 0x20)
        } else {
            (40, 0x10, 0x14)
        };
        let mut headers = vec![0; size * usize::from(self.count)];
        file.read_exact_at(&mut headers, self.headers)?;
        let headers: Vec<_> = headers
            .chunks_exact(size)
            .map(|header| {
                let name = word(header, 0, false) as usize;
                let at = |place| word(header, place, self.wide);
                (name, at(offset_at), at(size_at))
            })
            .collect();
        let Some((_, offset, size)) = headers.get(usize::from(self.names)) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let mut names = vec![0; (*size).min(MOST_NAMES) as usize];
        file.read_exact_at(&mut names, *offset)?;
        let sections = headers.iter().map(|(name, offset, size)| Section {
            name: names
                .get(*name..)
                .and_then(|names| names.split(|byte| *byte == 0).next())
                .unwrap_or_default()
                .to_vec(),
            offset: *offset,
            size: *size,
        });
        Ok(sections.collect())
    }
}

/// Returns the number of 64 bits, or of 32, at an offset.
fn word(bytes: &[u8], at: usize, wide: bool) -> u64 {
    if wide {
        bytes[at..]
            .first_chunk()
            .map_or(0, |n| u64::from_ne_bytes(*n))
    } else {
        let number = bytes[at..]
            .first_chunk()
            .map_or(0, |n| u32::from_ne_bytes(*n));
        number.into()
    }
}

/// Returns the number of 16 bits at an offset.
fn half(bytes: &[u8], at: usize) -> u16 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |n| u16::from_ne_bytes(*n))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tempfile::tempfile;

    use super::*;

    /// Returns an executable that has only sections, with their names and contents.
    fn executable(wide: bool, sections: &[(&str, &[u8])]) -> File {
        let number = |n: usize, wide: bool| match wide {
            true => (n as u64).to_ne_bytes().to_vec(),
            false => (n as u32).to_ne_bytes().to_vec(),
        };
        let names: String = sections
            .iter()
            .map(|(name, _)| format!("{name}\0"))
            .collect();
        let all: Vec<_> = [&[("", names.as_bytes())], sections].concat();
        let (mut contents, mut headers, mut name) = (vec![0; 64], Vec::new(), 0);
        for (number_of, (_, content)) in all.iter().enumerate() {
            let mut header = number(name, false);
            header.resize(if wide { 0x18 } else { 0x10 }, 0);
            header.extend(number(contents.len(), wide));
            header.extend(number(content.len(), wide));
            header.resize(if wide { 64 } else { 40 }, 0);
            headers.extend(header);
            contents.extend_from_slice(content);
            name += if number_of > 0 {
                all[number_of].0.len() + 1
            } else {
                0
            };
        }
        contents[..5].copy_from_slice(&[0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }]);
        let at = number(contents.len(), wide);
        let place = if wide { 0x28 } else { 0x20 };
        contents[place..place + at.len()].copy_from_slice(&at);
        let place = if wide { 0x3c } else { 0x30 };
        contents[place..place + 2].copy_from_slice(&(all.len() as u16).to_ne_bytes());
        let mut file = tempfile().expect("/tmp is writable");
        file.write_all(&contents).expect("there is room");
        file.write_all(&headers).expect("there is room");
        file
    }

    #[test]
    fn a_runtime_is_told_by_the_names_of_functions() {
        let plain = b"\xf1\xff\0runtime.main\0main.main\0".as_slice();
        let overlay = b"\xf1\xff\0main.main\0runtime.gprioBind\0runtime.main\0".as_slice();
        let longer = b"\0runtime.gprioBinder\0xruntime.gprioBind\0runtime.main\0".as_slice();
        for wide in [true, false] {
            for (names, expected) in [
                (plain, Runtime::Go),
                (longer, Runtime::Go),
                (overlay, Runtime::Overlay),
            ] {
                for section in [".gopclntab", ".data.rel.ro.gopclntab"] {
                    let file = executable(wide, &[(".text", b"x"), (section, names)]);
                    assert_eq!(runtime_of(&file).expect("known"), expected);
                }
                let merged = [(".go.buildinfo", b"".as_slice()), (".data.rel.ro", names)];
                let merged = executable(wide, &merged);
                assert_eq!(runtime_of(&merged).expect("known"), expected);
            }
            // The name may be text of a program that is not Go, such as this one.
            let other = executable(wide, &[(".rodata", overlay)]);
            assert_eq!(runtime_of(&other).expect("known"), Runtime::NotGo);
        }
    }

    #[test]
    fn names_that_are_not_those_of_the_source_tell_nothing() {
        let file = executable(true, &[(".gopclntab", b"\0a.b\0c.d\0")]);
        assert!(matches!(runtime_of(&file), Err(UnknownRuntime::NoNames)));
    }

    #[test]
    fn an_executable_without_sections_tells_nothing() {
        let mut file = tempfile().expect("/tmp is writable");
        file.write_all(b"\x7fELF\x02").expect("there is room");
        assert!(matches!(runtime_of(&file), Err(UnknownRuntime::NoSections)));
    }

    #[test]
    fn a_broken_executable_tells_nothing_and_a_script_is_not_go() {
        let file = executable(true, &[(".gopclntab", b"\0runtime.main\0")]);
        let length = file.metadata().expect("a file").len();
        file.set_len(length - 1).expect("shorter");
        assert!(matches!(
            runtime_of(&file),
            Err(UnknownRuntime::Unreadable(_))
        ));
        for text in ["", "#!/bin/sh\n", "\x7fEL"] {
            let mut file = tempfile().expect("/tmp is writable");
            file.write_all(text.as_bytes()).expect("there is room");
            assert_eq!(runtime_of(&file).expect("known"), Runtime::NotGo, "{text}");
        }
    }

    #[test]
    fn a_name_is_found_across_the_pieces_that_are_read() {
        for capacity in 1..20 {
            let names = b"long-name-of-nothing\0one\0two\0unfinished".as_slice();
            let found = |wanted: &[u8], size| {
                let reader = BufReader::with_capacity(capacity, names);
                any_name(reader, size, |name| name == wanted).expect("a slice is readable")
            };
            assert!(found(b"one", 1000) && found(b"two", 1000));
            assert!(!found(b"tw", 1000) && !found(b"unfinished", 1000));
            assert!(!found(b"two", 10), "no more than the section");
        }
    }

    #[test]
    fn the_own_program_is_not_go_and_is_read_once() {
        let mut runtimes = Runtimes::default();
        let own = std::process::id() as i32;
        for _ in 0..2 {
            assert_eq!(runtimes.of(own).expect("known"), Runtime::NotGo);
            assert_eq!(runtimes.known.len(), 1);
        }
        runtimes.forget_unused();
        assert_eq!(runtimes.known.len(), 1);
        runtimes.forget_unused();
        assert_eq!(runtimes.known.len(), 0);
    }

    #[test]
    fn what_does_not_exist_has_no_executable() {
        let unknown = Runtimes::default().of(1 << 22);
        assert!(matches!(unknown, Err(UnknownRuntime::NoExecutable)));
    }
}
