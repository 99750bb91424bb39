//! Turns what layers answer as HTTP errors into gRPC statuses, which go with HTTP's 200.

use axum::{extract::Request, http::StatusCode, middleware::Next, response::Response};
use tonic::{
    Code, Status,
    codegen::http::{HeaderName, HeaderValue, header},
};

use super::status::status_of;
use crate::transport::ApiError;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Media types of gRPC with messages of Protocol Buffers.
const MEDIA_TYPES: &[&str] = &["application/grpc", "application/grpc+proto"];

/// Leaves answers that are gRPC's already.
pub(super) async fn render_errors(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return status_of(response).into_http();
    }
    // What the library calls a message that is too large: a code that says something else to everyone else.
    let out_of_range = HeaderValue::from(Code::OutOfRange as i32);
    if response.headers().get(GRPC_STATUS) == Some(&out_of_range) {
        response.headers_mut().insert(GRPC_STATUS, HeaderValue::from(Code::ResourceExhausted as i32));
    }
    response
}

/// The status of a message that could not be read.
pub(super) fn unreadable(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange => Status::resource_exhausted(status.message()),
        _ => status,
    }
}

/// Answers whoever does not speak gRPC as HTTP does: they could not read anything else ("gRPC over HTTP2", Requests).
pub(super) async fn only_grpc(request: Request, next: Next) -> Result<Response, ApiError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    if MEDIA_TYPES.iter().any(|known| media_type.eq_ignore_ascii_case(known)) {
        Ok(next.run(request).await)
    } else {
        Err(ApiError::NotGrpc)
    }
}
