//! The id of a request: in the log, and in the `x-request-id` of the response.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum size in bytes of an id that is taken from a caller.
const MAX_BYTES: usize = 128;

/// Returns true if a request has one id, and a log can hold it.
pub(super) fn has_sound_request_id(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(REQUEST_ID).iter();
    values.next().is_some_and(is_sound_request_id) && values.next().is_none()
}

/// Returns true if a caller's id can stand in a log.
pub(crate) fn is_sound_request_id(id: &HeaderValue) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    !id.is_empty() && id.len() <= MAX_BYTES && id.as_bytes().iter().all(allowed)
}

/// Creates an unguessable and unique id: 128 random bits in hexadecimal.
pub(crate) fn new_request_id() -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let id: [u8; 16] = rand::random();
    let digits: [u8; 32] = std::array::from_fn(|place| {
        let byte = id[place / 2];
        DIGITS[usize::from(if place % 2 == 0 { byte >> 4 } else { byte & 15 })]
    });
    HeaderValue::from_bytes(&digits).unwrap_or_else(|_| HeaderValue::from_static("none"))
}
