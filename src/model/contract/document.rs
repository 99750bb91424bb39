//! The contract as its author writes it: in the model's metadata or beside the model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ContractError, Feature, NonFiniteOutputs, golden::GoldenDocument};
use crate::model::meant_key;

/// A contract as it is written. An absent field states nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractDocument {
    /// The columns of the rows that the model takes, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<Feature>>,
    /// Names of the classes, in the order of the graph's labels, or else of 0, 1, 2 …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Cases that are run before the model serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden: Option<Vec<GoldenDocument>>,
    /// The largest allowed absolute difference of a golden output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// The largest allowed relative difference of a golden output, in addition to `tolerance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_tolerance: Option<f64>,
    /// Treatment of NaN and infinity in outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_finite_outputs: Option<NonFiniteOutputs>,
}

impl ContractDocument {
    /// Reads a contract.
    ///
    /// # Errors
    ///
    /// [`ContractError::Malformed`] when it is not a JSON object of this form.
    pub fn parse_json(json: &str) -> Result<Self, ContractError> {
        let malformed = |error: serde_json::Error| {
            let message = error.to_string();
            let meant =
                meant_key(&message).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            ContractError::Malformed(format!("{message}{meant}"))
        };
        // Read as a map first, because a derived `Deserialize` would also accept a list of the struct's fields.
        let entries: serde_json::Map<String, Value> = serde_json::from_str(json).map_err(malformed)?;
        Self::deserialize(Value::Object(entries)).map_err(malformed)
    }

    /// Merges two contracts: each field that `other` has wins.
    #[must_use]
    pub fn overridden_by(self, other: Self) -> Self {
        Self {
            features: other.features.or(self.features),
            classes: other.classes.or(self.classes),
            golden: other.golden.or(self.golden),
            tolerance: other.tolerance.or(self.tolerance),
            relative_tolerance: other.relative_tolerance.or(self.relative_tolerance),
            non_finite_outputs: other.non_finite_outputs.or(self.non_finite_outputs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_the_other_win() {
        let parse = |json| ContractDocument::parse_json(json).unwrap();
        let inner = parse(r#"{"classes":["a"],"tolerance":0.5}"#);
        let outer = parse(r#"{"classes":[],"non_finite_outputs":"allow"}"#);
        let both = inner.overridden_by(outer);
        assert_eq!(
            serde_json::to_string(&both).unwrap(),
            r#"{"classes":[],"tolerance":0.5,"non_finite_outputs":"allow"}"#
        );
    }
}
