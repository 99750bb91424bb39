//! The contract: facts about a model that its author states beyond the signature.
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

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GraphFacts, Labels, Scalar};
pub use document::ContractDocument;
pub use feature::{Feature, Missing};
pub use golden::{GoldenCase, GoldenDocument};

/// The key of the contract among the ONNX metadata properties.
pub const CONTRACT_KEY: &str = "onnx_gateway.contract";

/// Tolerance of golden outputs if the contract has none.
const DEFAULT_TOLERANCE: f64 = 1e-4;

/// The contract of a model; empty if its author wrote none. Its JSON leaves out the golden cases, which are not needed
/// after they were run; some of them remain as examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Contract {
    /// The columns of the rows that the model takes, in order; empty if they have no names.
    pub features: Vec<Feature>,
    /// Names of the classes, in the order of the graph's labels, or else of the labels 0, 1, 2 …; may be empty.
    pub classes: Vec<String>,
    /// Cases that are run before the model serves.
    pub golden: Vec<GoldenCase>,
    /// The first golden cases as their author wrote them, for people to try: small ones, few of them.
    pub examples: Vec<GoldenDocument>,
    /// The largest allowed absolute difference of a golden output.
    pub tolerance: f64,
    /// The largest allowed relative difference of a golden output, in addition to the absolute one.
    pub relative_tolerance: f64,
    /// Treatment of NaN and infinity in outputs.
    pub non_finite_outputs: NonFiniteOutputs,
    /// Facts that the model's graph states, which hold unless the author states others.
    pub graph: GraphFacts,
    /// Column number by feature name.
    columns: HashMap<String, usize>,
}

/// Treatment of an output that holds NaN or infinity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NonFiniteOutputs {
    /// An error of the model.
    #[default]
    Refuse,
    /// Allowed: the response has the strings `NaN`, `Infinity` and `-Infinity`.
    Allow,
}

/// A contract that is inconsistent or does not fit the model. The caller adds where the contract came from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The JSON cannot be read.
    #[error("the contract cannot be read: {0}")]
    Malformed(String),
    /// The contract contradicts itself or the model.
    #[error("the contract is not valid: {0}")]
    Invalid(String),
}

/// A contract as sent between processes.
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    examples: Vec<GoldenDocument>,
}

impl From<Contract> for Written {
    fn from(contract: Contract) -> Self {
        let Contract {
            features,
            classes,
            tolerance,
            relative_tolerance,
            non_finite_outputs,
            graph,
            examples,
            ..
        } = contract;
        Self { features, classes, tolerance, relative_tolerance, non_finite_outputs, graph, examples }
    }
}

impl From<Written> for Contract {
    fn from(written: Written) -> Self {
        Self {
            tolerance: written.tolerance,
            relative_tolerance: written.relative_tolerance,
            non_finite_outputs: written.non_finite_outputs,
            graph: written.graph,
            // A proof comes from another process, which may have run anything.
            examples: golden::examples(&written.examples),
            ..Self::new(written.features, written.classes)
        }
    }
}

impl Contract {
    /// Creates a contract with these features and classes, and no golden cases.
    #[must_use]
    pub fn new(features: Vec<Feature>, classes: Vec<String>) -> Self {
        let columns =
            features.iter().enumerate().map(|(column, feature)| (feature.name.clone(), column)).collect();
        Self {
            features,
            classes,
            golden: Vec::new(),
            examples: Vec::new(),
            tolerance: DEFAULT_TOLERANCE,
            relative_tolerance: 0.0,
            non_finite_outputs: NonFiniteOutputs::Refuse,
            graph: GraphFacts::default(),
            columns,
        }
    }

    /// Returns true if outputs may hold NaN and infinity.
    #[must_use]
    pub fn allows_non_finite(&self) -> bool {
        self.non_finite_outputs == NonFiniteOutputs::Allow
    }

    /// Returns the name of the class for a predicted label, or the label itself.
    #[must_use]
    pub fn label<'l>(&'l self, value: Scalar<'l>) -> Scalar<'l> {
        self.named(self.graph.labels.as_ref(), value)
    }

    /// Returns the name of the class whose score has this key, or the key itself.
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

    /// Returns the names of the classes, from the contract or else from the graph. `None` if their number is not
    /// `width`, the columns of the output.
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

    /// Returns the names of the columns of scores; empty if they have none.
    #[must_use]
    pub fn column_names(&self) -> Vec<String> {
        if self.graph.scores_are_pairs { Vec::new() } else { self.all_class_names() }
    }

    /// Returns the names of all classes, from the contract or else from the graph; empty if they have none.
    #[must_use]
    pub fn all_class_names(&self) -> Vec<String> {
        match (&self.classes, self.graph.column_labels().or(self.graph.labels.as_ref())) {
            (classes, Some(labels)) if classes.is_empty() => labels.names(),
            (classes, _) => classes.clone(),
        }
    }

    /// Returns the column of a feature; `None` if there is no such feature.
    #[must_use]
    pub fn column(&self, feature: &str) -> Option<usize> {
        self.columns.get(feature).copied()
    }

    /// Creates a contract that states nothing.
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
