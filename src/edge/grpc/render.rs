//! Middleware that converts HTTP errors of the layers into gRPC statuses, which are sent with HTTP status 200.

use axum::{extract::Request, http::StatusCode, middleware::Next, response::Response};
use tonic::{
    Code, Status,
    codegen::http::{HeaderValue, header},
};

use super::status::{GRPC_STATUS, status_of};
use crate::edge::ApiError;

/// Media types of gRPC with messages of Protocol Buffers.
const MEDIA_TYPES: &[&str] = &["application/grpc", "application/grpc+proto"];

/// Converts HTTP errors; passes gRPC responses on unchanged.
pub(crate) async fn render_errors(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return status_of(response).into_http();
    }
    // The library's code for a message that is too large, which elsewhere means something else.
    let out_of_range = HeaderValue::from(Code::OutOfRange as i32);
    if response.headers().get(GRPC_STATUS) == Some(&out_of_range) {
        response.headers_mut().insert(GRPC_STATUS, HeaderValue::from(Code::ResourceExhausted as i32));
    }
    response
}

/// Returns the status of a message that could not be read.
pub(crate) fn unreadable(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange => Status::resource_exhausted(status.message()),
        _ => status,
    }
}

/// Refuses other protocols with an HTTP error, the only form their clients can read ("gRPC over HTTP2", Requests).
pub(crate) async fn only_grpc(request: Request, next: Next) -> Result<Response, ApiError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    if MEDIA_TYPES.iter().any(|known| media_type.eq_ignore_ascii_case(known)) {
        Ok(next.run(request).await)
    } else {
        Err(ApiError::NotGrpc)
    }
}
