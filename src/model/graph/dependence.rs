//! Values of a graph that depend on the inputs.

use std::collections::HashSet;

use super::{AttributeValue, Graph, Node};

/// Operators whose result depends only on a shape.
const OF_SHAPES: [&str; 2] = ["Shape", "Size"];

impl Graph {
    /// Returns the names of the values that depend on elements of the inputs; `None` if not all of the graph was read.
    ///
    /// Values that depend only on shapes are not among them.
    #[must_use]
    pub fn dependent_values(&self) -> Option<HashSet<&str>> {
        if !self.is_complete {
            return None;
        }
        let mut dependent: HashSet<&str> = self.inputs.iter().map(String::as_str).collect();
        for node in &self.nodes {
            let takes_any = node.inputs.iter().any(|name| dependent.contains(name.as_str()));
            let is_of_shapes = node.is_standard() && OF_SHAPES.contains(&node.operator.as_str());
            if has_body(node) || (takes_any && !is_of_shapes) {
                dependent.extend(node.outputs.iter().filter(|name| !name.is_empty()).map(String::as_str));
            }
        }
        Some(dependent)
    }
}

/// Returns true if the operator has a body, which may read any value of the surrounding graph.
fn has_body(node: &Node) -> bool {
    node.attributes.iter().any(|attribute| attribute.value == AttributeValue::Body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Attribute;

    fn node(operator: &str, inputs: &[&str], output: &str) -> Node {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Node {
            operator: operator.to_owned(),
            inputs: names(inputs),
            outputs: names(&[output]),
            ..Node::default()
        }
    }

    #[test]
    fn what_follows_from_inputs_is_told_from_buffers_and_shapes() {
        let body = Attribute { name: "body".to_owned(), value: AttributeValue::Body };
        let graph = Graph {
            inputs: vec!["x".to_owned()],
            nodes: vec![
                node("Identity", &["buffer"], "classes"),
                node("Shape", &["x"], "sizes"),
                node("Gather", &["sizes", "one"], "columns"),
                node("Mul", &["x", "classes"], "scaled"),
                node("Identity", &["scaled"], "y"),
                Node { attributes: vec![body], ..node("If", &["buffer"], "chosen") },
            ],
            is_complete: true,
            ..Graph::default()
        };
        let dependent = graph.dependent_values().unwrap();
        let names = ["classes", "sizes", "columns", "scaled", "y", "chosen"];
        assert_eq!(names.map(|name| dependent.contains(name)), [false, false, false, true, true, true]);
        assert_eq!(Graph { is_complete: false, ..graph }.dependent_values(), None);
    }
}
