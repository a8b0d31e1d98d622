// SPDX-License-Identifier: GPL-2.0

//! The files that are written in place of text.

use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::fchown;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use tempfile::Builder;

use crate::error::Error;

/// The most symbolic links that are followed, as Linux has it.
const MOST_LINKS: usize = 40;

/// Writes a file, which this user alone can read if it is new. One that is there is kept unless all
/// can be written.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let written = match ordinary(path) {
        Some(place) => replace(&place, bytes),
        None => fill(path, bytes),
    };
    written.map_err(|error| Error::Write {
        path: path.to_owned(),
        error,
    })
}

/// Returns where a file is, or will be, whose place a new one can take; `None` for a pipe, a device,
/// or what a program has open already, such as /dev/stdout.
fn ordinary(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if path.starts_with("/dev") || path.starts_with("/proc") {
            return None;
        }
        match fs::read_link(&path) {
            Ok(target) => path = path.parent()?.join(target),
            Err(_) => break,
        }
    }
    match fs::metadata(&path) {
        Ok(metadata) if !metadata.is_file() => None,
        _ => Some(path),
    }
}

/// Writes a file beside another one, whose place it takes then.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let before = match OpenOptions::new().write(true).open(path) {
        Ok(file) => Some(file.metadata()?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Where no file can be beside this one, or have its owner, this one is written itself.
    let beside = Builder::new().prefix(".gosched-").tempfile_in(folder);
    let Some(mut beside) = beside.ok().filter(|beside| {
        let before = before.as_ref();
        before.is_none_or(|before| keep(beside.as_file(), before).is_ok())
    }) else {
        return fill(path, bytes);
    };
    beside.write_all(bytes)?;
    beside.persist(path)?;
    Ok(())
}

/// Gives a file the owner and the permissions of another one.
fn keep(file: &File, before: &Metadata) -> io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
        fchown(file, Some(before.uid()), Some(before.gid()))?;
    }
    file.set_permissions(before.permissions())
}

/// Writes to a file from its beginning.
fn fill(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use rustix::fs::mkfifoat;
    use rustix::fs::Mode;
    use rustix::fs::CWD;

    use super::*;

    fn mode(path: &Path) -> u32 {
        let metadata = fs::metadata(path).expect("a file");
        metadata.permissions().mode() & 0o777
    }

    #[test]
    fn a_file_takes_the_place_of_another_one_with_its_permissions() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        write(&path, b"first").expect("room");
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it is mine");
        let before = fs::metadata(&path).expect("a file").ino();
        symlink("file", &link).expect("room");
        write(&link, b"second").expect("room");
        assert_eq!(fs::read(&path).expect("a file"), b"second");
        assert_ne!(fs::metadata(&path).expect("a file").ino(), before);
        assert_eq!(mode(&path), 0o644);
        assert!(link.is_symlink());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
    }

    #[test]
    fn a_pipe_is_written_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        mkfifoat(CWD, &pipe, Mode::RWXU).expect("room");
        let reads = thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut read = Vec::new();
                let mut file = File::open(pipe).expect("a pipe");
                file.read_to_end(&mut read).expect("bytes");
                read
            }
        });
        write(&pipe, b"text").expect("a reader");
        assert_eq!(reads.join().expect("an end"), b"text");
        assert!(!fs::metadata(&pipe).expect("a pipe").is_file());
    }

    #[test]
    fn what_is_open_already_keeps_its_place() {
        for path in ["/dev/stdout", "/dev/null", "/proc/self/fd/1"] {
            assert_eq!(ordinary(Path::new(path)), None);
        }
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("link");
        symlink("/dev/stdout", &link).expect("room");
        assert_eq!(ordinary(&link), None);
        symlink("link", folder.path().join("another")).expect("room");
        assert_eq!(ordinary(&folder.path().join("another")), None);
    }
}
