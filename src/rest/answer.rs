//! What all answers of models have in common: they say which version they are of.

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use serde::Serialize;

use crate::{
    serving::Servable,
    transport::{ApiError, version_headers},
};

/// An answer of a version, as JSON.
pub(super) fn json_answer(servable: &Servable, body: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(body).map_err(|_| ApiError::AnswerNotWritten)?;
    Ok(answer(servable, body))
}

/// An answer of a version, declared as JSON.
pub(super) fn answer(servable: &Servable, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(version_headers(servable));
    response
}
