//! The stream of a client, over TCP or a Unix socket.

use std::{
    io::{self, IoSlice},
    net::{IpAddr, TcpStream as StdTcpStream},
    os::unix::net::UnixStream as StdUnixStream,
    pin::Pin,
    task::{Context, Poll},
};

use rustix::net::{RecvFlags, recv};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// The stream of a client.
#[derive(Debug)]
pub(super) enum ClientStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A stream on its way from one runtime to another.
#[derive(Debug)]
pub(super) enum StdClientStream {
    Tcp(StdTcpStream),
    Unix(StdUnixStream),
}

impl ClientStream {
    /// Takes the stream from the runtime of this thread.
    pub(super) fn into_std(self) -> io::Result<StdClientStream> {
        Ok(match self {
            Self::Tcp(stream) => StdClientStream::Tcp(stream.into_std()?),
            Self::Unix(stream) => StdClientStream::Unix(stream.into_std()?),
        })
    }

    /// Gives the stream to the runtime of this thread.
    pub(super) fn from_std(stream: StdClientStream) -> io::Result<Self> {
        Ok(match stream {
            StdClientStream::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream)?),
            StdClientStream::Unix(stream) => Self::Unix(UnixStream::from_std(stream)?),
        })
    }

    /// Returns true if the stream is to this address of this host.
    pub(super) fn is_to(&self, address: IpAddr) -> bool {
        match self {
            Self::Tcp(stream) => stream.local_addr().is_ok_and(|local| local.ip().to_canonical() == address),
            Self::Unix(_) => false,
        }
    }

    /// Sends small pieces at once. Unix sockets always do.
    pub(super) fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Waits for the first byte, and leaves it there. `None` if the client has left.
    pub(super) async fn peek(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        let read = match self {
            Self::Tcp(stream) => stream.peek(&mut first).await?,
            Self::Unix(stream) => {
                let peek = || Ok(recv(stream, &mut first, RecvFlags::PEEK)?.0);
                stream.async_io(Interest::READABLE, peek).await?
            }
        };
        Ok((read > 0).then_some(first[0]))
    }
}

/// Calls a method of the stream of either kind.
macro_rules! with_stream {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            ClientStream::Tcp($stream) => $call,
            ClientStream::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        with_stream!(this, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        with_stream!(this, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        with_stream!(this, stream => Pin::new(stream).poll_write_vectored(context, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        with_stream!(this, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        with_stream!(this, stream => Pin::new(stream).poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_byte_that_was_looked_at_is_still_there() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut near = ClientStream::from_std(ClientStream::Unix(near).into_std().unwrap()).unwrap();
        far.write_all(b"ab").await.unwrap();
        assert_eq!(near.peek().await.unwrap(), Some(b'a'));
        let mut both = [0; 2];
        near.read_exact(&mut both).await.unwrap();
        assert_eq!(&both, b"ab");
        drop(far);
        assert_eq!(near.peek().await.unwrap(), None);
    }
}
