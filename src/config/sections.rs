//! The settings, one struct per section. Defaults are defined here; a test compares `config/default.toml` with them.

mod audit;
mod auth;
mod cors;
mod dialects;
mod issuers;
mod listen;
mod mcp;
mod models;
mod one_or_more;
mod rate_limit;
mod server;
mod store;
mod telemetry;
mod tls;

use std::{net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

pub use audit::AuditSettings;
pub use auth::{Algorithm, ApiKeySettings, AuthSettings, CertificateSettings, ClientSettings, KeySettings};
pub use cors::CorsSettings;
pub use dialects::{DialectName, DialectSettings};
pub use issuers::{GrantedScopes, IssuerSettings};
pub use listen::{ListenAddress, ListenAddressError, TrustedProxy};
pub use mcp::McpSettings;
pub use models::{AdmissionSettings, ModelsSettings, Preserve, RollbackSettings, WhenRemoved};
pub use one_or_more::OneOrMore;
pub use rate_limit::{PlanSettings, QuotaSettings, RateLimitSettings};
pub use server::{Management, ServerSettings};
pub use store::StoreSettings;
pub use telemetry::{OtlpSettings, TelemetrySettings};
pub(super) use tls::TLS_FILES;
pub use tls::{ClientCertificates, TlsSettings};

use crate::model::WantedMode;

/// All settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, Validate)]
pub struct Settings {
    /// The public listener.
    #[validate(nested)]
    pub server: ServerSettings,
    /// The gRPC listener.
    #[validate(nested)]
    pub grpc: GrpcSettings,
    /// The operators' listener.
    #[validate(nested)]
    pub admin: AdminSettings,
    /// Authentication.
    #[validate(nested)]
    pub auth: AuthSettings,
    /// Pages of other origins that may use the gateway.
    #[validate(nested)]
    pub cors: CorsSettings,
    /// Protocols of other servers and platforms.
    #[validate(nested)]
    pub dialects: DialectSettings,
    /// Models as tools for agents.
    #[validate(nested)]
    pub mcp: McpSettings,
    /// Rate limits.
    #[validate(nested)]
    pub rate_limit: RateLimitSettings,
    /// The model repository.
    #[validate(nested)]
    pub models: ModelsSettings,
    /// The proof of candidates.
    #[validate(nested)]
    pub admission: AdmissionSettings,
    /// Automatic rollback.
    #[validate(nested)]
    pub rollback: RollbackSettings,
    /// ONNX Runtime and scheduling.
    #[validate(nested)]
    pub runtime: RuntimeSettings,
    /// The console.
    #[validate(nested)]
    pub console: ConsoleSettings,
    /// Metrics.
    #[validate(nested)]
    pub metrics: MetricsSettings,
    /// Traces.
    #[validate(nested)]
    pub telemetry: TelemetrySettings,
    /// Logging.
    #[validate(nested)]
    pub log: LogSettings,
    /// The audit log.
    #[validate(nested)]
    pub audit: AuditSettings,
}

impl Settings {
    /// Returns true if the public listeners serve everything that needs the scope `manage`.
    #[must_use]
    pub fn management_is_public(&self) -> bool {
        self.server.management == Management::Public
    }

    /// Returns the `aud` that tokens need on the operators' listener.
    #[must_use]
    pub fn admin_audience(&self) -> &str {
        self.admin.audience.as_deref().unwrap_or(&self.auth.audience)
    }

    /// Returns the sections of TLS with their names.
    pub(crate) fn tls_sections(&self) -> [(&'static str, &TlsSettings); 3] {
        [("server.tls", &self.server.tls), ("grpc.tls", &self.grpc.tls), ("admin.tls", &self.admin.tls)]
    }

    /// Returns the TLS of the gRPC listener: what its section does not set is as in `server.tls`.
    pub(crate) fn grpc_tls(&self) -> TlsSettings {
        self.grpc.tls.or(&self.server.tls)
    }
}

/// The gRPC listener. Section `server` holds the limits of both listeners.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate)]
pub struct GrpcSettings {
    /// True if gRPC is served.
    pub enabled: bool,
    /// Address and port, or `unix:/PATH`.
    pub listen: ListenAddress,
    /// TLS; what is not set is as in `server.tls`: the certificate with its key, and the certificates of clients.
    #[validate(nested)]
    pub tls: TlsSettings,
}

impl Default for GrpcSettings {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8001)).into();
        Self { enabled: true, listen, tls: TlsSettings::default() }
    }
}

/// The operators' listener: `/metrics` and health without authentication, and what `server.management` moves here.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate)]
pub struct AdminSettings {
    /// Address and port, or `unix:/PATH`.
    pub listen: ListenAddress,
    /// The required `aud` of tokens here; unset: `auth.audience`.
    #[validate(length(min = 1, max = 256, message = "must have 1 to 256 bytes"))]
    pub audience: Option<String>,
    /// TLS.
    #[validate(nested)]
    pub tls: TlsSettings,
}

impl Default for AdminSettings {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8002)).into();
        Self { listen, audience: None, tls: TlsSettings::default() }
    }
}

/// ONNX Runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct RuntimeSettings {
    /// The shared library; unset: beside the binary, then where `tools/setup` puts it.
    pub library: Option<PathBuf>,
    /// Runs of each model at the same time; 0: one per CPU that the process may use, or one with a thread for each.
    #[validate(range(max = 1024, message = "must be from 0 to 1024"))]
    pub instances: usize,
    /// Predictions of one model that may wait for an instance; more are refused with 503.
    #[validate(range(max = 1_000_000, message = "must be from 0 to 1000000"))]
    pub queue_capacity: usize,
    /// Memory that the process may use in total; 0: what the system and its control group allow.
    pub memory_limit_bytes: u64,
    /// The threads that models run on: `auto`, `request_thread` or `own_threads`.
    pub scheduler: WantedMode,
    /// Threads of each instance; 0: the number that was measured as worthwhile.
    #[validate(range(max = 1024, message = "must be from 0 to 1024"))]
    pub threads: usize,
    /// Most rows of several requests in one batch, for models proven to give the same outputs in batches.
    #[validate(range(min = 1, max = 1_000_000, message = "must be from 1 to 1000000"))]
    pub max_batch_rows: usize,
    /// Longest time that a partial batch waits for more rows, if models run on their own threads.
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

/// The console: the page for browsers at `/`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate)]
pub struct ConsoleSettings {
    /// True if the page is served; otherwise `/` leads browsers to `/docs`.
    pub enabled: bool,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// Metrics, for operators.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate)]
pub struct MetricsSettings {
    /// True if requests are counted and `/metrics` is served.
    pub enabled: bool,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// Logging, to standard error.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate)]
pub struct LogSettings {
    /// A level (`error`, `warn`, `info`, `debug`, `trace`) or directives such as `info,onnx_gateway=debug`.
    #[validate(length(min = 1, message = "must be a level: error, warn, info, debug or trace"))]
    pub level: String,
    /// Text for people, or one JSON object per line for machines.
    pub format: LogFormat,
    /// True if each response is logged, with caller, version, status and duration.
    pub access: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text, access: false }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", try_from = "String")]
#[schemars(!try_from)]
pub enum LogFormat {
    /// Text, for people.
    Text,
    /// One JSON object per line.
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

/// Reads a list, or a text separated by commas: the form of an environment variable.
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
