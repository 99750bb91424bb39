//! The contract: what the model's author knows beyond the signature.
//!
//! The training script writes it as JSON into the ONNX metadata, so that one file is the whole deployment:
//!
//! ```json
//! {
//!   "features": [{"name": "sepal_length", "unit": "cm", "minimum": 0.1, "maximum": 15.0, "missing": "nan"}],
//!   "classes": ["setosa", "versicolor", "virginica"],
//!   "golden": [{"inputs": {"features": [[5.1, 3.5, 1.4, 0.2]]}, "outputs": {"label": [0]}}],
//!   "tolerance": 0.0001,
//!   "relative_tolerance": 0.001,
//!   "non_finite_outputs": "refuse"
//! }
//! ```

mod difference;
mod document;
mod feature;
mod golden;

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{Layout, Scalar, Signature, layout::RowInputs};
pub use document::ContractDocument;
pub use feature::{Feature, Missing};
pub use golden::{GoldenCase, GoldenDocument};

/// The key of the contract among the ONNX metadata properties.
pub const CONTRACT_KEY: &str = "onnx_gateway.contract";

/// How far a golden output may be off when the contract does not say.
const DEFAULT_TOLERANCE: f64 = 1e-4;

/// The contract of a model; empty where its author said nothing. As JSON it is without its golden cases, which nobody
/// needs once they were run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Contract {
    /// One for each column of the rows that the model takes, or none.
    pub features: Vec<Feature>,
    /// The labels of the classes 0, 1, 2 …, or none.
    pub classes: Vec<String>,
    /// Cases that are run before the model serves.
    pub golden: Vec<GoldenCase>,
    /// The greatest absolute difference of a golden output.
    pub tolerance: f64,
    /// The greatest difference of a golden output as a part of it, on top of the absolute one.
    pub relative_tolerance: f64,
    /// Whether the model may answer NaN and infinity.
    pub non_finite_outputs: NonFiniteOutputs,
    /// The column of each feature.
    columns: HashMap<String, usize>,
}

/// What to do about an answer that holds NaN or infinity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonFiniteOutputs {
    /// It is an error of the model.
    #[default]
    Refuse,
    /// It is answered, as the texts `NaN`, `Infinity` and `-Infinity`.
    Allow,
}

/// A contract that does not hold together or does not fit the model. Where it came from is for the caller to say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The JSON cannot be read.
    #[error("the contract cannot be read: {0}")]
    Malformed(String),
    /// What it says is impossible.
    #[error("the contract is wrong: {0}")]
    Invalid(String),
}

/// A contract as it travels between processes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    features: Vec<Feature>,
    classes: Vec<String>,
    tolerance: f64,
    relative_tolerance: f64,
    non_finite_outputs: NonFiniteOutputs,
}

impl From<Contract> for Written {
    fn from(contract: Contract) -> Self {
        let Contract { features, classes, tolerance, relative_tolerance, non_finite_outputs, .. } = contract;
        Self { features, classes, tolerance, relative_tolerance, non_finite_outputs }
    }
}

impl From<Written> for Contract {
    fn from(written: Written) -> Self {
        Self {
            tolerance: written.tolerance,
            relative_tolerance: written.relative_tolerance,
            non_finite_outputs: written.non_finite_outputs,
            ..Self::new(written.features, written.classes)
        }
    }
}

impl Contract {
    /// A contract of these features and classes, with no golden cases.
    #[must_use]
    pub fn new(features: Vec<Feature>, classes: Vec<String>) -> Self {
        let columns =
            features.iter().enumerate().map(|(column, feature)| (feature.name.clone(), column)).collect();
        Self {
            features,
            classes,
            golden: Vec::new(),
            tolerance: DEFAULT_TOLERANCE,
            relative_tolerance: 0.0,
            non_finite_outputs: NonFiniteOutputs::Refuse,
            columns,
        }
    }

    /// Whether the model may answer NaN and infinity.
    #[must_use]
    pub fn allows_non_finite(&self) -> bool {
        self.non_finite_outputs == NonFiniteOutputs::Allow
    }

    /// What a predicted value means: the class of this number, or the value itself.
    #[must_use]
    pub fn label<'l>(&'l self, value: Scalar<'l>) -> Scalar<'l> {
        let class = match value {
            Scalar::Integer(number) => usize::try_from(number).ok(),
            _ => None,
        };
        let label = class.and_then(|class| self.classes.get(class));
        label.map_or(value, |label| Scalar::Text(label))
    }

    /// The names of the classes whose probabilities an output of this width holds.
    #[must_use]
    pub fn class_names(&self, width: usize) -> Vec<String> {
        if self.classes.len() == width {
            self.classes.clone()
        } else {
            (0..width).map(|class| class.to_string()).collect()
        }
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

    /// Checks a contract against the model's signature. Where each column of a row is an input of its own, the inputs
    /// are the features if none are named.
    ///
    /// # Errors
    ///
    /// [`ContractError::Invalid`] when it names something the model does not have, or contradicts itself.
    pub fn resolve(document: ContractDocument, signature: &Signature) -> Result<Self, ContractError> {
        let features = document.features.unwrap_or_default();
        let classes = document.classes.unwrap_or_default();
        check_features(&features)?;
        check_unique("class", classes.iter().map(String::as_str))?;
        let tolerance = tolerance("tolerance", document.tolerance, DEFAULT_TOLERANCE)?;
        let relative_tolerance = self::tolerance("relative_tolerance", document.relative_tolerance, 0.0)?;
        let golden = document
            .golden
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .map(|(index, case)| case.read(index, signature).map_err(ContractError::Invalid))
            .collect::<Result<_, _>>()?;
        let mut contract = Self {
            golden,
            tolerance,
            relative_tolerance,
            non_finite_outputs: document.non_finite_outputs.unwrap_or_default(),
            ..Self::new(features, classes)
        };
        let layout =
            Layout::of(signature, &contract).map_err(|error| ContractError::Invalid(error.to_string()))?;
        if contract.features.is_empty()
            && let Some(Layout { inputs: RowInputs::Columns(columns), .. }) = layout
        {
            let features = columns.into_iter().map(|column| Feature::new(column.input)).collect();
            let Self { features, columns, .. } = Self::new(features, Vec::new());
            (contract.features, contract.columns) = (features, columns);
        }
        Ok(contract)
    }

    /// Reads a contract and checks it against the model's signature.
    ///
    /// # Errors
    ///
    /// As [`ContractDocument::parse_json`] and [`Contract::resolve`].
    pub fn parse(json: &str, signature: &Signature) -> Result<Self, ContractError> {
        Self::resolve(ContractDocument::parse_json(json)?, signature)
    }
}

fn tolerance(field: &str, given: Option<f64>, default: f64) -> Result<f64, ContractError> {
    match given {
        Some(tolerance) if !(tolerance.is_finite() && tolerance >= 0.0) => {
            invalid(format!("`{field}` must be zero or greater"))
        }
        given => Ok(given.unwrap_or(default)),
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
    use crate::model::{Dimension, ElementType, Tensor, TensorData, ValueSpec};

    fn signature() -> Signature {
        let rows = || Dimension::Dynamic("N".to_owned());
        Signature {
            inputs: vec![ValueSpec::tensor("x", ElementType::F32, vec![rows(), Dimension::Fixed(2)])],
            outputs: vec![ValueSpec::tensor("label", ElementType::I64, vec![rows()])],
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
        assert_eq!(case.outputs[0].1, Tensor::new(vec![1], TensorData::I64(vec![1])).unwrap().into());
        assert!((contract.tolerance - DEFAULT_TOLERANCE).abs() < f64::EPSILON);
    }

    #[test]
    fn a_contract_travels_without_its_golden_cases() {
        let json = r#"{"features":[{"name":"a","missing":"nan"},{"name":"b"}],"relative_tolerance":0.5,
            "golden":[{"inputs":{"x":{"shape":[1,2],"data":["NaN",2]}},"outputs":{"label":[1]}}]}"#;
        let contract = Contract::parse(json, &signature()).unwrap();
        assert_eq!(contract.golden.len(), 1);
        let travelled: Contract = serde_json::from_str(&serde_json::to_string(&contract).unwrap()).unwrap();
        assert_eq!(travelled.column("b"), Some(1));
        assert_eq!(travelled, Contract { golden: Vec::new(), ..contract });
    }

    #[test]
    fn where_columns_are_inputs_they_are_the_features() {
        let column =
            |name| ValueSpec::tensor(name, ElementType::F32, vec![Dimension::Dynamic(String::new())]);
        let signature = Signature { inputs: vec![column("a"), column("b")], outputs: Vec::new() };
        let contract = Contract::resolve(ContractDocument::default(), &signature).unwrap();
        assert_eq!((contract.features.len(), contract.column("b")), (2, Some(1)));
    }

    #[test]
    fn what_callers_know_by_name_must_stay() {
        let contract = |features: &[&str], classes: &[&str]| {
            let classes = classes.iter().map(|class| (*class).to_owned()).collect();
            Contract::new(features.iter().map(|name| Feature::new(*name)).collect(), classes)
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
            (r#"{"relative_tolerance":-1}"#, "`relative_tolerance`"),
            (r#"{"non_finite_outputs":"maybe"}"#, "unknown variant `maybe`"),
            (r#"{"features":[{"name":"a"}]}"#, "1 features are named"),
            (
                r#"{"golden":[{"inputs":{},"outputs":{"label":[1]}}]}"#,
                "golden case 0, input `x`: `x` (FP32 [N, 2]) is required",
            ),
            (r#"{"golden":[{"inputs":{"x":[[1,2]]},"outputs":{}}]}"#, "compares no output"),
            (r#"{"golden":[{"inputs":{"x":[[1,2]]},"outputs":{"y":[1]}}]}"#, "has no output `y`"),
            (
                r#"{"golden":[{"inputs":{"x":[[1,2],[3]]},"outputs":{"label":[1]}}]}"#,
                "input `x/1`: expected a list of 2 items",
            ),
            (
                r#"{"golden":[{"inputs":{"x":[[1,2]]},"outputs":{"label":[1.5]}}]}"#,
                "expected a whole number, got 1.5 at `/0`",
            ),
        ] {
            let message = problem(json);
            assert!(message.contains(part), "{json}: {message}");
        }
    }
}
