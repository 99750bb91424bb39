//! Whether a model may take another's place without breaking its callers.

use super::{Dimension, Signature, ValueKind, ValueSpec};

/// One sentence for each difference between `old` and `new` that a caller of `old` would notice.
pub(super) fn breaking_changes(old: &Signature, new: &Signature) -> Vec<String> {
    let mut changes = compare("input", &old.inputs, &new.inputs, accepts);
    let added = new.inputs.iter().filter(|spec| old.input(&spec.name).is_none() && !spec.is_optional());
    changes
        .extend(added.map(|spec| format!("input `{}` ({}) is new and must be given", spec.name, spec.kind)));
    changes.extend(compare("output", &old.outputs, &new.outputs, answers_alike));
    let added = new.outputs.iter().filter(|spec| old.output_position(&spec.name).is_none());
    changes.extend(added.map(|spec| format!("output `{}` ({}) is new", spec.name, spec.kind)));
    changes
}

fn compare(
    side: &str,
    old: &[ValueSpec],
    new: &[ValueSpec],
    compatible: impl Fn(&ValueKind, &ValueKind) -> bool,
) -> Vec<String> {
    let change = |spec: &ValueSpec| {
        let ValueSpec { name, kind: was } = spec;
        match new.iter().find(|now| now.name == *name).map(|now| &now.kind) {
            None => Some(format!("{side} `{name}` ({was}) is gone")),
            Some(is) if !compatible(was, is) => Some(format!("{side} `{name}` was {was} and is now {is}")),
            Some(_) => None,
        }
    };
    old.iter().filter_map(change).collect()
}

/// Whether everything that fits the input `old` also fits `new`.
fn accepts(old: &ValueKind, new: &ValueKind) -> bool {
    match (old, new) {
        (ValueKind::Optional(old), ValueKind::Optional(new)) => accepts(old, new),
        (old, ValueKind::Optional(new)) => accepts(old, new),
        (
            ValueKind::Tensor { element_type: old_type, shape: old },
            ValueKind::Tensor { element_type: new_type, shape: new },
        ) => old_type == new_type && accepts_shape(old, new),
        (old, new) => old == new,
    }
}

fn accepts_shape(old: &[Dimension], new: &[Dimension]) -> bool {
    let wider = |(old, new): (&Dimension, &Dimension)| match (old, new) {
        (_, Dimension::Dynamic(_)) => true,
        (Dimension::Fixed(old), Dimension::Fixed(new)) => old == new,
        (Dimension::Dynamic(_), Dimension::Fixed(_)) => false,
    };
    // A shape without dimensions stands for any.
    new.is_empty() || (old.len() == new.len() && old.iter().zip(new).all(wider))
}

/// Whether the output `new` can be read as `old` was. Dimensions of outputs are guesses of the exporter, so only their
/// number counts, and that only where both say one.
fn answers_alike(old: &ValueKind, new: &ValueKind) -> bool {
    match (old, new) {
        (
            ValueKind::Tensor { element_type: old_type, shape: old },
            ValueKind::Tensor { element_type: new_type, shape: new },
        ) => old_type == new_type && (old.is_empty() || new.is_empty() || old.len() == new.len()),
        (ValueKind::Sequence(old), ValueKind::Sequence(new))
        | (ValueKind::Optional(old), ValueKind::Optional(new)) => answers_alike(old, new),
        // What was absent at times is now always there.
        (ValueKind::Optional(old), new) => answers_alike(old, new),
        (old, new) => old == new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ElementType;

    fn signature(input: &str, element_type: ElementType, columns: Dimension) -> Signature {
        let rows = || Dimension::Dynamic("N".to_owned());
        Signature {
            inputs: vec![ValueSpec::tensor(input, element_type, vec![rows(), columns])],
            outputs: vec![ValueSpec::tensor("y", ElementType::F32, vec![rows()])],
        }
    }

    #[test]
    fn a_wider_input_breaks_nobody_a_narrower_one_does() {
        let fixed = signature("x", ElementType::F32, Dimension::Fixed(4));
        let dynamic = signature("x", ElementType::F32, Dimension::Dynamic(String::new()));
        assert!(fixed.breaking_changes(&fixed).is_empty());
        assert!(dynamic.breaking_changes(&fixed).is_empty());
        assert_eq!(fixed.breaking_changes(&dynamic), ["input `x` was FP32 [N, ?] and is now FP32 [N, 4]"]);
    }

    #[test]
    fn names_and_types_must_stay() {
        let old = signature("x", ElementType::F32, Dimension::Fixed(4));
        let renamed = signature("z", ElementType::F32, Dimension::Fixed(4));
        assert_eq!(
            renamed.breaking_changes(&old),
            ["input `x` (FP32 [N, 4]) is gone", "input `z` (FP32 [N, 4]) is new and must be given"]
        );
        let retyped = signature("x", ElementType::F64, Dimension::Fixed(4));
        assert_eq!(retyped.breaking_changes(&old), ["input `x` was FP32 [N, 4] and is now FP64 [N, 4]"]);
    }

    #[test]
    fn what_may_be_left_out_breaks_nobody() {
        let old = signature("x", ElementType::F32, Dimension::Fixed(4));
        let mut new = old.clone();
        let mask = ValueKind::Tensor { element_type: ElementType::Bool, shape: Vec::new() };
        let kind = ValueKind::Optional(Box::new(mask));
        new.inputs.push(ValueSpec { name: "mask".to_owned(), kind });
        assert!(new.breaking_changes(&old).is_empty());
        assert_eq!(old.breaking_changes(&new), ["input `mask` (optional BOOL []) is gone"]);
    }

    #[test]
    fn an_output_must_stay_of_its_kind() {
        let old = signature("x", ElementType::F32, Dimension::Fixed(4));
        let mut new = old.clone();
        new.outputs[0].kind =
            ValueKind::Sequence(Box::new(ValueKind::Map { key: ElementType::I64, value: ElementType::F32 }));
        assert_eq!(
            new.breaking_changes(&old),
            ["output `y` was FP32 [N] and is now sequence of map of INT64 to FP32"]
        );
    }
}
