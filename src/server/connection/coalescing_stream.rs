//! A stream that joins the head and body of a small response: copying them together costs less than two pieces on their
//! way through the kernel.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite};

use super::delegate::delegate;

/// Longest response that is joined.
const MOST_BYTES: usize = 2048;

/// A stream that joins small pieces which are written together.
#[derive(Debug)]
pub(super) struct CoalescingStream<S> {
    stream: S,
    /// Kept, so that a response needs no allocation.
    joined: Vec<u8>,
}

impl<S> CoalescingStream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, joined: Vec::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CoalescingStream<S> {
    delegate!(poll_read);
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CoalescingStream<S> {
    delegate!(poll_write, is_write_vectored, poll_flush, poll_shutdown);

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if pieces.len() < 2 || total > MOST_BYTES {
            return Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        }
        let Self { stream, joined } = &mut *self;
        joined.clear();
        for piece in pieces {
            joined.extend_from_slice(piece);
        }
        Pin::new(stream).poll_write(context, joined)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn whatever_is_written_arrives_once_and_in_order() {
        for sizes in
            [vec![], vec![3], vec![200, 170], vec![0, 5, 0], vec![2000, 48], vec![2000, 49], vec![9, 5000]]
        {
            let whole: Vec<u8> = (0..sizes.iter().sum()).map(|at: usize| at.to_le_bytes()[0]).collect();
            // Shorter than the longest pieces, so those are written in parts.
            let (near, mut far) = tokio::io::duplex(1500);
            let wanted = whole.clone();
            let writing = async move {
                let (mut near, mut written) = (CoalescingStream::new(near), 0);
                while written < wanted.len() {
                    let mut end = 0;
                    let mut pieces = Vec::new();
                    for size in &sizes {
                        let begin = end;
                        end += size;
                        pieces.push(IoSlice::new(&wanted[written.clamp(begin, end)..end]));
                    }
                    written += poll_fn(|context| Pin::new(&mut near).poll_write_vectored(context, &pieces))
                        .await
                        .unwrap();
                }
            };
            let reading = async {
                let mut all = Vec::new();
                far.read_to_end(&mut all).await.unwrap();
                all
            };
            assert_eq!(tokio::join!(writing, reading).1, whole);
        }
    }
}
