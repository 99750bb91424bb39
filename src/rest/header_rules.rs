//! Rules of HTTP that the server library leaves to us: each stands between two readers that see different requests.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Version, header},
    middleware::Next,
    response::Response,
};

use crate::transport::ApiError;

pub(super) async fn header_rules(request: Request, next: Next) -> Result<Response, ApiError> {
    check(request.version(), request.headers())?;
    Ok(next.run(request).await)
}

fn check(version: Version, headers: &HeaderMap) -> Result<(), ApiError> {
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
        return Err(ApiError::BadRequest("it must have one Host header (RFC 9112 section 3.2)"));
    }
    // The server library undoes `chunked` alone; a body in another coding would be read as if it had none.
    let codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if codings.map(HeaderValue::as_bytes).any(|coding| !coding.eq_ignore_ascii_case(b"chunked")) {
        return Err(ApiError::UnknownTransferCoding);
    }
    Ok(())
}
