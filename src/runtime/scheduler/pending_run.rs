//! A queued request, as seen by the caller that waits for it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use tokio::sync::oneshot;

use super::{
    RuntimeError,
    job::{Failed, QueueSlot, RunResult, Waiting},
};

/// The run of a request: it waits, and then has a result.
///
/// Dropped before, it takes the request out of the queue, or cancels the run unless another caller waits for it.
#[must_use = "a run ends when it is dropped"]
pub struct Running<'s>(State<'s>);

/// State of the future, kept small because every waiting future contains it.
enum State<'s> {
    Whole(Whole<'s>),
    InParts(Pin<Box<dyn Future<Output = Result<RunResult, Failed>> + Send + 's>>),
    /// The error, taken at the first poll.
    Refused(Option<RuntimeError>),
}

/// A request that is run in one part.
pub(super) struct Whole<'s> {
    pub(super) answered: oneshot::Receiver<Result<RunResult, Failed>>,
    pub(super) deadline: Option<Instant>,
    pub(super) _waiting: Option<Waiting>,
    /// `None` if it is a part of a request that holds the place.
    pub(super) _place: Option<QueueSlot<'s>>,
}

impl<'s> Running<'s> {
    pub(super) fn whole(entered: Result<Whole<'s>, RuntimeError>) -> Self {
        Self(entered.map_or_else(|refused| State::Refused(Some(refused)), State::Whole))
    }

    pub(super) fn in_parts(parts: impl Future<Output = Result<RunResult, Failed>> + Send + 's) -> Self {
        Self(State::InParts(Box::pin(parts)))
    }
}

impl Future for Running<'_> {
    type Output = Result<RunResult, Failed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Whole(whole) => Pin::new(whole).poll(context),
            State::InParts(parts) => parts.as_mut().poll(context),
            State::Refused(refused) => {
                let again = RuntimeError::Internal("a run was polled again after its result");
                Poll::Ready(Err(refused.take().unwrap_or(again).into()))
            }
        }
    }
}

impl Future for Whole<'_> {
    type Output = Result<RunResult, Failed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = ready!(Pin::new(&mut self.answered).poll(context));
        // A request is not run if its deadline passed or the gateway stops.
        let is_late = || self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        Poll::Ready(answered.unwrap_or_else(|_| {
            Err(if is_late() { RuntimeError::TooLate } else { RuntimeError::Overloaded }.into())
        }))
    }
}
