//! Unix sockets: the default way in. The kernel says who is at the other end.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Longest path of a socket that Linux takes, without the terminating zero.
const MAX_PATH: usize = 107;

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process answers there.
    #[error("another agent already answers on {}; stop it, or give this one another --state", .0.display())]
    InUse(PathBuf),
    /// Something that is not a socket lies there.
    #[error("{} exists and is not a socket; move it away or configure another socket path", .0.display())]
    NotASocket(PathBuf),
    /// Linux has no room for the path.
    #[error("{} is longer than the {MAX_PATH} bytes a socket's path may have; configure a shorter one", .0.display())]
    TooLong(PathBuf),
    /// The file system or the kernel refused.
    #[error("cannot listen on {}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Who is at the other end of a Unix socket, as the kernel recorded it when they connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Their user id.
    pub uid: u32,
    /// Their primary group id.
    pub gid: u32,
    /// Their process, when the kernel says.
    pub pid: Option<i32>,
}

/// A listening socket whose file is removed when it is dropped.
#[derive(Debug)]
pub struct Listener {
    inner: UnixListener,
    path: PathBuf,
    /// Device and inode of the file we made: another agent's file under the same name is not ours
    /// to remove.
    file: (u64, u64),
}

impl Listener {
    /// Listens on `path` with mode 0660. A socket that nobody answers on any more is replaced.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn bind(path: &Path) -> Result<Self, BindError> {
        let fail = |source| BindError::Io { path: path.to_owned(), source };
        check_vacant(path).await?;
        // Made under another name and renamed, so that nobody can connect before the mode is set.
        let temporary = path.with_file_name(format!(".{:x}", std::process::id()));
        if temporary.as_os_str().len().max(path.as_os_str().len()) > MAX_PATH {
            return Err(BindError::TooLong(path.to_owned()));
        }
        let _ = fs::remove_file(&temporary);
        let inner = UnixListener::bind(&temporary).map_err(fail)?;
        let publish = || {
            fs::set_permissions(&temporary, Permissions::from_mode(0o660))?;
            let metadata = fs::symlink_metadata(&temporary)?;
            fs::rename(&temporary, path)?;
            Ok((metadata.dev(), metadata.ino()))
        };
        let file = publish().map_err(|source| {
            let _ = fs::remove_file(&temporary);
            fail(source)
        })?;
        Ok(Self { inner, path: path.to_owned(), file })
    }

    /// Takes the next connection.
    ///
    /// # Errors
    /// What `accept(2)` says; out of file descriptors among them, which passes.
    pub async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.inner.accept().await?;
        let credentials = stream.peer_cred()?;
        let peer = Peer { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid() };
        Ok((stream, peer))
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.file);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether `path` may be taken: nothing there, or a socket that nobody answers on.
async fn check_vacant(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(BindError::Io { path: path.to_owned(), source }),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(source) => Err(BindError::Io { path: path.to_owned(), source }),
        Ok(_) => Err(BindError::InUse(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("agent.sock");
        // Dropping the standard library's listener leaves its file behind, as a killed agent does.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("stale"));

        let listener = Listener::bind(&path).await.expect("stale socket replaced");
        let mode = fs::metadata(&path).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(matches!(Listener::bind(&path).await, Err(BindError::InUse(_))));

        let (_client, accepted) = tokio::join!(UnixStream::connect(&path), listener.accept());
        // The probe of the refused bind may still be queued; whoever came, it was this process.
        let (_, peer) = accepted.expect("accepted");
        assert_eq!(peer.pid, i32::try_from(std::process::id()).ok());

        drop(listener);
        assert!(!path.exists(), "removed on drop");
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 0, "no temporary left");
    }

    #[tokio::test]
    async fn other_files_are_left_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("agent.sock");
        fs::write(&path, "precious").expect("file");
        assert!(matches!(Listener::bind(&path).await, Err(BindError::NotASocket(_))));
        assert_eq!(fs::read(&path).expect("still there"), b"precious");

        let long = folder.path().join("x".repeat(120));
        assert!(matches!(Listener::bind(&long).await, Err(BindError::TooLong(_))));
    }

    #[tokio::test]
    async fn a_successor_keeps_its_file() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("agent.sock");
        let first = Listener::bind(&path).await.expect("first");
        fs::remove_file(&path).expect("someone removed it");
        let _second = Listener::bind(&path).await.expect("second");
        drop(first);
        assert!(path.exists());
    }
}
