//! Check of `Origin`: pages of other sites must not reach a gateway through a name that they point to it (DNS
//! rebinding).

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};

use crate::{
    config::CorsSettings,
    edge::{ApiError, Problem},
};

/// The origins whose pages may send messages.
#[derive(Clone, Debug)]
pub(super) struct Origins(Arc<[String]>);

impl Origins {
    /// Creates the list from the settings for pages of other origins.
    pub(super) fn new(settings: &CorsSettings) -> Self {
        Self(settings.allowed_origins.clone().into())
    }

    /// Returns true if a request is not of a page, or of a page of an allowed origin.
    fn permit(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let is_listed = |listed: &String| listed == origin || listed == CorsSettings::ANY_ORIGIN;
        origins.next().is_none() && (self.0.iter().any(is_listed) || is_own(origin, headers))
    }
}

/// Returns true if the origin is the gateway itself, at an address that no name server can change. With any other name
/// `Host` proves nothing: a page that was pointed to the gateway sends its own name in both headers.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let Some((_, authority)) = origin.split_once("://") else { return false };
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_bytes())) && is_fixed(authority)
}

/// Returns true for an IP address or `localhost`, with or without a port.
fn is_fixed(authority: &str) -> bool {
    if let Some(address) = authority.strip_prefix('[') {
        return address.split_once(']').is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok());
    }
    let host = authority.split_once(':').map_or(authority, |(host, _)| host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost") || host.parse::<Ipv4Addr>().is_ok()
}

/// Refuses pages of other origins, as middleware.
pub(super) async fn check(origins: Origins, request: Request, next: Next) -> Result<Response, ApiError> {
    if origins.permit(request.headers()) {
        return Ok(next.run(request).await);
    }
    let detail = "the `Origin` is neither the gateway's own address nor in cors.allowed_origins";
    Err(ApiError::of_protocol(Problem::new(StatusCode::FORBIDDEN, "origin_not_allowed", detail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(allowed: &[&str], host: &'static str, origins: &[&'static str]) -> bool {
        let settings = CorsSettings {
            allowed_origins: allowed.iter().map(ToString::to_string).collect(),
            ..CorsSettings::default()
        };
        let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        for origin in origins {
            headers.append(header::ORIGIN, HeaderValue::from_static(origin));
        }
        Origins::new(&settings).permit(&headers)
    }

    #[test]
    fn a_page_is_of_the_gateway_or_of_a_listed_origin() {
        for (allowed, host, origins) in [
            (&[][..], "gateway.example", &[][..]),
            (&[], "127.0.0.1:8000", &["http://127.0.0.1:8000"]),
            (&[], "LOCALHOST:8000", &["http://localhost:8000"]),
            (&[], "[::1]:8000", &["http://[::1]:8000"]),
            (&[], "192.0.2.7", &["https://192.0.2.7"]),
            (&["https://app.example"], "gateway.example", &["https://app.example"]),
            (&["*"], "gateway.example", &["null"]),
        ] {
            assert!(permits(allowed, host, origins), "{allowed:?} {host} {origins:?}");
        }
        for (allowed, host, origins) in [
            // A name that its owner pointed to the gateway.
            (&[][..], "evil.example:8000", &["http://evil.example:8000"][..]),
            (&[], "127.0.0.1.evil.example", &["http://127.0.0.1.evil.example"]),
            (&[], "127.0.0.1:8000", &["http://127.0.0.1:3000"]),
            (&[], "127.0.0.1:8000", &["http://localhost:8000"]),
            (&[], "127.0.0.1:8000", &["null"]),
            (&[], "127.0.0.1:8000", &[""]),
            (&[], "127.0.0.1:8000", &["http://127.0.0.1:8000", "http://127.0.0.1:8000"]),
            (&["https://app.example"], "127.0.0.1:8000", &["https://app.example.evil.example"]),
            (&["https://app.example"], "127.0.0.1:8000", &["https://evil.example", "https://app.example"]),
        ] {
            assert!(!permits(allowed, host, origins), "{allowed:?} {host} {origins:?}");
        }
    }
}
