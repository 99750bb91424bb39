//! Section `audit`: the log of security events.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// The audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct AuditSettings {
    /// The file; unset: no audit log. Its folder must exist.
    pub file: Option<PathBuf>,
    /// Size at which the file is put aside and begun again.
    #[validate(range(
        min = 4096,
        max = 1_099_511_627_776_u64,
        message = "must be from 4096 to 1099511627776 (1 TiB)"
    ))]
    pub max_bytes: u64,
    /// Files that were put aside and are kept, as `FILE.1` (the newest), `FILE.2` and so on.
    #[validate(range(max = 1000, message = "must be from 0 to 1000"))]
    pub keep: u32,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { file: None, max_bytes: 64 * 1024 * 1024, keep: 8 }
    }
}
