//! Problems for errors without one: those of the framework, of its layers, and panics.

use std::{any::Any, error::Error};

use axum::{
    body::Body,
    http::{Response, StatusCode},
    response::IntoResponse,
};

use super::problem::{Problem, Sentence};

/// Returns the response to a request whose handler panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response<Body> {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("no message"), "a handler panicked");
    problem_of(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

/// Returns the error of a response as one sentence.
pub(crate) fn sentence(response: &Response<Body>) -> String {
    let of = |response: &Response<Body>| {
        response.extensions().get::<Sentence>().map(|Sentence(text)| text.clone())
    };
    of(response).or_else(|| of(&problem_of(response.status()).into_response())).unwrap_or_default()
}

/// Returns the problem that a status alone implies.
pub(crate) fn problem_of(status: StatusCode) -> Problem {
    let (code, detail) = match status {
        StatusCode::NOT_FOUND => ("not_found", "there is no such path: see /docs"),
        StatusCode::METHOD_NOT_ALLOWED => {
            ("method_not_allowed", "this path does not take this method: see `Allow`")
        }
        StatusCode::REQUEST_TIMEOUT => {
            ("body_timeout", "the body did not arrive within server.body_timeout_ms")
        }
        StatusCode::PAYLOAD_TOO_LARGE => (
            "body_too_large",
            "the body is larger than the limit: server.max_tensor_body_bytes for tensors, server.max_body_bytes for \
             rows, 16 KiB for other bodies",
        ),
        StatusCode::GATEWAY_TIMEOUT => ("timeout", "the request took longer than server.request_timeout_ms"),
        StatusCode::INTERNAL_SERVER_ERROR => ("internal_error", "the gateway failed; the log says why"),
        _ => ("error", "the request failed"),
    };
    Problem::new(status, code, detail)
}

/// Finds the cause of this type in the chain of an error's causes; `None` if there is no such cause.
pub(crate) fn cause_of<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    error.downcast_ref().or_else(|| cause_of(error.source()?))
}
