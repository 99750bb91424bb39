//! Section `telemetry`: traces.

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
    #[validate(range(min = 0.0, max = 1.0, message = "must be from 0 to 1"))]
    pub sample: f64,
}

/// Checks the address of a collector.
fn is_collector(endpoint: &str) -> Result<(), ValidationError> {
    let authority = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
    let authority = authority.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let is_authority = |text: &str| {
        !text.is_empty() && !text.contains(|letter: char| letter.is_whitespace() || "/?#@".contains(letter))
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
