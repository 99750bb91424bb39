//! The signature that a model declares.

use ort::value::{Outlet, TensorElementType, ValueType};

use super::RuntimeError;
use crate::model::{Dimension, ElementType, Signature, ValueKind, ValueSpec};

/// Builds the signature of a model with these inputs and outputs.
///
/// # Errors
///
/// [`RuntimeError::Unsupported`] for an input that cannot be fed or an output that cannot be read, with its name and
/// type.
pub(super) fn signature(inputs: &[Outlet], outputs: &[Outlet]) -> Result<Signature, RuntimeError> {
    let unsupported = |side: &str, outlet: &Outlet| {
        let message = format!("{side} `{}` is of type {}", outlet.name(), outlet.dtype());
        RuntimeError::Unsupported(message)
    };
    let spec = |side: &str, outlet: &Outlet| {
        let kind = kind(outlet.dtype()).ok_or_else(|| unsupported(side, outlet))?;
        Ok::<_, RuntimeError>(ValueSpec { name: outlet.name().to_owned(), kind })
    };
    let input = |outlet: &Outlet| {
        let spec = spec("input", outlet)?;
        if spec.as_tensor().is_some() { Ok(spec) } else { Err(unsupported("input", outlet)) }
    };
    Ok(Signature {
        inputs: inputs.iter().map(input).collect::<Result<_, _>>()?,
        outputs: outputs.iter().map(|outlet| spec("output", outlet)).collect::<Result<_, _>>()?,
    })
}

fn kind(declared: &ValueType) -> Option<ValueKind> {
    Some(match declared {
        ValueType::Tensor { ty, shape, dimension_symbols } => {
            let dimension = |(&size, symbol): (&i64, &String)| {
                usize::try_from(size).map_or_else(|_| Dimension::Dynamic(symbol.clone()), Dimension::Fixed)
            };
            let shape = shape.iter().zip(dimension_symbols.iter()).map(dimension).collect();
            ValueKind::Tensor { element_type: element_type(*ty)?, shape }
        }
        ValueType::Sequence(items) => ValueKind::Sequence(Box::new(kind(items)?)),
        ValueType::Map { key, value } => {
            ValueKind::Map { key: element_type(*key)?, value: element_type(*value)? }
        }
        ValueType::Optional(inner) => ValueKind::Optional(Box::new(kind(inner)?)),
    })
}

pub(super) fn element_type(ty: TensorElementType) -> Option<ElementType> {
    Some(match ty {
        TensorElementType::Float16 => ElementType::F16,
        TensorElementType::Bfloat16 => ElementType::Bf16,
        TensorElementType::Float32 => ElementType::F32,
        TensorElementType::Float64 => ElementType::F64,
        TensorElementType::Int8 => ElementType::I8,
        TensorElementType::Int16 => ElementType::I16,
        TensorElementType::Int32 => ElementType::I32,
        TensorElementType::Int64 => ElementType::I64,
        TensorElementType::Uint8 => ElementType::U8,
        TensorElementType::Uint16 => ElementType::U16,
        TensorElementType::Uint32 => ElementType::U32,
        TensorElementType::Uint64 => ElementType::U64,
        TensorElementType::Bool => ElementType::Bool,
        TensorElementType::String => ElementType::String,
        _ => return None,
    })
}
