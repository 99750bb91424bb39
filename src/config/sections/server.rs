//! Section `server`: the public listener and its limits.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::{Validate, ValidationError};

use super::{ListenAddress, TlsSettings, TrustedProxy, listen};

/// The public listener.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[validate(schema(function = "has_proxies_that_send_headers"))]
pub struct ServerSettings {
    /// Address and port, or `unix:/PATH`.
    pub listen: ListenAddress,
    /// Threads that handle requests; 0 for one per CPU.
    #[validate(range(max = 1024, message = "must be from 0 to 1024"))]
    pub threads: usize,
    /// The listener of everything that needs the scope `manage`: `public` or `admin`.
    pub management: Management,
    /// Networks whose `X-Forwarded-For` is trusted; `unix` for all peers on Unix sockets.
    #[serde(default, deserialize_with = "listen::proxies")]
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<TrustedProxy>,
    /// True if the trusted proxies begin each connection with a header of the PROXY protocol, version 2.
    pub proxy_protocol: bool,
    /// Most client connections at a time, over REST and gRPC together. When all are in use, a new one replaces an idle
    /// one: of the address with the most connections, the one that has been idle longest.
    #[validate(range(min = 1, max = 1_000_000, message = "must be from 1 to 1000000"))]
    pub max_connections: usize,
    /// Most connections at a time from one address, and at most four times as many as are free. Beyond that, a new one
    /// replaces an idle one of the same address. Trusted proxies are not counted.
    #[validate(range(min = 1, max = 1_000_000, message = "must be from 1 to 1000000"))]
    pub max_connections_per_address: usize,
    /// Time limit for the headers of a request; an idle connection is also closed after it.
    #[validate(range(min = 1, max = 3_600_000, message = "must be from 1 to 3600000 (an hour)"))]
    pub header_timeout_ms: u64,
    /// Time limit for the body of a request, counted from its headers; then 408.
    #[validate(range(min = 1, max = 3_600_000, message = "must be from 1 to 3600000 (an hour)"))]
    pub body_timeout_ms: u64,
    /// Time limit for a client to read more of a response; then the connection is closed.
    #[validate(range(min = 1, max = 3_600_000, message = "must be from 1 to 3600000 (an hour)"))]
    pub write_timeout_ms: u64,
    /// Lowest rate in bytes per second at which a client may read a response, averaged over `write_timeout_ms`; 0 for
    /// no limit.
    #[validate(range(max = 1_073_741_824_u64, message = "must be from 0 to 1073741824 (1 GiB)"))]
    pub min_response_bytes_per_second: u64,
    /// Time limit for a response, counted from the headers of its request; then 504.
    #[validate(range(min = 1, max = 3_600_000, message = "must be from 1 to 3600000 (an hour)"))]
    pub request_timeout_ms: u64,
    /// Largest body of rows; more is 413. Requests that take only short parameters are limited to 16 KiB.
    #[validate(range(min = 1, max = 1_073_741_824_u64, message = "must be from 1 to 1073741824 (1 GiB)"))]
    pub max_body_bytes: u64,
    /// Largest body of tensors, as under `/v2`, compressed or not; more is 413.
    #[validate(range(min = 1, max = 4_294_967_296_u64, message = "must be from 1 to 4294967296 (4 GiB)"))]
    pub max_tensor_body_bytes: u64,
    /// After SIGTERM: time during which requests are still accepted while readiness already reports 503.
    #[validate(range(max = 3_600_000, message = "must be from 0 to 3600000 (an hour)"))]
    pub shutdown_delay_ms: u64,
    /// After `shutdown_delay_ms`: time that running requests have before they are cut off.
    #[validate(range(max = 3_600_000, message = "must be from 0 to 3600000 (an hour)"))]
    pub drain_timeout_ms: u64,
    /// The URL by which clients reach the gateway, such as `https://models.example.com`; unset: they are not told where
    /// tokens come from.
    #[validate(custom(function = "is_public_url"))]
    pub public_url: Option<String>,
    /// TLS.
    #[validate(nested)]
    pub tls: TlsSettings,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)).into(),
            threads: 0,
            management: Management::Public,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            max_connections: 4096,
            max_connections_per_address: 512,
            header_timeout_ms: 5000,
            body_timeout_ms: 10_000,
            write_timeout_ms: 10_000,
            min_response_bytes_per_second: 16 * 1024,
            request_timeout_ms: 30_000,
            max_body_bytes: 2 * 1024 * 1024,
            max_tensor_body_bytes: 64 * 1024 * 1024,
            shutdown_delay_ms: 1000,
            drain_timeout_ms: 20_000,
            public_url: None,
            tls: TlsSettings::default(),
        }
    }
}

/// The listener of everything that needs the scope `manage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", try_from = "String")]
#[schemars(!try_from)]
pub enum Management {
    /// The public listeners, over REST and gRPC.
    #[default]
    Public,
    /// The operators' listener.
    Admin,
}

impl TryFrom<String> for Management {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "public" => Ok(Self::Public),
            "admin" => Ok(Self::Admin),
            _ => Err(format!("expected public or admin, got `{text}`")),
        }
    }
}

/// Checks the URL for clients: it is part of a header, and paths are added to it.
fn is_public_url(url: &str) -> Result<(), ValidationError> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#@\"\\".contains(&byte);
    let fits =
        host.is_some_and(|host| !host.is_empty() && !host.starts_with('/') && host.bytes().all(is_plain));
    let message = "is not a URL such as https://models.example.com, without a query";
    if fits { Ok(()) } else { Err(ValidationError::new("url").with_message(message.into())) }
}

/// Checks that a peer is named that may send headers of the PROXY protocol.
fn has_proxies_that_send_headers(settings: &ServerSettings) -> Result<(), ValidationError> {
    if settings.proxy_protocol && settings.trusted_proxies.is_empty() {
        let message = "proxy_protocol is true, and server.trusted_proxies is empty: name the proxies that send the header";
        return Err(ValidationError::new("proxy_protocol").with_message(message.into()));
    }
    Ok(())
}
