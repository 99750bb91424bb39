//! Section `mcp`: models as tools for agents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// The Model Context Protocol, at `/mcp`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, Validate)]
pub struct McpSettings {
    /// True if models are offered to agents as tools; otherwise `/mcp` is a path like any that does not exist.
    pub enabled: bool,
}
