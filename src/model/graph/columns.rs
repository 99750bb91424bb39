//! Facts about the columns of a model's inputs: categories, ranges of ids, and missing values.
//!
//! Columns are followed from the inputs through operators that only move them. An operator that lists accepted values
//! (an encoder, an embedding, a tree with directions for missing values) then describes the column that reaches it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{AttributeValue, Elements, Graph, Node};
use crate::model::{Dimension, Signature};

/// Most columns of an input that are followed individually.
const MAX_COLUMNS: usize = 4096;

/// Most categories of a column that are kept.
const MAX_CATEGORIES: usize = 10_000;

/// Facts that a graph states about one column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnFacts {
    /// Values that an encoder lists; `None` if the column reaches none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Elements>,
    /// True if a value that is not listed is an error of the operator.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_closed: bool,
    /// Least and greatest position in a table that the column looks up, such as an embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(i64, i64)>,
    /// True if the model accepts NaN as a missing value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
}

/// Facts about the columns of each input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KnownColumns {
    inputs: BTreeMap<String, InputFacts>,
}

/// Facts about the columns of one input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputFacts {
    /// Facts of every column.
    #[serde(default, skip_serializing_if = "ColumnFacts::is_empty")]
    all: ColumnFacts,
    /// Facts of single columns, by position.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    each: BTreeMap<usize, ColumnFacts>,
}

impl ColumnFacts {
    /// Returns true if nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl KnownColumns {
    /// Collects the facts of a graph about the columns of its inputs.
    #[must_use]
    pub fn of(graph: &Graph, signature: &Signature) -> Self {
        let mut tracker = Tracker { graph, values: HashMap::new(), known: Self::default() };
        for input in &signature.inputs {
            let Some((_, shape)) = input.as_tensor() else { continue };
            let columns = match shape {
                [_] => Columns::Each(vec![Some((input.name.clone(), 0))]),
                [_, Dimension::Fixed(count)] if *count <= MAX_COLUMNS => {
                    Columns::Each((0..*count).map(|column| Some((input.name.clone(), column))).collect())
                }
                _ => Columns::All(input.name.clone()),
            };
            tracker.values.insert(input.name.clone(), columns);
        }
        for node in graph.nodes.iter().filter(|node| node.is_standard()) {
            tracker.node(node);
        }
        tracker.known
    }

    /// Returns the facts about a column; `None` if there are none.
    #[must_use]
    pub fn get(&self, input: &str, column: usize) -> Option<&ColumnFacts> {
        let facts = self.inputs.get(input)?;
        facts.each.get(&column).or_else(|| Some(&facts.all).filter(|all| !all.is_empty()))
    }

    /// Returns true if there are no facts about any column.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Iterates over the facts by input. The column is `None` for facts about all columns.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<usize>, &ColumnFacts)> {
        self.inputs.iter().flat_map(|(input, facts)| {
            let all = (!facts.all.is_empty()).then_some((input.as_str(), None, &facts.all));
            let each = facts.each.iter().map(|(column, facts)| (input.as_str(), Some(*column), facts));
            all.into_iter().chain(each)
        })
    }
}

/// The columns of a value, traced back to columns of inputs.
#[derive(Clone, Debug, PartialEq)]
enum Columns {
    /// One by one; `None` for a column that comes from elsewhere.
    Each(Vec<Option<(String, usize)>>),
    /// Elements of this input, in any order.
    All(String),
}

struct Tracker<'g> {
    graph: &'g Graph,
    values: HashMap<String, Columns>,
    known: KnownColumns,
}

impl Tracker<'_> {
    fn node(&mut self, node: &Node) {
        if let Some(columns) = self.moved(node)
            && let Some(output) = node.outputs.first()
        {
            self.values.insert(output.clone(), columns);
        }
        match node.operator.as_str() {
            "Split" => self.split(node),
            "OneHotEncoder" => {
                let categories = node.list("cats_strings").or_else(|| node.list("cats_int64s")).cloned();
                let is_closed = node.integer("zeros") == Some(0);
                self.categories(node, categories, is_closed);
            }
            "LabelEncoder" | "CategoryMapper" => self.categories(node, keys(node), false),
            "Gather" => self.embedding(node),
            "Imputer" if replaces_nan(node) => self.learn(node, 0, |facts| facts.missing = true),
            operator if operator.starts_with("TreeEnsemble") && tracks_missing(node) => {
                self.learn(node, 0, |facts| facts.missing = true);
            }
            _ => {}
        }
    }

    fn columns(&self, node: &Node, input: usize) -> Option<&Columns> {
        self.values.get(node.inputs.get(input)?)
    }

    /// Returns the columns of the first output, for operators that only move columns.
    fn moved(&self, node: &Node) -> Option<Columns> {
        let first = self.columns(node, 0);
        match node.operator.as_str() {
            "Identity" | "Cast" | "Dropout" | "Imputer" => first.cloned(),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" => first.map(reshaped),
            "Concat" | "FeatureVectorizer" => {
                let is_by_column = node.operator != "Concat" || matches!(node.integer("axis"), Some(1 | -1));
                let parts = node.inputs.iter().map(|input| match self.values.get(input) {
                    Some(Columns::Each(columns)) => Some(columns.clone()),
                    _ => None,
                });
                let parts: Vec<_> = parts.collect::<Option<_>>()?;
                let count: usize = parts.iter().map(Vec::len).sum();
                (is_by_column && count <= MAX_COLUMNS).then(|| Columns::Each(parts.concat()))
            }
            "ArrayFeatureExtractor" => {
                selected(first?, self.graph.elements(node.inputs.get(1)?)?.integers()?)
            }
            "Gather" if matches!(node.integer("axis"), Some(1 | -1)) => {
                selected(first?, self.graph.elements(node.inputs.get(1)?)?.integers()?)
            }
            "Slice" => {
                let bound = |attribute: &str, input: usize| {
                    let list = node.list(attribute).or_else(|| self.graph.elements(node.inputs.get(input)?));
                    list?.integers().filter(|list| list.len() == 1)?.first().copied()
                };
                let (start, end) = (bound("starts", 1)?, bound("ends", 2)?);
                let is_by_column = matches!(bound("axes", 3), Some(1 | -1)) && node.inputs.len() < 5;
                let count = i64::try_from(each(first?)?.len()).ok()?;
                let place = |bound: i64| if bound < 0 { (bound + count).max(0) } else { bound.min(count) };
                let range: Vec<i64> = (place(start)..place(end)).collect();
                selected(first?, &range).filter(|_| is_by_column)
            }
            _ => None,
        }
    }

    /// Follows `Split` along the columns: each output has the next of them.
    fn split(&mut self, node: &Node) {
        let sizes = node.list("split").or_else(|| self.graph.elements(node.inputs.get(1)?));
        let sizes = sizes.and_then(|sizes| sizes.integers()).map(<[i64]>::to_vec);
        let Some(columns) = self.columns(node, 0).and_then(each).map(<[_]>::to_vec) else { return };
        if !matches!(node.integer("axis"), Some(1 | -1)) {
            return;
        }
        let even = columns.len() / node.outputs.len().max(1);
        let sizes = sizes.unwrap_or_else(|| vec![i64::try_from(even).unwrap_or(0); node.outputs.len()]);
        let mut rest = columns.as_slice();
        for (output, size) in node.outputs.iter().zip(sizes) {
            let Some((part, after)) = usize::try_from(size).ok().and_then(|size| rest.split_at_checked(size))
            else {
                return;
            };
            self.values.insert(output.clone(), Columns::Each(part.to_vec()));
            rest = after;
        }
    }

    fn categories(&mut self, node: &Node, categories: Option<Elements>, is_closed: bool) {
        let Some(categories) = categories.filter(|list| (1..=MAX_CATEGORIES).contains(&list.len())) else {
            return;
        };
        self.learn(node, 0, |facts| {
            // The first of several encoders counts, but a closed one wins over an open one.
            if facts.categories.is_none() || (is_closed && !facts.is_closed) {
                facts.categories = Some(categories.clone());
            }
            facts.is_closed |= is_closed;
        });
    }

    /// Handles `Gather` from a table of the file: positions lie within it, negative ones count from its end.
    fn embedding(&mut self, node: &Node) {
        let Some(table) = node.inputs.first().and_then(|table| self.graph.constants.get(table)) else {
            return;
        };
        let axis = node.integer("axis").unwrap_or(0);
        let rows = usize::try_from(axis).ok().and_then(|axis| table.shape.get(axis));
        let Some(rows) = rows.and_then(|rows| i64::try_from(*rows).ok()).filter(|rows| *rows > 0) else {
            return;
        };
        self.learn(node, 1, |facts| {
            let (least, most) = facts.range.unwrap_or((i64::MIN, i64::MAX));
            facts.range = Some((least.max(-rows), most.min(rows - 1)));
        });
    }

    /// Applies `note` to the facts of every column that reaches an input of an operator.
    fn learn(&mut self, node: &Node, input: usize, note: impl Fn(&mut ColumnFacts)) {
        match self.columns(node, input).cloned() {
            Some(Columns::All(name)) => note(&mut self.known.inputs.entry(name).or_default().all),
            Some(Columns::Each(columns)) => {
                for (name, column) in columns.into_iter().flatten() {
                    let facts = self.known.inputs.entry(name).or_default();
                    note(facts.each.entry(column).or_default());
                }
            }
            None => {}
        }
    }
}

fn each(columns: &Columns) -> Option<&[Option<(String, usize)>]> {
    match columns {
        Columns::Each(columns) => Some(columns),
        Columns::All(_) => None,
    }
}

/// Returns the columns after a change of shape. One column stays one; several of one input become its elements.
fn reshaped(columns: &Columns) -> Columns {
    match columns {
        Columns::Each(columns) if columns.len() > 1 => {
            let names = |column: &Option<(String, usize)>| column.as_ref().map(|(name, _)| name.clone());
            match columns.first().and_then(names) {
                Some(name) if columns.iter().all(|column| names(column).as_ref() == Some(&name)) => {
                    Columns::All(name)
                }
                _ => Columns::Each(vec![None; columns.len()]),
            }
        }
        other => other.clone(),
    }
}

fn selected(columns: &Columns, positions: &[i64]) -> Option<Columns> {
    let all = each(columns)?;
    let count = i64::try_from(all.len()).ok()?;
    let one = |position: &i64| {
        let place = if *position < 0 { position + count } else { *position };
        all.get(usize::try_from(place).ok()?).cloned()
    };
    positions.iter().map(one).collect::<Option<_>>().map(Columns::Each)
}

/// Returns the values that an encoder of labels accepts.
fn keys(node: &Node) -> Option<Elements> {
    let lists =
        ["keys_strings", "keys_int64s", "keys_floats", "keys_tensor", "cats_strings", "classes_strings"];
    lists.iter().find_map(|name| node.list(name)).cloned()
}

/// Returns true if an `Imputer` replaces NaN.
fn replaces_nan(node: &Node) -> bool {
    matches!(node.attribute("replaced_value_float"), Some(AttributeValue::Number(number)) if number.is_nan())
}

/// Returns true if a node of a tree has a direction for missing values.
fn tracks_missing(node: &Node) -> bool {
    match node.attribute("nodes_missing_value_tracks_true") {
        Some(AttributeValue::List(list)) => {
            list.integers().is_some_and(|tracks| tracks.iter().any(|track| *track != 0))
        }
        Some(AttributeValue::Other { any_set }) => *any_set,
        Some(AttributeValue::Tensor(tensor)) => match &tensor.elements {
            Some(Elements::Integers(tracks)) => tracks.iter().any(|track| *track != 0),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        ElementType, ValueSpec,
        graph::{Attribute, Constant},
    };

    fn node(operator: &str, inputs: &[&str], output: &str, attributes: Vec<(&str, AttributeValue)>) -> Node {
        Node {
            operator: operator.to_owned(),
            inputs: inputs.iter().map(|name| (*name).to_owned()).collect(),
            outputs: vec![output.to_owned()],
            attributes: attributes
                .into_iter()
                .map(|(name, value)| Attribute { name: name.to_owned(), value })
                .collect(),
            ..Node::default()
        }
    }

    fn integers(list: &[i64]) -> Elements {
        Elements::Integers(list.to_vec())
    }

    fn texts(list: &[&str]) -> Elements {
        Elements::Texts(list.iter().map(|text| (*text).to_owned()).collect())
    }

    fn signature(inputs: &[(&str, Dimension)]) -> Signature {
        let rows = || Dimension::Dynamic(String::new());
        let input = |(name, columns): &(&str, Dimension)| {
            ValueSpec::tensor(*name, ElementType::F32, vec![rows(), columns.clone()])
        };
        Signature { inputs: inputs.iter().map(input).collect(), outputs: Vec::new() }
    }

    fn constant(shape: &[u64], elements: Option<Elements>) -> Constant {
        Constant { shape: shape.to_vec(), elements }
    }

    #[test]
    fn categories_are_those_of_the_column_that_reaches_the_encoder() {
        let encoder = |categories| {
            vec![("cats_strings", AttributeValue::List(categories)), ("zeros", AttributeValue::Integer(0))]
        };
        let graph = Graph {
            nodes: vec![
                node("Concat", &["city", "table"], "all", vec![("axis", AttributeValue::Integer(1))]),
                node("ArrayFeatureExtractor", &["all", "two"], "picked", Vec::new()),
                node("OneHotEncoder", &["picked"], "coded", encoder(texts(&["a", "b"]))),
                node("OneHotEncoder", &["city"], "cities", encoder(texts(&["Bern"]))),
            ],
            constants: HashMap::from([("two".to_owned(), constant(&[1], Some(integers(&[2]))))]),
            ..Graph::default()
        };
        let known = KnownColumns::of(
            &graph,
            &signature(&[("city", Dimension::Fixed(1)), ("table", Dimension::Fixed(3))]),
        );
        assert_eq!(known.get("city", 0).unwrap().categories, Some(texts(&["Bern"])));
        let facts = known.get("table", 1).unwrap();
        assert_eq!((&facts.categories, facts.is_closed), (&Some(texts(&["a", "b"])), true));
        assert_eq!((known.get("table", 0), known.get("table", 2)), (None, None));
    }

    #[test]
    fn ids_range_over_the_table_that_they_look_up() {
        let graph = Graph {
            nodes: vec![
                node("Cast", &["ids"], "whole", Vec::new()),
                node("Gather", &["table", "whole"], "vectors", Vec::new()),
            ],
            constants: HashMap::from([("table".to_owned(), constant(&[100, 8], None))]),
            ..Graph::default()
        };
        let open = signature(&[("ids", Dimension::Dynamic("length".to_owned()))]);
        assert_eq!(KnownColumns::of(&graph, &open).get("ids", 7).unwrap().range, Some((-100, 99)));
    }

    #[test]
    fn trees_that_track_missing_values_take_them() {
        let forest = |tracks: &[i64]| Graph {
            nodes: vec![node(
                "TreeEnsembleRegressor",
                &["x"],
                "y",
                vec![("nodes_missing_value_tracks_true", AttributeValue::List(integers(tracks)))],
            )],
            ..Graph::default()
        };
        let missing = |tracks: &[i64]| {
            let known = KnownColumns::of(&forest(tracks), &signature(&[("x", Dimension::Fixed(2))]));
            known.get("x", 1).is_some_and(|facts| facts.missing)
        };
        assert!(missing(&[0, 1, 0]) && !missing(&[0, 0, 0]));
    }
}
