//! Section `telemetry`: traces.

use std::net::Ipv6Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::{Validate, ValidationError};

/// Reports of requests to other systems.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct TelemetrySettings {
    /// Traces over the OpenTelemetry Protocol.
    #[validate(nested)]
    pub otlp: OtlpSettings,
}

/// Traces over the OpenTelemetry Protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct OtlpSettings {
    /// The collector that traces are sent to, over gRPC: `http://HOST:4317` or `https://HOST:4317`; unset: no traces.
    #[validate(custom(function = "is_collector"))]
    pub endpoint: Option<String>,
    /// Part of the requests that are traced, if their client has not decided: from 0 to 1.
    #[validate(custom(function = "is_share"))]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample: f64,
}

/// Checks a part of a whole. NaN is not one.
fn is_share(share: f64) -> Result<(), ValidationError> {
    let message = "must be from 0 to 1";
    if (0.0..=1.0).contains(&share) {
        Ok(())
    } else {
        Err(ValidationError::new("share").with_message(message.into()))
    }
}

/// Checks the address of a collector.
fn is_collector(endpoint: &str) -> Result<(), ValidationError> {
    let authority = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
    let authority = authority.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let is_authority = |text: &str| {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_plain = match inner {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => host.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-_".contains(letter)),
        };
        !host.is_empty() && is_plain && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    if authority.is_some_and(is_authority) {
        return Ok(());
    }
    let message = "must be http://HOST:PORT or https://HOST:PORT, without a path or a user";
    Err(ValidationError::new("collector").with_message(message.into()))
}

impl Default for OtlpSettings {
    fn default() -> Self {
        Self { endpoint: None, sample: 0.01 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_has_a_host_and_no_more_than_a_port() {
        for good in
            ["http://127.0.0.1:4317", "https://collector.example", "http://[::1]:4317", "http://[::1]/"]
        {
            assert!(is_collector(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "collector:4317",
            "http://",
            "http://:4317",
            "http://host:99999",
            "http://host:0",
            "http://a@b:1",
            "http://host:4317/v1",
            "http://[::1:4317",
            "http://[x]:1",
            "http://é:4317",
        ] {
            assert!(is_collector(bad).is_err(), "{bad}");
        }
    }
}
