// SPDX-License-Identifier: GPL-2.0

//! Which code of the kernel a thread reached, as KCOV tells; see
//! Documentation/dev-tools/kcov.rst.

use std::fs::File;
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::request_code_none;
use nix::request_code_read;
use nix::sys::mman::mmap;
use nix::sys::mman::MapFlags;
use nix::sys::mman::ProtFlags;

const PATH: &str = "/sys/kernel/debug/kcov";

/// Size of a record in words, one more than the addresses it holds. The kernel maps
/// whole pages only.
const WORDS: usize = 64 << 10;

const INIT_TRACE: libc::Ioctl = request_code_read!(b'c', 1, size_of::<usize>());
const ENABLE: libc::Ioctl = request_code_none!(b'c', 100);
const TRACE_PC: usize = 0;

/// A record of one thread's way through the kernel, shared with the processes
/// that are forked from this one.
#[derive(Debug)]
pub(crate) struct Coverage {
    file: File,
    /// Their number, and the addresses.
    words: &'static [AtomicU64],
}

impl Coverage {
    /// Opens a record, if the kernel has them.
    pub(crate) fn open() -> Option<Self> {
        let file = match File::options().read(true).write(true).open(PATH) {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            file => file.unwrap_or_else(|error| panic!("{PATH}: {error}")),
        };
        request(&file, INIT_TRACE, WORDS).expect("a new record has no size yet");
        let length = NonZeroUsize::new(WORDS * size_of::<u64>()).expect("words have a size");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: A new mapping is in nobody's way.
        let start = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &file, 0) };
        let start = start.expect("memory").cast::<AtomicU64>();
        // SAFETY: The mapping is of this length, never unmapped, and any bytes
        // are atomics.
        let words = unsafe { std::slice::from_raw_parts(start.as_ptr(), WORDS) };
        Some(Self { file, words })
    }

    /// Forgets what was recorded.
    pub(crate) fn reset(&self) {
        self.words[0].store(0, Ordering::Relaxed);
    }

    /// Records the way of the calling thread until it ends.
    pub(crate) fn enable(&self) {
        request(&self.file, ENABLE, TRACE_PC).expect("the last thread to record has ended");
    }

    /// What was recorded.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = u64> + '_ {
        let (count, addresses) = self.words.split_first().expect("there is a first word");
        let count = count.load(Ordering::Relaxed) as usize;
        addresses[..count]
            .iter()
            .map(|address| address.load(Ordering::Relaxed))
    }
}

fn request(file: &File, request: libc::Ioctl, argument: usize) -> Result<(), Errno> {
    // SAFETY: The requests of this file take numbers.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), request, argument) }).map(drop)
}
