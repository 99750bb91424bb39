//! Class labels that a graph lists.
//!
//! An output of labels is followed back to the classifier that lists them, or to the table in which a position is
//! looked up. skl2onnx, onnxmltools and `CatBoost` write one or the other.

use serde::{Deserialize, Serialize};

use super::{Elements, Graph, Node};
use crate::model::{ElementType, Scalar, Signature, ValueKind, ValueSpec};

/// Most operators between an output and the list of its labels.
const MAX_STEPS: usize = 64;

/// Most labels that are kept.
const MAX_LABELS: usize = 10_000;

/// Labels of classes, in the order of the columns of scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Labels {
    /// Whole numbers, such as 3, 4, 5.
    Integers(Vec<i64>),
    /// Strings, such as `no`, `yes`.
    Texts(Vec<String>),
}

impl Labels {
    /// Finds the labels of the first output of labels, or of the outputs of scores. `None` if the graph lists none, or
    /// different ones.
    #[must_use]
    pub fn of(graph: &Graph, signature: &Signature, scores: bool) -> Option<Self> {
        if !scores {
            // The first of them is the prediction; labels of another output do not belong to it.
            let label = signature.outputs.iter().find(|output| is_label(output))?;
            return of_value(graph, &label.name);
        }
        let outputs = signature.outputs.iter().filter(|output| holds_scores(output));
        let mut found = outputs.filter_map(|output| of_value(graph, &output.name));
        let labels = found.next()?;
        found.all(|other| other == labels).then_some(labels)
    }

    /// Returns the number of classes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Integers(labels) => labels.len(),
            Self::Texts(labels) => labels.len(),
        }
    }

    /// Returns true if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns true if they are 0, 1, 2 …, in this order.
    #[must_use]
    pub fn are_places(&self) -> bool {
        matches!(self, Self::Integers(labels) if labels.iter().zip(0..).all(|(label, place)| *label == place))
    }

    /// Returns the labels as strings, as they are written as keys in JSON.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Integers(labels) => labels.iter().map(ToString::to_string).collect(),
            Self::Texts(labels) => labels.clone(),
        }
    }

    /// Returns the position of a label among the classes; `None` if it is not one of them.
    #[must_use]
    pub fn position(&self, label: Scalar<'_>) -> Option<usize> {
        match (self, label) {
            (Self::Integers(labels), Scalar::Integer(number)) => integer_position(labels, number),
            (Self::Integers(labels), Scalar::Unsigned(number)) => {
                integer_position(labels, i64::try_from(number).ok()?)
            }
            (Self::Integers(labels), Scalar::Text(text)) => integer_position(labels, text.parse().ok()?),
            (Self::Texts(labels), Scalar::Text(text)) => labels.iter().position(|label| label == text),
            _ => None,
        }
    }
}

/// Returns true if an output holds whole numbers or strings, one or several per row.
fn is_label(output: &ValueSpec) -> bool {
    output.as_tensor().is_some_and(|(element_type, shape)| {
        matches!(element_type, ElementType::I64 | ElementType::String) && shape.len() <= 2
    })
}

/// Returns true if an output holds floats, by column or by key.
fn holds_scores(output: &ValueSpec) -> bool {
    match &output.kind {
        ValueKind::Sequence(items) => matches!(**items, ValueKind::Map { value, .. } if value.is_float()),
        _ => output.as_tensor().is_some_and(|(element_type, _)| element_type.is_float()),
    }
}

fn integer_position(labels: &[i64], number: i64) -> Option<usize> {
    // Most labels are consecutive, so the first guess is right.
    let guess = number.checked_sub(*labels.first()?).and_then(|offset| usize::try_from(offset).ok());
    guess
        .filter(|guess| labels.get(*guess) == Some(&number))
        .or_else(|| labels.iter().position(|label| *label == number))
}

/// Returns the outputs of scores whose labels the graph lists.
pub(super) fn scored(graph: &Graph, signature: &Signature) -> Vec<String> {
    let outputs = signature.outputs.iter().filter(|output| holds_scores(output));
    outputs
        .filter(|output| of_value(graph, &output.name).is_some())
        .map(|output| output.name.clone())
        .collect()
}

/// Returns true if an output of scores has a column for each pair of more than two classes.
pub(super) fn scores_are_pairs(graph: &Graph, signature: &Signature) -> bool {
    signature.outputs.iter().filter(|output| holds_scores(output)).any(|output| {
        let Some((node, place)) = classifier(graph, &output.name) else { return false };
        let has_probabilities = node.list("prob_a").is_some_and(|list| !list.is_empty());
        let classes = listed(node).map_or(0, |labels| labels.len());
        node.operator == "SVMClassifier" && place == 1 && !has_probabilities && classes > 2
    })
}

/// Finds the classifier that computes a value, and the position of the value among its outputs.
fn classifier<'g>(graph: &'g Graph, value: &str) -> Option<(&'g Node, usize)> {
    let mut value = value;
    for _ in 0..MAX_STEPS {
        let node = graph.producer(value)?;
        match node.operator.as_str() {
            "Identity" | "Cast" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => {
                value = node.inputs.first()?;
            }
            _ => return Some((node, node.outputs.iter().position(|output| output == value)?)),
        }
    }
    None
}

/// Finds the labels that a value takes, or whose scores it holds.
fn of_value(graph: &Graph, value: &str) -> Option<Labels> {
    let mut value = value.to_owned();
    for _ in 0..MAX_STEPS {
        let node = graph.producer(&value)?;
        match node.operator.as_str() {
            "Identity" | "Cast" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" | "Normalizer" => {
                value.clone_from(node.inputs.first()?);
            }
            "TreeEnsembleClassifier" | "LinearClassifier" | "SVMClassifier" | "ZipMap" => {
                return listed(node);
            }
            // The table comes first, the position of the most likely class second.
            "ArrayFeatureExtractor" | "Gather" => {
                let table = graph.constants.get(node.inputs.first()?)?;
                // A table with several rows is not a list of labels, but for example an embedding.
                let is_list = table.shape.iter().filter(|size| **size > 1).count() <= 1;
                return table.elements.as_ref().filter(|_| is_list).and_then(labels);
            }
            "LabelEncoder" => return renamed(graph, node),
            _ => return None,
        }
    }
    None
}

/// Returns the labels in the attributes of a classifier (`ai.onnx.ml`).
fn listed(node: &Node) -> Option<Labels> {
    let lists = ["classlabels_strings", "classlabels_int64s", "classlabels_ints"];
    // An exporter may also write the list of the other type, but empty.
    lists.iter().filter_map(|name| node.list(name)).find(|list| !list.is_empty()).and_then(labels)
}

/// Returns the labels after an encoder, which renames each label.
fn renamed(graph: &Graph, node: &Node) -> Option<Labels> {
    let values =
        ["values_strings", "values_int64s", "values_tensor"].iter().find_map(|name| node.list(name))?;
    let keys = ["keys_strings", "keys_int64s", "keys_tensor"].iter().find_map(|name| node.list(name))?;
    let (values, keys) = (labels(values)?, labels(keys)?);
    let Some(before) = of_value(graph, node.inputs.first()?) else {
        // Most such tables have positions as keys.
        let is_by_position = keys == Labels::Integers((0..i64::try_from(keys.len()).ok()?).collect());
        return is_by_position.then_some(values);
    };
    let places = before.names().into_iter().map(|name| keys.position(Scalar::Text(&name)));
    let places: Vec<usize> = places.collect::<Option<_>>()?;
    match values {
        Labels::Integers(values) => places
            .iter()
            .map(|place| values.get(*place).copied())
            .collect::<Option<_>>()
            .map(Labels::Integers),
        Labels::Texts(values) => {
            places.iter().map(|place| values.get(*place).cloned()).collect::<Option<_>>().map(Labels::Texts)
        }
    }
}

/// Converts a list to labels; `None` unless it holds distinct whole numbers or strings.
fn labels(list: &Elements) -> Option<Labels> {
    let labels = match list {
        Elements::Integers(numbers) => Labels::Integers(numbers.clone()),
        Elements::Texts(texts) => Labels::Texts(texts.clone()),
        #[expect(clippy::cast_possible_truncation, reason = "the numbers are whole and small")]
        Elements::Numbers(numbers)
            if numbers.iter().all(|number| number.fract() == 0.0 && number.abs() < 1e15) =>
        {
            Labels::Integers(numbers.iter().map(|number| *number as i64).collect())
        }
        Elements::Numbers(_) => return None,
    };
    let mut names = labels.names();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    ((1..=MAX_LABELS).contains(&all) && names.len() == all).then_some(labels)
}

#[cfg(test)]
mod tests {
    use super::super::{Attribute, AttributeValue, Constant};
    use super::*;
    use crate::model::Dimension;

    fn node(operator: &str, inputs: &[&str], outputs: &[&str], lists: &[(&str, Elements)]) -> Node {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let attribute = |(name, list): &(&str, Elements)| Attribute {
            name: (*name).to_owned(),
            value: AttributeValue::List(list.clone()),
        };
        Node {
            operator: operator.to_owned(),
            inputs: names(inputs),
            outputs: names(outputs),
            attributes: lists.iter().map(attribute).collect(),
            ..Node::default()
        }
    }

    fn found(nodes: Vec<Node>, constants: &[(&str, Elements)]) -> Option<Labels> {
        let constant = |(name, elements): &(&str, Elements)| {
            let shape = vec![elements.len() as u64];
            ((*name).to_owned(), Constant { shape, elements: Some(elements.clone()) })
        };
        let graph = Graph { nodes, constants: constants.iter().map(constant).collect(), ..Graph::default() };
        let output =
            |name| ValueSpec::tensor(name, ElementType::I64, vec![Dimension::Dynamic(String::new())]);
        let outputs = vec![output("label"), output("scores")];
        Labels::of(&graph, &Signature { inputs: Vec::new(), outputs }, false)
    }

    fn integers(list: &[i64]) -> Elements {
        Elements::Integers(list.to_vec())
    }

    fn texts(list: &[&str]) -> Elements {
        Elements::Texts(list.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn a_classifier_lists_its_labels() {
        let forest = |lists: &[(&str, Elements)]| {
            let forest = node("TreeEnsembleClassifier", &["x"], &["raw", "scores"], lists);
            found(vec![forest, node("Cast", &["raw"], &["label"], &[])], &[])
        };
        assert_eq!(forest(&[("classlabels_int64s", integers(&[3, 4]))]), Some(Labels::Integers(vec![3, 4])));
        let strings = [("classlabels_int64s", integers(&[])), ("classlabels_strings", texts(&["no", "yes"]))];
        assert_eq!(forest(&strings), Some(Labels::Texts(vec!["no".to_owned(), "yes".to_owned()])));
        assert_eq!(forest(&[]), None);
    }

    #[test]
    fn a_position_is_looked_up_in_a_table_of_labels() {
        let nodes = || {
            vec![
                node("ArgMax", &["scores"], &["best"], &[]),
                node("ArrayFeatureExtractor", &["classes", "best"], &["picked"], &[]),
                node("Reshape", &["picked", "shape"], &["label"], &[]),
            ]
        };
        assert_eq!(found(nodes(), &[("classes", integers(&[-1, 1]))]), Some(Labels::Integers(vec![-1, 1])));
        assert_eq!(found(nodes(), &[("classes", integers(&[1, 1]))]), None, "two of one name");
        assert_eq!(found(nodes(), &[]), None);
    }

    #[test]
    fn an_encoder_gives_labels_other_names() {
        let encoder = node(
            "LabelEncoder",
            &["raw"],
            &["label"],
            &[("keys_int64s", integers(&[0, 1])), ("values_strings", texts(&["b", "a"]))],
        );
        let forest = node(
            "TreeEnsembleClassifier",
            &["x"],
            &["raw", "s"],
            &[("classlabels_int64s", integers(&[1, 0]))],
        );
        let named =
            |texts: &[&str]| Some(Labels::Texts(texts.iter().map(|text| (*text).to_owned()).collect()));
        assert_eq!(found(vec![forest, encoder.clone()], &[]), named(&["a", "b"]));
        assert_eq!(found(vec![node("ArgMax", &["x"], &["raw"], &[]), encoder], &[]), named(&["b", "a"]));
    }

    #[test]
    fn a_label_has_the_place_that_it_has_in_the_list() {
        let labels = Labels::Integers(vec![3, 4, 9, -1]);
        let place = |number| labels.position(Scalar::Integer(number));
        assert_eq!((place(4), place(9), place(-1), place(0)), (Some(1), Some(2), Some(3), None));
        assert_eq!(place(i64::MIN), None);
    }
}
