//! Facts of a graph that a contract takes as its defaults.

use std::{fs::File, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{Graph, KnownColumns, Labels, labels};
use crate::model::{OnnxFileError, Signature};

/// Facts that a graph states about its inputs and classes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphFacts {
    /// Labels of the classes; `None` if the graph lists none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// Labels of the columns or keys of scores, if they are others: some exporters write positions as labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_labels: Option<Labels>,
    /// Outputs of scores whose labels the graph lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scored: Vec<String>,
    /// True if the columns of scores are pairs of classes, as in a support vector machine without probabilities.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scores_are_pairs: bool,
    /// Facts about the columns of the inputs.
    #[serde(default, skip_serializing_if = "KnownColumns::is_empty")]
    pub columns: KnownColumns,
}

impl GraphFacts {
    /// Collects the facts of a graph.
    #[must_use]
    pub fn of(graph: &Graph, signature: &Signature) -> Self {
        let (labels, scores) = (Labels::of(graph, signature, false), Labels::of(graph, signature, true));
        let score_labels =
            scores.clone().filter(|scores| labels.as_ref().is_some_and(|labels| labels != scores));
        let columns = KnownColumns::of(graph, signature);
        let scores_are_pairs = labels::scores_are_pairs(graph, signature);
        let scored = labels::scored(graph, signature);
        Self { labels: labels.or(scores), score_labels, scored, scores_are_pairs, columns }
    }

    /// Reads the facts of a model's file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is not an ONNX model.
    pub fn read(file: &Path, signature: &Signature) -> Result<Self, OnnxFileError> {
        let file = File::open(file).map_err(|error: io::Error| OnnxFileError::Io(error))?;
        Ok(Self::of(&Graph::read(file)?, signature))
    }

    /// Returns the labels of the columns or keys of scores; `None` if the graph lists none.
    #[must_use]
    pub fn score_labels(&self) -> Option<&Labels> {
        self.score_labels.as_ref().or(self.labels.as_ref())
    }

    /// Returns the labels of the columns of scores; `None` if the graph lists none, or columns are pairs. A nested
    /// classifier counts positions (0, 1, 2 …): the labels of the prediction then name them.
    #[must_use]
    pub fn column_labels(&self) -> Option<&Labels> {
        match (&self.score_labels, &self.labels) {
            _ if self.scores_are_pairs => None,
            (Some(scores), Some(labels)) if scores.are_places() && scores.len() == labels.len() => {
                Some(labels)
            }
            _ => self.score_labels(),
        }
    }

    /// Returns true if there are no facts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
