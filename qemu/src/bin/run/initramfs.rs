// SPDX-License-Identifier: GPL-2.0

//! Root file system of the guest: busybox, init, the command gosched, the module, and
//! what a run adds. Every run writes the whole file system anew, so that no file in the
//! guest is out of date.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use cpio::NewcBuilder;
use go_sched_qemu::Spec;
use go_sched_qemu::MODULE_PATH;
use go_sched_qemu::SPEC_PATH;
use rustix::fs::FileType;
use walkdir::WalkDir;

use crate::artifacts::Artifacts;

/// Program of the package busybox-static.
const BUSYBOX: &str = "/bin/busybox";

/// An initramfs being written, in a file without a name, which is gone when the run
/// ends in whatever way.
pub(crate) struct Initramfs {
    archive: File,
    load_module: bool,
    /// Number of entries so far, which is the inode number of the last one.
    entries: u32,
}

impl Initramfs {
    pub(crate) fn new(artifacts: &Artifacts, load_module: bool) -> Result<Self> {
        let mut new = Self {
            archive: tempfile::tempfile().context("temporary file")?,
            load_module,
            entries: 0,
        };
        for (directory, mode) in [
            ("bin", 0o755),
            ("dev", 0o755),
            ("etc", 0o755),
            ("lib", 0o755),
            ("lib/modules", 0o755),
            ("proc", 0o555),
            ("root", 0o700),
            ("sys", 0o555),
            ("tmp", 0o1777),
            ("usr", 0o755),
        ] {
            new.add(directory, FileType::Directory, mode, &[][..], 0)?;
        }
        for (link, target) in [
            ("sbin", "bin"),
            ("usr/bin", "../bin"),
            ("usr/sbin", "../bin"),
        ] {
            new.add_link(link, target.as_bytes())?;
        }
        new.add_text(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n",
        )?;
        new.add_text("etc/group", "root:x:0:\nuser:x:1000:\n")?;
        new.add_text("etc/hosts", "127.0.0.1 localhost\n")?;

        let busybox = || format!("{BUSYBOX}: install what is missing with \"make setup\"");
        let list = Command::new(BUSYBOX)
            .arg("--list")
            .output()
            .with_context(busybox)?;
        new.add_file("bin/busybox", Path::new(BUSYBOX))?;
        for applet in String::from_utf8(list.stdout)?.lines() {
            if applet != "busybox" {
                new.add_link(&format!("bin/{applet}"), b"busybox")?;
            }
        }
        new.add_file("init", &artifacts.init)?;
        new.add_file("bin/gosched", &artifacts.gosched)?;
        // The unpatched kernel has none.
        if artifacts.selftest.exists() {
            new.add_file("bin/go_sched_test", &artifacts.selftest)?;
        }
        if load_module {
            new.add_file(MODULE_PATH, &artifacts.module)?;
        }
        Ok(new)
    }

    /// Adds the contents of `directory` to the root directory.
    pub(crate) fn add_overlay(&mut self, directory: &Path) -> Result<()> {
        for entry in WalkDir::new(directory).min_depth(1) {
            let entry = entry.map_err(io::Error::from).context("--overlay")?;
            let path = entry.path();
            let name = path.strip_prefix(directory)?.to_str();
            let name = name.with_context(|| format!("{}: not UTF-8", path.display()))?;
            let kind = entry.file_type();
            if kind.is_dir() {
                let mode = entry.metadata()?.mode();
                self.add(name, FileType::Directory, mode, &[][..], 0)?;
            } else if kind.is_symlink() {
                self.add_link(name, fs::read_link(path)?.as_os_str().as_bytes())?;
            } else {
                self.add_file(name, path)?;
            }
        }
        Ok(())
    }

    /// Adds a program of the host and returns the program's path in the guest.
    pub(crate) fn add_program(&mut self, program: &Path) -> Result<String> {
        let name = program.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{}: not a program", program.display()))?;
        let name = format!("/bin/{name}");
        self.add_file(&name, program)?;
        Ok(name)
    }

    pub(crate) fn loads_module(&self) -> bool {
        self.load_module
    }

    /// Adds the instructions to the guest, and ends the archive.
    pub(crate) fn finish(mut self, spec: &Spec) -> Result<File> {
        self.add_text(SPEC_PATH, &serde_json::to_string(spec)?)?;
        cpio::newc::trailer(&self.archive)?;
        Ok(self.archive)
    }

    fn add_file(&mut self, name: &str, path: &Path) -> Result<()> {
        let mut add = || -> Result<()> {
            // Before it is opened, which waits for a writer if it is a FIFO.
            let metadata = fs::metadata(path)?;
            anyhow::ensure!(metadata.is_file(), "not a regular file");
            let file = File::open(path)?;
            let size = metadata.len().try_into()?;
            self.add(name, FileType::RegularFile, metadata.mode(), file, size)
        };
        add().with_context(|| path.display().to_string())
    }

    fn add_text(&mut self, name: &str, text: &str) -> Result<()> {
        let size = text.len().try_into()?;
        self.add(name, FileType::RegularFile, 0o644, text.as_bytes(), size)
    }

    fn add_link(&mut self, name: &str, target: &[u8]) -> Result<()> {
        let size = target.len().try_into()?;
        self.add(name, FileType::Symlink, 0o777, target, size)
    }

    /// Adds one entry that belongs to root. The kernel unpacks entries in order: a
    /// directory comes before its contents, and of two entries of one name the later
    /// counts.
    fn add(
        &mut self,
        name: &str,
        kind: FileType,
        permissions: u32,
        mut content: impl Read,
        size: u32,
    ) -> Result<()> {
        self.entries += 1;
        let mut entry = NewcBuilder::new(name.trim_start_matches('/'))
            .ino(self.entries)
            .mode(kind.as_raw_mode() | (permissions & 0o7777))
            .write(&self.archive, size);
        io::copy(&mut content, &mut entry)?;
        entry.finish()?;
        Ok(())
    }
}
