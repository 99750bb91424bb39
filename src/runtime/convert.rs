//! Between the gateway's tensors and ONNX Runtime's values.

use ndarray::{ArrayViewD, IxDyn};
use ort::{
    session::SessionInputValue,
    value::{DynValue, Outlet, TensorElementType, TensorRef, ValueType},
};

use super::RuntimeError;
use crate::model::{Dimension, ElementType, Tensor, TensorData, TensorSpec};

/// A value that borrows the tensor's elements; only texts are copied.
pub(super) fn input_value(tensor: &Tensor) -> Result<SessionInputValue<'_>, RuntimeError> {
    macro_rules! borrow {
        ($elements:expr) => {{
            let view = ArrayViewD::from_shape(IxDyn(tensor.shape()), $elements)
                .map_err(|error| RuntimeError::Run(error.to_string()))?;
            TensorRef::from_array_view(view).map(Into::into)
        }};
    }
    match tensor.data() {
        TensorData::F32(elements) => borrow!(elements),
        TensorData::F64(elements) => borrow!(elements),
        TensorData::I8(elements) => borrow!(elements),
        TensorData::I16(elements) => borrow!(elements),
        TensorData::I32(elements) => borrow!(elements),
        TensorData::I64(elements) => borrow!(elements),
        TensorData::U8(elements) => borrow!(elements),
        TensorData::U16(elements) => borrow!(elements),
        TensorData::U32(elements) => borrow!(elements),
        TensorData::U64(elements) => borrow!(elements),
        TensorData::Bool(elements) => borrow!(elements),
        TensorData::String(elements) => {
            ort::value::Tensor::from_string_array((tensor.shape(), elements.as_slice())).map(Into::into)
        }
    }
    .map_err(|error| RuntimeError::Run(error.message().to_owned()))
}

/// A copy of an output, as it is: declared shapes and types of outputs lie, so they are not asked.
pub(super) fn output_tensor(name: &str, value: &DynValue) -> Result<Tensor, RuntimeError> {
    let failed = |error: ort::Error| RuntimeError::Run(format!("output `{name}`: {}", error.message()));
    let ValueType::Tensor { ty, .. } = value.dtype() else {
        return Err(RuntimeError::Run(format!("output `{name}` is no tensor")));
    };
    macro_rules! copy {
        ($variant:ident) => {{
            let view = value.try_extract_array().map_err(failed)?;
            (view.shape().to_vec(), TensorData::$variant(view.iter().copied().collect()))
        }};
    }
    let (shape, data) = match ty {
        TensorElementType::Float32 => copy!(F32),
        TensorElementType::Float64 => copy!(F64),
        TensorElementType::Int8 => copy!(I8),
        TensorElementType::Int16 => copy!(I16),
        TensorElementType::Int32 => copy!(I32),
        TensorElementType::Int64 => copy!(I64),
        TensorElementType::Uint8 => copy!(U8),
        TensorElementType::Uint16 => copy!(U16),
        TensorElementType::Uint32 => copy!(U32),
        TensorElementType::Uint64 => copy!(U64),
        TensorElementType::Bool => copy!(Bool),
        TensorElementType::String => {
            let array = value.try_extract_string_array().map_err(failed)?;
            (array.shape().to_vec(), TensorData::String(array.into_iter().collect()))
        }
        other => {
            return Err(RuntimeError::Run(format!("output `{name}` has elements of type {other}")));
        }
    };
    Tensor::new(shape, data).map_err(|error| RuntimeError::Run(format!("output `{name}`: {error}")))
}

/// The declaration of an input or output.
pub(super) fn tensor_spec(outlet: &Outlet) -> Result<TensorSpec, RuntimeError> {
    let name = outlet.name().to_owned();
    let ValueType::Tensor { ty, shape, dimension_symbols } = outlet.dtype() else {
        return Err(RuntimeError::Unsupported(format!("`{name}` is not a tensor but {}", outlet.dtype())));
    };
    let Some(element_type) = element_type(*ty) else {
        return Err(RuntimeError::Unsupported(format!("`{name}` has elements of type {ty}")));
    };
    let dimension = |(&size, symbol): (&i64, &String)| {
        usize::try_from(size).map_or_else(|_| Dimension::Dynamic(symbol.clone()), Dimension::Fixed)
    };
    let shape = shape.iter().zip(dimension_symbols.iter()).map(dimension).collect();
    Ok(TensorSpec { name, element_type, shape })
}

fn element_type(ty: TensorElementType) -> Option<ElementType> {
    Some(match ty {
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
