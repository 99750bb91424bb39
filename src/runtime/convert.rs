//! Conversion between the gateway's values and ONNX Runtime's.

mod shared;

use std::fmt::Debug;

use ndarray::{ArrayViewD, IxDyn};
use ort::{
    session::SessionInputValue,
    value::{
        DynValue, DynValueTypeMarker, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType,
    },
};

use super::{RuntimeError, signature::element_type};
use crate::model::{ElementType, Tensor, TensorData, Value, element_types};

/// Returns a value that borrows the tensor's elements; only strings are copied.
pub(super) fn input_value(tensor: &Tensor) -> Result<SessionInputValue<'_>, RuntimeError> {
    macro_rules! borrow {
        ($($variant:ident $number:ty),*) => {
            match tensor.data() {
                $(TensorData::$variant(elements) => borrowed(tensor.shape(), elements)?,)*
                TensorData::Bool(elements) => borrowed(tensor.shape(), elements)?,
                TensorData::String(elements) => {
                    ort::value::Tensor::from_string_array((tensor.shape(), elements.as_slice())).map(Into::into)
                }
            }
        };
    }
    element_types!(numbers => borrow).map_err(|error| RuntimeError::Run(error.message().to_owned()))
}

fn borrowed<'t, T: PrimitiveTensorElementType + Debug + Clone + 'static>(
    shape: &[usize],
    elements: &'t [T],
) -> Result<ort::Result<SessionInputValue<'t>>, RuntimeError> {
    let view = ArrayViewD::from_shape(IxDyn(shape), elements)
        .map_err(|error| RuntimeError::Run(error.to_string()))?;
    Ok(TensorRef::from_array_view(view).map(Into::into))
}

/// Reads an output with the shape and type it has, as declared ones can be wrong. A small one is copied, and so is one
/// in the memory of an input, which may be freed before the output is written.
pub(super) fn output_value(
    name: &str,
    value: DynValue,
    inputs: &[(&str, &Tensor)],
) -> Result<Value, RuntimeError> {
    let read = match shared::large(value, inputs) {
        Ok(tensor) => tensor.map(Value::Tensor),
        Err(value) => read(&value),
    };
    read.map_err(|cause| RuntimeError::Run(format!("output `{name}`: {cause}")))
}

fn read(value: &DynValue) -> Result<Value, String> {
    match value.dtype() {
        ValueType::Tensor { ty, .. } => read_tensor(value, *ty).map(Value::Tensor),
        ValueType::Sequence(_) => {
            let items =
                value.try_extract_sequence::<DynValueTypeMarker>().map_err(|error| message(&error))?;
            items.iter().map(read).collect::<Result<_, _>>().map(Value::Sequence)
        }
        ValueType::Map { key, value: of } => read_map(value, *key, *of),
        ValueType::Optional(_) => Err("it is an optional value that cannot be read".to_owned()),
    }
}

fn read_tensor(value: &DynValue, ty: TensorElementType) -> Result<Tensor, String> {
    macro_rules! copy {
        ($($variant:ident $number:ty),*) => {
            match element_type(ty) {
                $(Some(ElementType::$variant) => {
                    let view = value.try_extract_array().map_err(|error| message(&error))?;
                    (view.shape().to_vec(), TensorData::$variant(view.iter().copied().collect()))
                })*
                Some(ElementType::Bool) => {
                    let view = value.try_extract_array().map_err(|error| message(&error))?;
                    (view.shape().to_vec(), TensorData::Bool(view.iter().copied().collect()))
                }
                Some(ElementType::String) => {
                    let array = value.try_extract_string_array().map_err(|error| message(&error))?;
                    (array.shape().to_vec(), TensorData::String(array.into_iter().collect()))
                }
                None => return Err(format!("its elements are of type {ty}, which cannot be read")),
            }
        };
    }
    let (shape, data) = element_types!(numbers => copy);
    Tensor::new(shape, data).map_err(|error| error.to_string())
}

/// Reads a map of one of the types that ONNX Runtime produces.
fn read_map(map: &DynValue, key: TensorElementType, value: TensorElementType) -> Result<Value, String> {
    macro_rules! entries {
        ($keys:ident, $key:ty, $values:ident, $value:ty) => {{
            let entries = map.try_extract_key_values::<$key, $value>().map_err(|error| message(&error))?;
            let (keys, values): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
            Ok(Value::Map {
                keys: TensorData::$keys(keys.into()),
                values: TensorData::$values(values.into()),
            })
        }};
    }
    use TensorElementType as Type;
    match (key, value) {
        (Type::Int64, Type::Float32) => entries!(I64, i64, F32, f32),
        (Type::Int64, Type::Float64) => entries!(I64, i64, F64, f64),
        (Type::Int64, Type::Int64) => entries!(I64, i64, I64, i64),
        (Type::String, Type::Float32) => entries!(String, String, F32, f32),
        (Type::String, Type::Float64) => entries!(String, String, F64, f64),
        (Type::String, Type::Int64) => entries!(String, String, I64, i64),
        _ => Err(format!("it is a map of {key} to {value}, which cannot be read")),
    }
}

fn message(error: &ort::Error) -> String {
    error.message().to_owned()
}
