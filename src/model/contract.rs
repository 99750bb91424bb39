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

mod classes;
mod difference;
mod document;
mod feature;
mod golden;
mod resolve;

use std::{borrow::Cow, collections::HashMap};

use serde::{Deserialize, Serialize};

use super::{GraphFacts, Labels, Scalar};
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
    /// The names of the classes, in the order of the labels that the graph lists, else of the labels 0, 1, 2 …; or none.
    pub classes: Vec<String>,
    /// Cases that are run before the model serves.
    pub golden: Vec<GoldenCase>,
    /// The greatest absolute difference of a golden output.
    pub tolerance: f64,
    /// The greatest difference of a golden output as a part of it, on top of the absolute one.
    pub relative_tolerance: f64,
    /// Whether the model may answer NaN and infinity.
    pub non_finite_outputs: NonFiniteOutputs,
    /// Facts that the model's graph states, which hold where the author says nothing else.
    pub graph: GraphFacts,
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
    #[serde(default, skip_serializing_if = "GraphFacts::is_empty")]
    graph: GraphFacts,
}

impl From<Contract> for Written {
    fn from(contract: Contract) -> Self {
        let Contract { features, classes, tolerance, relative_tolerance, non_finite_outputs, graph, .. } =
            contract;
        Self { features, classes, tolerance, relative_tolerance, non_finite_outputs, graph }
    }
}

impl From<Written> for Contract {
    fn from(written: Written) -> Self {
        Self {
            tolerance: written.tolerance,
            relative_tolerance: written.relative_tolerance,
            non_finite_outputs: written.non_finite_outputs,
            graph: written.graph,
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
            graph: GraphFacts::default(),
            columns,
        }
    }

    /// Whether the model may answer NaN and infinity.
    #[must_use]
    pub fn allows_non_finite(&self) -> bool {
        self.non_finite_outputs == NonFiniteOutputs::Allow
    }

    /// The name of the class that a predicted label stands for, or the label itself.
    #[must_use]
    pub fn label<'l>(&'l self, value: Scalar<'l>) -> Scalar<'l> {
        self.named(self.graph.labels.as_ref(), value)
    }

    /// The name of the class whose score stands under a key, or the key itself.
    #[must_use]
    pub fn key<'l>(&'l self, key: Scalar<'l>) -> Scalar<'l> {
        self.named(self.graph.score_labels(), key)
    }

    fn named<'l>(&'l self, labels: Option<&Labels>, value: Scalar<'l>) -> Scalar<'l> {
        if self.classes.is_empty() {
            return value;
        }
        let class = match (labels, value) {
            (Some(labels), value) => labels.position(value),
            (None, Scalar::Integer(number)) => usize::try_from(number).ok(),
            (None, _) => None,
        };
        let name = class.and_then(|class| self.classes.get(class));
        name.map_or(value, |name| Scalar::Text(name))
    }

    /// The names of the classes, by the contract or else by the graph; `None` if nothing names as many as an output has
    /// columns.
    #[must_use]
    pub fn class_names(&self, width: usize) -> Option<Cow<'_, [String]>> {
        if self.graph.scores_are_pairs || width == 0 {
            return None;
        }
        if !self.classes.is_empty() {
            return (self.classes.len() == width).then_some(Cow::Borrowed(&self.classes));
        }
        let labels = self.graph.column_labels().filter(|labels| labels.len() == width);
        labels.map(|labels| Cow::Owned(labels.names()))
    }

    /// The names of the columns of scores; empty if nothing names them.
    #[must_use]
    pub fn column_names(&self) -> Vec<String> {
        if self.graph.scores_are_pairs { Vec::new() } else { self.all_class_names() }
    }

    /// The names of all classes, by the contract or else by the graph; empty if nothing names them.
    #[must_use]
    pub fn all_class_names(&self) -> Vec<String> {
        match (&self.classes, self.graph.column_labels().or(self.graph.labels.as_ref())) {
            (classes, Some(labels)) if classes.is_empty() => labels.names(),
            (classes, _) => classes.clone(),
        }
    }

    /// The column of a feature.
    #[must_use]
    pub fn column(&self, feature: &str) -> Option<usize> {
        self.columns.get(feature).copied()
    }

    /// A contract that says nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(Vec::new(), Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dimension, ElementType, Signature, ValueSpec};

    #[test]
    fn a_contract_travels_without_its_golden_cases() {
        let shape = vec![Dimension::Dynamic("N".to_owned()), Dimension::Fixed(2)];
        let signature = Signature {
            inputs: vec![ValueSpec::tensor("x", ElementType::F32, shape)],
            outputs: vec![ValueSpec::tensor("label", ElementType::I64, Vec::new())],
        };
        let json = r#"{"features":[{"name":"a","missing":"nan"},{"name":"b"}],"relative_tolerance":0.5,
            "golden":[{"inputs":{"x":{"shape":[1,2],"data":["NaN",2]}},"outputs":{"label":[1]}}]}"#;
        let contract = Contract::parse(json, &signature).unwrap();
        assert_eq!(contract.golden.len(), 1);
        let travelled: Contract = serde_json::from_str(&serde_json::to_string(&contract).unwrap()).unwrap();
        assert_eq!(travelled.column("b"), Some(1));
        assert_eq!(travelled, Contract { golden: Vec::new(), ..contract });
    }
}
