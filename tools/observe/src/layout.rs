// SPDX-License-Identifier: GPL-2.0

//! Where the runtime of a Go program keeps the goroutine of a thread: by the program's debug
//! information, or by the release of Go that built it.

use std::borrow::Cow;
use std::cell::Cell;
use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;

use gimli::AttributeValue;
use gimli::DebuggingInformationEntry;
use gimli::Dwarf;
use gimli::EndianSlice;
use gimli::LittleEndian;
use gimli::Unit;
use object::read::elf::FileHeader;
use object::read::elf::ProgramHeader;
use object::read::ReadCache;
use object::read::ReadRef;
use object::Object;
use object::ObjectSection;
use object::ObjectSymbol;
use serde::Deserialize;
use serde::Serialize;
use zerocopy::Immutable;
use zerocopy::IntoBytes;

/// The most bytes of debug information that are read. Go's largest programs have some 100 MB.
const MOST_DEBUG_INFORMATION: u64 = 512 << 20;
/// The most bytes that an executable has. A file with holes may have more than the memory.
const MOST_BYTES: u64 = 1 << 30;
/// The most bytes that what Go says of a build has: its release, and the versions of modules.
const MOST_BUILD_INFORMATION: u64 = 16 << 20;
/// The most bytes that the name of a release has.
const MOST_VERSION: usize = 256;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The offsets of what is read, in bytes, as `struct go_layout` of `bpf/record.h` has them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoBytes, Immutable,
)]
#[repr(C)]
pub struct Layout {
    /// The pointer to the `g` of a thread, from its thread pointer.
    pub tls_g: i64,
    /// `g.m`.
    pub g_m: u32,
    /// `g.goid`.
    pub g_goid: u32,
    /// `g.atomicstatus`. Records of older versions lack it, and have no use for it.
    #[serde(default)]
    pub g_status: u32,
    /// `m.curg`.
    pub m_curg: u32,
    /// `m.p`.
    pub m_p: u32,
    /// `m.oldp`.
    pub m_oldp: u32,
    /// `m.syscalltick`.
    pub m_syscalltick: u32,
    /// `p.id`.
    pub p_id: u32,
    /// `p.status`.
    pub p_status: u32,
    /// `p.syscalltick`.
    pub p_syscalltick: u32,
}

/// What tells a [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayoutSource {
    /// The debug information of the program.
    DebugInformation,
    /// The release of Go.
    Release,
}

/// A Go program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoProgram {
    /// The release of Go that built it, such as `go1.27.3`.
    pub version: String,
    /// Where its runtime keeps what is read.
    pub layout: Layout,
    /// What tells that.
    pub source: LayoutSource,
}

/// The reason that goroutines of a program cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The executable cannot be read.
    #[error("its executable cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The executable is damaged, or of another architecture.
    #[error("its executable is none that this tool understands: {0}")]
    Malformed(String),
    /// The program is not Go's.
    #[error("it was not built by Go")]
    NotGo,
    /// The program has no debug information, and its release of Go is not known.
    #[error("it has no debug information (-ldflags=-w), and where {0} keeps goroutines is not known; build it with debug information")]
    UnknownRelease(String),
    /// The program has neither symbols nor the linker's usual place of the pointer to `g`.
    #[error("it uses cgo and has no symbols (-ldflags=-s), so that its threads' goroutines are not found; build it with symbols")]
    UnknownThreadPointer,
    /// No BPF program reads them.
    #[error("tracefs does not tell them")]
    Tracefs,
}

/// Layouts by release, without the pointer to `g`: the number after `go1.`, and the offsets. A test
/// compares those of the Go in use with its debug information, and `examples/layout.rs` prints
/// what a program has.
const RELEASES: [(u32, Layout); 8] = [
    (19, at([48, 152, 144], [192, 208, 224, 668], [0, 4, 20])),
    (21, at([48, 152, 144], [192, 208, 224, 664], [0, 4, 20])),
    (22, at([48, 152, 144], [192, 208, 224, 952], [0, 4, 20])),
    (23, at([48, 160, 152], [192, 208, 224, 740], [0, 4, 20])),
    (24, at([48, 160, 152], [192, 208, 224, 764], [0, 4, 20])),
    (25, at([48, 152, 144], [184, 200, 216, 756], [0, 4, 20])),
    (26, at([48, 152, 144], [184, 208, 224, 788], [0, 4, 20])),
    (27, at([48, 152, 144], [184, 208, 224, 788], [0, 4, 20])),
];

const fn at(g: [u32; 3], m: [u32; 4], p: [u32; 3]) -> Layout {
    Layout {
        tls_g: 0,
        g_m: g[0],
        g_goid: g[1],
        g_status: g[2],
        m_curg: m[0],
        m_p: m[1],
        m_oldp: m[2],
        m_syscalltick: m[3],
        p_id: p[0],
        p_status: p[1],
        p_syscalltick: p[2],
    }
}

impl GoProgram {
    /// Reads where the program of an executable keeps its goroutines.
    pub fn read(executable: &Path) -> Result<Self, LayoutError> {
        // To open a FIFO would wait for who writes to it.
        let metadata = fs::metadata(executable)?;
        if !metadata.is_file() || metadata.len() > MOST_BYTES {
            return Err(LayoutError::NotGo);
        }
        let file = File::open(executable)?;
        // Of a large one, only what is asked for.
        Self::parse(&ReadCache::new(file))
    }

    fn parse<'a, R: ReadRef<'a>>(data: R) -> Result<Self, LayoutError> {
        let file = object::File::parse(data).map_err(malformed)?;
        let version = go_version(&file)?;
        let tls_g = tls_g(data, &file)?;
        let (layout, source) = match from_debug_information(&file)? {
            Some(layout) => (layout, LayoutSource::DebugInformation),
            None => (
                from_release(&version)
                    .ok_or_else(|| LayoutError::UnknownRelease(version.clone()))?,
                LayoutSource::Release,
            ),
        };
        Ok(Self {
            version,
            layout: Layout { tls_g, ..layout },
            source,
        })
    }
}

fn malformed(error: impl ToString) -> LayoutError {
    LayoutError::Malformed(error.to_string())
}

/// Returns the release of Go that the linker writes into each program, stripped or not.
fn go_version<'a>(file: &object::File<'a, impl ReadRef<'a>>) -> Result<String, LayoutError> {
    // See debug/buildinfo of Go: 16 bytes of magic, size of a pointer and flags, then padding to
    // 32 bytes, and a string with its length before it, if the flags have this bit.
    const INLINE_STRINGS: u8 = 2;
    let section = file
        .section_by_name(".go.buildinfo")
        .filter(|section| section.size() <= MOST_BUILD_INFORMATION)
        .ok_or(LayoutError::NotGo)?;
    let data = section.data().map_err(malformed)?;
    let flags = data.get(15).ok_or(LayoutError::NotGo)?;
    let text = data.get(32..).ok_or(LayoutError::NotGo)?;
    if flags & INLINE_STRINGS == 0 {
        // Up to Go 1.17.
        return Err(LayoutError::UnknownRelease("Go before 1.18".to_owned()));
    }
    let (mut length, mut shift) = (0, 0);
    for (at, byte) in text.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            let version = text
                .get(at + 1..at + 1 + length.min(MOST_VERSION))
                .ok_or(LayoutError::NotGo)?;
            return Ok(String::from_utf8_lossy(version).into_owned());
        }
    }
    Err(LayoutError::NotGo)
}

/// Returns the minor number of a release: 27 for `go1.27.3`, `go1.27rc1` and `go1.27-custom`.
fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn from_release(version: &str) -> Option<Layout> {
    let minor = minor(version)?;
    let (_, layout) = RELEASES.iter().find(|(known, _)| *known == minor)?;
    Some(*layout)
}

/// Returns where the pointer to `g` is. Go's own linker puts it just below the thread pointer;
/// the system's, which cgo takes, where the symbol `runtime.tlsg` is among the program's
/// thread-local variables.
fn tls_g<'a, R: ReadRef<'a>>(data: R, file: &object::File<'a, R>) -> Result<i64, LayoutError> {
    let header =
        object::elf::FileHeader64::<object::LittleEndian>::parse(data).map_err(malformed)?;
    let endian = header.endian().map_err(malformed)?;
    let segments = header.program_headers(endian, data).map_err(malformed)?;
    let thread_local = segments
        .iter()
        .find(|segment| segment.p_type(endian) == object::elf::PT_TLS);
    let symbol = file
        .symbols()
        .find(|symbol| symbol.name() == Ok("runtime.tlsg"));
    match (thread_local, symbol) {
        (Some(segment), Some(symbol)) => {
            let align = segment.p_align(endian).max(1);
            let size = segment
                .p_memsz(endian)
                .checked_next_multiple_of(align)
                .and_then(|size| i64::try_from(size).ok())
                .ok_or_else(|| malformed("its thread-local variables take too much"))?;
            let address = i64::try_from(symbol.address()).map_err(malformed)?;
            address
                .checked_sub(size)
                .ok_or_else(|| malformed("its thread-local variables are nowhere"))
        }
        (Some(segment), None) if segment.p_memsz(endian) > 8 => {
            Err(LayoutError::UnknownThreadPointer)
        }
        _ => Ok(-8),
    }
}

/// Returns the layout by the debug information, or `None` if there is none.
fn from_debug_information<'a>(
    file: &object::File<'a, impl ReadRef<'a>>,
) -> Result<Option<Layout>, LayoutError> {
    let left = Cell::new(MOST_DEBUG_INFORMATION);
    let load = |id: gimli::SectionId| -> Result<Cow<'_, [u8]>, gimli::Error> {
        let section = file.section_by_name(id.name());
        let data = section.and_then(|section| {
            let range = section.compressed_file_range().ok()?;
            // A small file may say that it has much.
            let size = range.compressed_size.max(range.uncompressed_size);
            left.set(left.get().checked_sub(size)?);
            section.compressed_data().ok()?.decompress().ok()
        });
        Ok(data.unwrap_or_default())
    };
    let sections = gimli::DwarfSections::load(load).map_err(malformed)?;
    let dwarf = sections.borrow(|section| EndianSlice::new(section, LittleEndian));
    let (mut g, mut m, mut p) = (None, None, None);
    let mut units = dwarf.units();
    while let Some(header) = units.next().map_err(malformed)? {
        let unit = dwarf.unit(header).map_err(malformed)?;
        g = g.or_else(|| members(&dwarf, &unit, "runtime.g", ["m", "goid", "atomicstatus"]));
        m = m.or_else(|| {
            let names = ["curg", "p", "oldp", "syscalltick"];
            members(&dwarf, &unit, "runtime.m", names)
        });
        p = p.or_else(|| members(&dwarf, &unit, "runtime.p", ["id", "status", "syscalltick"]));
        if let (Some(g), Some(m), Some(p)) = (&g, &m, &p) {
            return Ok(Some(at(*g, *m, *p)));
        }
    }
    Ok(None)
}

/// Returns the offsets of members of a structure, if a unit has it with all of them.
fn members<const N: usize>(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
    structure: &str,
    names: [&str; N],
) -> Option<[u32; N]> {
    let name_of = |entry: &DebuggingInformationEntry<'_, '_, Slice<'_>>| {
        let value = entry.attr_value(gimli::DW_AT_name).ok()??;
        Some(
            dwarf
                .attr_string(unit, value)
                .ok()?
                .to_string_lossy()
                .into_owned(),
        )
    };
    let mut entries = unit.entries();
    loop {
        let (_, entry) = entries.next_dfs().ok()??;
        if entry.tag() == gimli::DW_TAG_structure_type
            && name_of(entry).as_deref() == Some(structure)
        {
            break;
        }
    }
    let mut found = [None; N];
    while let Ok(Some((_, entry))) = entries.next_dfs() {
        if entry.tag() != gimli::DW_TAG_member {
            break;
        }
        let Some(index) = name_of(entry).and_then(|name| names.iter().position(|n| *n == name))
        else {
            continue;
        };
        let at = entry.attr_value(gimli::DW_AT_data_member_location).ok()?;
        let at = at.as_ref().and_then(AttributeValue::udata_value)?;
        found[index] = Some(u32::try_from(at).ok()?);
    }
    let found: Option<Vec<u32>> = found.into_iter().collect();
    found?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const PROGRAM: &str = "package main\n\nfunc main() { println(1) }\n";

    /// Builds a program with the Go in use. Returns its executable.
    fn build(flags: &str) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("main.go");
        fs::write(&source, PROGRAM).expect("room");
        let program = folder.path().join("program");
        let done = Command::new("go")
            .args(["build", "-buildvcs=false", flags, "-o"])
            .arg(&program)
            .arg(&source)
            .env("CGO_ENABLED", "0")
            .output()
            .expect("go; make setup installs it");
        assert!(done.status.success(), "{done:?}");
        fs::read(program).expect("it was built")
    }

    #[test]
    fn the_release_tells_what_debug_information_tells() {
        let with = GoProgram::parse(&*build("-ldflags=")).expect("a Go program");
        let without = GoProgram::parse(&*build("-ldflags=-s -w")).expect("a Go program");
        assert_eq!(with.source, LayoutSource::DebugInformation);
        assert_eq!(without.source, LayoutSource::Release);
        assert_eq!(with.layout, without.layout);
        assert_eq!(with.version, without.version);
    }

    #[test]
    fn a_damaged_program_is_an_error() {
        let program = build("-ldflags=-s -w");
        assert!(GoProgram::parse(&[][..]).is_err());
        assert!(GoProgram::parse(&b"#!/bin/sh\n"[..]).is_err());
        for end in (0..program.len()).step_by(program.len() / 50) {
            // What is whole may still tell it.
            let _ = GoProgram::parse(&program[..end]);
        }
    }

    #[test]
    fn releases_are_known_by_their_minor_number() {
        for (version, minor_number) in [
            ("go1.27.3", Some(27)),
            ("go1.27rc1", Some(27)),
            ("go1.9", Some(9)),
            ("go1.22.1 X:boringcrypto", Some(22)),
            ("devel go1.28-abc", None),
            ("go2", None),
        ] {
            assert_eq!(minor(version), minor_number, "{version}");
        }
        assert_eq!(from_release("go1.28.0"), None);
        assert_eq!(from_release("go1.18.10"), None);
    }
}
