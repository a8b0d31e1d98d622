// SPDX-License-Identifier: GPL-2.0

//! The files of a system, which need not be the one that runs.

use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::openat2;
use rustix::fs::readlinkat;
use rustix::fs::Dir;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::CWD;

use super::analyze::ask;
use crate::error::ServiceError;

/// Folders of units, highest precedence first.
const FOLDERS: [&str; 13] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// A system, which need not be the one that runs.
pub(super) struct System {
    root: OwnedFd,
    pub(super) path: PathBuf,
    pub(super) folders: Vec<PathBuf>,
}

impl System {
    /// Opens the system with the root directory `root`.
    pub(super) fn open(root: &Path) -> Result<Self, ServiceError> {
        let folders = match root == Path::new("/") {
            // Distributions have other folders, and $SYSTEMD_UNIT_PATH adds some.
            true => ask(&["unit-paths"])?.lines().map(PathBuf::from).collect(),
            false => FOLDERS.map(PathBuf::from).to_vec(),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat2(CWD, root, flags, Mode::empty(), ResolveFlags::empty());
        Ok(Self {
            root: opened.map_err(|error| ServiceError::Root(root.to_owned(), error.into()))?,
            path: root.to_owned(),
            folders,
        })
    }

    /// Opens a file. Links stay inside of the root directory.
    fn at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let opened = openat2(
            &self.root,
            path,
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        );
        Ok(opened?)
    }

    /// Returns where a path leads to by its links; `path` itself where it leads nowhere.
    pub(super) fn real_path(&self, path: &Path) -> PathBuf {
        let target = |fd: &OwnedFd| {
            Path::new("/proc/self/fd")
                .join(fd.as_raw_fd().to_string())
                .read_link()
        };
        let real = || -> io::Result<PathBuf> {
            let (root, file) = (target(&self.root)?, target(&self.at(path, OFlags::PATH)?)?);
            let below = file.strip_prefix(root).map_err(io::Error::other)?;
            Ok(Path::new("/").join(below))
        };
        real().unwrap_or_else(|_| path.to_owned())
    }

    /// Returns the metadata of the file at `path`, if there is one.
    pub(super) fn metadata(&self, path: &Path) -> Result<Option<Metadata>, ServiceError> {
        let fd = self.at(path, OFlags::PATH);
        match fd.and_then(|fd| File::from(fd).metadata()) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            Err(error) => Err(ServiceError::Unreadable(path.to_owned(), error)),
        }
    }

    /// Returns whether there is a program at `path`, which somebody may run.
    pub(super) fn has_program(&self, path: &Path) -> Result<bool, ServiceError> {
        let metadata = self.metadata(path)?;
        Ok(metadata.is_some_and(|file| file.is_file() && file.mode() & 0o111 != 0))
    }

    /// Returns the text of a file, "" of one that is not there.
    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>, ServiceError> {
        let mut text = Vec::new();
        let read = self
            .at(path, OFlags::RDONLY)
            .and_then(|fd| File::from(fd).read_to_end(&mut text));
        match read {
            // A link to /dev/null masks what it stands for, and below a root there may be none.
            // systemd takes no folder for a file.
            Err(error)
                if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) =>
            {
                Err(ServiceError::Unreadable(path.to_owned(), error))
            }
            _ => Ok(text),
        }
    }

    /// Returns the names in a folder, each with the text of the link that it is.
    pub(super) fn list(
        &self,
        folder: &Path,
    ) -> Result<Vec<(String, Option<PathBuf>)>, ServiceError> {
        let unreadable = |error| ServiceError::Unreadable(folder.to_owned(), error);
        let mut names = Vec::new();
        let fd = match self.at(folder, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(fd) => fd,
            // Few folders exist, and none of a name that is too long.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
                    || error.raw_os_error() == Some(libc::ENAMETOOLONG) =>
            {
                return Ok(names);
            }
            Err(error) => return Err(unreadable(error)),
        };
        for entry in Dir::read_from(&fd).map_err(|errno| unreadable(errno.into()))? {
            let entry = entry.map_err(|errno| unreadable(errno.into()))?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            let link = readlinkat(&fd, name, Vec::new()).ok();
            let link = link
                .and_then(|link| link.into_string().ok())
                .map(PathBuf::from);
            names.push((name.to_owned(), link));
        }
        Ok(names)
    }
}
