//! Limits of HTTP/2 frames that carry no request: `SETTINGS`, `PING`, `PRIORITY`, `WINDOW_UPDATE`, `RST_STREAM`, empty
//! `DATA`.
//!
//! Each costs the gateway time and the client next to nothing. A client may send them at a fixed rate, and more in
//! proportion to its requests and responses. The library limits reset streams and endless headers. All others are
//! limited here, by the heads of passing frames (RFC 9113 section 4.1).

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{self, Instant, Sleep},
};

use super::delegate::delegate;

/// Frames allowed at once, and per second after that.
const BURST: u32 = 200;
const PER_SECOND: f64 = 50.0;

/// Frames that each frame of a request or response allows: clients acknowledge, probe, and update windows.
const PER_REQUEST_FRAME: u32 = 4;

/// Most frames that can be saved up: a client may make room for a large response all at once.
const MOST_SAVED: u32 = 10_000;

/// Least length of a `DATA` frame that allows others.
const FULL_DATA_BYTES: u32 = 1024;

/// GOAWAY of stream 0, without a last stream, with `ENHANCE_YOUR_CALM` (RFC 9113 sections 6.8 and 7).
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb];

/// Limits of reading on after GOAWAY was sent, so that the client learns the reason.
const HEARD_OUT: Duration = Duration::from_millis(500);
const HEARD_OUT_BYTES: usize = 1024 * 1024;

const HEAD_BYTES: usize = 9;
const PREFACE_BYTES: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;

/// The relevant fields of a frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    length: u32,
    kind: u8,
    flags: u8,
}

/// A parser that finds the heads of frames in the bytes of one direction.
#[derive(Debug)]
struct Frames {
    head: [u8; HEAD_BYTES],
    filled: usize,
    /// Bytes until the next head begins.
    skip: usize,
}

impl Frames {
    fn after(skip: usize) -> Self {
        Self { head: [0; HEAD_BYTES], filled: 0, skip }
    }

    /// Returns true between two frames.
    fn is_at_boundary(&self) -> bool {
        self.filled == 0 && self.skip == 0
    }

    /// Returns the next head in the bytes, and advances them past it.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Head> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        *bytes = bytes.get(skipped..)?;
        let taken = (HEAD_BYTES - self.filled).min(bytes.len());
        let (head, rest) = bytes.split_at_checked(taken)?;
        self.head.get_mut(self.filled..self.filled + taken)?.copy_from_slice(head);
        self.filled += taken;
        *bytes = rest;
        if self.filled < HEAD_BYTES {
            return None;
        }
        self.filled = 0;
        let [high, middle, low, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.skip = length as usize;
        Some(Head { length, kind, flags })
    }
}

/// The number of frames that a client may still send.
#[derive(Debug)]
struct Allowance {
    saved: u32,
    /// Time up to which the rate was credited.
    credited: Instant,
}

impl Allowance {
    fn new() -> Self {
        Self { saved: BURST, credited: Instant::now() }
    }

    fn earn(&mut self, frames: u32) {
        self.saved = (self.saved + frames).min(MOST_SAVED);
    }

    /// Returns false if the client has exceeded its allowance. Reads the clock only if nothing is saved.
    fn received(&mut self, head: Head, now: impl Fn() -> Instant) -> bool {
        match head.kind {
            HEADERS => self.earn(PER_REQUEST_FRAME),
            DATA if head.length >= FULL_DATA_BYTES => self.earn(PER_REQUEST_FRAME),
            DATA if head.length > 0 || head.flags & END_STREAM != 0 => {}
            _ => return self.spend(now),
        }
        true
    }

    fn sent(&mut self, head: Head) {
        if matches!(head.kind, HEADERS | DATA) {
            self.earn(PER_REQUEST_FRAME);
        }
    }

    fn spend(&mut self, now: impl Fn() -> Instant) -> bool {
        if self.saved == 0 {
            let now = now();
            let credit = (now - self.credited).as_secs_f64() * PER_SECOND;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is from 0 to BURST"
            )]
            let credit = credit.min(f64::from(BURST)) as u32;
            if credit == 0 {
                return false;
            }
            (self.saved, self.credited) = (credit, now);
        }
        self.saved -= 1;
        true
    }
}

/// An HTTP/2 stream that ends when it is flooded.
#[derive(Debug)]
pub(super) struct FloodGuard<S> {
    stream: S,
    received: Frames,
    sent: Frames,
    allowance: Allowance,
    /// The end in progress; `None` until a flood.
    end: Option<End>,
    was_flooded: Arc<AtomicBool>,
}

/// The end of a flooded stream, during which the client can read the reason.
#[derive(Debug)]
struct End {
    timer: Pin<Box<Sleep>>,
    bytes: usize,
    is_shut: bool,
}

impl<S> FloodGuard<S> {
    /// Creates a stream of which nothing was read yet, and a flag that is set when it is flooded.
    pub(super) fn new(stream: S) -> (Self, Arc<AtomicBool>) {
        let was_flooded = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&was_flooded);
        let (received, sent) = (Frames::after(PREFACE_BYTES), Frames::after(0));
        (Self { stream, received, sent, allowance: Allowance::new(), end: None, was_flooded }, told)
    }

    /// Returns false if these bytes exceed the allowance.
    fn note_received(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(head) = self.received.next(&mut bytes) {
            if !self.allowance.received(head, Instant::now) {
                return false;
            }
        }
        true
    }

    fn note_sent(&mut self, mut bytes: &[u8]) {
        while let Some(head) = self.sent.next(&mut bytes) {
            self.allowance.sent(head);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> FloodGuard<S> {
    /// Begins the end: sends GOAWAY, unless a frame to the client is half written.
    fn begin_end(&mut self, context: &mut Context<'_>) {
        self.was_flooded.store(true, Ordering::Relaxed);
        if self.sent.is_at_boundary() {
            // Bytes that cannot be written at once are dropped: the client does not read.
            let _ = Pin::new(&mut self.stream).poll_write(context, &GOAWAY);
        }
        let timer = Box::pin(time::sleep(HEARD_OUT));
        self.end = Some(End { timer, bytes: HEARD_OUT_BYTES, is_shut: false });
    }

    /// Reads on for a while: closing at once would reset the connection, and the client would not learn the reason.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, end: Some(end), .. } = self else { return Poll::Ready(Ok(())) };
        if !end.is_shut {
            end.is_shut = Pin::new(&mut *stream).poll_shutdown(context).is_ready();
        }
        let mut scratch = [0; 4096];
        while end.bytes > 0 && end.timer.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
            end.bytes = end.bytes.saturating_sub(buffer.filled().len());
        }
        Poll::Ready(Err(io::Error::other("the client sent too many frames that carry no request")))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for FloodGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.end.is_none() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            let read = buffer.filled().get(before..).unwrap_or_default();
            if self.note_received(read) {
                return Poll::Ready(Ok(()));
            }
            buffer.set_filled(before);
            self.begin_end(context);
        }
        self.poll_end(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for FloodGuard<S> {
    delegate!(is_write_vectored, poll_flush, poll_shutdown);

    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.end.is_some() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.note_sent(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.end.is_some() {
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, pieces))?;
        let mut left = written;
        for piece in pieces {
            let part = left.min(piece.len());
            left -= part;
            self.note_sent(piece.get(..part).unwrap_or_default());
        }
        Poll::Ready(Ok(written))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + usize::from(length), 7);
        frame
    }

    #[test]
    fn heads_are_found_however_the_bytes_are_cut() {
        let bytes = [frame(PING, 0, 8), frame(DATA, 1, 0), frame(HEADERS, 4, 200)].concat();
        for size in 1..bytes.len() {
            let mut frames = Frames::after(0);
            let mut found = Vec::new();
            for mut part in bytes.chunks(size) {
                while let Some(head) = frames.next(&mut part) {
                    found.push((head.kind, head.flags, head.length));
                }
            }
            assert_eq!(found, [(PING, 0, 8), (DATA, 1, 0), (HEADERS, 4, 200)], "{size}");
            assert!(frames.is_at_boundary());
        }
    }

    #[test]
    fn frames_that_ask_for_nothing_are_permitted_at_a_rate_and_with_requests() {
        let ping = Head { length: 8, kind: PING, flags: 0 };
        let mut allowance = Allowance::new();
        let begin = allowance.credited;
        let mut permits = |head, seconds| allowance.received(head, || begin + Duration::from_secs(seconds));
        assert!((0..BURST).all(|_| permits(ping, 0)) && !permits(ping, 0));
        assert!((0..50).all(|_| permits(ping, 1)) && !permits(ping, 1));
        assert!(permits(Head { kind: HEADERS, ..ping }, 1));
        assert!((0..PER_REQUEST_FRAME).all(|_| permits(ping, 1)) && !permits(ping, 1));
        let empty = Head { length: 0, kind: DATA, flags: 0 };
        assert!(!permits(empty, 1));
        assert!(permits(Head { flags: END_STREAM, ..empty }, 1) && permits(Head { length: 1, ..empty }, 1));
        assert!((0..BURST).all(|_| permits(ping, 100)) && !permits(ping, 100));
        allowance.sent(Head { kind: DATA, ..ping });
        assert_eq!(allowance.saved, PER_REQUEST_FRAME);
    }

    #[tokio::test]
    async fn a_flood_ends_with_the_reason() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut calm, was_flooded) = FloodGuard::new(near);
        far.write_all(&[b'x'; PREFACE_BYTES]).await.unwrap();
        far.write_all(&frame(PING, 0, 8).repeat(1000)).await.unwrap();
        calm.write_all(&frame(PING, 1, 8)).await.unwrap();
        let mut read = vec![0; 1 << 16];
        let mut response = Vec::new();
        let ended = async { while calm.read(&mut read).await.is_ok() {} };
        let told = async {
            // Learns the reason, and disconnects.
            far.read_to_end(&mut response).await.unwrap();
            drop(far);
        };
        tokio::join!(ended, told);
        assert!(was_flooded.load(Ordering::Relaxed));
        assert_eq!(response, [frame(PING, 1, 8), GOAWAY.to_vec()].concat());
    }
}
