//! The rule of HTTP that the server library leaves to us: a request for two hosts, or for none, is read by two readers
//! as two different requests.

use axum::{
    extract::Request,
    http::{HeaderMap, Version, header},
    middleware::Next,
    response::Response,
};

use super::error::ApiError;

pub(super) async fn header_rules(request: Request, next: Next) -> Result<Response, ApiError> {
    check(request.version(), request.headers())?;
    Ok(next.run(request).await)
}

fn check(version: Version, headers: &HeaderMap) -> Result<(), ApiError> {
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
        return Err(ApiError::BadRequest("it must have one Host header (RFC 9112 section 3.2)"));
    }
    Ok(())
}
