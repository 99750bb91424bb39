//! The extractor of JSON bodies: read within limits, parsed, and checked by `validator`.

use std::error::Error;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt, LengthLimitError};
use serde::de::DeserializeOwned;
use tower_http::timeout::TimeoutError;
use validator::Validate;

use crate::{transport::ApiError, wire};

/// A JSON body of this form that `validator` has nothing against.
#[derive(Debug)]
pub(super) struct ValidJson<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned + Validate> FromRequest<S> for ValidJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::UnsupportedMediaType);
        }
        let bytes = read(request.into_body()).await?;
        Ok(Self(wire::parse_valid(&bytes)?))
    }
}

/// `application/json`, or anything that ends in `+json`; parameters do not matter.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

/// The whole body.
///
/// # Errors
///
/// By what the limits around it say: too large, too slow, or broken off.
pub(super) async fn read(body: Body) -> Result<Bytes, ApiError> {
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if caused_by::<LengthLimitError>(&error) => Err(ApiError::BodyTooLarge),
        Err(error) if caused_by::<TimeoutError>(&error) => Err(ApiError::BodyTimeout),
        Err(_) => Err(ApiError::BodyUnreadable),
    }
}

fn caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    error.is::<E>() || error.source().is_some_and(|cause| caused_by::<E>(cause))
}

/// Parses a JSON object: text that is none is 400, JSON of another form 422, both with the place.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    Ok(wire::parse(bytes)?)
}
