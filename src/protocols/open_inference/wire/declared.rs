//! The declared inputs and outputs of a model, as tensors of the protocol.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{Dimension, ElementType, ValueKind, ValueSpec};

/// A dimension that may vary.
const ANY: i64 = -1;

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeclaredTensor {
    /// The name of the tensor
    #[schema(example = "features")]
    pub name: String,
    /// The type of the elements
    #[schema(example = "FP32")]
    pub datatype: &'static str,
    /// The shape; -1 for a dimension that may vary
    #[schema(example = json!([-1, 4]))]
    pub shape: Vec<i64>,
}

/// Returns the tensor form of a value: its own, or that of [`Value::as_tensor`](crate::model::Value::as_tensor).
#[must_use]
pub fn declared_tensor(spec: &ValueSpec) -> DeclaredTensor {
    let (element_type, shape) = form(&spec.kind);
    DeclaredTensor { name: spec.name.clone(), datatype: element_type.name(), shape }
}

fn form(kind: &ValueKind) -> (ElementType, Vec<i64>) {
    match kind {
        ValueKind::Tensor { element_type, shape } => (*element_type, shape.iter().map(size).collect()),
        ValueKind::Map { value, .. } => (*value, vec![ANY]),
        ValueKind::Optional(inner) => form(inner),
        ValueKind::Sequence(items) => {
            let (element_type, mut shape) = form(items);
            shape.insert(0, ANY);
            (element_type, shape)
        }
    }
}

fn size(dimension: &Dimension) -> i64 {
    match dimension {
        Dimension::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
        Dimension::Dynamic(_) => ANY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_has_the_form_of_a_tensor() {
        let declared = |kind| {
            let DeclaredTensor { datatype, shape, .. } =
                declared_tensor(&ValueSpec { name: "x".to_owned(), kind });
            (datatype, shape)
        };
        let tensor = |shape: &[Dimension]| ValueKind::Tensor {
            element_type: ElementType::String,
            shape: shape.to_vec(),
        };
        let rows = [Dimension::Dynamic("N".to_owned()), Dimension::Fixed(4)];
        let map = ValueKind::Map { key: ElementType::I64, value: ElementType::F32 };
        assert_eq!(declared(tensor(&rows)), ("BYTES", vec![-1, 4]));
        assert_eq!(declared(tensor(&[])), ("BYTES", vec![]));
        assert_eq!(declared(ValueKind::Optional(Box::new(tensor(&rows)))), ("BYTES", vec![-1, 4]));
        assert_eq!(declared(ValueKind::Sequence(Box::new(map))), ("FP32", vec![-1, -1]));
        assert_eq!(declared(ValueKind::Sequence(Box::new(tensor(&rows)))), ("BYTES", vec![-1, -1, 4]));
    }
}
