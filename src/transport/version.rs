//! How an answer of a model says which version it is of.

use axum::http::{HeaderName, HeaderValue};

use crate::serving::Servable;

pub(crate) const MODEL_VERSION: HeaderName = HeaderName::from_static("x-model-version");
pub(crate) const MODEL_DIGEST: HeaderName = HeaderName::from_static("x-model-digest");

/// The headers that every answer of this version has.
pub(crate) fn version_headers(servable: &Servable) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let headers = [(MODEL_VERSION, servable.version.to_string()), (MODEL_DIGEST, servable.digest().short())];
    headers.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?)))
}
