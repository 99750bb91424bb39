//! Rules of HTTP that the server library does not enforce: each prevents two readers from seeing different requests.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::edge::ApiError;

/// Marks a request whose head has both `Content-Length` and `Transfer-Encoding`. The server library removes the first,
/// so the connection detects it.
#[derive(Clone, Copy, Debug)]
pub struct TwoLengths;

/// Returns the error response of a request that breaks a rule; `None` if it keeps all rules.
pub(crate) fn refused(request: &Request) -> Option<Response> {
    let two_lengths = request.extensions().get::<TwoLengths>().is_some();
    let checked = if two_lengths {
        Err(ApiError::BadRequest(
            "it must not have both Content-Length and Transfer-Encoding (RFC 9112 section 6.1)",
        ))
    } else {
        check(request.version(), request.headers())
    };
    let mut response = checked.err()?.into_response();
    if request.version() <= Version::HTTP_11 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Some(response)
}

/// Refuses requests that break a rule, as middleware.
pub(crate) async fn header_rules(request: Request, next: Next) -> Response {
    match refused(&request) {
        Some(refused) => refused,
        None => next.run(request).await,
    }
}

fn check(version: Version, headers: &HeaderMap) -> Result<(), ApiError> {
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
        return Err(ApiError::BadRequest("it must have one Host header (RFC 9112 section 3.2)"));
    }
    // The server library removes `chunked` only, and only once. Any other coding would reach the handler undecoded.
    let mut is_chunked = false;
    for coding in codings(headers) {
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(ApiError::UnknownTransferCoding);
        }
        if is_chunked {
            return Err(ApiError::BadRequest("it must name `chunked` once (RFC 9112 section 6.1)"));
        }
        is_chunked = true;
    }
    Ok(())
}

/// Returns the transfer codings in order, from one header or several.
fn codings(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(header::TRANSFER_ENCODING).iter().map(HeaderValue::as_bytes);
    values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(codings: &[&'static str]) -> Result<(), ApiError> {
        let host = (header::HOST, HeaderValue::from_static("a"));
        let codings =
            codings.iter().map(|value| (header::TRANSFER_ENCODING, HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in [host].into_iter().chain(codings) {
            headers.append(name, value);
        }
        check(Version::HTTP_11, &headers)
    }

    #[test]
    fn chunked_is_the_only_coding_and_is_named_once() {
        assert!(checked(&[]).is_ok() && checked(&["chunked"]).is_ok() && checked(&["Chunked "]).is_ok());
        for twice in [&["chunked", "chunked"][..], &["chunked, chunked"], &["chunked,Chunked"]] {
            assert!(matches!(checked(twice), Err(ApiError::BadRequest(_))), "{twice:?}");
        }
        for other in [&["gzip, chunked"][..], &["gzip", "chunked"], &["chunked, gzip"], &["x"]] {
            assert!(matches!(checked(other), Err(ApiError::UnknownTransferCoding)), "{other:?}");
        }
    }
}
