//! Detection of requests with two lengths, which the HTTP library does not report.
//!
//! Two readers may interpret a request with both `Content-Length` and `Transfer-Encoding` differently (RFC 9112 section
//! 6.1). The library removes the former, so no later layer can refuse such a request. The bytes read are therefore kept
//! until the next request begins. They are searched only if that one has `Transfer-Encoding`, which few have.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use axum::http::{Method, Request};
use hyper::body::{Body, Incoming};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::delegate::delegate;

/// Bytes that are kept: more than the longest head.
const MOST_BYTES: usize = 40 * 1024;

/// Capacity that is kept from one request to the next.
const USUAL_BYTES: usize = 4 * 1024;

/// Bytes read since the last request began, except those that are certainly its body.
#[derive(Clone, Debug, Default)]
pub(super) struct RecordedHeads(Arc<Mutex<Bytes>>);

#[derive(Debug, Default)]
struct Bytes {
    seen: Vec<u8>,
    /// Bytes still to come that belong to the body.
    skip: usize,
}

impl RecordedHeads {
    /// Records that a request begins. Returns true if it has two lengths, or may have.
    pub(super) fn begin(&self, request: &Request<Incoming>) -> bool {
        let mut bytes = self.lock();
        let length = request.body().size_hint().exact();
        // A body with a transfer coding has no known length.
        let has_two = length.is_none() && has_two_lengths(&bytes.seen, request.method());
        let body = length.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        bytes.pass(request.method(), body);
        has_two
    }

    /// Locks the bytes for a few instructions; only one task uses them.
    fn lock(&self) -> MutexGuard<'_, Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bytes {
    /// Drops a head and the body of this length after it, as far as they have arrived, and skips the rest as it
    /// arrives. The next head begins directly behind them.
    fn pass(&mut self, method: &Method, body: usize) {
        if let Some(end) = end_of_head(&self.seen, method) {
            let end = end.saturating_add(body);
            self.skip = end.saturating_sub(self.seen.len());
            self.seen.drain(..end.min(self.seen.len()));
        } else {
            // Part of the body may have arrived with the head.
            self.skip = body.saturating_sub(self.seen.len());
            self.seen.clear();
        }
        self.seen.shrink_to(USUAL_BYTES);
    }

    fn add(&mut self, read: &[u8]) {
        let skipped = self.skip.min(read.len());
        self.skip -= skipped;
        self.seen.extend_from_slice(read.get(skipped..).unwrap_or_default());
        if self.seen.len() > MOST_BYTES + USUAL_BYTES {
            self.seen.drain(..self.seen.len() - MOST_BYTES);
        }
    }
}

/// Returns true unless the head of a request with `Transfer-Encoding` certainly has no `Content-Length`.
///
/// `seen` may begin with the end of another request's body, which may look like a head itself. If a head began in the
/// same packet as the previous request, `seen` lacks its beginning. That happens only to clients that do not wait for
/// responses.
fn has_two_lengths(seen: &[u8], method: &Method) -> bool {
    let (mut is_found, mut is_inside) = (false, false);
    for line in seen.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
        if is_inside {
            is_inside = !line.is_empty();
            if is_named(line, b"content-length") {
                return true;
            }
        } else if begins_request(line, method) {
            (is_found, is_inside) = (true, true);
        } else if !is_found && is_named(line, b"transfer-encoding") {
            return true;
        }
    }
    !is_found
}

/// Returns the position behind the head of a request with this method, which may follow the end of a chunked body.
fn end_of_head(seen: &[u8], method: &Method) -> Option<usize> {
    // Nearly all begin with it.
    let mut is_inside = seen.starts_with(method.as_str().as_bytes());
    let mut begin = 0;
    for end in memchr::memchr_iter(b'\n', seen) {
        let line = seen.get(begin..end)?;
        begin = end + 1;
        if !is_inside {
            is_inside = begins_request(line.strip_suffix(b"\r").unwrap_or(line), method);
        } else if matches!(line, [] | [b'\r']) {
            return Some(begin);
        }
    }
    None
}

fn begins_request(line: &[u8], method: &Method) -> bool {
    let target =
        line.strip_prefix(method.as_str().as_bytes()).and_then(|rest| rest.strip_suffix(b" HTTP/1.1"));
    target.is_some_and(|target| target.starts_with(b" "))
}

fn is_named(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        && line.get(name.len()) == Some(&b':')
}

/// A stream whose incoming bytes are recorded in `RecordedHeads`.
#[derive(Debug)]
pub(super) struct HeadRecorder<S> {
    stream: S,
    seen: RecordedHeads,
}

impl<S> HeadRecorder<S> {
    pub(super) fn new(stream: S) -> (Self, RecordedHeads) {
        let seen = RecordedHeads::default();
        (Self { stream, seen: seen.clone() }, seen)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadRecorder<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(read) = buffer.filled().get(before..).filter(|read| !read.is_empty()) {
            self.seen.lock().add(read);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadRecorder<S> {
    delegate!(poll_write, poll_write_vectored, is_write_vectored, poll_flush, poll_shutdown);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_two(seen: &str) -> bool {
        has_two_lengths(seen.as_bytes(), &Method::POST)
    }

    #[test]
    fn both_lengths_are_found_in_either_order() {
        let coded = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n";
        assert!(!has_two(&format!("{coded}\r\n0\r\n\r\n")));
        assert!(!has_two(&format!("{coded}\r\n14\r\ncontent-length: 5\r\n\r\n0\r\n\r\n")), "in the body");
        assert!(has_two(&format!("{coded}Content-Length: 5\r\n\r\n")));
        assert!(has_two("POST / HTTP/1.1\ncontent-length: 5\ntransfer-encoding: chunked\n\n"));
    }

    #[test]
    fn what_is_not_certain_counts_as_both() {
        assert!(has_two(""), "it came with the request before");
        assert!(has_two("host: a\r\ntransfer-encoding: chunked\r\n\r\nPOST / HTTP/1.1\r\nhost: a\r\n\r\n"));
        let fake = "POST /fake HTTP/1.1\r\nhost: a\r\n\r\n";
        let both = "POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(has_two(&format!("{fake}{both}")), "the body before looks like a head");
        let coded = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(!has_two(&format!("the end of a body{fake}\n{coded}")));
    }

    #[test]
    fn a_head_is_found_behind_a_body_whenever_that_comes() {
        let first = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 300\r\n\r\n";
        let (body, coded) = ("x".repeat(300), "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
        for cut in [0, 1, 100, 300] {
            let mut bytes = Bytes::default();
            bytes.add(first.as_bytes());
            bytes.add(&body.as_bytes()[..cut]);
            bytes.pass(&Method::POST, 300);
            bytes.add(&body.as_bytes()[cut..]);
            bytes.add(coded.as_bytes());
            assert_eq!(bytes.seen, coded.as_bytes(), "{cut}");
            assert!(!has_two_lengths(&bytes.seen, &Method::POST), "{cut}");
            bytes.pass(&Method::POST, 0);
            bytes.add(b"3\r\nabc\r\n0\r\n\r\n");
            bytes.add(first.as_bytes());
            bytes.add(body.as_bytes());
            bytes.pass(&Method::POST, 300);
            assert_eq!((bytes.seen.len(), bytes.skip), (0, 0), "{cut}");
        }
    }

    #[test]
    fn bodies_are_not_kept() {
        let mut bytes = Bytes { seen: Vec::new(), skip: 5 };
        bytes.add(b"abc");
        bytes.add(b"deGET");
        assert_eq!((bytes.seen.as_slice(), bytes.skip), (&b"GET"[..], 0));
        bytes.add(&vec![b'x'; 3 * MOST_BYTES]);
        assert_eq!(bytes.seen.len(), MOST_BYTES);
    }
}
