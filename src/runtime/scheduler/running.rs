//! A request that stands in line, as its caller waits for it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use tokio::sync::oneshot;

use super::{
    RuntimeError,
    job::{Failed, Place, Ran, Waiting},
};

/// The run of a request: it waits, and then has an answer.
///
/// Dropped before, it takes the request out of the queue, or ends its run if nobody else waits for that.
#[must_use = "a run ends when it is dropped"]
pub struct Running<'s>(State<'s>);

/// Small, as it is a part of whatever waits for it.
enum State<'s> {
    Whole(Whole<'s>),
    InParts(Pin<Box<dyn Future<Output = Result<Ran, Failed>> + Send + 's>>),
    /// Once.
    Refused(Option<RuntimeError>),
}

/// A request that is run as it came.
pub(super) struct Whole<'s> {
    pub(super) answered: oneshot::Receiver<Result<Ran, Failed>>,
    pub(super) deadline: Option<Instant>,
    pub(super) _waiting: Option<Waiting>,
    /// `None` if it is a part of a request that has one.
    pub(super) _place: Option<Place<'s>>,
}

impl<'s> Running<'s> {
    pub(super) fn whole(entered: Result<Whole<'s>, RuntimeError>) -> Self {
        Self(entered.map_or_else(|refused| State::Refused(Some(refused)), State::Whole))
    }

    pub(super) fn in_parts(parts: impl Future<Output = Result<Ran, Failed>> + Send + 's) -> Self {
        Self(State::InParts(Box::pin(parts)))
    }
}

impl Future for Running<'_> {
    type Output = Result<Ran, Failed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Whole(whole) => Pin::new(whole).poll(context),
            State::InParts(parts) => parts.as_mut().poll(context),
            State::Refused(refused) => {
                Poll::Ready(Err(refused.take().unwrap_or(RuntimeError::Overloaded).into()))
            }
        }
    }
}

impl Future for Whole<'_> {
    type Output = Result<Ran, Failed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = ready!(Pin::new(&mut self.answered).poll(context));
        // It is not run when it is too late, or when the gateway ends.
        let is_late = || self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        Poll::Ready(answered.unwrap_or_else(|_| {
            Err(if is_late() { RuntimeError::TooLate } else { RuntimeError::Overloaded }.into())
        }))
    }
}
