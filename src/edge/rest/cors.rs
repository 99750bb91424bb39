//! Cross-origin requests of browsers: which pages may read responses (Fetch standard, section 3.2).

use std::{convert::Infallible, future::ready, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue, Method, Request, header},
    response::Response,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{config::CorsSettings, edge::REQUEST_ID};

/// Response headers that pages may read beyond those that every page may.
const EXPOSED: [HeaderName; 9] = [
    header::ETAG,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("inference-header-content-length"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-model-digest"),
    HeaderName::from_static("x-model-version"),
    REQUEST_ID,
];

/// Returns the layer that answers preflight requests and marks responses. `None` while no origin is allowed.
pub(super) fn layer(settings: &CorsSettings) -> Option<CorsLayer> {
    if settings.allowed_origins.is_empty() {
        return None;
    }
    // The settings were checked, so every entry can be a header's value.
    let origins = settings.allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    let is_any = settings.allowed_origins == [CorsSettings::ANY_ORIGIN];
    let headers: Vec<HeaderName> =
        settings.allowed_headers.iter().filter_map(|name| name.parse().ok()).collect();
    Some(
        CorsLayer::new()
            .allow_origin(if is_any { AllowOrigin::any() } else { AllowOrigin::list(origins) })
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
            .allow_headers(headers)
            .allow_credentials(settings.allow_credentials)
            .expose_headers(EXPOSED)
            .max_age(Duration::from_secs(settings.max_age_seconds)),
    )
}

/// The layer, for responses that do not pass it.
#[derive(Clone, Debug)]
pub(crate) struct CorsHeaders(CorsLayer);

impl CorsHeaders {
    /// Returns the layer of these settings. `None` while no origin is allowed.
    pub(crate) fn new(settings: &CorsSettings) -> Option<Self> {
        layer(settings).map(Self)
    }

    /// Adds the headers that the layer adds to the response to a request without `Origin`.
    pub(crate) async fn add(&self, response: Response) -> Response {
        let respond =
            service_fn(|wrapped: Request<Response>| ready(Ok::<_, Infallible>(wrapped.into_body())));
        match self.0.layer(respond).oneshot(Request::new(response)).await {
            Ok(response) => response,
        }
    }
}
