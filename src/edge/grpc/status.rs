//! Errors as gRPC statuses: the one place that decides on codes.

use std::sync::Arc;

use axum::{
    http::{HeaderName, StatusCode, header},
    response::IntoResponse,
};
use tonic::{Code, Status, metadata::MetadataMap};

use crate::edge::{Audited, sentence};

/// The header, or the trailer, with the code of a status.
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Longest message of a status. It goes in a header, of which clients read a limited length.
const MAX_MESSAGE_BYTES: usize = 2048;

/// Converts an error: the HTTP status becomes a code, the detail the message, the headers metadata.
pub(crate) fn status_of(error: impl IntoResponse) -> Status {
    let response = error.into_response();
    let code = code_of(response.status());
    let message = shortened(sentence(&response));
    let (mut parts, _) = response.into_parts();
    let audited = parts.extensions.remove::<Audited>();
    // These describe a body that is not sent.
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CACHE_CONTROL] {
        parts.headers.remove(name);
    }
    let mut status = Status::with_metadata(code, message, MetadataMap::from_headers(parts.headers));
    if let Some(audited) = audited {
        status.set_source(Arc::new(audited));
    }
    status
}

fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Code::InvalidArgument,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Code::Unimplemented,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Code::DeadlineExceeded,
        StatusCode::CONFLICT => Code::FailedPrecondition,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::INTERNAL_SERVER_ERROR => Code::Internal,
        _ => Code::Unknown,
    }
}

fn shortened(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::Problem;

    #[test]
    fn headers_become_metadata_and_long_messages_end() {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", "ß".repeat(5000));
        let status = status_of(problem.with_retry_after(7));
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.metadata().get("retry-after").unwrap(), "7");
        assert!(status.metadata().get("content-type").is_none());
        assert_eq!(status.message().chars().count(), MAX_MESSAGE_BYTES / 2 + 1);
    }
}
