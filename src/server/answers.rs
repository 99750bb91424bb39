//! The answers of one HTTP/2 connection: whether any are asked for, and whether the client takes what it asked for.
//!
//! A client says itself how much of an answer it wants next, so one that wants nothing could have answers kept for
//! ever, over a connection on which everything else moves on. The parts of an answer are therefore handed out small, and
//! only when the client wants more; the time of each is known.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

/// The greatest part of an answer that is handed out at once: as large as a frame of HTTP/2 is by default.
const PART_BYTES: usize = 16 * 1024;

/// The answers of a connection.
#[derive(Debug)]
pub(super) struct Answers {
    open: Mutex<Open>,
    were_asked_for: AtomicBool,
}

#[derive(Debug)]
struct Open {
    /// When the client was last handed something; nothing while it waits for the gateway.
    handed: HashMap<u64, Option<Instant>>,
    next: u64,
    /// Since when there is none.
    idle_since: Instant,
}

impl Default for Answers {
    fn default() -> Self {
        let open = Open { handed: HashMap::new(), next: 0, idle_since: Instant::now() };
        Self { open: Mutex::new(open), were_asked_for: AtomicBool::new(false) }
    }
}

impl Answers {
    /// A request has come; its answer is open until what is returned is dropped.
    pub(super) fn begin(self: Arc<Self>) -> Place {
        self.were_asked_for.store(true, Ordering::Relaxed);
        let mut open = self.lock();
        let id = open.next;
        open.next += 1;
        open.handed.insert(id, None);
        drop(open);
        Place { answers: self, id }
    }

    /// Whether there was a request.
    pub(super) fn were_asked_for(&self) -> bool {
        self.were_asked_for.load(Ordering::Relaxed)
    }

    /// Whether there was no request for so long.
    pub(super) fn are_not_asked_for(&self, limit: Duration) -> bool {
        let open = self.lock();
        open.handed.is_empty() && open.idle_since.elapsed() >= limit
    }

    /// Whether the client has not taken a part of an answer for so long.
    pub(super) fn are_not_taken(&self, limit: Duration) -> bool {
        self.lock().handed.values().flatten().any(|handed| handed.elapsed() >= limit)
    }

    /// Held for some instructions at a time.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of an answer among those of its connection.
#[derive(Debug)]
pub(super) struct Place {
    answers: Arc<Answers>,
    id: u64,
}

impl Place {
    /// The body of this answer.
    pub(super) fn holding(self, body: Body) -> Parts {
        Parts { place: self, body, rest: Bytes::new() }
    }

    fn handed(&self, time: Option<Instant>) {
        self.answers.lock().handed.insert(self.id, time);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.answers.lock();
        open.handed.remove(&self.id);
        open.idle_since = Instant::now();
    }
}

/// A body that is handed out in parts.
#[derive(Debug)]
pub(super) struct Parts {
    place: Place,
    body: Body,
    /// What of the last frame was not handed out yet.
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
        self.place.handed(Some(Instant::now()));
        let length = self.rest.len().min(PART_BYTES);
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

    /// For so long everything has been the way it is, and for so long nothing.
    const ALWAYS: Duration = Duration::ZERO;
    const NEVER: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_noticed() {
        let answers = Arc::new(Answers::default());
        assert!(!answers.were_asked_for());
        assert!(answers.are_not_asked_for(ALWAYS) && !answers.are_not_asked_for(NEVER));
        let place = Arc::clone(&answers).begin();
        assert!(answers.were_asked_for() && !answers.are_not_asked_for(ALWAYS));
        assert!(!answers.are_not_taken(ALWAYS), "it waits for the gateway");
        let mut body = place.holding(Body::from(vec![7; PART_BYTES + 1]));
        let part = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(part.len(), PART_BYTES);
        assert!(answers.are_not_taken(ALWAYS) && !answers.are_not_taken(NEVER));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), [7][..]);
        assert!(body.frame().await.is_none());
        drop(body);
        assert!(answers.are_not_asked_for(ALWAYS) && !answers.are_not_taken(ALWAYS));
    }

    #[tokio::test]
    async fn a_client_that_waits_for_more_is_not_blamed() {
        let answers = Arc::new(Answers::default());
        let (send, receive) = tokio::sync::oneshot::channel::<Bytes>();
        let parts = futures_util::stream::once(async { receive.await.map_err(|_| "gone") });
        let mut body = Arc::clone(&answers).begin().holding(Body::from_stream(parts));
        {
            let mut frame = std::pin::pin!(body.frame());
            let waits =
                std::future::poll_fn(|context| Poll::Ready(frame.as_mut().poll(context).is_pending()));
            assert!(waits.await);
            assert!(!answers.are_not_taken(ALWAYS));
            send.send(Bytes::from_static(b"more")).unwrap();
            frame.await.unwrap().unwrap();
        }
        assert!(answers.are_not_taken(ALWAYS));
    }
}
