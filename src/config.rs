//! Settings: what they are, where they come from, and what is wrong with them.
//!
//! Layers, each over the one before: the embedded defaults, `config/default.toml` if it is there, what Vertex AI says in
//! its variables `AIP_*`, every `--config FILE`, then environment variables `GATEWAY__SECTION__KEY`. A secret may be given by the path of a file
//! that holds it, under the same key with `_file` appended; it then belongs to the layer that named the file.
//!
//! This is the only module that reads the environment.

mod changes;
pub mod environment;
mod known_keys;
mod layer;
mod load;
mod problem;
mod secret;
mod sections;
mod vertex;
mod watch;

pub use changes::{Change, changes, known_settings};
pub use environment::Environment;
pub use load::{Loaded, Reading, load, read};
pub use problem::{Problem, Problems};
pub use secret::{Secret, SecretBytes};
pub use sections::{
    AdminSettings, AdmissionSettings, Algorithm, AuthSettings, ClientSettings, DialectName, DialectSettings,
    GrpcSettings, KeySettings, LogFormat, LogSettings, MetricsSettings, ModelsSettings, Preserve,
    QuotaSettings, RateLimitSettings, RollbackSettings, RuntimeSettings, ServerSettings, Settings,
    WhenRemoved,
};
pub use watch::{SourceFile, Watch};
