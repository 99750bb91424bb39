//! Names and versions of models, as used in URLs, scopes and folder names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Implements the conversions that serde needs for a type written as a string.
macro_rules! written_as_text {
    ($($type:ty),*) => {
        $(
            impl TryFrom<String> for $type {
                type Error = NameError;

                fn try_from(text: String) -> Result<Self, NameError> {
                    text.parse()
                }
            }

            impl From<$type> for String {
                fn from(value: $type) -> Self {
                    value.to_string()
                }
            }
        )*
    };
}

written_as_text!(ModelName, ModelVersion, VersionLabel);

/// Returns true if a string is short, has a valid first character, and never needs escaping.
fn is_plain(text: &str, longest: usize, starts_well: impl FnOnce(&u8) -> bool) -> bool {
    let all_allowed = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    text.as_bytes().first().is_some_and(starts_well) && all_allowed && text.len() <= longest
}

/// Longest name in bytes: it becomes a folder name, a metrics label and part of a scope.
const MAX_NAME_BYTES: usize = 128;

/// The name of a model: 1 to 128 of `A-Z a-z 0-9 . _ -`, starting with a letter or a digit.
///
/// No escaping is needed in a URL, a path, a scope or a metrics label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(String);

/// An invalid name, version or label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The string is not a valid model name.
    #[error(
        "a model name has 1 to 128 of the characters A-Z a-z 0-9 . _ - and starts with a letter or a digit"
    )]
    Name,
    /// The string is not a valid version.
    #[error("a version is a whole number from 0 to 18446744073709551615 without leading zeros")]
    Version,
    /// The string is not a valid label.
    #[error("a label has 1 to 64 of the characters A-Z a-z 0-9 . _ - and starts with a letter")]
    Label,
}

impl ModelName {
    /// Returns the name as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_name = is_plain(text, MAX_NAME_BYTES, u8::is_ascii_alphanumeric);
        is_name.then(|| Self(text.to_owned())).ok_or(NameError::Name)
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A version of a model: the number of its folder in the repository. On the wire it is a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelVersion(u64);

impl ModelVersion {
    /// Creates the version with this number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }
}

impl FromStr for ModelVersion {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let canonical =
            text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        match text.parse() {
            Ok(number) if canonical => Ok(Self(number)),
            _ => Err(NameError::Version),
        }
    }
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A name for the version that it currently points to: 1 to 64 of `A-Z a-z 0-9 . _ -`. It starts with a letter, so that
/// it cannot be confused with a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionLabel(String);

/// Longest label in bytes.
const MAX_LABEL_BYTES: usize = 64;

impl FromStr for VersionLabel {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_label = is_plain(text, MAX_LABEL_BYTES, u8::is_ascii_alphabetic);
        is_label.then(|| Self(text.to_owned())).ok_or(NameError::Label)
    }
}

impl fmt::Display for VersionLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The version that a request selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionSelector {
    /// By number.
    Number(ModelVersion),
    /// By the label that points to it.
    Label(VersionLabel),
}

impl FromStr for VersionSelector {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self::Number).or_else(|_| text.parse().map(Self::Label))
    }
}

impl fmt::Display for VersionSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(version) => version.fmt(formatter),
            Self::Label(label) => label.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_urls_paths_and_scopes() {
        for good in ["iris", "wine.v2", "A-1_b", "9lives"] {
            assert_eq!(good.parse::<ModelName>().unwrap().as_str(), good);
        }
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        for bad in ["", ".hidden", "..", "a/b", "a b", "é", "a:b", "-x", long.as_str()] {
            assert_eq!(bad.parse::<ModelName>(), Err(NameError::Name), "{bad}");
        }
    }

    #[test]
    fn no_label_is_a_number() {
        assert_eq!("canary".parse(), Ok(VersionSelector::Label("canary".parse().unwrap())));
        assert_eq!("2".parse(), Ok(VersionSelector::Number(ModelVersion::new(2))));
        for bad in ["", "1st", "-x", "a/b", &"x".repeat(MAX_LABEL_BYTES + 1)] {
            assert_eq!(bad.parse::<VersionLabel>(), Err(NameError::Label), "{bad}");
        }
    }

    #[test]
    fn versions_are_canonical_whole_numbers() {
        assert_eq!("12".parse(), Ok(ModelVersion::new(12)));
        assert_eq!("0".parse(), Ok(ModelVersion::new(0)));
        for bad in ["", "01", "-1", "+1", "1.0", "latest", "18446744073709551616"] {
            assert_eq!(bad.parse::<ModelVersion>(), Err(NameError::Version), "{bad}");
        }
    }
}
