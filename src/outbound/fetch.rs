//! Bounded GET of a small document from a configured server.

use std::{fmt, io, str::FromStr, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Body, Incoming},
    header,
};
use tokio::task::spawn_blocking;

use super::{Address, open};
use crate::tls::{ClientTls, Trust};

/// The URL of a document: `https`, or `http` on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceUrl {
    text: String,
    address: Address,
    /// Path and query.
    target: String,
}

/// A text that is not such a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceUrlError {
    /// Not the form of a URL.
    #[error("is not a URL such as https://HOST/PATH")]
    Form,
    /// Neither encrypted nor on this machine.
    #[error("begins with http://, which is for addresses of this machine only: use https://")]
    Plain,
}

impl FromStr for SourceUrl {
    type Err = SourceUrlError;

    fn from_str(url: &str) -> Result<Self, SourceUrlError> {
        let (place, query) = url.split_at(url.find('?').unwrap_or(url.len()));
        let address: Address = place.parse().map_err(|_| SourceUrlError::Form)?;
        if !query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(SourceUrlError::Form);
        }
        if !address.is_encrypted() && !address.is_loopback() {
            return Err(SourceUrlError::Plain);
        }
        let (_, rest) = place.split_once("://").unwrap_or_default();
        let path = rest.find('/').map_or("/", |slash| &rest[slash..]);
        Ok(Self { text: url.to_owned(), address, target: format!("{path}{query}") })
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl SourceUrl {
    /// Returns true if both have the same scheme, host and port.
    #[must_use]
    pub fn has_origin_of(&self, other: &Self) -> bool {
        let (own, other) = (&self.address, &other.address);
        own.is_encrypted() == other.is_encrypted() && own.authority().eq_ignore_ascii_case(other.authority())
    }
}

/// A document.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The document.
    pub body: Bytes,
    /// Time for which it stays valid (`max-age` of RFC 9111 section 5.2.2.1). `None` if the server does not say.
    pub max_age: Option<Duration>,
}

/// A reason why there is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The server cannot be reached, or its certificate is not accepted.
    #[error("failed to connect: {0}")]
    Unreachable(String),
    /// The response breaks off, or is not HTTP.
    #[error("the response cannot be read: {0}")]
    Broken(String),
    /// The response redirects.
    #[error("the response has status {0}, and redirects are not followed: configure the final URL")]
    Redirected(u16),
    /// The response has another status than 200.
    #[error("the response has status {0} instead of 200")]
    Status(u16),
    /// The response has a content coding, though none is accepted.
    #[error("the response is compressed, though the request asks for it as it is")]
    Compressed,
    /// The response is larger than allowed.
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
}

/// Fetches a document of at most `max_bytes`. Redirects are not followed, and nothing is decompressed.
///
/// Cancel safe: the connection ends when the future is dropped. The caller sets the time limit.
///
/// # Errors
///
/// Everything but a complete response with status 200.
pub async fn fetch(url: &SourceUrl, max_bytes: usize) -> Result<Fetched, FetchError> {
    let unreachable = |error: io::Error| FetchError::Unreachable(error.to_string());
    let tls = if url.address.is_encrypted() { Some(system_tls().await?) } else { None };
    let mut sender = open(&url.address, tls.as_ref()).await.map_err(unreachable)?;
    let request = Request::get(&url.target)
        .header(header::HOST, url.address.authority())
        .header(header::ACCEPT, "application/json")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::USER_AGENT, concat!("onnx-gateway/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| FetchError::Broken(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(broken)?;
    read(response, max_bytes).await
}

/// Returns TLS with the authorities of the system, which are read each time, as they may be renewed.
async fn system_tls() -> Result<ClientTls, FetchError> {
    let made = spawn_blocking(|| ClientTls::new(&Trust::System, None)).await;
    let made = made.map_err(|error| FetchError::Unreachable(error.to_string()))?;
    made.map_err(|error| FetchError::Unreachable(error.to_string()))
}

async fn read(response: Response<Incoming>, max_bytes: usize) -> Result<Fetched, FetchError> {
    let status = response.status();
    if status.is_redirection() {
        return Err(FetchError::Redirected(status.as_u16()));
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status.as_u16()));
    }
    let codings = response.headers().get_all(header::CONTENT_ENCODING);
    if codings.iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(FetchError::Compressed);
    }
    let max_age = max_age(response.headers());
    let mut body = response.into_body();
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(FetchError::TooLarge(max_bytes));
    }
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if read.len() + data.len() > max_bytes {
            return Err(FetchError::TooLarge(max_bytes));
        }
        read.extend_from_slice(&data);
    }
    Ok(Fetched { body: read.freeze(), max_age })
}

#[expect(clippy::needless_pass_by_value, reason = "it is called by map_err")]
fn broken(error: hyper::Error) -> FetchError {
    FetchError::Broken(error.to_string())
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        directives.flat_map(|value| value.split(',')).filter_map(|directive| directive.split_once('='));
    let (_, seconds) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))?;
    seconds.trim().trim_matches('"').parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_encrypted_or_on_this_machine() {
        use SourceUrlError::{Form, Plain};
        for (url, expected) in [
            ("https://a.example", Ok(("a.example:443", "/"))),
            ("https://a.example/keys/?p=b2c", Ok(("a.example:443", "/keys/?p=b2c"))),
            ("http://127.0.0.1:8080/jwks", Ok(("127.0.0.1:8080", "/jwks"))),
            ("http://[::1]/jwks", Ok(("[::1]:80", "/jwks"))),
            ("http://localhost/jwks", Ok(("localhost:80", "/jwks"))),
            ("http://a.example/keys", Err(Plain)),
            ("https://user@a.example/keys", Err(Form)),
            ("https://a.example/keys#1", Err(Form)),
            ("https://a.example/keys?a b", Err(Form)),
            ("file:///etc/passwd", Err(Form)),
            ("", Err(Form)),
        ] {
            let parsed = url.parse::<SourceUrl>();
            let parsed = parsed.as_ref().map(|url| (url.address.authority(), url.target.as_str()));
            assert_eq!(parsed, expected.as_ref().map(|parts| *parts), "{url}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let is_same = |one: &str, other: &str| {
            let url = |text: &str| text.parse::<SourceUrl>().unwrap();
            url(one).has_origin_of(&url(other))
        };
        assert!(is_same("https://a.example/x", "https://A.example:443/y"));
        assert!(!is_same("https://a.example", "https://a.example:8443"));
        assert!(!is_same("https://a.example", "https://b.example"));
        assert!(!is_same("https://localhost:80", "http://localhost:80"));
    }

    #[test]
    fn the_lifetime_is_that_of_cache_control() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CACHE_CONTROL, header::HeaderValue::from_static(value));
            }
            max_age(&headers).map(|age| age.as_secs())
        };
        assert_eq!(of(&["public, max-age=300, must-revalidate"]), Some(300));
        assert_eq!(of(&["no-transform", "Max-Age=\"60\""]), Some(60));
        for values in [&[][..], &["no-cache"], &["max-age"], &["max-age=-1"], &["max-age=soon"]] {
            assert_eq!(of(values), None, "{values:?}");
        }
    }
}
