//! Section `server`: the public listener and what it puts up with.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use validator::Validate;

/// The public listener.
#[derive(Clone, Debug, Serialize, Deserialize, Validate)]
pub struct ServerSettings {
    /// Address and port.
    pub listen: SocketAddr,
    /// Threads that answer requests; 0 for as many as there are CPUs.
    #[validate(range(max = 1024, message = "must be from 0 to 1024"))]
    pub threads: usize,
    /// Networks whose `X-Forwarded-For` is believed.
    #[serde(default, deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Connections of clients at a time, over REST and gRPC together. When all are taken, the one that has been idle
    /// longest of the address that has most gives way to the next.
    #[validate(range(min = 1, max = 1_000_000, message = "must be from 1 to 1000000"))]
    pub max_connections: usize,
    /// Connections at a time from one address, and at most four times as many as are free: for more, its own idle ones
    /// give way. Trusted proxies are not counted.
    #[validate(range(min = 1, max = 1_000_000, message = "must be from 1 to 1000000"))]
    pub max_connections_per_address: usize,
    /// Time for the headers of a request; also how long an idle connection is kept.
    #[validate(range(min = 1, max = 3_600_000, message = "must be from 1 to 3600000 (an hour)"))]
    pub header_timeout_ms: u64,
    /// Time for the body of a request, from its headers on; then 408.
    #[validate(range(min = 1, max = 3_600_000, message = "must be from 1 to 3600000 (an hour)"))]
    pub body_timeout_ms: u64,
    /// Time for a client to take more of an answer; then the connection is closed.
    #[validate(range(min = 1, max = 3_600_000, message = "must be from 1 to 3600000 (an hour)"))]
    pub write_timeout_ms: u64,
    /// Bytes of an answer that a client that is waited for takes each second at least, on average over the time above;
    /// 0 for any.
    #[validate(range(max = 1_073_741_824_u64, message = "must be from 0 to 1073741824 (1 GiB)"))]
    pub min_response_bytes_per_second: u64,
    /// Time for an answer, from the headers of its request on; then 504.
    #[validate(range(min = 1, max = 3_600_000, message = "must be from 1 to 3600000 (an hour)"))]
    pub request_timeout_ms: u64,
    /// Size of a request's body of rows; more is 413. Where a few words are all that is asked it is at most 16 KiB.
    #[validate(range(min = 1, max = 1_073_741_824_u64, message = "must be from 1 to 1073741824 (1 GiB)"))]
    pub max_body_bytes: u64,
    /// Size of a body that holds tensors, as under `/v2`, whether or not it is compressed; more is 413.
    #[validate(range(min = 1, max = 4_294_967_296_u64, message = "must be from 1 to 4294967296 (4 GiB)"))]
    pub max_tensor_body_bytes: u64,
    /// After SIGTERM: how long new requests are still answered while readiness is already down.
    #[validate(range(max = 3_600_000, message = "must be from 0 to 3600000 (an hour)"))]
    pub shutdown_delay_ms: u64,
    /// After that: how long running requests may take before they are cut off.
    #[validate(range(max = 3_600_000, message = "must be from 0 to 3600000 (an hour)"))]
    pub drain_timeout_ms: u64,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            threads: 0,
            trusted_proxies: Vec::new(),
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
        }
    }
}

/// Networks as `10.0.0.0/8`, single addresses as `10.1.2.3`.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let parse = |text: String| {
        text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
            D::Error::custom(format!("`{text}` is no address (10.1.2.3) and no network (10.0.0.0/8)"))
        })
    };
    super::comma_list(deserializer)?.into_iter().map(parse).collect()
}
