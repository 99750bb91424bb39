//! What all answers of models have in common: they say which version they are of.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use serde::Serialize;

use crate::{
    serving::Servable,
    system::memory::freed_later,
    transport::{ApiError, version_headers},
};

/// So many has an answer of a version, with those that the layers add.
const HEADERS: usize = 8;

/// An answer of a version, as JSON.
pub(super) fn json_answer(servable: &Servable, body: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(body).map_err(|_| ApiError::AnswerNotWritten)?;
    freed_later(body.len());
    Ok(answer(servable, body))
}

/// An answer of a version, declared as JSON.
pub(super) fn answer(servable: &Servable, body: impl Into<Body>) -> Response {
    answer_in(HeaderMap::with_capacity(HEADERS), servable, body)
}

/// The same, with the memory of headers that are not needed any more.
pub(super) fn answer_in(mut headers: HeaderMap, servable: &Servable, body: impl Into<Body>) -> Response {
    headers.clear();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(version_headers(servable));
    let mut response = Response::new(body.into());
    *response.headers_mut() = headers;
    response
}
