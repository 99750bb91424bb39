//! A stream whose first bytes were read already.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::delegate::delegate;

/// A stream that is read from its beginning again.
#[derive(Debug)]
pub(super) struct PrefixedStream<S> {
    prefix: &'static [u8],
    stream: S,
}

impl<S> PrefixedStream<S> {
    /// Puts `prefix` in front of what is still to be read.
    pub(super) fn new(prefix: &'static [u8], stream: S) -> Self {
        Self { prefix, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PrefixedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let (now, later) = self.prefix.split_at(self.prefix.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.prefix = later;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PrefixedStream<S> {
    delegate!(poll_write, poll_write_vectored, is_write_vectored, poll_flush, poll_shutdown);
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn the_prefix_comes_first_however_little_is_read_at_a_time() {
        for length in [1, 2, 100] {
            let (mut stream, mut all) = (PrefixedStream::new(b"abc", &b"def"[..]), Vec::new());
            while (&mut stream).take(length).read_to_end(&mut all).await.unwrap() > 0 {}
            assert_eq!(all, b"abcdef");
        }
    }
}
