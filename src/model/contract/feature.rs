//! Features: meaning and range of the values of one column.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Meaning and range of the values of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The name of the column in requests.
    pub name: String,
    /// The unit, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The least accepted value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// The greatest accepted value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// Treatment of a value that is null or absent: `"refuse"`, `"nan"`, or its replacement.
    #[schemars(with = "Value")]
    #[serde(default, skip_serializing_if = "Missing::is_unspecified")]
    pub missing: Missing,
}

impl Feature {
    /// Creates a feature with nothing but a name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), unit: None, minimum: None, maximum: None, missing: Missing::Unspecified }
    }
}

/// Treatment of a value that is null or absent: `"refuse"`, `"nan"`, or its replacement. A string that happens to be
/// one of the two words is written `{"default": "nan"}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub enum Missing {
    /// Unspecified: NaN if the graph shows that the model handles missing values, otherwise the row is refused.
    #[default]
    Unspecified,
    /// Refuse the row.
    Refuse,
    /// Replace it by NaN.
    Nan,
    /// Replace it by this value.
    Default(Value),
}

impl Missing {
    fn is_unspecified(&self) -> bool {
        *self == Self::Unspecified
    }

    /// Returns true if a missing value is refused.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Unspecified | Self::Refuse)
    }
}

impl From<Value> for Missing {
    fn from(value: Value) -> Self {
        match value {
            Value::String(word) if word == "refuse" => Self::Refuse,
            Value::String(word) if word == "nan" => Self::Nan,
            Value::Object(mut entries) if entries.len() == 1 => match entries.remove("default") {
                Some(value) => Self::Default(value),
                None => Self::Default(Value::Object(entries)),
            },
            other => Self::Default(other),
        }
    }
}

impl From<Missing> for Value {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Unspecified | Missing::Refuse => "refuse".into(),
            Missing::Nan => "nan".into(),
            Missing::Default(value) if value == "refuse" || value == "nan" => {
                serde_json::json!({"default": value})
            }
            Missing::Default(value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_for_a_missing_value_is_read_and_written_alike() {
        for (json, missing) in [
            (r#""refuse""#, Missing::Refuse),
            (r#""nan""#, Missing::Nan),
            ("3", Missing::Default(3.into())),
            (r#""Rome""#, Missing::Default("Rome".into())),
            (r#"{"default":"nan"}"#, Missing::Default("nan".into())),
        ] {
            assert_eq!(serde_json::from_str::<Missing>(json).unwrap(), missing);
            assert_eq!(serde_json::to_string(&missing).unwrap(), json);
        }
    }
}
