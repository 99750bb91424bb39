//! The id of a request: in the log, and in the answer's `x-request-id`.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
};
use tower_http::request_id::{MakeRequestId, RequestId};

/// The header.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id in bytes that is taken over from a caller.
const MAX_BYTES: usize = 128;

/// Removes an id that a log should not hold; a fresh one takes its place.
pub(crate) fn drop_unsound(mut request: Request) -> Request {
    let mut values = request.headers().get_all(REQUEST_ID).iter();
    let sound = values.next().is_none_or(is_sound_request_id) && values.next().is_none();
    if !sound {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

/// Whether a caller's id can stand in a log.
pub(crate) fn is_sound_request_id(id: &HeaderValue) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    !id.is_empty() && id.len() <= MAX_BYTES && id.as_bytes().iter().all(allowed)
}

/// An id that nobody can guess or have twice: 128 random bits in hexadecimal.
pub(crate) fn new_request_id() -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let id: [u8; 16] = rand::random();
    let digits: [u8; 32] = std::array::from_fn(|place| {
        let byte = id[place / 2];
        DIGITS[usize::from(if place % 2 == 0 { byte >> 4 } else { byte & 15 })]
    });
    HeaderValue::from_bytes(&digits).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// Makes ids that nobody can guess or have twice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RandomId;

impl MakeRequestId for RandomId {
    fn make_request_id<B>(&mut self, _request: &axum::http::Request<B>) -> Option<RequestId> {
        Some(RequestId::new(new_request_id()))
    }
}
