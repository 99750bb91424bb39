//! The contract: what the model's author knows beyond the signature.
//!
//! The training script writes it as JSON into the ONNX metadata, so that one file is the whole deployment:
//!
//! ```json
//! {
//!   "features": [{"name": "sepal_length", "unit": "cm", "minimum": 0.1, "maximum": 15.0}],
//!   "classes": ["setosa", "versicolor", "virginica"],
//!   "golden": [{"inputs": {"features": [[5.1, 3.5, 1.4, 0.2]]}, "outputs": {"label": [0]}}],
//!   "tolerance": 0.0001
//! }
//! ```

mod golden;

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;

use super::Signature;
pub use golden::GoldenCase;
use golden::GoldenDocument;

/// The key of the contract among the ONNX metadata properties.
pub const CONTRACT_KEY: &str = "onnx_gateway.contract";

/// How far a golden output may be off when the contract does not say.
const DEFAULT_TOLERANCE: f64 = 1e-4;

/// What a value of one column means and may be.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The name by which a request may give it.
    pub name: String,
    /// The unit, for people.
    #[serde(default)]
    pub unit: Option<String>,
    /// The least value that is accepted.
    #[serde(default)]
    pub minimum: Option<f64>,
    /// The greatest value that is accepted.
    #[serde(default)]
    pub maximum: Option<f64>,
}

/// The contract of a model; empty where its author said nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    /// One for each column of the input, or none.
    pub features: Vec<Feature>,
    /// The labels of the classes 0, 1, 2 …, or none.
    pub classes: Vec<String>,
    /// Cases that are run before the model serves.
    pub golden: Vec<GoldenCase>,
    /// The greatest absolute difference of a golden output.
    pub tolerance: f64,
    /// The column of each feature.
    columns: HashMap<String, usize>,
}

/// A contract that does not hold together or does not fit the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The JSON cannot be read.
    #[error("the contract in the model's metadata (key {CONTRACT_KEY}) cannot be read: {0}")]
    Malformed(String),
    /// What it says is impossible.
    #[error("the contract in the model's metadata (key {CONTRACT_KEY}) is wrong: {0}")]
    Invalid(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    features: Vec<Feature>,
    #[serde(default)]
    classes: Vec<String>,
    #[serde(default)]
    golden: Vec<GoldenDocument>,
    #[serde(default)]
    tolerance: Option<f64>,
}

impl Contract {
    /// A contract of these features and classes, with no golden cases.
    #[must_use]
    pub fn new(features: Vec<Feature>, classes: Vec<String>) -> Self {
        let columns =
            features.iter().enumerate().map(|(column, feature)| (feature.name.clone(), column)).collect();
        Self { features, classes, golden: Vec::new(), tolerance: DEFAULT_TOLERANCE, columns }
    }

    /// The column of a feature.
    #[must_use]
    pub fn column(&self, feature: &str) -> Option<usize> {
        self.columns.get(feature).copied()
    }

    /// How `self`, which replaces `old` under the same version number, would break its callers: one sentence a
    /// difference. Features and classes that callers know by name must stay; a contract may be added.
    #[must_use]
    pub fn breaking_changes(&self, old: &Self) -> Vec<String> {
        let features =
            |contract: &Self| contract.features.iter().map(|feature| feature.name.clone()).collect();
        let names: [(&str, Vec<String>, Vec<String>); 2] = [
            ("features", features(old), features(self)),
            ("classes", old.classes.clone(), self.classes.clone()),
        ];
        let differs = |(_, old, new): &&(&str, Vec<String>, Vec<String>)| !old.is_empty() && old != new;
        let sentence = |(kind, old, new): &(&str, Vec<String>, Vec<String>)| {
            format!("the {kind} [{}] became [{}]", old.join(", "), new.join(", "))
        };
        names.iter().filter(differs).map(sentence).collect()
    }

    /// A contract that says nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(Vec::new(), Vec::new())
    }

    /// Reads a contract and checks it against the model's signature.
    ///
    /// # Errors
    ///
    /// When it is not the JSON described above, names something the model does not have, or contradicts itself.
    pub fn parse(json: &str, signature: &Signature) -> Result<Self, ContractError> {
        let malformed = |error: serde_json::Error| ContractError::Malformed(error.to_string());
        // By way of a map, as a derived `Deserialize` would also read a struct's fields from a list.
        let entries: serde_json::Map<String, Value> = serde_json::from_str(json).map_err(malformed)?;
        let document = Document::deserialize(Value::Object(entries)).map_err(malformed)?;
        check_features(&document.features)?;
        check_unique("class", document.classes.iter().map(String::as_str))?;
        let tolerance = document.tolerance.unwrap_or(DEFAULT_TOLERANCE);
        if !(tolerance.is_finite() && tolerance >= 0.0) {
            return invalid("`tolerance` must be zero or greater".to_owned());
        }
        let golden = document
            .golden
            .into_iter()
            .enumerate()
            .map(|(index, case)| case.read(index, signature).map_err(ContractError::Invalid))
            .collect::<Result<_, _>>()?;
        Ok(Self { golden, tolerance, ..Self::new(document.features, document.classes) })
    }
}

fn invalid<T>(message: String) -> Result<T, ContractError> {
    Err(ContractError::Invalid(message))
}

fn check_features(features: &[Feature]) -> Result<(), ContractError> {
    check_unique("feature", features.iter().map(|feature| feature.name.as_str()))?;
    for Feature { name, minimum, maximum, .. } in features {
        if let (Some(minimum), Some(maximum)) = (minimum, maximum)
            && minimum > maximum
        {
            return invalid(format!(
                "feature `{name}` has the minimum {minimum} above its maximum {maximum}"
            ));
        }
    }
    Ok(())
}

fn check_unique<'a>(kind: &str, names: impl Iterator<Item = &'a str>) -> Result<(), ContractError> {
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() {
            return invalid(format!("a {kind} has no name"));
        }
        if !seen.insert(name) {
            return invalid(format!("the {kind} `{name}` is there twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dimension, ElementType, Tensor, TensorData, TensorSpec};

    fn signature() -> Signature {
        let spec =
            |name: &str, element_type, shape| TensorSpec { name: name.to_owned(), element_type, shape };
        let rows = || Dimension::Dynamic("N".to_owned());
        Signature {
            inputs: vec![spec("x", ElementType::F32, vec![rows(), Dimension::Fixed(2)])],
            outputs: vec![spec("label", ElementType::I64, vec![rows()])],
        }
    }

    fn problem(json: &str) -> String {
        Contract::parse(json, &signature()).unwrap_err().to_string()
    }

    #[test]
    fn reads_features_classes_and_golden_cases() {
        let json = r#"{"features":[{"name":"a","unit":"cm","minimum":0,"maximum":1},{"name":"b"}],
            "classes":["no","yes"],"golden":[{"inputs":{"x":[[1,2.5]]},"outputs":{"label":[1]}}]}"#;
        let contract = Contract::parse(json, &signature()).unwrap();
        assert_eq!(contract.features[0].maximum, Some(1.0));
        assert_eq!(contract.classes, ["no", "yes"]);
        let case = &contract.golden[0];
        assert_eq!(case.inputs[0].1, Tensor::new(vec![1, 2], TensorData::F32(vec![1.0, 2.5])).unwrap());
        assert_eq!(case.outputs[0].1, Tensor::new(vec![1], TensorData::I64(vec![1])).unwrap());
        assert!((contract.tolerance - DEFAULT_TOLERANCE).abs() < f64::EPSILON);
    }

    #[test]
    fn what_callers_know_by_name_must_stay() {
        let feature =
            |name: &str| Feature { name: name.to_owned(), unit: None, minimum: None, maximum: None };
        let contract = |features: &[&str], classes: &[&str]| {
            let classes = classes.iter().map(|class| (*class).to_owned()).collect();
            Contract::new(features.iter().map(|name| feature(name)).collect(), classes)
        };
        let old = contract(&["a", "b"], &["no", "yes"]);
        assert!(old.breaking_changes(&old).is_empty());
        assert!(old.breaking_changes(&Contract::empty()).is_empty(), "a contract may be added");
        assert_eq!(
            Contract::empty().breaking_changes(&old),
            ["the features [a, b] became []", "the classes [no, yes] became []"]
        );
        assert_eq!(
            contract(&["b", "a"], &["no", "yes"]).breaking_changes(&old),
            ["the features [a, b] became [b, a]"]
        );
    }

    #[test]
    fn names_what_is_wrong() {
        for (json, part) in [
            ("[]", "cannot be read"),
            (r#"{"feature":[]}"#, "unknown field `feature`"),
            (r#"{"features":[{"name":"a"},{"name":"a"}]}"#, "the feature `a` is there twice"),
            (r#"{"features":[{"name":""}]}"#, "a feature has no name"),
            (r#"{"features":[{"name":"a","minimum":2,"maximum":1}]}"#, "minimum 2 above its maximum 1"),
            (r#"{"tolerance":-1}"#, "`tolerance`"),
            (r#"{"golden":[{"inputs":{},"outputs":{"label":[1]}}]}"#, "golden case 0 has no input `x`"),
            (r#"{"golden":[{"inputs":{"x":[[1,2]]},"outputs":{}}]}"#, "compares no output"),
            (r#"{"golden":[{"inputs":{"x":[[1,2]]},"outputs":{"y":[1]}}]}"#, "names `y`"),
            (
                r#"{"golden":[{"inputs":{"x":[[1,2],[3]]},"outputs":{"label":[1]}}]}"#,
                "`x` is not a nested list",
            ),
            (r#"{"golden":[{"inputs":{"x":[[1,2]]},"outputs":{"label":[1.5]}}]}"#, "INT64 values"),
        ] {
            let message = problem(json);
            assert!(message.contains(part), "{json}: {message}");
        }
    }
}
