//! What a model takes and gives: its named, typed inputs and outputs.

use std::fmt;

use super::ElementType;

/// One dimension of a declared shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Always this many.
    Fixed(usize),
    /// Any number; the symbol that the model's author gave it, or nothing.
    Dynamic(String),
}

impl fmt::Display for Dimension {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => size.fmt(formatter),
            Self::Dynamic(symbol) if symbol.is_empty() => formatter.write_str("?"),
            Self::Dynamic(symbol) => formatter.write_str(symbol),
        }
    }
}

/// An input or output: its name, element type and declared shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name in the graph.
    pub name: String,
    /// The type of the elements.
    pub element_type: ElementType,
    /// The declared shape, outermost dimension first. Those of outputs may be wrong: exporters guess.
    pub shape: Vec<Dimension>,
}

impl fmt::Display for TensorSpec {
    /// For example `features FP32 [?, 4]`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dimensions: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        write!(formatter, "{} {} [{}]", self.name, self.element_type, dimensions.join(", "))
    }
}

/// The inputs and outputs of a model, in the order of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What has to be given.
    pub inputs: Vec<TensorSpec>,
    /// What comes back.
    pub outputs: Vec<TensorSpec>,
}

impl Signature {
    /// How `self`, which replaces `old` under the same version number, would break its callers: one sentence a
    /// difference, none if they will not notice.
    ///
    /// Compatible are the same inputs with dimensions equal or wider, and the same outputs.
    #[must_use]
    pub fn breaking_changes(&self, old: &Self) -> Vec<String> {
        let mut changes = compare("input", &old.inputs, &self.inputs, accepts);
        changes.extend(compare("output", &old.outputs, &self.outputs, |old, new| {
            // Dimensions of outputs are guesses of the exporter, so only their number counts.
            old.element_type == new.element_type && old.shape.len() == new.shape.len()
        }));
        changes
    }
}

fn compare(
    kind: &str,
    old: &[TensorSpec],
    new: &[TensorSpec],
    compatible: impl Fn(&TensorSpec, &TensorSpec) -> bool,
) -> Vec<String> {
    let find = |specs: &'_ [TensorSpec], name: &str| specs.iter().position(|spec| spec.name == name);
    let mut changes = Vec::new();
    for spec in old {
        match find(new, &spec.name).map(|index| &new[index]) {
            None => changes.push(format!("{kind} `{spec}` is gone")),
            Some(now) if !compatible(spec, now) => changes.push(format!("{kind} `{spec}` became `{now}`")),
            Some(_) => {}
        }
    }
    let added = new.iter().filter(|spec| find(old, &spec.name).is_none());
    changes.extend(added.map(|spec| format!("{kind} `{spec}` is new")));
    changes
}

/// Whether everything that fits the input `old` also fits `new`.
fn accepts(old: &TensorSpec, new: &TensorSpec) -> bool {
    let wider = |(old, new): (&Dimension, &Dimension)| match (old, new) {
        (_, Dimension::Dynamic(_)) => true,
        (Dimension::Fixed(old), Dimension::Fixed(new)) => old == new,
        (Dimension::Dynamic(_), Dimension::Fixed(_)) => false,
    };
    old.element_type == new.element_type
        && old.shape.len() == new.shape.len()
        && old.shape.iter().zip(&new.shape).all(wider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(input: &str, element_type: ElementType, columns: Dimension) -> Signature {
        let rows = || Dimension::Dynamic("N".to_owned());
        let spec =
            |name: &str, element_type, shape| TensorSpec { name: name.to_owned(), element_type, shape };
        Signature {
            inputs: vec![spec(input, element_type, vec![rows(), columns])],
            outputs: vec![spec("y", ElementType::F32, vec![rows()])],
        }
    }

    #[test]
    fn a_wider_input_breaks_nobody_a_narrower_one_does() {
        let fixed = signature("x", ElementType::F32, Dimension::Fixed(4));
        let dynamic = signature("x", ElementType::F32, Dimension::Dynamic(String::new()));
        assert!(fixed.breaking_changes(&fixed).is_empty());
        assert!(dynamic.breaking_changes(&fixed).is_empty());
        assert_eq!(fixed.breaking_changes(&dynamic), ["input `x FP32 [N, ?]` became `x FP32 [N, 4]`"]);
    }

    #[test]
    fn names_and_types_must_stay() {
        let old = signature("x", ElementType::F32, Dimension::Fixed(4));
        let renamed = signature("z", ElementType::F32, Dimension::Fixed(4));
        assert_eq!(
            renamed.breaking_changes(&old),
            ["input `x FP32 [N, 4]` is gone", "input `z FP32 [N, 4]` is new"]
        );
        let retyped = signature("x", ElementType::F64, Dimension::Fixed(4));
        assert_eq!(retyped.breaking_changes(&old), ["input `x FP32 [N, 4]` became `x FP64 [N, 4]`"]);
    }
}
