// SPDX-License-Identifier: MIT OR GPL-2.0

//! Errors of opening the device.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::statvfs;
use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;

use crate::uapi::DEVICE_PATH;
use crate::uapi::GO_SCHED_ABI_VERSION;

/// The reason that [`Device::open`](crate::Device::open) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The device is missing.
    #[error(
        "there is no {path}: the kernel lacks go_sched, or the module is not loaded; \
         \"gosched check\" shows which; to load it, run \"modprobe go_sched_class\" as root, \
         or \"insmod go_sched_class.ko\" where it was built",
        path = DEVICE_PATH
    )]
    NotLoaded,
    /// The node has the number of no device: the module is not loaded, or got another number
    /// when it was loaded again.
    #[error(
        "{path} is a node of no device: load the module, or if it is loaded remove this old node and \
         load it again; a container gets the right one when it is started again",
        path = DEVICE_PATH
    )]
    StaleNode,
    /// The caller may not open the device.
    #[error(
        "no permission to open {path}: run as root, or have root grant access to it with chmod(1)",
        path = DEVICE_PATH
    )]
    NotPermitted,
    /// The filesystem of the node is mounted so that no device of it can be opened.
    #[error(
        "{path} is on a filesystem that is mounted nodev, where nobody may open a device: mount it \
         with the option dev",
        path = DEVICE_PATH
    )]
    Nodev,
    /// A rule other than the mode of the node refuses, and refuses root as well.
    #[error(
        "{path} is refused whoever asks, as the device filter of a container does: have the container \
         started with \"--device {path}\"",
        path = DEVICE_PATH
    )]
    Filtered,
    /// Another file has the name of the device.
    #[error("{path} is not the device of the module go_sched_class: remove it, and load the module", path = DEVICE_PATH)]
    NotTheDevice,
    /// The module was built for another version of the ABI.
    #[error(
        "the loaded module has ABI version {module}, this program {GO_SCHED_ABI_VERSION}: {older} is \
         older, install both from the same release",
        older = if *module < GO_SCHED_ABI_VERSION { "the module" } else { "this program" }
    )]
    VersionMismatch {
        /// The version that the module reports.
        module: u32,
    },
    /// The caller has as many open files as it may have.
    #[error(
        "no descriptor is left to open {path} by: raise their number, see \"ulimit -n\"",
        path = DEVICE_PATH
    )]
    NoDescriptors,
    /// Another error, as the kernel reports it.
    #[error("cannot open {path}: {0}", path = DEVICE_PATH)]
    Os(io::Error),
}

impl OpenError {
    /// Tells by what is at `path` why it could not be opened.
    pub(crate) fn from_open(error: io::Error, path: &Path) -> Self {
        let is_char_device =
            || fs::metadata(path).map_or(true, |node| node.file_type().is_char_device());
        let is_nodev =
            || statvfs(path).is_ok_and(|at| at.f_flag.contains(StatVfsMountFlags::NODEV));
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => Self::NotLoaded,
            // Of a socket and a block device too.
            Some(Errno::NXIO | Errno::NODEV) if is_char_device() => Self::StaleNode,
            Some(Errno::NXIO | Errno::NODEV | Errno::ISDIR) => Self::NotTheDevice,
            Some(Errno::ACCESS) if is_nodev() => Self::Nodev,
            Some(Errno::ACCESS) => Self::NotPermitted,
            Some(Errno::PERM) => Self::Filtered,
            Some(Errno::MFILE) => Self::NoDescriptors,
            _ => Self::Os(error),
        }
    }

    pub(crate) fn from_version(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::NOTTY) => Self::NotTheDevice,
            _ => Self::Os(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn not_opened(errno: Errno, path: &str) -> OpenError {
        OpenError::from_open(errno.into(), Path::new(path))
    }

    #[test]
    fn a_node_that_cannot_be_opened_is_told_by_what_it_is() {
        let socket = std::env::temp_dir().join(format!("gosched-{}", std::process::id()));
        let _listener = UnixListener::bind(&socket).expect("a socket");
        let open = |path: &Path| {
            let file = fs::File::options().read(true).write(true).open(path);
            OpenError::from_open(file.expect_err("no device"), path)
        };
        assert!(matches!(open(&socket), OpenError::NotTheDevice));
        fs::remove_file(&socket).expect("it is there");
        assert!(matches!(open(&socket), OpenError::NotLoaded));
        assert!(matches!(open(Path::new("/")), OpenError::NotTheDevice));

        for errno in [Errno::NXIO, Errno::NODEV] {
            assert!(matches!(
                not_opened(errno, "/dev/null"),
                OpenError::StaleNode
            ));
        }
        let refused = |errno| not_opened(errno, "/dev/null");
        assert!(matches!(refused(Errno::ACCESS), OpenError::NotPermitted));
        assert!(matches!(refused(Errno::PERM), OpenError::Filtered));
        assert!(matches!(refused(Errno::MFILE), OpenError::NoDescriptors));
        // Mounted nodev wherever there is one.
        let is_nodev =
            |path| statvfs(path).is_ok_and(|at| at.f_flag.contains(StatVfsMountFlags::NODEV));
        if is_nodev("/proc/self/stat") {
            let refused = not_opened(Errno::ACCESS, "/proc/self/stat");
            assert!(matches!(refused, OpenError::Nodev), "{refused}");
        }
    }

    #[test]
    fn a_missing_device_says_how_to_load_the_module() {
        let words = not_opened(Errno::NOENT, DEVICE_PATH).to_string();
        assert!(words.contains("\"modprobe go_sched_class\""), "{words}");
        assert!(words.contains("\"insmod go_sched_class.ko\""), "{words}");
        assert!(words.contains("gosched check"), "{words}");
    }

    #[test]
    fn another_abi_names_both_versions() {
        let words = |module| OpenError::VersionMismatch { module }.to_string();
        for (module, older) in [(0, "the module is older"), (7, "this program is older")] {
            let words = words(module);
            let versions = format!("ABI version {module}, this program 1");
            assert!(words.contains(&versions), "{words}");
            assert!(words.contains(older), "{words}");
        }
    }
}
