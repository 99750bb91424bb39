//! Dependence of a row's result on other rows, read from the operators of a graph.
//!
//! Each value is followed from the inputs to the outputs, with the dimension that counts its rows. An operator that
//! works along that dimension couples the rows. An operator that is not understood is unknown, never independent.

mod arrange;
mod broadcast;
mod family;
mod ml;
mod multiply;
mod numbers;
mod reduce;
mod reshape;
mod select;
mod value;

use std::{collections::HashMap, fmt, rc::Rc};

use super::{AttributeValue, Graph, Node};
use crate::model::{Dimension, Signature, ValueSpec};
use value::{Size, Stop, Value};

/// Dependence of one row's result on the other rows of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowDependence {
    /// Every output has the rows in its outermost dimension, and each row is computed alone.
    Independent,
    /// An operator computes with several rows at once.
    Coupled {
        /// Name of the operator or output.
        operator: String,
        /// Continuation of a sentence that begins with the name.
        reason: String,
    },
    /// An operator is not understood well enough.
    Unknown {
        /// Name of the operator or output.
        operator: String,
        /// Continuation of a sentence that begins with the name.
        reason: String,
    },
}

impl fmt::Display for RowDependence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Independent => formatter.write_str("the graph keeps rows apart"),
            Self::Coupled { operator, reason } | Self::Unknown { operator, reason } => {
                write!(formatter, "{} {reason}", operator.escape_debug())
            }
        }
    }
}

impl RowDependence {
    /// Follows the rows of the inputs, along their outermost dimension, to the outputs.
    #[must_use]
    pub fn of(graph: &Graph, signature: &Signature) -> Self {
        let mut walk = Walk { graph, opset: graph.opset(), values: HashMap::new() };
        for spec in &signature.inputs {
            walk.values.insert(&spec.name, input(spec));
        }
        for node in &graph.nodes {
            walk.node(node);
        }
        let incomplete = || Self::Unknown {
            operator: "The graph".to_owned(),
            reason: "has more operators than are analysed".to_owned(),
        };
        coupled_anywhere(graph)
            .unwrap_or_else(|| if graph.is_complete { walk.verdict() } else { incomplete() })
    }
}

/// Returns the value of an input: its rows lie along the outermost dimension.
fn input(spec: &ValueSpec) -> Value {
    let lost = |reason: &str| Value::lost(Stop::Unknown(reason.to_owned()), &spec.name);
    let Some((_, shape)) = spec.as_tensor().filter(|_| !spec.is_optional()) else {
        return lost("is an input that is not a plain tensor");
    };
    match shape.split_first() {
        Some((Dimension::Dynamic(_), inner)) => {
            let size = |dimension: &Dimension| match dimension {
                Dimension::Fixed(size) => Size::Known(i64::try_from(*size).unwrap_or(i64::MAX)),
                Dimension::Dynamic(_) => Size::Other,
            };
            Value::rows(0, Some(std::iter::once(Size::Rows).chain(inner.iter().map(size)).collect()))
        }
        Some((Dimension::Fixed(_), _)) => lost("is an input of a fixed number of rows"),
        None => lost("is an input of undeclared shape"),
    }
}

/// Finds an operator that couples rows wherever it is, including bodies and functions; `None` if there is none.
fn coupled_anywhere(graph: &Graph) -> Option<RowDependence> {
    graph.nodes.iter().chain(&graph.inner).find_map(|node| {
        let operator = node.operator.as_str();
        let reason = if operator.starts_with("DynamicQuantize") {
            "takes its scale from all rows"
        } else if operator == "QAttention" {
            "may take its scale from all rows"
        } else if operator.starts_with("Random") || matches!(operator, "Multinomial" | "Bernoulli") {
            "draws random numbers"
        } else {
            return None;
        };
        Some(RowDependence::Coupled { operator: operator.to_owned(), reason: reason.to_owned() })
    })
}

/// Values by name during the walk through the graph.
struct Walk<'g> {
    graph: &'g Graph,
    opset: u64,
    values: HashMap<&'g str, Value>,
}

/// An operator and the knowledge of its inputs.
struct Operation<'o> {
    node: &'o Node,
    graph: &'o Graph,
    opset: u64,
    /// Values of the inputs; `None` for an optional one that is left out.
    inputs: Vec<Option<&'o Value>>,
}

impl<'g> Walk<'g> {
    fn node(&mut self, node: &'g Node) {
        let constants: Vec<Option<Value>> = node.inputs.iter().map(|name| self.constant(name)).collect();
        let inputs = node.inputs.iter().zip(&constants);
        let inputs =
            inputs.map(|(name, constant)| constant.as_ref().or_else(|| self.values.get(name.as_str())));
        let inputs: Vec<Option<&Value>> = inputs.collect();
        let operation = Operation { node, graph: self.graph, opset: self.opset, inputs };
        let outputs = operation.outputs();
        for (index, name) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let value = outputs.get(index).cloned().unwrap_or_else(|| {
                Value::lost(Stop::Unknown("has an output that is not analysed".to_owned()), &node.operator)
            });
            self.values.insert(name, value);
        }
    }

    /// Returns the value of a constant; `None` if the name is not one.
    fn constant(&self, name: &str) -> Option<Value> {
        self.graph.constants.get(name).map(Value::of_constant)
    }

    fn verdict(&self) -> RowDependence {
        let mut unknown = None;
        for name in &self.graph.outputs {
            let found = match self.values.get(name.as_str()) {
                _ if self.graph.constants.contains_key(name) => None,
                Some(Value::Fixed(_)) => None,
                Some(value) => value.not_by_row(name),
                None => Some(Rc::new(value::Lost {
                    operator: name.clone(),
                    stop: Stop::Unknown("is an output that no operator produces".to_owned()),
                })),
            };
            let Some(found) = found else { continue };
            let operator = found.operator.clone();
            match &found.stop {
                Stop::Coupled(reason) => return RowDependence::Coupled { operator, reason: reason.clone() },
                Stop::Unknown(reason) => {
                    let reason = reason.clone();
                    unknown.get_or_insert(RowDependence::Unknown { operator, reason });
                }
            }
        }
        unknown.unwrap_or(RowDependence::Independent)
    }
}

impl Operation<'_> {
    /// Computes the values of the outputs.
    fn outputs(&self) -> Vec<Value> {
        let all = |value: Value| vec![value; self.node.outputs.len().max(1)];
        let lost = || self.inputs.iter().flatten().filter_map(|value| value.as_lost());
        if let Some(found) = lost().find(|found| found.is_coupled()).or_else(|| lost().next()) {
            return all(Value::Lost(Rc::clone(found)));
        }
        let outputs = if let Some(reason) = self.not_understood() {
            Err(Stop::Unknown(reason))
        } else if self.inputs.iter().flatten().any(|value| value.has_rows()) {
            self.unless_padded().and_then(|()| self.with_rows())
        } else {
            Ok(self.without_rows())
        };
        outputs.unwrap_or_else(|stop| all(Value::lost(stop, &self.node.operator)))
    }

    /// Returns the reason for which the operator is unknown with any inputs; `None` if it may be understood.
    fn not_understood(&self) -> Option<String> {
        let Node { domain, attributes, inputs, .. } = self.node;
        if attributes.iter().any(|attribute| attribute.value == AttributeValue::Body) {
            return Some("has a body, which is not analysed".to_owned());
        }
        if inputs.iter().zip(&self.inputs).any(|(name, value)| !name.is_empty() && value.is_none()) {
            return Some("takes a value that no operator produces".to_owned());
        }
        if self.graph.functions.contains(&(domain.clone(), self.node.operator.clone())) {
            return Some("is a function of the file, which is not analysed".to_owned());
        }
        let is_known =
            self.node.is_standard() || domain == "com.microsoft" || domain == "com.ms.internal.nhwc";
        (!is_known).then(|| unknown_operator(domain))
    }

    /// Returns an error if the rows are padded to the longest one, unless the operator ignores the padding.
    fn unless_padded(&self) -> Result<(), Stop> {
        let is_padded = self.inputs.iter().flatten().any(|value| value.is_padded());
        match self.node.operator.as_str() {
            "Identity" | "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "TfIdfVectorizer" => Ok(()),
            _ if is_padded => Err(Stop::Coupled("takes rows that are padded to the longest one".to_owned())),
            _ => Ok(()),
        }
    }

    /// Returns the outputs of an operator without rows among its inputs.
    fn without_rows(&self) -> Vec<Value> {
        let fixed = || vec![Value::Fixed(None); self.node.outputs.len().max(1)];
        numbers::of_numbers(self).unwrap_or_else(fixed)
    }

    /// Returns the outputs of an operator whose inputs hold rows, or the number of rows.
    fn with_rows(&self) -> Result<Vec<Value>, Stop> {
        if !self.inputs.iter().flatten().any(|value| matches!(value, Value::Rows(_))) {
            return numbers::of_row_counts(self);
        }
        if matches!(self.node.operator.as_str(), "Shape" | "Size") {
            let unknown = || Stop::Unknown("takes a value of unknown rank".to_owned());
            return numbers::measured(self, self.first()?).map(|value| vec![value]).ok_or_else(unknown);
        }
        let found = match self.node.domain.as_str() {
            "ai.onnx.ml" => ml::ml(self),
            _ => broadcast::elementwise(self)
                .or_else(|| arrange::arrange(self))
                .or_else(|| reshape::reshape(self))
                .or_else(|| select::select(self))
                .or_else(|| reduce::reduce(self))
                .or_else(|| multiply::multiply(self))
                .or_else(|| family::family(self))
                .or_else(|| ml::text(self)),
        };
        found.unwrap_or_else(|| Err(Stop::Unknown(unknown_operator(&self.node.domain))))
    }

    /// Returns the first input, which must hold rows.
    fn first(&self) -> Result<&value::Rows, Stop> {
        match self.inputs.first() {
            Some(Some(Value::Rows(rows))) => Ok(rows),
            _ => Err(Stop::Unknown("takes rows in a place that is not analysed".to_owned())),
        }
    }

    /// Returns the elements of an input that is a short list of whole numbers; `None` if it is left out.
    fn list_input(&self, index: usize) -> Result<Option<&[Size]>, Stop> {
        match self.inputs.get(index) {
            None | Some(None) => Ok(None),
            Some(Some(Value::Numbers { elements, .. })) => Ok(Some(elements)),
            Some(Some(_)) => Err(Stop::Unknown("takes a computed list".to_owned())),
        }
    }

    /// Returns the whole numbers of an attribute or, from some version on, of an input; `None` if it is left out.
    fn whole_numbers(&self, attribute: &str, input: usize) -> Result<Option<Vec<i64>>, Stop> {
        if let Some(value) = self.node.attribute(attribute) {
            return match value {
                AttributeValue::Integer(number) => Ok(Some(vec![*number])),
                AttributeValue::List(list) if list.is_empty() => Ok(Some(Vec::new())),
                AttributeValue::List(list) => {
                    list.integers().map(<[i64]>::to_vec).map(Some).ok_or_else(long_list)
                }
                _ => Err(long_list()),
            };
        }
        let Some(list) = self.list_input(input)? else { return Ok(None) };
        let known = |size: &Size| match size {
            Size::Known(number) => Some(*number),
            _ => None,
        };
        let computed = || Stop::Unknown("takes a computed list".to_owned());
        list.iter().map(known).collect::<Option<Vec<_>>>().map(Some).ok_or_else(computed)
    }

    /// Returns an error unless all inputs from this position on are the same for all rows.
    fn fixed_from(&self, index: usize) -> Result<(), Stop> {
        if self.inputs.iter().skip(index).flatten().any(|value| value.has_rows()) {
            return Err(Stop::Unknown("takes rows in a place that is not analysed".to_owned()));
        }
        Ok(())
    }
}

fn long_list() -> Stop {
    Stop::Unknown("has an attribute that cannot be read".to_owned())
}

fn unknown_operator(domain: &str) -> String {
    let domain = if domain.is_empty() { "ai.onnx" } else { domain };
    format!("of domain {} is not known to keep rows apart", domain.escape_debug())
}

#[cfg(test)]
mod tests;
