//! Response headers that name the version of a model.

use axum::{
    body::Bytes,
    http::{HeaderName, HeaderValue},
};

use crate::serving::Servable;

pub(super) const MODEL_VERSION: HeaderName = HeaderName::from_static("x-model-version");
pub(super) const MODEL_DIGEST: HeaderName = HeaderName::from_static("x-model-digest");

/// Returns the headers of every response of this version.
pub(crate) fn version_headers(servable: &Servable) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let stamp = &servable.stamp;
    let headers = [(MODEL_VERSION, &stamp.version), (MODEL_DIGEST, &stamp.digest)];
    // Shared, not copied.
    let header =
        |(name, value): (_, &Bytes)| Some((name, HeaderValue::from_maybe_shared(value.clone()).ok()?));
    headers.into_iter().filter_map(header)
}
