//! The socket of a listener: TCP, or a Unix socket with its file.

use std::{
    fs::{self, File, Metadata, Permissions},
    io,
    net::SocketAddr,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixStream as StdUnixStream,
    },
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::client_stream::ClientStream;
use crate::{config::ListenAddress, edge::Peer};

/// Permissions of the file of a Unix socket: who may write to it may connect.
const SOCKET_MODE: u32 = 0o660;

/// Connections that the system holds until they are accepted, as many as for TCP.
const BACKLOG: i32 = 1024;

/// Unsent bytes above which the system accepts no more. Without this limit it would buffer megabytes of an unread
/// response, and a slow client would seem to stall for minutes.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 256 * 1024;

/// An accepted connection.
pub(super) type Arrived = (ClientStream, Peer);

/// The socket of a listener.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, file: SocketFile },
}

impl Socket {
    /// Binds a socket. Returns it with its address, which has the port that the system chose for port 0.
    pub(super) async fn bind(address: &ListenAddress) -> io::Result<(Self, ListenAddress)> {
        match address {
            ListenAddress::Tcp(wanted) => {
                let socket = TcpListener::bind(wanted).await?;
                bound_unsent(&socket);
                let bound = socket.local_addr().unwrap_or(*wanted);
                Ok((Self::Tcp(socket), bound.into()))
            }
            ListenAddress::Unix(path) => {
                let (listener, file) = bind_unix(path)?;
                Ok((Self::Unix { listener, file }, address.clone()))
            }
        }
    }

    /// Waits for the next connection.
    pub(super) async fn accept(&self) -> io::Result<Arrived> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok((ClientStream::Tcp(stream), peer.ip().into()))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((ClientStream::Unix(stream), Peer::UNIX))
            }
        }
    }

    /// Returns a connection from the system's queue. Queries the system directly: the runtime knows only connections
    /// that it was notified of.
    pub(super) fn accept_now(&self) -> io::Result<Arrived> {
        let own = match self {
            Self::Tcp(socket) => socket2::SockRef::from(socket),
            Self::Unix { listener, .. } => socket2::SockRef::from(listener),
        };
        let (socket, peer) = own.accept()?;
        socket.set_nonblocking(true)?;
        Ok(match self {
            Self::Tcp(_) => {
                let peer: SocketAddr = peer.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
                (ClientStream::Tcp(TcpStream::from_std(socket.into())?), peer.ip().into())
            }
            Self::Unix { .. } => (ClientStream::Unix(UnixStream::from_std(socket.into())?), Peer::UNIX),
        })
    }

    /// Makes further connection attempts fail, so that the queue can be emptied before the socket is closed. Closing it
    /// resets the connections in the queue, whose requests may have been sent but never read.
    pub(super) fn refuse_connections(&self) {
        match self {
            Self::Tcp(socket) => drop_attempts(socket),
            Self::Unix { file, .. } => file.remove(),
        }
    }
}

/// The file of a Unix socket, which is removed at the end.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: another process may have taken the path since.
    identity: (u64, u64),
}

impl SocketFile {
    /// Removes the file, if it is still this one.
    fn remove(&self) {
        let is_own = |metadata: Metadata| (metadata.dev(), metadata.ino()) == self.identity;
        if fs::symlink_metadata(&self.path).is_ok_and(is_own)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "failed to remove a Unix socket");
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Binds a Unix socket in place of one that was left behind.
fn bind_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    // Two gateways that start together must not remove each other's socket.
    let folder = File::open(path.parent().unwrap_or(Path::new("/")))?;
    folder.lock()?;
    remove_stale(path)?;
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    // Nobody can connect before it listens.
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    let metadata = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) };
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((UnixListener::from_std(socket.into())?, file))
}

/// Removes the file of a Unix socket at which no process listens.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the file is not a socket, so it is not replaced",
        )),
        Ok(_) => match StdUnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        },
    }
}

/// Bounds what the system holds of a response that was not sent yet, for each connection that is accepted.
#[cfg(target_os = "linux")]
fn bound_unsent(socket: &TcpListener) {
    if let Err(error) = socket2::SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_BYTES) {
        tracing::debug!(%error, "failed to set TCP_NOTSENT_LOWAT");
    }
}

/// Does nothing: the option of other systems is not one of `socket2`.
#[cfg(not(target_os = "linux"))]
fn bound_unsent(_socket: &TcpListener) {}

/// Makes the system drop further connection attempts.
#[cfg(target_os = "linux")]
fn drop_attempts(socket: &TcpListener) {
    use socket2::SockFilter;
    /// A filter that drops packets with the SYN flag, which only the first packet of a connection has. Byte 13 of a TCP
    /// header holds the flags, and 0x02 is SYN. Other packets pass, as they belong to handshakes in progress.
    const NO_SYN: [SockFilter; 4] = [
        SockFilter::new(0x30, 0, 0, 13),       // BPF_LD | BPF_B | BPF_ABS
        SockFilter::new(0x45, 0, 1, 0x02),     // BPF_JMP | BPF_JSET | BPF_K
        SockFilter::new(0x06, 0, 0, 0),        // BPF_RET | BPF_K
        SockFilter::new(0x06, 0, 0, u32::MAX), // BPF_RET | BPF_K
    ];
    if let Err(error) = socket2::SockRef::from(socket).attach_filter(&NO_SYN) {
        tracing::debug!(%error, "failed to attach the filter that turns connection attempts away");
    }
}

/// Does nothing: other systems have no such filter, and a connection that arrives at this moment is reset.
#[cfg(not(target_os = "linux"))]
fn drop_attempts(_socket: &TcpListener) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_socket_that_nobody_listens_at_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let (listener, file) = bind_unix(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // As if the process had been killed: the file stays.
        std::mem::forget(file);
        drop(listener);
        let (_listener, file) = bind_unix(&path).unwrap();
        drop(file);
        assert!(!path.exists(), "it is removed at the end");
        fs::write(&path, "notes").unwrap();
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "notes");
    }

    #[tokio::test]
    async fn the_file_of_another_process_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let (_listener, file) = bind_unix(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (_other, _file_of_other) = bind_unix(&path).unwrap();
        drop(file);
        assert!(path.exists());
    }
}
