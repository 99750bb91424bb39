//! Responses of models, with the headers that name the version.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use serde::Serialize;

use crate::{
    edge::{ApiError, version_headers},
    serving::Servable,
    system::memory::trim_heap_later,
};

/// Headers in a typical response, middleware's included.
const HEADERS: usize = 8;

/// Returns a response of a version, with the body serialized as JSON.
pub(crate) fn json_response(servable: &Servable, body: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(body).map_err(|_| ApiError::ResponseNotWritten)?;
    trim_heap_later(body.len());
    Ok(answer(servable, body))
}

/// Returns a response of a version, with a body that is JSON already.
pub(crate) fn answer(servable: &Servable, body: impl Into<Body>) -> Response {
    response_with(HeaderMap::with_capacity(HEADERS), servable, body)
}

/// Returns a response of a version and reuses the memory of a header map that is no longer needed.
pub(crate) fn response_with(mut headers: HeaderMap, servable: &Servable, body: impl Into<Body>) -> Response {
    headers.clear();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(version_headers(servable));
    let mut response = Response::new(body.into());
    *response.headers_mut() = headers;
    response
}
