// SPDX-License-Identifier: MIT OR GPL-2.0

//! Mounts of hierarchies of control groups.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

/// The version of a hierarchy, which decides what its files are called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Version {
    V1,
    V2,
}

/// A place where a hierarchy is mounted, or a part of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mount {
    pub(super) version: Version,
    /// The path of the group that is mounted.
    pub(super) root: PathBuf,
    pub(super) point: PathBuf,
}

impl Mount {
    /// Reads a line of mountinfo, see proc_pid_mountinfo(5); returns `None` unless it is of
    /// a hierarchy that may have the controller `cpu`.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ').skip(3);
        let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
        // The source may be empty, and that is a field too.
        let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
        let (kind, _source, options) = (fields.next()?, fields.next()?, fields.next()?);
        let version = match kind {
            b"cgroup2" => Version::V2,
            b"cgroup" if has_cpu(options) => Version::V1,
            _ => return None,
        };
        Some(Self {
            version,
            root,
            point,
        })
    }

    /// Returns the directory of a group, if it is inside what is mounted.
    pub(super) fn dir(&self, path: &Path) -> Option<PathBuf> {
        // A group outside of the caller's cgroup namespace begins with "/..".
        let is_outside = |path: &Path| path.components().any(|part| part == Component::ParentDir);
        if is_outside(path) || is_outside(&self.root) {
            return None;
        }
        Some(self.point.join(path.strip_prefix(&self.root).ok()?))
    }
}

/// Returns whether a list with commas names the controller `cpu`.
pub(super) fn has_cpu(names: &[u8]) -> bool {
    names.split(|byte| *byte == b',').any(|name| name == b"cpu")
}

/// Reads a path in which the kernel has written some bytes as a backslash and three octal
/// digits.
fn unescaped(path: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let escaped = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| {
                let digits = std::str::from_utf8(digits).ok()?;
                u8::from_str_radix(digits, 8).ok()
            });
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() {
            &after[3..]
        } else {
            after
        };
    }
    OsString::from_vec(bytes).into()
}
