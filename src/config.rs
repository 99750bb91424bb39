//! Settings: their sections, sources and validation.
//!
//! Sources, each overriding the one before: the embedded defaults, `config/default.toml` if it exists, the variables
//! `AIP_*` that Vertex AI sets, every `--config FILE`, environment variables `GATEWAY__SECTION__KEY`. A secret may also
//! be given by the path of its file, under the same key with `_file` appended. It then belongs to the source that named
//! the file.
//!
//! This is the only module that reads the environment.

mod changes;
pub mod environment;
mod excerpt;
mod known_keys;
mod layer;
mod load;
mod plans;
mod problem;
mod quota_store;
mod repository;
mod schema;
mod secret;
mod sections;
mod vertex;
mod watch;

pub use changes::{Change, changes, known_settings};
pub use environment::Environment;
pub use excerpt::Excerpt;
pub(crate) use layer::describe_read_error;
pub use load::{Loaded, Reading, load, read, with_tls_files};
pub use problem::{Problems, SettingsProblem};
pub use quota_store::QuotaStore;
pub use repository::{StoreKind, StoreUrl, StoreUrlError};
pub(crate) use schema::complete as complete_schema;
pub use schema::schema;
pub use secret::{Secret, SecretBytes};
pub use sections::{
    AdminSettings, AdmissionSettings, Algorithm, ApiKeySettings, AuditSettings, AuthSettings,
    CertificateSettings, ClientCertificates, ClientSettings, ConsoleSettings, CorsSettings, DialectName,
    DialectSettings, GrantedScopes, GrpcSettings, IssuerSettings, KeySettings, ListenAddress,
    ListenAddressError, LogFormat, LogSettings, Management, MetricsSettings, ModelsSettings, OneOrMore,
    OtlpSettings, PlanSettings, Preserve, QuotaSettings, RateLimitSettings, RollbackSettings,
    RuntimeSettings, ServerSettings, Settings, StoreSettings, TelemetrySettings, TlsSettings, TrustedProxy,
    WhenRemoved,
};
pub use watch::{SourceFile, Watch};
