//! Request bodies, read within limits.

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt, LengthLimitError};
use serde::de::DeserializeOwned;
use tower_http::timeout::TimeoutError;

use super::decoding::{NotDecoded, TooLong, UnknownCoding};
use crate::{
    codec,
    edge::{ApiError, cause_of},
    system::{byte_budget::OverBudget, memory::trim_heap_later},
};

/// The media type of JSON.
const JSON: &str = "application/json";

/// Reads the whole body of a request that declares it as JSON.
///
/// # Errors
///
/// If it is not declared as JSON, or as [`read`].
pub(crate) async fn read_json(request: Request) -> Result<Bytes, ApiError> {
    declares_json(request.headers())?;
    read(request.into_body()).await
}

/// Checks that a body is declared as JSON.
///
/// # Errors
///
/// [`ApiError::UnsupportedMediaType`] if it is not.
pub(crate) fn declares_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let unsupported = || ApiError::unsupported_media_type(declared(headers), JSON, JSON);
    is_json(headers).then_some(()).ok_or_else(unsupported)
}

fn declared(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

/// Returns true for `application/json` and for any type that ends in `+json`; parameters are ignored.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let media_type = declared(headers)
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    media_type == JSON || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

/// Reads the whole body.
///
/// # Errors
///
/// If the body is too large, too slow, or broken off.
pub(crate) async fn read(body: Body) -> Result<Bytes, ApiError> {
    read_aligned(body, 0).await
}

/// Reads the whole body, with the part from `offset` on aligned for numbers in memory, so that it need not be copied.
///
/// The one buffer grows with the bytes that arrive, so a client cannot take memory by announcing a long body.
///
/// # Errors
///
/// As [`read`].
pub(crate) async fn read_aligned(mut body: Body, offset: usize) -> Result<Bytes, ApiError> {
    let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let padding = offset.next_multiple_of(ALIGNMENT) - offset;
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| read_error(&error))?.into_data() else { continue };
        if data.is_empty() {
            continue;
        }
        if whole.is_empty() {
            if announced == Some(data.len()) {
                trim_heap_later(data.len());
                return Ok(data);
            }
            whole.reserve(padding + announced.unwrap_or_default().min(BELIEVED_BYTES));
            whole.resize(padding, 0);
        }
        if let Some(announced) = announced.filter(|_| whole.len() >= BELIEVED_BYTES) {
            // A client that has sent `BELIEVED_BYTES` is trusted for the length that it announced.
            whole.reserve_exact(padding.saturating_add(announced).saturating_sub(whole.len()));
        }
        whole.extend_from_slice(&data);
    }
    trim_heap_later(whole.len());
    let padding = padding.min(whole.len());
    Ok(Bytes::from(whole).slice(padding..))
}

/// Alignment of the widest numbers; the allocator's own alignment is no less.
const ALIGNMENT: usize = 8;

/// Bytes that have to arrive before a longer announced length is trusted.
const BELIEVED_BYTES: usize = 1 << 20;

/// Maps a read error to the limit that caused it.
fn read_error(error: &axum::Error) -> ApiError {
    if cause_of::<LengthLimitError>(error).is_some() || cause_of::<TooLong>(error).is_some() {
        ApiError::BodyTooLarge
    } else if let Some(refused) = cause_of::<OverBudget>(error) {
        ApiError::OverBudget(*refused)
    } else if let Some(UnknownCoding(coding)) = cause_of(error) {
        ApiError::UnsupportedContentEncoding(coding.clone())
    } else if cause_of::<TimeoutError>(error).is_some() {
        ApiError::BodyTimeout
    } else if let Some(NotDecoded(coding)) = cause_of(error) {
        ApiError::BodyNotDecoded(coding)
    } else {
        ApiError::BodyUnreadable
    }
}

/// Parses a JSON object. Text that is not JSON is 400, JSON of another form 422, both with the place.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    Ok(codec::parse(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_parts(parts: &[&[u8]]) -> Body {
        let parts: Vec<Result<Bytes, axum::Error>> =
            parts.iter().map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        Body::from_stream(futures_util::stream::iter(parts))
    }

    #[tokio::test]
    async fn a_body_in_parts_is_whole_and_its_numbers_lie_where_numbers_may() {
        for offset in 0..20 {
            let long = vec![7; 3_000_000];
            let body = read_aligned(in_parts(&[b"abc", &long, b"", b"d"]), offset).await.unwrap();
            assert_eq!((body.len(), &body[..3], body[body.len() - 1]), (3_000_004, &b"abc"[..], b'd'));
            assert_eq!(body[offset..].as_ptr().align_offset(ALIGNMENT), 0, "{offset}");
        }
        assert_eq!(read(in_parts(&[b"", b"late"])).await.unwrap(), "late");
        assert_eq!(read(in_parts(&[])).await.unwrap(), "");
        assert_eq!(read(Body::from("one")).await.unwrap(), "one");
    }
}
