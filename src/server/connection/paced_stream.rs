//! A stream whose client must read what is written: it must not keep responses in memory by not reading them.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{self, Instant, Sleep},
};

use super::delegate::delegate;
use crate::server::{connection_slot::ConnectionSlot, stall_limit::StallLimit};

/// A stream with patience for each response.
#[derive(Debug)]
pub(super) struct PacedStream<S> {
    stream: S,
    stall: StallLimit,
    /// Time since which a write has been waiting.
    waiting_since: Option<Instant>,
    /// Created when a write waits for the first time.
    timer: Option<Pin<Box<Sleep>>>,
    slot: Arc<ConnectionSlot>,
}

impl<S> PacedStream<S> {
    pub(super) fn new(stream: S, stall: StallLimit, slot: Arc<ConnectionSlot>) -> Self {
        Self { stream, stall, waiting_since: None, timer: None, slot }
    }

    /// Updates the patience with the outcome of a write.
    fn noted(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => {
                if let Some(since) = self.waiting_since.take() {
                    self.stall.waited(since.elapsed());
                }
                self.stall.took(*bytes);
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => {
                ready!(self.poll_stall(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Returns ready once the client has stalled for too long.
    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.waiting_since.is_none() {
            let now = Instant::now();
            self.waiting_since = Some(now);
            let end = now + self.stall.left();
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(end),
                None => self.timer = Some(Box::pin(time::sleep_until(end))),
            }
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedStream<S> {
    delegate!(poll_read);
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedStream<S> {
    delegate!(is_write_vectored, poll_shutdown);

    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.noted(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.noted(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        if self.slot.flushed() {
            self.stall.renew();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_client_is_given_up_when_the_patience_is_at_its_end() {
        let (near, mut far) = tokio::io::duplex(1000);
        let mut paced = PacedStream::new(near, StallLimit::new(Duration::ZERO, 1), ConnectionSlot::new());
        paced.write_all(&[7; 1000]).await.unwrap();
        assert_eq!(paced.write_all(&[7; 1000]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        far.read_exact(&mut [0; 1000]).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_reads_is_waited_for() {
        let (near, mut far) = tokio::io::duplex(1000);
        let slot = ConnectionSlot::new();
        let mut paced =
            PacedStream::new(near, StallLimit::new(Duration::from_hours(1), u64::MAX), Arc::clone(&slot));
        let mut read = vec![0; 10_000];
        slot.begin();
        let (written, _) = tokio::join!(paced.write_all(&[7; 10_000]), far.read_exact(&mut read));
        written.unwrap();
        assert!(paced.stall.left() < Duration::from_hours(1));
        slot.answered();
        paced.flush().await.unwrap();
        assert_eq!(paced.stall.left(), Duration::from_hours(1), "the next answer has all of it");
        assert!(!slot.is_busy());
    }
}
