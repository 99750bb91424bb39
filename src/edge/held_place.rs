//! Responses that keep the place of their request among those in progress.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use http_body::{Frame, SizeHint};

use crate::limits::Place;

/// Keeps a place until the response was sent or given up; `None` if no place is needed.
pub(crate) fn holding(response: Response, place: Option<Place>) -> Response {
    match place {
        Some(place) => response.map(|body| Body::new(HeldPlace { body, _place: place })),
        None => response,
    }
}

struct HeldPlace {
    body: Body,
    _place: Place,
}

impl HttpBody for HeldPlace {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
