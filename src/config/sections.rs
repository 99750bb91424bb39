//! The settings, a struct a section. Defaults are here; `config/default.toml` shows them, and a test compares.

mod auth;
mod dialects;
mod models;
mod server;

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};
use validator::Validate;

pub use auth::{Algorithm, AuthSettings, ClientSettings, KeySettings};
pub use dialects::{DialectName, DialectSettings};
pub use models::{AdmissionSettings, ModelsSettings, Preserve, RollbackSettings, WhenRemoved};
pub use server::ServerSettings;

use crate::model::WantedMode;

/// All settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize, Validate)]
pub struct Settings {
    /// The public listener.
    #[validate(nested)]
    pub server: ServerSettings,
    /// The listener of gRPC.
    #[validate(nested)]
    pub grpc: GrpcSettings,
    /// The operators' listener.
    #[validate(nested)]
    pub admin: AdminSettings,
    /// Who may call.
    #[validate(nested)]
    pub auth: AuthSettings,
    /// In which words besides our own.
    #[validate(nested)]
    pub dialects: DialectSettings,
    /// How often.
    #[validate(nested)]
    pub rate_limit: RateLimitSettings,
    /// What is served.
    #[validate(nested)]
    pub models: ModelsSettings,
    /// How it is proven first.
    #[validate(nested)]
    pub admission: AdmissionSettings,
    /// When it is taken back.
    #[validate(nested)]
    pub rollback: RollbackSettings,
    /// How it is run.
    #[validate(nested)]
    pub runtime: RuntimeSettings,
    /// What is counted.
    #[validate(nested)]
    pub metrics: MetricsSettings,
    /// What is logged.
    #[validate(nested)]
    pub log: LogSettings,
}

/// The listener of gRPC. What it puts up with is said in section `server`, for both.
#[derive(Clone, Debug, Serialize, Deserialize, Validate)]
pub struct GrpcSettings {
    /// Whether it is there.
    pub enabled: bool,
    /// Address and port.
    pub listen: SocketAddr,
}

impl Default for GrpcSettings {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from(([127, 0, 0, 1], 8001)) }
    }
}

/// The operators' listener: `/metrics` and health, without authentication.
#[derive(Clone, Debug, Serialize, Deserialize, Validate)]
pub struct AdminSettings {
    /// Address and port.
    pub listen: SocketAddr,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8002)) }
    }
}

/// Rate limits.
#[derive(Clone, Debug, Serialize, Deserialize, Validate)]
pub struct RateLimitSettings {
    /// Whether requests are counted at all.
    pub enabled: bool,
    /// For each client address (IPv6: each /64), before authentication.
    #[validate(nested)]
    pub per_address: QuotaSettings,
    /// For each caller, after authentication.
    #[validate(nested)]
    pub per_caller: QuotaSettings,
    /// Requests without a valid token, for each client address.
    #[validate(nested)]
    pub failed_tokens: QuotaSettings,
    /// Requests for a token with an unknown client or a wrong secret, for each client address.
    #[validate(nested)]
    pub failed_logins: QuotaSettings,
}

impl Default for RateLimitSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            per_address: QuotaSettings { requests: 60, period_seconds: 60 },
            per_caller: QuotaSettings { requests: 600, period_seconds: 60 },
            failed_tokens: QuotaSettings { requests: 30, period_seconds: 60 },
            failed_logins: QuotaSettings { requests: 10, period_seconds: 300 },
        }
    }
}

/// So many requests at once, and so many in each period in the long run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Validate)]
pub struct QuotaSettings {
    /// How many requests.
    #[validate(range(min = 1, max = 1_000_000_000, message = "must be from 1 to 1000000000"))]
    pub requests: u32,
    /// In how many seconds.
    #[validate(range(min = 1, max = 86_400, message = "must be from 1 to 86400 (a day)"))]
    pub period_seconds: u64,
}

/// ONNX Runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
pub struct RuntimeSettings {
    /// The shared library; unset: beside the binary, then where `tools/setup` puts it.
    pub library: Option<PathBuf>,
    /// Sessions for each model; 0: as many as the process may use CPUs, or one with all their threads.
    #[validate(range(max = 1024, message = "must be from 0 to 1024"))]
    pub instances: usize,
    /// Predictions of one model that may wait for a session; more are refused with 503.
    #[validate(range(max = 1_000_000, message = "must be from 0 to 1000000"))]
    pub queue_capacity: usize,
    /// Memory that the process may use in all; 0: what the system and its control group allow.
    pub memory_limit_bytes: u64,
    /// On whose threads models run: `auto`, `request_thread` or `own_threads`.
    pub scheduler: WantedMode,
    /// Threads of each session; 0: as many as were measured to be worth it.
    #[validate(range(max = 1024, message = "must be from 0 to 1024"))]
    pub threads: usize,
    /// Rows of several requests that are run at once at most, where that is proven to change no answer.
    #[validate(range(min = 1, max = 1_000_000, message = "must be from 1 to 1000000"))]
    pub max_batch_rows: usize,
    /// How long a batch that is not full waits for more rows, where models run on threads of their own.
    #[validate(range(max = 1000, message = "must be from 0 to 1000"))]
    pub max_delay_ms: u64,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self {
            library: None,
            instances: 0,
            queue_capacity: 1024,
            memory_limit_bytes: 0,
            scheduler: WantedMode::Auto,
            threads: 0,
            max_batch_rows: 1024,
            max_delay_ms: 0,
        }
    }
}

/// Metrics, for operators.
#[derive(Clone, Debug, Serialize, Deserialize, Validate)]
pub struct MetricsSettings {
    /// Whether requests are counted, and `/metrics` is there.
    pub enabled: bool,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// Logging, to standard error.
#[derive(Clone, Debug, Serialize, Deserialize, Validate)]
pub struct LogSettings {
    /// A level (`error`, `warn`, `info`, `debug`, `trace`) or directives such as `info,onnx_gateway=debug`.
    #[validate(length(min = 1, message = "must be a level: error, warn, info, debug or trace"))]
    pub level: String,
    /// One line for people, or one JSON object for machines.
    pub format: LogFormat,
    /// Whether a line says of each answer who was given it, by which version, with which status, and how fast.
    pub access: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text, access: false }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl TryFrom<String> for LogFormat {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("expected text or json, got `{text}`")),
        }
    }
}

/// A list of texts from a list, or from one text with commas between: the form an environment variable has.
fn comma_list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::List(items) => items,
        Form::Text(text) => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        }
    })
}
