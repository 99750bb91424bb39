//! The responses of one HTTP/2 connection: whether any are in progress, and whether the client reads them.
//!
//! An HTTP/2 client decides how much of a response it receives next. One that receives nothing could keep responses in
//! memory for ever, over a connection that is otherwise active. So responses are sent in small parts, and only when the
//! client has room for more. The time that each part takes is deducted from the patience with its response.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

use super::{connection_slot::ConnectionSlot, stall_limit::StallLimit};

/// Largest part of a response that is sent at once: the default size of an HTTP/2 frame.
const PART_BYTES: usize = 16 * 1024;

/// Most responses that share the least rate when they are read at the same time.
const MAX_SHARING: u32 = 16;

/// The responses of a connection.
#[derive(Debug)]
pub(super) struct ResponseTracker {
    open: Mutex<Open>,
    saw_request: AtomicBool,
    /// Refusals since the last response that was not one.
    refused: AtomicU32,
    slot: Arc<ConnectionSlot>,
    /// The patience that each response begins with.
    stall: StallLimit,
}

#[derive(Debug)]
struct Open {
    handed: HashMap<u64, Handed>,
    /// Number of responses that the gateway works on.
    busy: usize,
    next: u64,
    /// Time since which there has been no response.
    idle_since: Instant,
}

/// A response, as far as it has been sent.
#[derive(Clone, Copy, Debug)]
struct Handed {
    /// Time at which the last part was sent; `None` while the client waits for the gateway.
    at: Option<Instant>,
    bytes: usize,
    stall: StallLimit,
}

impl ResponseTracker {
    /// Creates the state of a connection without any request yet.
    pub(super) fn new(slot: Arc<ConnectionSlot>, stall: StallLimit) -> Self {
        let open = Open { handed: HashMap::new(), busy: 0, next: 0, idle_since: Instant::now() };
        let (saw_request, refused) = (AtomicBool::new(false), AtomicU32::new(0));
        Self { open: Mutex::new(open), saw_request, refused, slot, stall }
    }

    /// Registers a request; its response is open until the returned value is dropped.
    pub(super) fn begin(self: Arc<Self>) -> ResponseSlot {
        self.saw_request.store(true, Ordering::Relaxed);
        let mut open = self.lock();
        let id = open.next;
        open.next += 1;
        open.handed.insert(id, Handed { at: None, bytes: 0, stall: self.stall });
        open.busy += 1;
        self.slot.begin();
        drop(open);
        ResponseSlot { answers: self, id, is_busy: true }
    }

    /// Returns true if there was a request.
    pub(super) fn saw_request(&self) -> bool {
        self.saw_request.load(Ordering::Relaxed)
    }

    /// Returns true if there has been no request for this time.
    pub(super) fn are_not_asked_for(&self, limit: Duration) -> bool {
        let open = self.lock();
        open.handed.is_empty() && open.idle_since.elapsed() >= limit
    }

    /// Returns true if the client reads a response too slowly.
    pub(super) fn is_stalled(&self) -> bool {
        let open = self.lock();
        open.handed.values().any(|one| one.at.is_some_and(|at| at.elapsed() >= one.stall.left()))
    }

    /// Returns the number of refusals since the last response that was not one.
    pub(super) fn refused(&self) -> u32 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Locks the state for a few instructions.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry of a response in the state of its connection.
#[derive(Debug)]
pub(super) struct ResponseSlot {
    answers: Arc<ResponseTracker>,
    id: u64,
    is_busy: bool,
}

impl ResponseSlot {
    /// Returns the body of this response.
    pub(super) fn holding(self, body: Body) -> Parts {
        Parts { place: self, body, rest: Bytes::new() }
    }

    /// Records whether the response is a refusal.
    pub(super) fn answered(&self, is_refusal: bool) {
        if is_refusal {
            self.answers.refused.fetch_add(1, Ordering::Relaxed);
        } else {
            self.answers.refused.store(0, Ordering::Relaxed);
        }
    }

    /// Marks the response as open-ended, so that its connection may be closed in favour of another.
    pub(super) fn only_waits(&mut self) {
        self.rest(&mut self.answers.lock());
        self.is_busy = false;
    }

    /// Records that the gateway no longer works on this response.
    fn rest(&self, open: &mut Open) {
        if self.is_busy {
            open.busy -= 1;
            if open.busy == 0 {
                self.answers.slot.rest();
            }
        }
    }

    /// Records that the client has room for more, and the size of the next part; `None` if it is not there yet.
    fn handed(&self, bytes: Option<usize>) {
        let mut open = self.answers.lock();
        let sharing = u32::try_from(open.handed.len()).map_or(MAX_SHARING, |open| open.clamp(1, MAX_SHARING));
        let Some(handed) = open.handed.get_mut(&self.id) else { return };
        if let Some(at) = handed.at.take() {
            handed.stall.waited(at.elapsed());
            handed.stall.took(handed.bytes * sharing as usize);
        }
        if let Some(bytes) = bytes {
            (handed.at, handed.bytes) = (Some(Instant::now()), bytes);
        }
    }
}

impl Drop for ResponseSlot {
    fn drop(&mut self) {
        let mut open = self.answers.lock();
        open.handed.remove(&self.id);
        open.idle_since = Instant::now();
        self.rest(&mut open);
    }
}

/// A body that is sent in parts.
#[derive(Debug)]
pub(super) struct Parts {
    place: ResponseSlot,
    body: Body,
    /// The rest of the last frame.
    rest: Bytes,
}

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let polled = Pin::new(&mut self.body).poll_frame(context);
            match polled {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                Poll::Pending => {
                    self.place.handed(None);
                    return Poll::Pending;
                }
                other @ Poll::Ready(_) => return other,
            }
        }
        let length = self.rest.len().min(PART_BYTES);
        self.place.handed(Some(length));
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// Durations that every wait exceeds, and that none does.
    const ALWAYS: Duration = Duration::ZERO;
    const NEVER: Duration = Duration::from_hours(1);

    /// Moves the sending of the last parts into the past by this number of seconds.
    fn later(answers: &ResponseTracker, seconds: u64) {
        for handed in answers.lock().handed.values_mut() {
            handed.at = handed.at.map(|at| at - Duration::from_secs(seconds));
        }
    }

    fn answers(stall: Duration) -> Arc<ResponseTracker> {
        Arc::new(ResponseTracker::new(ConnectionSlot::new(), StallLimit::new(stall, 1)))
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_noticed() {
        let answers = answers(Duration::from_secs(10));
        assert!(!answers.saw_request());
        assert!(answers.are_not_asked_for(ALWAYS) && !answers.are_not_asked_for(NEVER));
        let place = Arc::clone(&answers).begin();
        assert!(answers.saw_request() && !answers.are_not_asked_for(ALWAYS) && answers.slot.is_busy());
        later(&answers, 10);
        assert!(!answers.is_stalled(), "it waits for the gateway");
        let mut body = place.holding(Body::from(vec![7; PART_BYTES + 1]));
        let part = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(part.len(), PART_BYTES);
        assert!(!answers.is_stalled());
        later(&answers, 10);
        assert!(answers.is_stalled());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), [7][..]);
        assert!(body.frame().await.is_none());
        drop(body);
        assert!(answers.are_not_asked_for(ALWAYS) && !answers.is_stalled() && !answers.slot.is_busy());
    }

    #[tokio::test]
    async fn what_is_taken_too_slowly_uses_the_patience_up() {
        let rate = 1024;
        let stall = StallLimit::new(Duration::from_secs(10), rate);
        let responses = Arc::new(ResponseTracker::new(ConnectionSlot::new(), stall));
        let mut body = Arc::clone(&responses).begin().holding(Body::from(vec![7; 40 * PART_BYTES]));
        for _ in 0..20 {
            body.frame().await.unwrap().unwrap();
            // A part is worth 16 s.
            later(&responses, 9);
            assert!(!responses.is_stalled());
        }
        let _other = Arc::clone(&responses).begin();
        let mut refusal = Arc::clone(&responses).begin();
        refusal.only_waits();
        refusal.answered(true);
        assert_eq!(responses.refused(), 1);
        refusal.answered(false);
        assert_eq!(responses.refused(), 0);
        body.frame().await.unwrap().unwrap();
        later(&responses, 10);
        assert!(responses.is_stalled() && responses.slot.is_busy());
    }

    #[test]
    fn an_answer_that_only_waits_keeps_nobody_busy() {
        let answers = answers(ALWAYS);
        let mut watching = Arc::clone(&answers).begin();
        watching.only_waits();
        assert!(!answers.slot.is_busy() && !answers.are_not_asked_for(ALWAYS));
        let asking = Arc::clone(&answers).begin();
        assert!(answers.slot.is_busy());
        drop(watching);
        assert!(answers.slot.is_busy());
        drop(asking);
        assert!(!answers.slot.is_busy() && answers.are_not_asked_for(ALWAYS));
    }

    #[tokio::test]
    async fn a_client_that_waits_for_more_is_not_blamed() {
        let answers = answers(ALWAYS);
        let (send, receive) = tokio::sync::oneshot::channel::<Bytes>();
        let parts = futures_util::stream::once(async { receive.await.map_err(|_| "gone") });
        let mut body = Arc::clone(&answers).begin().holding(Body::from_stream(parts));
        {
            let mut frame = std::pin::pin!(body.frame());
            let waits =
                std::future::poll_fn(|context| Poll::Ready(frame.as_mut().poll(context).is_pending()));
            assert!(waits.await);
            assert!(!answers.is_stalled());
            send.send(Bytes::from_static(b"more")).unwrap();
            frame.await.unwrap().unwrap();
        }
        assert!(answers.is_stalled());
    }
}
