// SPDX-License-Identifier: GPL-2.0

//! Coverage of the kernel's code by a thread, from KCOV; see
//! Documentation/dev-tools/kcov.rst.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use common::syscall::result_of;
use rustix::io::Errno;
use rustix::ioctl::opcode;
use rustix::mm::mmap;
use rustix::mm::MapFlags;
use rustix::mm::ProtFlags;

const PATH: &str = "/sys/kernel/debug/kcov";

/// Size of a trace in words: the number of addresses, and the addresses. The kernel maps
/// whole pages only.
const WORDS: usize = 64 << 10;

const INIT_TRACE: libc::Ioctl = opcode::read::<usize>(b'c', 1) as libc::Ioctl;
const ENABLE: libc::Ioctl = opcode::none(b'c', 100) as libc::Ioctl;
const TRACE_PC: usize = 0;

/// Trace of the code that one thread executes in the kernel. Forked processes share the
/// trace.
#[derive(Debug)]
pub(crate) struct Coverage {
    file: File,
    /// Number of addresses, and the addresses.
    words: &'static [AtomicU64],
}

impl Coverage {
    /// Creates a trace; returns `None` if the kernel has no KCOV.
    pub(crate) fn open() -> Option<Self> {
        let file = match File::options().read(true).write(true).open(PATH) {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            file => file.unwrap_or_else(|error| panic!("{PATH}: {error}")),
        };
        request(&file, INIT_TRACE, WORDS).expect("a new trace has no size yet");
        let length = WORDS * size_of::<u64>();
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: The kernel places a new mapping where no other is.
        let start = unsafe { mmap(ptr::null_mut(), length, access, MapFlags::SHARED, &file, 0) };
        let start = start.expect("memory").cast::<AtomicU64>();
        // SAFETY: `mmap` has returned a mapping of this length, which is never unmapped, and
        // all bytes are valid atomics.
        let words = unsafe { std::slice::from_raw_parts(start, WORDS) };
        Some(Self { file, words })
    }

    /// Empties the trace.
    pub(crate) fn reset(&self) {
        self.words[0].store(0, Ordering::Relaxed);
    }

    /// Traces the calling thread until that thread ends.
    pub(crate) fn enable(&self) {
        request(&self.file, ENABLE, TRACE_PC).expect("the last traced thread has ended");
    }

    /// Returns the traced addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = u64> + '_ {
        let (count, addresses) = self.words.split_first().expect("there is a first word");
        let count = count.load(Ordering::Relaxed) as usize;
        addresses[..count]
            .iter()
            .map(|address| address.load(Ordering::Relaxed))
    }
}

fn request(file: &File, request: libc::Ioctl, argument: usize) -> Result<(), Errno> {
    // SAFETY: The requests of this file take numbers, not pointers.
    result_of(unsafe { libc::ioctl(file.as_raw_fd(), request, argument) }.into()).map(drop)
}
