//! The name of a plan, which decides the quota of a caller.

use std::{fmt, sync::Arc};

/// The name of a plan in `rate_limit.plans`. A token of another issuer may name one that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanName(Arc<str>);

impl PlanName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PlanName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for PlanName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
