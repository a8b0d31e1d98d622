// SPDX-License-Identifier: GPL-2.0

//! What clients connect to: a port of this machine alone, or a socket in the file system.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::request::PATH;
use crate::args::Listen;

/// A listening socket. One in the file system is removed at the end.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(super) fn open(at: &Listen) -> io::Result<Self> {
        let listener = match at {
            Listen::Address(address) => Self::Tcp(TcpListener::bind(address)?),
            Listen::Path(path) => Self::Unix(bind(path)?),
        };
        match &listener {
            Self::Tcp(listener) => listener.set_nonblocking(true)?,
            Self::Unix(listener) => listener.set_nonblocking(true)?,
        }
        Ok(listener)
    }

    /// Returns where the figures are.
    pub(super) fn url(&self) -> io::Result<String> {
        Ok(match self {
            Self::Tcp(listener) => format!("http://{}{PATH}", listener.local_addr()?),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().unwrap_or(Path::new("?"));
                format!("{PATH} of the socket {}", path.display())
            }
        })
    }

    /// Returns whether a browser can connect.
    pub(super) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Returns a client, if one waits.
    pub(super) fn accept(&self) -> io::Result<Option<OwnedFd>> {
        let accepted = match self {
            Self::Tcp(listener) => listener.accept().map(|(client, _)| client.into()),
            Self::Unix(listener) => listener.accept().map(|(client, _)| client.into()),
        };
        match accepted {
            Ok(client) => Ok(Some(client)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted => Ok(None),
                _ => Err(error),
            },
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(listener) = self {
            let address = listener.local_addr();
            if let Some(path) = address.iter().find_map(|address| address.as_pathname()) {
                // The next one to listen there removes it as well.
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Makes a socket, in place of one that nobody listens at any more.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(io::Error::other(
            "the path of a socket has at most 107 bytes",
        )),
        bound => bound,
    }
}

fn is_abandoned(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).is_err_and(refused)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_socket_that_nobody_listens_at_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        drop(UnixListener::bind(&path).expect("a socket"));
        let at = Listen::Path(path.clone());
        let listener = Listener::open(&at).expect("nobody listens");
        let error = Listener::open(&at).err().expect("somebody listens");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(!path.exists());

        fs::write(&path, "a file").expect("it is written");
        assert!(Listener::open(&at).is_err());
        assert_eq!(fs::read(&path).expect("the file"), b"a file");
    }

    #[test]
    fn a_symbolic_link_is_not_followed_and_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let (abandoned, link) = (folder.path().join("socket"), folder.path().join("link"));
        drop(UnixListener::bind(&abandoned).expect("a socket"));
        for target in [&abandoned, &folder.path().join("nothing")] {
            symlink(target, &link).expect("a link");
            let error = Listener::open(&Listen::Path(link.clone())).err();
            assert_eq!(
                error.map(|error| error.kind()),
                Some(io::ErrorKind::AddrInUse)
            );
            assert_eq!(fs::read_link(&link).expect("the link"), *target);
            fs::remove_file(&link).expect("the link");
        }
    }

    #[test]
    fn a_path_that_is_too_long_for_a_socket_is_refused_with_the_bound() {
        let long = Listen::Path("a".repeat(108).into());
        let error = Listener::open(&long).err().expect("it is too long");
        assert!(error.to_string().contains("107 bytes"), "{error}");
    }
}
