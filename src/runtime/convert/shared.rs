//! Large outputs, which stay in the memory of ONNX Runtime: a copy would take as much again.

use std::{marker::PhantomData, ops::Range};

use bytemuck::{AnyBitPattern, NoUninit};
use bytes::Bytes;
use half::{bf16, f16};
use ort::value::{DynValue, PrimitiveTensorElementType, TensorElementType, ValueType};

use super::message;
use crate::model::{Buffer, Tensor, TensorData, on_elements};

/// Outputs below this size are copied, so that nothing of a run remains when it is over.
const SHARED_BYTES: usize = 1024 * 1024;

/// An output that holds elements of this type.
struct Output<T> {
    value: DynValue,
    elements: PhantomData<T>,
}

impl<T: PrimitiveTensorElementType + NoUninit> AsRef<[u8]> for Output<T> {
    fn as_ref(&self) -> &[u8] {
        let elements = self.value.try_extract_tensor::<T>();
        elements.map(|(_, elements)| bytemuck::cast_slice(elements)).unwrap_or_default()
    }
}

/// Wraps a large tensor of numbers without a copy; any other value is returned unchanged.
pub(super) fn large(value: DynValue, inputs: &[(&str, &Tensor)]) -> Result<Result<Tensor, String>, DynValue> {
    macro_rules! share {
        ($variant:ident, $number:ty) => {
            of_type::<$number>(value, inputs, |bytes| {
                <$number>::from_ne_bytes(bytes.try_into().unwrap_or_default())
            })
            .map(|read| read.and_then(|(shape, elements)| tensor(shape, TensorData::$variant(elements))))
        };
    }
    let ValueType::Tensor { ty, .. } = value.dtype() else { return Err(value) };
    match ty {
        TensorElementType::Float16 => share!(F16, f16),
        TensorElementType::Bfloat16 => share!(Bf16, bf16),
        TensorElementType::Float32 => share!(F32, f32),
        TensorElementType::Float64 => share!(F64, f64),
        TensorElementType::Int8 => share!(I8, i8),
        TensorElementType::Int16 => share!(I16, i16),
        TensorElementType::Int32 => share!(I32, i32),
        TensorElementType::Int64 => share!(I64, i64),
        TensorElementType::Uint8 => share!(U8, u8),
        TensorElementType::Uint16 => share!(U16, u16),
        TensorElementType::Uint32 => share!(U32, u32),
        TensorElementType::Uint64 => share!(U64, u64),
        _ => Err(value),
    }
}

fn tensor(shape: Vec<usize>, data: TensorData) -> Result<Tensor, String> {
    Tensor::new(shape, data).map_err(|error| error.to_string())
}

type Elements<T> = (Vec<usize>, Buffer<T>);

fn of_type<T>(
    value: DynValue,
    inputs: &[(&str, &Tensor)],
    from_bytes: fn(&[u8]) -> T,
) -> Result<Result<Elements<T>, String>, DynValue>
where
    T: PrimitiveTensorElementType + AnyBitPattern + NoUninit + Send,
{
    let (shape, elements) = match value.try_extract_tensor::<T>() {
        Ok(extracted) => extracted,
        Err(error) => return Ok(Err(message(&error))),
    };
    let given = inputs.iter().map(|(_, tensor)| on_elements!(tensor.data(), elements => place(elements)));
    if size_of_val(elements) < SHARED_BYTES
        || given.into_iter().any(|given| overlap(&given, &place(elements)))
    {
        return Err(value);
    }
    let shape: Vec<usize> = shape.iter().filter_map(|size| usize::try_from(*size).ok()).collect();
    let bytes = Bytes::from_owner(Output::<T> { value, elements: PhantomData });
    let buffer = Buffer::received(bytes, from_bytes).ok_or_else(|| "it holds half an element".to_owned());
    Ok(buffer.map(|buffer| (shape, buffer)))
}

/// Returns the memory range of elements.
fn place<T>(elements: &[T]) -> Range<usize> {
    let start = elements.as_ptr().addr();
    start..start + size_of_val(elements)
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}
