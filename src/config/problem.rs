//! Problems of the settings, reported together.

use std::fmt;

use super::Excerpt;

/// A single problem of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsProblem {
    /// The file or environment variable of the setting; `None` if the setting is missing everywhere.
    pub origin: Option<String>,
    /// The setting, dotted, for example `server.listen`; empty if the problem concerns a whole file.
    pub key: String,
    /// The problem, and how to solve it.
    pub message: String,
    /// The line of the file; `None` if the setting comes from elsewhere.
    pub excerpt: Option<Box<Excerpt>>,
}

impl SettingsProblem {
    /// Creates a problem of a setting that is missing everywhere, or whose origin is looked up later.
    #[must_use]
    pub fn at(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { origin: None, key: key.into(), message: message.into(), excerpt: None }
    }

    /// Creates a problem of this file or variable.
    #[must_use]
    pub fn in_origin(origin: &str, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { origin: Some(origin.to_owned()), ..Self::at(key, message) }
    }

    /// Returns the number of the line in the file; `None` if the setting comes from elsewhere.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.excerpt.as_ref().map(|excerpt| excerpt.line)
    }
}

impl fmt::Display for SettingsProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(formatter, "{origin}: ")?;
        }
        if !self.key.is_empty() {
            write!(formatter, "{}: ", self.key)?;
        }
        formatter.write_str(&self.message)
    }
}

/// Every problem of the settings; never empty when returned as an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<SettingsProblem>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            problem.fmt(formatter)?;
            if let Some(excerpt) = &problem.excerpt {
                write!(formatter, "\n{excerpt}")?;
            }
        }
        Ok(())
    }
}
