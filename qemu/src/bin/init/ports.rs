// SPDX-License-Identifier: GPL-2.0

//! Virtio ports, found by the names that the host gave them.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use rustix::event::poll;
use rustix::event::PollFd;
use rustix::event::PollFlags;

/// Time in which a port must appear and be connected. The driver asks the host for the
/// ports after it has started, which may be after init has.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Opens the port called `name` once the host is connected to that port: before, a
/// read would return the end of the input. Fails after [`TIMEOUT`].
pub(crate) fn open(name: &str) -> Result<File> {
    let end = Instant::now() + TIMEOUT;
    loop {
        if let Some(path) = find(name) {
            let file = OpenOptions::new().read(true).write(true).open(&path);
            let file = file.with_context(|| path.display().to_string())?;
            while hung_up(&file)? {
                anyhow::ensure!(Instant::now() < end, "nobody listens on port {name}");
                thread::sleep(Duration::from_millis(1));
            }
            return Ok(file);
        }
        anyhow::ensure!(Instant::now() < end, "there is no virtio port {name}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn find(name: &str) -> Option<PathBuf> {
    for entry in fs::read_dir("/sys/class/virtio-ports").ok()?.flatten() {
        match fs::read_to_string(entry.path().join("name")) {
            Ok(found) if found.trim_end() == name => {
                return Some(PathBuf::from("/dev").join(entry.file_name()));
            }
            _ => {}
        }
    }
    None
}

fn hung_up(file: &File) -> Result<bool> {
    let mut fds = [PollFd::new(file, PollFlags::empty())];
    poll(&mut fds, Some(&rustix::time::Timespec::default()))?;
    Ok(fds[0].revents().contains(PollFlags::HUP))
}
